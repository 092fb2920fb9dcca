"""What docs/installing.md says of dependencies is what pyproject.toml names and the code uses."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def wanted(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(folder: Path) -> set[str]:
    """The packages, as they are installed, that a package of ours imports."""
    modules: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules |= {name.partition(".")[0] for name in names}
    installed = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in installed.get(module, ())}


def test_every_dependency_of_the_base_install_is_explained_and_used() -> None:
    base = wanted(PROJECT["dependencies"])
    explained = {canonicalize_name(name) for name in re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)}
    assert explained == base
    assert base - imported(ROOT / "llamafund_chain") == set()


def test_every_extra_is_named_and_every_dependency_of_the_trainer_is_used() -> None:
    extras = PROJECT["optional-dependencies"]
    users = set(extras) - {"dev", "contracts"}
    assert users == set(re.findall(r"`(\w+)` \(", PAGE.partition("Extras: ")[2]))
    # transformers loads accelerate by itself for what the trainer asks of it.
    unused = wanted(extras["trainer"]) - imported(ROOT / "trainer" / "llamafund_trainer")
    assert unused <= {"accelerate"}


def test_the_releases_that_were_malware_stay_excluded() -> None:
    (line,) = (one for one in PROJECT["optional-dependencies"]["dev"] if one.startswith("lightning"))
    assert not [bad for bad in ("2.6.2", "2.6.3") if Requirement(line).specifier.contains(bad)]
