"""The Foundry tools are found where somebody says, in the checkout, or on PATH, in this order."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from llamafund_chain.chain import foundry
from llamafund_chain.chain.foundry import find_program
from llamafund_chain.errors import LlamafundError, UsageError


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any of the tools; returns the working directory."""
    for name in ("LLAMAFUND_ANVIL", "LLAMAFUND_FORGE"):
        monkeypatch.delenv(name, raising=False)
    installed = tmp_path / "site-packages" / "llamafund_chain" / "chain" / "foundry.py"
    monkeypatch.setattr(foundry, "__file__", str(installed))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
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


def test_a_package_comes_before_the_path_and_none_is_an_error_with_a_remedy(elsewhere: Path, monkeypatch) -> None:
    with pytest.raises(LlamafundError, match=r"There is no forge.*make setup.*LLAMAFUND_FORGE"):
        find_program("forge")
    on_path = program(elsewhere.parent / "bin" / "forge")
    assert find_program("forge") == on_path
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    packages = elsewhere / "node_modules" / "@foundry-rs"
    alpine = program(packages / "forge-alpine-arm64" / "bin" / "forge")
    assert find_program("forge") == alpine
    usual = program(packages / "forge-linux-arm64" / "bin" / "forge")
    assert find_program("forge") == usual
