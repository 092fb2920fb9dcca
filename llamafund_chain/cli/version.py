"""What `llamafund --version` prints: all that a report of a bug needs, and no path, which may name a person."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import click

from llamafund_chain.cli.system import missing

_PACKAGES = ("click", "eth-account", "ipfshttpclient", "pydantic", "requests", "torch", "transformers", "web3")
_GIT_SECONDS = 5


def tell(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked and not context.resilient_parsing:
        click.echo("\n".join(lines()))
        context.exit()


def lines() -> list[str]:
    """The program, its surroundings, and the packages that it stands on."""
    made_from = _commit()
    return [
        f"llamafund {_version('llamafund')}" + (f" (commit {made_from})" if made_from else ""),
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}",
        ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        *(f"On this system {what}." for what in missing()),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit that this was installed from, or whose files run; empty if nobody knows."""
    root = Path(__file__).resolve().parents[2]
    if not ((root / ".git").exists() and (root / "llamafund_chain").is_dir() and (root / "pyproject.toml").is_file()):
        return _installed_from()
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _installed_from() -> str:
    """What pip noted (PEP 610) if it installed from a repository."""
    try:
        noted = json.loads(distribution("llamafund").read_text("direct_url.json") or "{}")
        return str(noted["vcs_info"]["commit_id"])[:12]
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return ""
