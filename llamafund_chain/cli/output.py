"""Output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from llamafund_chain.errors import ExitCode, LlamafundError
from llamafund_chain.text import printable

if TYPE_CHECKING:
    # Kept out of the light commands: it takes longer to load than they run.
    from pydantic import JsonValue

SCHEMA = "llamafund/cli/1"
"""Version of the JSON that every command prints with `--json`."""

_LINE_LIMIT = 4000
_QUIET = f"{__name__}.quiet"
_COMMAND = f"{__name__}.command"
_PRINTED = f"{__name__}.printed"
_RUNNING = f"{__name__}.running"


def named(context: click.Context, name: str) -> None:
    """Remember which command runs, for the document about an error.

    Args:
        context: The context of its group.
        name: Its name in that group.
    """
    context.meta[_COMMAND] = f"{context.command_path} {name}".partition(" ")[2]


def emit(command: str, data: Mapping[str, JsonValue], human: Iterable[str], *, as_json: bool) -> None:
    """Print a command's result.

    Args:
        command: Name of the command, for example `campaign show`.
        data: The result as JSON: amounts as decimal strings, addresses checksummed, hashes as 64 digits.
        human: The same result as lines of text.
        as_json: Which of the two to print.
    """
    if as_json:
        _mark(_PRINTED)
        click.echo(json.dumps({"schema": SCHEMA, "command": command, **data}, indent=2))
        return
    for line in human:
        click.echo(printable(line, _LINE_LIMIT))


def failure(context: click.Context | None, code: ExitCode, message: str, error: BaseException | None) -> None:
    """Print an error as JSON, as the last event of a command that keeps running.

    Nothing is printed after a result: a verdict that is a no tells the same.

    Args:
        context: The program's context; `None` before there is one.
        code: The exit code.
        message: The whole message.
        error: What was raised. An error of ours has parts.
    """
    meta = {} if context is None else context.meta
    if meta.get(_PRINTED):
        return
    parts = (error.what, error.why, error.remedy) if isinstance(error, LlamafundError) else (message, "", "")
    told = {
        "kind": code.name.lower(),
        "exit_code": int(code),
        "message": message,
        **dict(zip(("what", "why", "remedy"), parts, strict=True)),
    }
    last = {"event": "error"} if meta.get(_RUNNING) else {}
    click.echo(json.dumps({"schema": SCHEMA, "command": meta.get(_COMMAND), **last, "error": told}))


def event(command: str, data: Mapping[str, JsonValue], human: str, *, as_json: bool) -> None:
    """Print one event of a command that keeps running, on one line.

    Args:
        command: Name of the command.
        data: What happened, as JSON.
        human: What happened, as text.
        as_json: Which of the two to print.
    """
    if as_json:
        _mark(_RUNNING)
        click.echo(json.dumps({"schema": SCHEMA, "command": command, **data}))
    else:
        click.echo(printable(human, _LINE_LIMIT))
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a remark beside the result, on standard error, line by line."""
    for line in text.splitlines() or [""]:
        click.echo(printable(line, _LINE_LIMIT), err=True)


def silence_progress(context: click.Context, _: click.Parameter, quiet: bool) -> None:
    """Let the command of a context show no progress, if that is wanted."""
    context.meta[_QUIET] = quiet


def shows_progress() -> bool:
    """Whether somebody looks at progress: on a terminal, unless they said no."""
    context = click.get_current_context(silent=True)
    return sys.stderr.isatty() and not (context is not None and context.meta.get(_QUIET))


def progress(text: str) -> None:
    """Say what is in progress, on standard error, where somebody looks at it."""
    if shows_progress():
        shown = printable(text, _LINE_LIMIT)
        # https://no-color.org: any value but an empty one counts.
        click.echo(shown if os.environ.get("NO_COLOR") else click.style(shown, dim=True), err=True)


def rows(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of `name  value` with the values in one column."""
    listed = list(pairs)
    width = max((len(name) for name, _ in listed), default=0)
    return [f"{name:<{width}}  {value}".rstrip() for name, value in listed]


def _mark(what: str) -> None:
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[what] = True
