"""How the trainer's commands show numbers and progress."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from llamafund_chain.text import from_millionths


def shown_metric(value: int | None) -> str:
    """A metric in millionths as a person reads it; `None` if the model has diverged."""
    return "not a finite number: the model has diverged" if value is None else from_millionths(value)


def progress_bar() -> Progress:
    """A bar on standard error with a column for facts; give each of its tasks the field `facts`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=Console(stderr=True),
    )
