"""The map of the code in `CONTRIBUTING.md` names every module and package of the first floor, from the ground up."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SOURCES = {"llamafund_chain": ROOT / "llamafund_chain", "llamafund_trainer": ROOT / "trainer" / "llamafund_trainer"}
# What carries no code of a floor of its own.
APART = {"__init__", "__main__"}


def mapped(package: str) -> list[list[str]]:
    """The names in the first column of a package's table, row by row."""
    table = re.search(rf"^\| in `{package}/` \|.*\n\|.*\n((?:\|.*\n)+)", CONTRIBUTING, re.MULTILINE)
    assert table, package
    return [[name.rstrip("/") for name in re.findall(r"`([^`]+)`", row.split("|")[1])] for row in table[1].splitlines()]


def floors(package: str) -> list[set[str]]:
    """The layers that import-linter enforces, from the ground up."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in settings["contracts"] if one.get("containers") == [package])
    return [set(re.split(r" [|:] ", layer)) for layer in reversed(contract["layers"])]


@pytest.mark.parametrize("package", SOURCES)
def test_the_map_names_everything_that_is_there(package: str) -> None:
    there = {path.stem for path in SOURCES[package].glob("*.py")}
    there |= {path.parent.name for path in SOURCES[package].glob("*/__init__.py")}
    assert sorted(name for row in mapped(package) for name in row) == sorted(there - APART)


@pytest.mark.parametrize("package", SOURCES)
def test_the_map_goes_from_the_ground_up(package: str) -> None:
    levels = {name: level for level, names in enumerate(floors(package)) for name in names}
    rows = [[levels[name] for name in row] for row in mapped(package)]
    for below, above in itertools.pairwise(rows):
        assert max(below) <= min(above)


def test_the_map_names_the_folders_of_the_repository() -> None:
    table = CONTRIBUTING.partition("## Map of the code")[2].partition("### ")[0]
    for folder in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder
    for folder in ("assurance", "bench", "contracts", "docs", "scripts", "tests"):
        assert f"| `{folder}/` |" in table
