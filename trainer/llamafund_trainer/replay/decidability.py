"""Whether a recipe can leave a choice of machines, measured before a campaign is opened.

Rounding errors grow with every step. If honest repetitions of a segment come apart by about as much as the segment
changes the weights, then no other machine than the one that trained tells honest work from a forgery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_trainer.replay.segments import repeat_in_every_set, trained_weights
from llamafund_trainer.replay.tolerance import Gap, weights_spread
from llamafund_trainer.runs.inputs import prepare_inputs
from llamafund_trainer.tensors.compare import largest_change

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import RecipeFile

SEGMENTS = 2
"""How many of the first segments are measured. The learning rate is highest in them, so errors grow fastest."""

_SEED = "de" * 32
"""Any seed does."""


@dataclass(frozen=True)
class Spread:
    """How far honest repetitions of a segment come apart.

    Attributes:
        first: Step that the segment starts from.
        last: Step that it ends at.
        ways: The instruction sets that it was repeated with.
        apart: Largest difference of a weight between two repetitions.
        change: Largest change of a weight over the segment.
    """

    first: int
    last: int
    ways: tuple[str, ...]
    apart: float
    change: float

    @property
    def decides(self) -> bool | None:
        """Whether a replay on another machine tells honest work from a forgery; `None` if this machine cannot say.

        It cannot if it computes the same bits in every way that it has.
        """
        if self.apart == 0:
            return None
        return Gap("", 0.0, self.change).calibrated(self.apart).nearness == "close"

    def describe(self) -> str:
        """What that means, as one sentence without its full stop."""
        steps = f"Steps {self.first} to {self.last}"
        if self.decides is None:
            return f"{steps}: this machine computes the same bits in every way that it has, so it cannot say"
        share = f"honest repetitions come apart by {self.apart / self.change:.2g} of what the weights change"
        if self.decides:
            return (
                f"{steps}: {share}. A replay tells a forgery from that, even if the recipe leaves a choice of machines"
            )
        return (
            f"{steps}: {share}. ONLY the bytes of an equal machine tell a forgery from that, so leave no choice of "
            "machines. Fewer steps between checkpoints or a lower learning rate would allow one"
        )


def measure_decidability(
    store: Store,
    recipe_file: RecipeFile,
    dataset: str,
    workdir: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Spread, ...]:
    """Train the first segments of a recipe in every way that this machine has.

    Args:
        store: Holds the dataset, and the base model if the recipe names one.
        recipe_file: The recipe.
        dataset: SHA-256 of the dataset manifest.
        workdir: Existing directory for fetched and new files.
        progress: Called with a sentence before each segment.

    Raises:
        UsageError: The recipe trains on GPUs.
        LlamafundError: The store lacks something, or a process failed.
    """
    recipe = recipe_file.recipe
    if recipe.determinism.device != "cpu":
        raise UsageError(
            "How far honest training comes apart cannot be measured on a GPU",
            "No setting changes how one GPU computes, and there is no other one to compare it with",
            "Name one exact environment in the recipe, which attestors have",
        )
    place = workdir.absolute()
    inputs = prepare_inputs(store, recipe_file, dataset, place / "inputs")
    found: list[Spread] = []
    start: Path | None = None
    for first, last in islice(pairwise(recipe.state_steps()), SEGMENTS):
        progress(f"Training steps {first} to {last} in every way that this machine has")
        outcomes = repeat_in_every_set(inputs, _SEED, first, last, start, place)
        usual = outcomes.get(recipe.determinism.instruction_set) or next(iter(outcomes.values()))
        before = usual.parent / "checkpoint-0" if start is None else start
        change = largest_change(trained_weights(recipe, before), trained_weights(recipe, usual))
        found.append(Spread(first, last, tuple(outcomes), weights_spread(recipe, outcomes.values()), change))
        start = usual
    return tuple(found)
