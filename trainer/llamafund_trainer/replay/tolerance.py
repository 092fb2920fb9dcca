"""How far published numbers are from repeated ones, and how far honest repetitions differ from each other.

In the recorded environment only equality counts. Elsewhere, differences of weights are compared with the largest change
of a weight over the segment. The optimizer's tensors hold numbers of very different sizes, so there each difference is
taken as a share of the tensor's own change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llamafund_trainer.replay.segments import trained_weights
from llamafund_trainer.tensors.compare import (
    TensorEntry,
    compare_files,
    differences,
    largest_change,
    largest_changes,
    largest_of,
    read_numbers,
)
from llamafund_trainer.tensors.optimizer_bounds import COUNT
from llamafund_trainer.tensors.optimizer_settings import OPTIMIZER_STATE
from llamafund_trainer.tensors.shards import OPTIMIZER, read_shards, shard_files
from llamafund_trainer.tensors.torch_save import optimizer_tensors

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

CALIBRATION_FACTOR = 16.0
"""Tolerance, as a multiple of the largest difference between the auditor's own honest repetitions of a segment.

No single number fits all segments, so each one is calibrated by itself. With different instruction sets, honest
repetitions differed by 1e-6 to 3e-5 of the largest change of a weight in segments of 10 steps at a learning rate of
0.001. In segments of 50 steps at 0.01 they differed by up to 0.94 of it, because rounding errors grew until the weights
were different ones. 1 and 2 threads gave the same bits. One instruction set was up to 5.3 times as far from the
recorded one as another; the factor covers that three times over. Where weights differed little, optimizers differed by
4e-7 to 3e-6 of what the segment changed in a tensor, one instruction set up to 2.7 times as far as another.
`python -m bench tolerance` measures this; docs/verification.md has the table.
"""

UNDECIDABLE = 0.1
"""Tolerance, as a share of the largest change over the segment, from which on a comparison shows nothing.

If the segment had not been trained at all, the difference would be the whole change.
"""

Nearness = Literal["close", "unclear", "different"]


@dataclass(frozen=True)
class Gap:
    """How far published numbers are from repeated ones.

    Attributes:
        largest: Name of the tensor with the largest difference.
        amount: That difference; infinite if tensors cannot be compared, NaN if a value is NaN.
        moved: Largest change over the repeated segment, in the same unit.
        tolerance: Largest difference that honest repetitions explain; `None` if none were made.
        in_shares: Whether amounts are shares of each tensor's change. In a tensor that hardly changed, honest
            repetitions are far apart by that measure, too, so then a large share accuses nobody.
    """

    largest: str
    amount: float
    moved: float
    tolerance: float | None = None
    in_shares: bool = False

    @property
    def nearness(self) -> Nearness:
        """`close` if honest repetitions differ by as much; `unclear` if they show nothing.

        They show nothing if they differ by too much. They also show nothing if they agree to the bit, as on a GPU,
        which no setting of the processor changes: then nobody knows how far another GPU's results may be, possibly
        farther than the segment moved. But what a segment does not change stays the same everywhere.
        """
        if self.tolerance is None or not math.isfinite(self.amount):
            return "different"
        if self.tolerance == 0 and self.moved > 0:
            return "unclear"
        decidable = not self.tolerance >= UNDECIDABLE * self.moved
        if self.amount <= self.tolerance:
            return "close" if decidable else "unclear"
        return "unclear" if self.in_shares and not decidable else "different"

    def calibrated(self, spread: float) -> Gap:
        """The same with the tolerance that follows from the spread of honest repetitions."""
        return replace(self, tolerance=CALIBRATION_FACTOR * spread)


def weights_gap(published: Path, repeated: Path, before: Path) -> Gap | None:
    """How far weights, or an adapter, are from the repeated ones; `None` if every bit is the same.

    Args:
        published: File published for the end of the segment.
        repeated: The repeated file.
        before: File published for the start of the segment.

    Raises:
        VerificationError: A file is not safetensors, or `before` has other tensors than `repeated`.
    """
    found = compare_files(published, repeated)
    return None if found is None else Gap(found.largest, found.amount, largest_change(before, repeated))


def weights_spread(recipe: Recipe, outcomes: Iterable[Path]) -> float:
    """Largest difference of a weight between any two honest repetitions.

    Args:
        recipe: The run's recipe.
        outcomes: Directories of the repetitions' last checkpoints.
    """
    files = [trained_weights(recipe, outcome) for outcome in outcomes]
    return _most(largest_change(one, other) for one, other in combinations(files, 2))


def optimizer_entries(recipe: Recipe, step: int, directory: Path) -> dict[str, TensorEntry]:
    """Where the tensors of a checkpoint's optimizer are stored. Shards are not joined: each has its own entries.

    Raises:
        VerificationError: A file cannot be read.
    """
    if recipe.determinism.sharding == "none":
        return optimizer_tensors(directory / OPTIMIZER_STATE)
    if step == 0:
        return {}
    shards = shard_files(OPTIMIZER, recipe.determinism.processes)
    tensors = read_shards([directory / shard for shard in shards])
    found = {f"{piece.row}:{name}": piece.entry for name, pieces in tensors.items() for piece in pieces}
    return {name: replace(entry, name=name) for name, entry in found.items()}


def optimizer_changes(before: Mapping[str, TensorEntry], after: Mapping[str, TensorEntry]) -> dict[str, float]:
    """How far each tensor of an optimizer moved.

    A tensor that one side lacks counts as zeros. An optimizer starts without any tensors, and has those of a parameter
    from its first gradient on, which may come late for one of many experts.

    Raises:
        VerificationError: The tensors differ in shape, or do not hold floating point numbers.
    """
    shared = before.keys() & after.keys()
    changes = largest_changes({name: before[name] for name in shared}, {name: after[name] for name in shared})
    for name, entry in {**before, **after}.items():
        if name not in shared:
            changes[name] = _most(float(abs(block).max()) for block in read_numbers(entry))
    return changes


def optimizer_gap(
    published: Mapping[str, TensorEntry], repeated: Mapping[str, TensorEntry], changes: Mapping[str, float]
) -> Gap | None:
    """How far an optimizer is from the repeated one, in shares of each tensor's change; `None` if nothing differs.

    Args:
        published: Tensors of the published optimizer.
        repeated: Tensors of the repeated one.
        changes: How far each repeated tensor moved.

    Raises:
        VerificationError: A file became shorter while it was read.
    """
    gaps = differences(published, repeated)
    if not gaps:
        return None
    shares = {
        # No rounding changes a count.
        name: math.inf if name.endswith(f".{COUNT}") else _share(gap, changes.get(name))
        for name, gap in gaps.items()
    }
    largest = largest_of(shares)
    return Gap(largest, shares[largest], 1.0, in_shares=True)


def optimizer_spread(outcomes: Iterable[Mapping[str, TensorEntry]], changes: Mapping[str, float]) -> float:
    """Largest difference between any two honest repetitions, as a share of the tensor's change."""
    found = (optimizer_changes(one, other) for one, other in combinations(outcomes, 2))
    return _most(_share(gap, changes.get(name)) for gaps in found for name, gap in gaps.items())


def _share(gap: float, change: float | None) -> float:
    if gap == 0:
        return 0.0
    return gap / change if change else math.inf


def _most(amounts: Iterable[float]) -> float:
    """The largest amount; NaN if one is NaN."""
    found = 0.0
    for amount in amounts:
        found = amount if math.isnan(amount) or amount > found else found
        if math.isnan(found):
            break
    return found
