"""Finds the Foundry tools: anvil, a development chain, and forge, which tests contracts."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError


def find_program(name: str) -> Path:
    """Find a program: at LLAMAFUND_<NAME>, among this checkout's Node packages, or on PATH.

    The packages' wrapper is skipped: it starts the same program and loses its exit code.

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
    # Beside the package in a checkout; below the working directory if the package is installed elsewhere.
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        for package in _packages(name):
            binary = root / "node_modules" / "@foundry-rs" / package / "bin" / name
            if binary.is_file():
                return binary
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    raise LlamafundError(
        f"There is no {name}",
        "It is one of the Foundry tools, and this needs it",
        f"Run `make setup` in the checkout, put {name} on PATH, or name it in {variable}",
    )


def _packages(name: str) -> tuple[str, ...]:
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system(), platform.system().lower())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    systems = (system, "alpine") if system == "linux" else (system,)
    return tuple(f"{name}-{each}-{machine}" for each in systems)
