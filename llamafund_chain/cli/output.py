"""Output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from llamafund_chain.text import printable

if TYPE_CHECKING:
    # Kept out of the light commands: it takes longer to load than they run.
    from pydantic import JsonValue

SCHEMA = "llamafund/cli/1"
"""Version of the JSON that every command prints with `--json`."""

_LINE_LIMIT = 4000


def emit(command: str, data: Mapping[str, JsonValue], human: Iterable[str], *, as_json: bool) -> None:
    """Print a command's result.

    Args:
        command: Name of the command, for example `campaign show`.
        data: The result as JSON: amounts as decimal strings, addresses checksummed, hashes as 64 digits.
        human: The same result as lines of text.
        as_json: Which of the two to print.
    """
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "command": command, **data}, indent=2))
        return
    for line in human:
        click.echo(printable(line, _LINE_LIMIT))


def event(command: str, data: Mapping[str, JsonValue], human: str, *, as_json: bool) -> None:
    """Print one event of a command that keeps running, on one line.

    Args:
        command: Name of the command.
        data: What happened, as JSON.
        human: What happened, as text.
        as_json: Which of the two to print.
    """
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "command": command, **data}))
    else:
        click.echo(printable(human, _LINE_LIMIT))
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a remark beside the result, on standard error, line by line."""
    for line in text.splitlines() or [""]:
        click.echo(printable(line, _LINE_LIMIT), err=True)


def progress(text: str) -> None:
    """Say what is in progress, on standard error and only on a terminal."""
    if sys.stderr.isatty():
        click.echo(click.style(printable(text, _LINE_LIMIT), dim=True), err=True)


def rows(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of `name  value` with the values in one column."""
    listed = list(pairs)
    width = max((len(name) for name, _ in listed), default=0)
    return [f"{name:<{width}}  {value}".rstrip() for name, value in listed]
