"""`llamafund demo`: the whole story, for real, on a local chain."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from pathlib import Path

import click

from llamafund_chain.checks.baselines import ENGLISH
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import FilePath, json_option
from llamafund_chain.cli.output import emit
from llamafund_chain.cli.system import LEFT_RUNNING, warn
from llamafund_chain.demo.story import PROMISED_BITS_PER_BYTE, tell
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.text import from_millionths


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    metavar="FOLDER",
    help="Folder for the results. The folder of an earlier demo is replaced; any other is refused.",
)
@click.option(
    "--recipe",
    type=FilePath(),
    metavar="FILE",
    help="Train with this recipe instead of the demo's.",
)
@click.option(
    "--promise",
    metavar="NUMBER",
    help="Bits per byte on held-out text that the proposal promises; goes with --recipe.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Leave chain, store and page up after the story until Ctrl-C, with a campaign that is open for pledges.",
)
@json_option
def demo(out: Path, recipe: Path | None, promise: str | None, keep: bool, as_json: bool) -> None:
    """Watch a model being crowdfunded, trained, attested, paid and audited, and four rug pulls fail.

    The demo starts a local chain and stops it at the end; nothing leaves this machine. It takes a few minutes,
    because the training is real. The exit code is 1 if anything in the story does not hold.

    With --keep the story's chain and store stay up with the page (as of `llamafund web`) once everything held: look at
    its campaigns, verify them, and pledge to one more with test accounts of that chain.

    All facts are in FOLDER/facts.json (schema llamafund/demo/1). With --json they are printed at the end as facts, and
    the story is told on standard error.

    \b
    Example:
      llamafund demo --out demo-out
      llamafund demo --keep
    """
    warn(LEFT_RUNNING)
    if_interrupted(f"the demo's chain has ended, and what it wrote is in {out}")
    facts = tell(
        out,
        recipe or _own_recipe(),
        PROMISED_BITS_PER_BYTE if promise is None else _bits(promise),
        sys.stderr if as_json else sys.stdout,
        keep=keep,
    )
    if as_json:
        emit("demo", {"facts": facts.model_dump(mode="json")}, (), as_json=True)
    if not facts.held:
        raise LlamafundError("The story did not hold", facts.broken)


def _own_recipe() -> Path:
    """The trainer's default recipe, found without importing the trainer."""
    found = find_spec("llamafund_trainer")
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise LlamafundError(
            "The trainer is not installed",
            "The demo trains a model",
            "Install it: pip install 'llamafund[trainer]'",
        )
    return Path(next(iter(places))) / "recipes" / "demo.yaml"


def _bits(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 < value < 100 or value != round(value, 6):
        raise UsageError(
            f"{text!r} is not a number of bits per byte",
            "It must be above 0 and below 100, with at most six decimals",
            "Write it like 2.35",
        )
    if value.scaleb(6) >= ENGLISH:
        raise UsageError(
            f"The promise is {text} bits per byte",
            f"Counting letters already does {from_millionths(ENGLISH)} on the demo's text, so it would bind nobody",
            "Promise less",
        )
    return value
