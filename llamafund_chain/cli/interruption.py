"""What Ctrl-C reports: what has happened by then, and what stays."""

from __future__ import annotations

from collections.abc import Callable

import click

NOTHING_SENT = "nothing was sent"

_KEY = "llamafund_chain.cli.interruption"


def if_interrupted(say: str | Callable[[], str]) -> None:
    """Set what an interruption reports from here on.

    Args:
        say: The text after “Interrupted; ”, or a function that returns it when the interruption happens.
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_KEY] = say


def left_behind(context: click.Context | None) -> str:
    """What is left behind if the command of a context is interrupted now.

    Args:
        context: The context; `None` before there is one.
    """
    say = NOTHING_SENT if context is None else context.meta.get(_KEY, NOTHING_SENT)
    return str(say() if callable(say) else say)
