"""The Foundry tools are found wherever people have them; where nobody has them, one command brings them."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from llamafund_chain.chain import foundry
from llamafund_chain.chain.foundry import find_program
from llamafund_chain.errors import LlamafundError, UsageError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of the tools; returns the working directory."""
    for name in ("LLAMAFUND_ANVIL", "LLAMAFUND_FORGE", "FOUNDRY_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    installed = tmp_path / "site-packages" / "llamafund_chain" / "chain" / "foundry.py"
    monkeypatch.setattr(foundry, "__file__", str(installed))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["anvil", "forge"])
def test_this_checkouts_packages_have_it(name: str) -> None:
    assert find_program(name).name == name


def test_the_checkouts_packages_are_found_from_any_working_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("LLAMAFUND_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_program("anvil").is_relative_to(Path(foundry.__file__).parents[2])


@pytest.mark.parametrize("name", ["anvil", "forge"])
def test_what_was_named_comes_first_and_must_be_there(elsewhere: Path, monkeypatch, name: str) -> None:
    variable = f"LLAMAFUND_{name.upper()}"
    named = program(elsewhere / "named" / "tool")
    program(elsewhere.parent / "bin" / name)
    monkeypatch.setenv(variable, str(named))
    assert find_program(name) == named
    monkeypatch.setenv(variable, str(elsewhere / "nothing"))
    with pytest.raises(UsageError, match=f"{variable} is .*nothing"):
        find_program(name)


def test_a_package_comes_before_the_path_and_foundrys_folder_last(elsewhere: Path) -> None:
    root = elsewhere.parent
    in_foundry = program(root / "home" / ".foundry" / "bin" / "forge")
    assert find_program("forge") == in_foundry
    on_path = program(root / "bin" / "forge")
    assert find_program("forge") == on_path
    own = program(packaged(root / "data" / "llamafund", "forge-linux-arm64"))
    assert find_program("forge") == own
    above = program(packaged(root, "forge-linux-arm64"))
    assert find_program("forge") == above
    alpine = program(packaged(elsewhere, "forge-alpine-arm64"))
    assert find_program("forge") == alpine
    usual = program(packaged(elsewhere, "forge-linux-arm64"))
    assert find_program("forge") == usual


def packaged(root: Path, package: str) -> Path:
    return root / "node_modules" / "@foundry-rs" / package / "bin" / "forge"


def test_foundrys_folder_may_be_elsewhere(elsewhere: Path, monkeypatch) -> None:
    monkeypatch.setenv("FOUNDRY_DIR", str(elsewhere.parent / "opt"))
    in_foundry = program(elsewhere.parent / "opt" / "bin" / "forge")
    assert find_program("forge") == in_foundry


def test_the_wrapper_of_a_global_node_package_leads_to_the_program_itself(elsewhere: Path) -> None:
    root = elsewhere.parent / "lib"
    wrapper = program(root / "node_modules" / "@foundry-rs" / "forge" / "bin.mjs")
    (elsewhere.parent / "bin").mkdir()
    (elsewhere.parent / "bin" / "forge").symlink_to(wrapper)
    assert find_program("forge") == elsewhere.parent / "bin" / "forge"
    itself = program(packaged(root, "forge-linux-arm64"))
    assert find_program("forge") == itself


def test_where_there_is_none_one_command_is_named_that_brings_it(elsewhere: Path, monkeypatch) -> None:
    with pytest.raises(
        LlamafundError, match=r"There is no forge.*Run `curl -L \S+ \| bash && ~/.foundry/bin/foundryup`"
    ):
        find_program("forge")
    program(elsewhere.parent / "bin" / "npm")
    folder = elsewhere.parent / "data" / "llamafund"
    version = json.loads((ROOT / "package.json").read_text())["dependencies"]["@foundry-rs/forge"]
    with pytest.raises(LlamafundError) as refused:
        find_program("forge")
    command = f"npm install --ignore-scripts --prefix {folder} @foundry-rs/forge@{version}"
    assert f"Run `{command}` once" in str(refused.value)
    checkout = elsewhere.parent / "site-packages" / "package.json"
    checkout.parent.mkdir(exist_ok=True)
    checkout.write_text("{}")
    with pytest.raises(LlamafundError, match="Run `make setup` once"):
        find_program("forge")
