"""Finding the first step at which a run departs from its recipe, with checkpoints inside a segment."""

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
    """Where a run first departs from its recipe.

    Attributes:
        after: The last checked step whose state is the repeated one.
        by: The first checked step whose state is not.
        repeated: Steps that were repeated to find out.
    """

    after: int
    by: int
    repeated: int

    def describe(self) -> str:
        """The result as one sentence without its full stop."""
        cost = f"{self.repeated} steps were repeated to find it"
        if self.by == self.after + 1:
            return f"Step {self.by} is the first that gave different bytes; {cost}"
        return (
            f"The first step that gave different bytes is one of {self.after + 1} to {self.by}, and there is no "
            f"checkpoint between them; {cost}"
        )


def finer_checkpoints(directory: Path, recipe: Recipe) -> dict[int, Path]:
    """The checkpoints in a directory, as the Trainer lays them out: step to `checkpoint-<step>`.

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
            f"There are no checkpoints in {str(directory)!r}",
            "It has no directories called checkpoint-<step>",
            "Name the directory in which the Trainer kept them",
        )
    return found


def bisect(store: Store, inputs: Inputs, segment: Segment, finer: Mapping[int, Path], workdir: Path) -> Bisection:
    """Find the first differing step of a segment that did not repeat, from checkpoints inside it.

    Each half starts from a state that was found to be right, so nobody has to trust whoever kept the finer
    checkpoints. In total no more steps are repeated than the segment has.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data. The environment must be the recorded one.
        segment: The segment that did not repeat.
        finer: Step to directory with the state files. Steps outside the segment are ignored.
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
        # The Trainer saves at multiples of one number, which must divide the number of all steps.
        every = math.gcd(end, inputs.recipe.training.steps)
        wanted = {"checkpoint_every": every, "log_every": every, "state_every": None}
        changed = with_recipe(inputs, directory, training=wanted)
        outcome = repeat_once(changed, segment.end.seed, begin, end, start, directory / "repeated")
        repeated += end - begin
        names = state_files(inputs.recipe, end)
        if all(state_hash(outcome / name) == state_hash(finer[end] / name) for name in names):
            # Start from our own directory: repeating writes to it, and the finer checkpoints belong to the user.
            good, start = middle, outcome
        else:
            bad = middle
            shutil.rmtree(directory)
    return Bisection(steps[good], steps[bad], repeated)
