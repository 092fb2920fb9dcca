"""How far published numbers are from repeated ones, and how far honest repetitions come apart.

Only where the environment is not the recorded one is anything but equality looked at. Weights are compared with the
largest change of a weight over the segment. The optimizer's numbers are of very different sizes from tensor to tensor,
so there each tensor's difference is taken as a share of that tensor's own change.
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

There is no one number. Honest repetitions under other instruction sets came apart by 1e-6 to 3e-5 of the largest change
of a weight in segments of 10 steps at a learning rate of 0.001, and by up to 0.94 of it in segments of 50 steps at
0.01, where rounding errors grow until the weights are others; 1 and 2 threads gave the same bits. So each segment is
calibrated by itself. One instruction set was up to 5.3 times as far from the recorded one as another, which the factor
covers three times over. Optimizers came apart by 4e-7 to 3e-6 of what the segment changed in a tensor where weights did
so little, one instruction set up to 2.7 times as far as another. `python -m bench tolerance` measures it;
docs/verification.md has the table.
"""

UNDECIDABLE = 0.1
"""Tolerance, as a share of the largest change over the segment, from which a comparison shows nothing.

Had the segment not been trained at all, the difference would be the whole change.
"""

Nearness = Literal["close", "unclear", "different"]


@dataclass(frozen=True)
class Gap:
    """How far published numbers are from repeated ones.

    Attributes:
        largest: Name of the tensor with the largest difference.
        amount: That difference; infinite where tensors cannot be compared, not a number where a value is none.
        moved: Largest change over the segment as it was repeated, in the same unit.
        tolerance: Largest difference that honest repetitions explain; `None` where they were not asked.
        in_shares: Whether amounts are shares of what each tensor changed. One that hardly changed is far off by that
            measure as soon as honest repetitions are, so that nobody is accused by it then.
    """

    largest: str
    amount: float
    moved: float
    tolerance: float | None = None
    in_shares: bool = False

    @property
    def nearness(self) -> Nearness:
        """`close` where honest repetitions differ by as much; `unclear` where they show nothing.

        They show nothing where they differ by too much, and where they agree to the bit, as on a GPU, which no setting
        of the processor changes: nobody knows then how far another one's results may be. It may be farther than the
        segment moved; but what a segment leaves as it is, it leaves so everywhere.
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
        """The same with the tolerance that follows from how far honest repetitions come apart."""
        return replace(self, tolerance=CALIBRATION_FACTOR * spread)


def weights_gap(published: Path, repeated: Path, before: Path) -> Gap | None:
    """How far weights, or an adapter, are from the repeated ones; `None` where every bit is the same.

    Args:
        published: At the end of the segment.
        repeated: The same, repeated.
        before: As published for its beginning.

    Raises:
        VerificationError: Something is no safetensors file, or `before` has other tensors than `repeated`.
    """
    found = compare_files(published, repeated)
    return None if found is None else Gap(found.largest, found.amount, largest_change(before, repeated))


def weights_spread(recipe: Recipe, outcomes: Iterable[Path]) -> float:
    """Largest difference of a weight between any two honest repetitions.

    Args:
        recipe: Says what is trained.
        outcomes: Directories of their last checkpoints.
    """
    files = [trained_weights(recipe, outcome) for outcome in outcomes]
    return _most(largest_change(one, other) for one, other in combinations(files, 2))


def optimizer_entries(recipe: Recipe, step: int, directory: Path) -> dict[str, TensorEntry]:
    """Where the tensors of a checkpoint's optimizer lie; of one in shards, each shard's by themselves.

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

    One that only one side has is zeros on the other: an optimizer begins without any, and has those of a parameter
    from its first gradient on, which one of many experts may get late.

    Raises:
        VerificationError: They differ in shape, or are no floating point numbers.
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
    """How far an optimizer is from the repeated one, in shares of each tensor's change; `None` where nothing differs.

    Args:
        published: Its tensors.
        repeated: Those that came out.
        changes: How far each of these moved.

    Raises:
        VerificationError: A file became shorter.
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
    """Largest difference between any two honest repetitions, as a share of the change of the tensor."""
    found = (optimizer_changes(one, other) for one, other in combinations(outcomes, 2))
    return _most(_share(gap, changes.get(name)) for gaps in found for name, gap in gaps.items())


def _share(gap: float, change: float | None) -> float:
    if gap == 0:
        return 0.0
    return gap / change if change else math.inf


def _most(amounts: Iterable[float]) -> float:
    """The largest, or what is not a number where one is not."""
    found = 0.0
    for amount in amounts:
        found = amount if math.isnan(amount) or amount > found else found
        if math.isnan(found):
            break
    return found
