"""Which states an optimizer can have after some steps, whatever the data.

A replay continues from the published state at the start of a segment. A forged state would therefore repeat bit for bit
in every later segment. For each element, AdamW keeps a mean of its gradients and a mean of their squares, and it counts
steps. Gradients can be anything, but not every pair of means can come from the same gradients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llamafund_trainer.tensors.compare import TensorEntry, read_numbers
from llamafund_trainer.tensors.initial_weights import parameter_shapes

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

MEAN, SQUARES, COUNT = "exp_avg", "exp_avg_sq", "step"
"""AdamW's names (Loshchilov and Hutter, 2019) in torch."""

_ROUNDING = 2.0**-22
"""Rounding of a mean at each step, as a share of it: twice float32's, for two operations."""

_SLACK = 1.01
"""How far a mean may be above the limit, besides rounding: implementations multiply and add in different orders."""

_MAX_COUNT = 2**24
"""Steps that torch can count: float32 cannot hold the next number, so the count stops here."""

_UNDERFLOW = 1e-36
"""What the squares of the smallest gradients may have lost, times 1 / (1 - beta2)."""


def moments_problem(recipe: Recipe, step: int, entries: Mapping[str, TensorEntry]) -> str | None:
    """Why no run of the recipe can lead to the tensors of an optimizer; `None` if one can.

    Args:
        recipe: The run's recipe.
        step: Optimizer steps done.
        entries: The tensors, named as in `optimizer_entries`.

    Raises:
        VerificationError: A file became shorter, or a tensor does not hold floating point numbers.
    """
    after = f"the optimizer after step {step}"
    if step == 0:
        return f"{after} already remembers gradients" if entries else None
    kept: dict[str, dict[str, TensorEntry]] = {}
    for name, entry in entries.items():
        stem, _, kind = name.rpartition(".")
        kept.setdefault(stem, {})[kind] = entry
    counted = {_parameter(stem) for stem, found in kept.items() if COUNT in found}
    if not counted or counted != set(map(_parameter, kept)):
        return f"{after} does not count the steps of every parameter"
    parameters = len(counted) if recipe.base is not None else len(parameter_shapes(recipe))
    if len(counted) != parameters:
        return f"{after} remembers gradients of {len(counted)} parameters; there are {parameters}"
    for stem, found in kept.items():
        if set(found) - {COUNT} != {MEAN, SQUARES}:
            return f"{after} does not hold for {stem} what AdamW keeps"
        if COUNT in found and not _counts(recipe, step, found[COUNT]):
            return f"{after} has another count of steps for {stem}"
        if not _possible(recipe, step, found[MEAN], found[SQUARES]):
            return f"{after} holds numbers for {stem} to which no gradients lead"
    return None


def largest_mean(beta1: float, beta2: float, step: int) -> float:
    """How large the mean of an element's gradients can be, as a multiple of the root of the mean of their squares.

    The gradient of k steps ago has the weights (1 - beta1) beta1^k and (1 - beta2) beta2^k. The Cauchy-Schwarz
    inequality then gives (1 - beta1) / sqrt(1 - beta2) times the root of the sum of (beta1^2 / beta2)^k over all steps.
    """
    ratio = beta1 * beta1 / beta2 if beta2 else math.inf
    try:
        total = float(step) if ratio == 1 else (1 - ratio**step) / (1 - ratio)
    except OverflowError:
        return math.inf
    return math.inf if beta2 == 1 or math.isnan(total) else (1 - beta1) * math.sqrt(total / (1 - beta2))


def _parameter(stem: str) -> str:
    """The parameter that a tensor belongs to, without the row at which a shard's part of it begins."""
    return stem.rpartition(":")[2]


def _counts(recipe: Recipe, step: int, entry: TensorEntry) -> bool:
    """Whether a count of steps is right. Parts of a base model may have had no gradients in some steps."""
    if math.prod(entry.shape) != 1:
        return False
    count = float(next(iter(read_numbers(entry)))[0])
    most = min(step, _MAX_COUNT)
    return count == most if recipe.base is None else 1 <= count <= most and count.is_integer()


def _possible(recipe: Recipe, step: int, mean: TensorEntry, squares: TensorEntry) -> bool:
    import numpy as np

    if mean.shape != squares.shape or mean.dtype != squares.dtype:
        return False
    beta1, beta2 = recipe.optimizer.beta1, recipe.optimizer.beta2
    # A mean forgets rounding errors as it forgets gradients.
    rounding = sum(_ROUNDING / (1 - beta) if beta < 1 else math.inf for beta in (beta1, beta2))
    limit = largest_mean(beta1, beta2, step) * (_SLACK + rounding)
    lost = _UNDERFLOW / (1 - beta2) if beta2 < 1 else math.inf
    for means, second in zip(read_numbers(mean), read_numbers(squares), strict=True):
        if not (np.isfinite(means).all() and np.isfinite(second).all() and (second >= 0).all()):
            return False
        if not (np.abs(means) <= limit * np.sqrt(second.astype(np.float64) + lost)).all():
            return False
    return True
