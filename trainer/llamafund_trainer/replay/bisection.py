"""Finding the first step at which a run departs from its recipe."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_trainer.replay.segments import fetch_start, repeat_once, state_files, state_hash, with_recipe

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import Recipe
    from llamafund_trainer.replay.segments import Segment
    from llamafund_trainer.runs.inputs import Inputs


@dataclass(frozen=True)
class Bisection:
    """Where a run first departs from what its recipe gives.

    Attributes:
        after: The last checked step whose state is as repeated.
        by: The first checked step whose state is not.
        repeated: Steps that were repeated to find out.
    """

    after: int
    by: int
    repeated: int

    def describe(self) -> str:
        """The result in one sentence."""
        cost = f"{self.repeated} steps were repeated to find it"
        if self.by == self.after + 1:
            return f"Step {self.by} is the first that gave other bytes; {cost}"
        return (
            f"The first step that gave other bytes is one of {self.after + 1} to {self.by}, between which there is no "
            f"checkpoint; {cost}"
        )


def finer_checkpoints(directory: Path, recipe: Recipe) -> dict[int, Path]:
    """The checkpoints of a recipe in a directory, as the Trainer lays them out: step to `checkpoint-<step>`.

    Raises:
        UsageError: There are none, or one lacks a state file.
    """
    found: dict[int, Path] = {}
    for path in sorted(directory.glob("checkpoint-*")):
        number = path.name.removeprefix("checkpoint-")
        if not number.isdecimal() or not path.is_dir():
            continue
        missing = [name for name in state_files(recipe, int(number)) if not (path / name).is_file()]
        if missing:
            raise UsageError(f"The checkpoint {str(path)!r} lacks {', '.join(missing)}")
        found[int(number)] = path
    if not found:
        raise UsageError(
            f"There are no checkpoints in {str(directory)!r}", "Expected are directories called checkpoint-<step>"
        )
    return found


def bisect(store: Store, inputs: Inputs, segment: Segment, finer: Mapping[int, Path], workdir: Path) -> Bisection:
    """Find the first differing step of a segment that did not repeat, from checkpoints inside it.

    Each half begins at a state that was found to be right, so whoever kept the finer checkpoints need not be
    believed, and together no more steps are repeated than the segment has.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data; the environment must be the recorded one.
        segment: What did not repeat.
        finer: Step to directory with the state files; steps outside the segment are not looked at.
        workdir: Existing directory for fetched and new files.

    Raises:
        LlamafundError: The store lacks something, or a process failed.
    """
    place = workdir.absolute()
    first, last = segment.start.steps.last, segment.end.steps.last
    steps = [first, *sorted(step for step in finer if first < step < last), last]
    start = fetch_start(store, inputs.recipe, segment, place)
    good, bad, repeated = 0, len(steps) - 1, 0
    while bad - good > 1:
        middle = (good + bad) // 2
        begin, end = steps[good], steps[middle]
        directory = place / f"bisection-{begin}-{end}"
        directory.mkdir()
        # The Trainer saves at multiples of one number, which has to divide the whole run.
        every = math.gcd(end, inputs.recipe.training.steps)
        changed = with_recipe(inputs, directory, training={"checkpoint_every": every, "log_every": every})
        outcome = repeat_once(changed, segment.end.seed, begin, end, start, directory / "repeated")
        repeated += end - begin
        names = state_files(inputs.recipe, end)
        if all(state_hash(outcome / name) == state_hash(finer[end] / name) for name in names):
            # Replay writes into the directory that it begins with, and the finer checkpoints are not ours.
            good, start = middle, outcome
        else:
            bad = middle
            shutil.rmtree(directory)
    return Bisection(steps[good], steps[bad], repeated)
