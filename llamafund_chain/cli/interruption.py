"""What Ctrl-C reports: what has happened by then, and what stays."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_KEY = "llamafund_chain.cli.interruption"


def begins(context: click.Context, command: click.Command) -> None:
    """Set what an interruption reports once a command is loaded: only one that signs could send something.

    Args:
        context: The context of its group. Its object, if it has one, is called.
        command: The command.
    """
    if context.obj is not None:
        context.obj()
    signs = any(parameter.name == "wallet" for parameter in command.params)
    if_interrupted("nothing was sent" if signs else "")


def if_interrupted(say: str | Callable[[], str]) -> None:
    """Set what an interruption reports from here on.

    Args:
        say: The text after “Interrupted; ”, or a function that returns it when the interruption happens. Empty if
            there is nothing to add.
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_KEY] = say


def left_behind(context: click.Context | None) -> str:
    """What is left behind if the command of a context is interrupted now; empty if there is nothing to add.

    Args:
        context: The context; `None` before there is one.
    """
    nothing = "nothing was done yet"
    say = nothing if context is None else context.meta.get(_KEY, nothing)
    return str(say() if callable(say) else say)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C meanwhile. Other threads than the main one are never interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
