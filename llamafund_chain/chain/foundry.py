"""Finds the Foundry tools: anvil, a development chain, and forge, which tests contracts."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from pathlib import Path

from platformdirs import user_data_path

from llamafund_chain.errors import LlamafundError, UsageError

_VERSION = "1.7.1"
"""The release that `package.json` pins, for a command that installs it elsewhere."""


def find_program(name: str) -> Path:
    """Find a program, in the first of these places that has it.

    They are: what LLAMAFUND_<NAME> names; the Node packages of this checkout, of the working directory and of those
    above it, and of this program's data folder; PATH; and Foundry's own folder. The packages' wrapper is skipped: it
    starts the same program and loses its exit code.

    Args:
        name: For example `anvil`.

    Raises:
        UsageError: LLAMAFUND_<NAME> names no program.
        LlamafundError: There is no such program.
    """
    variable = f"LLAMAFUND_{name.upper()}"
    named = os.environ.get(variable)
    if named:
        if not os.access(named, os.X_OK) or not Path(named).is_file():
            raise UsageError(f"{variable} is {named!r}", "There is no program of that name", "Correct or unset it")
        return Path(named)
    here = Path.cwd()
    for root in (_checkout(), here, *here.parents, _own_folder()):
        packaged = _packaged(name, root / "node_modules")
        if packaged is not None:
            return packaged
    on_path = shutil.which(name)
    if on_path is not None:
        modules = next((parent for parent in Path(on_path).resolve().parents if parent.name == "node_modules"), None)
        return (None if modules is None else _packaged(name, modules)) or Path(on_path)
    in_foundry = _foundry_folder() / "bin" / name
    if os.access(in_foundry, os.X_OK) and in_foundry.is_file():
        return in_foundry
    raise LlamafundError(
        f"There is no {name}",
        "It is one of the Foundry tools, and this needs it",
        f"Run `{_command_that_brings(name)}` once",
    )


def _checkout() -> Path:
    """The folder that has this package: a checkout, or a folder of installed packages."""
    return Path(__file__).resolve().parents[2]


def _own_folder() -> Path:
    """Where `_command_that_brings` puts programs: they are found from any folder, and need no rights of others."""
    return user_data_path("llamafund", appauthor=False)


def _foundry_folder() -> Path:
    """Where Foundry's installer puts its tools."""
    named = os.environ.get("FOUNDRY_DIR")
    return Path(named) if named else Path.home() / ".foundry"


def _command_that_brings(name: str) -> str:
    """One line for a shell, after which the program is found."""
    if (_checkout() / "package.json").is_file():
        return "make setup"
    if shutil.which("npm") is not None:
        folder = shlex.quote(str(_own_folder()))
        return f"npm install --ignore-scripts --prefix {folder} @foundry-rs/{name}@{_VERSION}"
    return "curl -L https://foundry.paradigm.xyz | bash && ~/.foundry/bin/foundryup"


def _packaged(name: str, modules: Path) -> Path | None:
    """The program itself among Node packages."""
    candidates = (modules / "@foundry-rs" / package / "bin" / name for package in _packages(name))
    return next((binary for binary in candidates if binary.is_file()), None)


def _packages(name: str) -> tuple[str, ...]:
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system(), platform.system().lower())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    systems = (system, "alpine") if system == "linux" else (system,)
    return tuple(f"{name}-{each}-{machine}" for each in systems)
