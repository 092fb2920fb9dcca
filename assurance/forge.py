"""Runs forge with the settings of foundry.toml."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from assurance.harness import ROOT, MissingToolError
from llamafund_chain.chain.foundry import find_program
from llamafund_chain.errors import LlamafundError


def find_forge() -> Path:
    """The forge program; see `find_program`.

    Raises:
        MissingToolError: There is none.
    """
    try:
        return find_program("forge")
    except LlamafundError as error:
        raise MissingToolError(str(error)) from error


def forge(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run forge to its end, whatever its exit code, and return what it printed.

    Args:
        arguments: As on forge's command line.
        env: Variables in addition to this process's, for example FOUNDRY_INVARIANT_RUNS.
        cwd: Checkout, or a copy of it.

    Raises:
        MissingToolError: There is no forge.
    """
    command: Sequence[str] = [str(find_forge()), *arguments]
    # forge writes signatures it has seen to the home directory unless told to work offline; foundry.toml does.
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
