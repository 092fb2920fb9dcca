"""Runs the tools that live in an environment of their own, `.venv/assurance`: see constraints-assurance.txt."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from assurance.forge import find_forge
from assurance.harness import ROOT, BrokenToolError, MissingToolError

LAST_LINES = 15


def find_tool(name: str) -> Path:
    """One of the tools: where LLAMAFUND_ASSURANCE_TOOLS says, else in `.venv/assurance/bin`.

    Args:
        name: Of the program, for example `halmos`.

    Raises:
        MissingToolError: It is not there.
    """
    folder = Path(os.environ.get("LLAMAFUND_ASSURANCE_TOOLS") or ROOT / ".venv" / "assurance" / "bin")
    tool = folder / name
    if not tool.is_file():
        raise MissingToolError(f"there is no {name} in {folder}: run `make .venv/assurance/.ready`")
    return tool


def run_tool(
    name: str, arguments: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run one of the tools to its end, whatever its exit code, and return what it printed.

    Its home directory is `build/assurance/home`, so that it neither reads nor leaves anything in the user's. Its PATH
    starts with its neighbours and the project's forge.

    Args:
        name: Of the program, for example `halmos`.
        arguments: As on its command line.
        env: Variables in addition to this process's.
        cwd: Checkout, or a copy of it.

    Raises:
        MissingToolError: The tool or forge is not installed.
    """
    tool = find_tool(name)
    home, scratch = (ROOT / "build" / "assurance" / name for name in ("home", "tmp"))
    for folder in (home, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(tool.parent), str(find_forge().parent), os.environ.get("PATH", "")])
    variables = {**os.environ, **(env or {}), "HOME": str(home), "TMPDIR": str(scratch), "PATH": path, "NO_COLOR": "1"}
    return subprocess.run([str(tool), *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def broken(what: str, ended: subprocess.CompletedProcess[str]) -> BrokenToolError:
    """The error for a tool that ended without a result, with the last lines of what it printed."""
    lines = (ended.stdout + ended.stderr).strip().splitlines()[-LAST_LINES:]
    return BrokenToolError("\n".join([f"{what} (exit code {ended.returncode}):", *lines]))
