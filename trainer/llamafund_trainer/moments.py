"""What the state of an optimizer can be after some steps, whatever the data were.

A repetition continues from the published state of the segment's beginning, so that a forged one would repeat bit for
bit ever after. AdamW keeps for each element a mean of its gradients, a mean of their squares, and counts the steps.
Gradients can be anything; the two means of the same gradients cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from llamafund_trainer.initial import parameter_shapes
from llamafund_trainer.tensors import TensorEntry, read_numbers

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

MEAN, SQUARES, COUNT = "exp_avg", "exp_avg_sq", "step"
"""AdamW's names (Loshchilov and Hutter, 2019) in torch."""

_ROUNDING = 1.01
"""Honest means, rounded to float32 at each step, are off by less than a thousandth."""

_UNDERFLOW = 1e-36
"""What the squares of the smallest gradients may have lost, times 1 / (1 - beta2)."""


def moments_problem(recipe: Recipe, step: int, entries: Mapping[str, TensorEntry]) -> str | None:
    """What the tensors of an optimizer say that no run of the recipe can come to, or null.

    Args:
        recipe: The run's recipe.
        step: Optimizer steps done.
        entries: The tensors, as `optimizer_entries` calls them.

    Raises:
        VerificationError: A file became shorter.
    """
    after = f"the optimizer after step {step}"
    if step == 0:
        return f"{after} remembers gradients" if entries else None
    kept: dict[str, dict[str, TensorEntry]] = {}
    for name, entry in entries.items():
        stem, _, kind = name.rpartition(".")
        kept.setdefault(stem, {})[kind] = entry
    counted = {_parameter(stem) for stem, found in kept.items() if COUNT in found}
    if not counted or counted != set(map(_parameter, kept)):
        return f"{after} does not count the steps of every parameter"
    if recipe.base is None and len(counted) != len(parameter_shapes(recipe)):
        return f"{after} remembers gradients of {len(counted)} parameters; there are {len(parameter_shapes(recipe))}"
    limit = largest_mean(recipe.optimizer.beta1, recipe.optimizer.beta2, step)
    for stem, found in kept.items():
        if set(found) - {COUNT} != {MEAN, SQUARES}:
            return f"{after} does not keep for {stem} what AdamW keeps"
        if COUNT in found and not _counts(recipe, step, found[COUNT]):
            return f"{after} has another count of steps for {stem}"
        if not _possible(found[MEAN], found[SQUARES], limit, recipe.optimizer.beta2):
            return f"{after} keeps numbers for {stem} to which no gradients lead"
    return None


def largest_mean(beta1: float, beta2: float, step: int) -> float:
    """How large the mean of an element's gradients can be, as a multiple of the root of the mean of their squares.

    With weights (1 - beta1) beta1^k and (1 - beta2) beta2^k for the gradient of k steps ago, the inequality of Cauchy
    and Schwarz gives (1 - beta1) / sqrt(1 - beta2) times the root of the sum of (beta1^2 / beta2)^k over all steps.
    """
    ratio = beta1 * beta1 / beta2 if beta2 else math.inf
    try:
        total = float(step) if ratio == 1 else (1 - ratio**step) / (1 - ratio)
    except OverflowError:
        return math.inf
    return math.inf if beta2 == 1 or math.isnan(total) else (1 - beta1) * math.sqrt(total / (1 - beta2))


def _parameter(stem: str) -> str:
    """What a tensor belongs to, without the row at which a shard's part of it begins."""
    return stem.rpartition(":")[2]


def _counts(recipe: Recipe, step: int, entry: TensorEntry) -> bool:
    """Whether a count of steps is right. Of a base model, parts may have been without gradients in some steps."""
    if math.prod(entry.shape) != 1:
        return False
    count = float(next(iter(read_numbers(entry)))[0])
    return count == step if recipe.base is None else count in range(1, step + 1)


def _possible(mean: TensorEntry, squares: TensorEntry, limit: float, beta2: float) -> bool:
    import numpy as np

    if mean.shape != squares.shape or mean.dtype != squares.dtype:
        return False
    lost = _UNDERFLOW / (1 - beta2) if beta2 < 1 else math.inf
    for means, second in zip(read_numbers(mean), read_numbers(squares), strict=True):
        if not (np.isfinite(means).all() and np.isfinite(second).all() and (second >= 0).all()):
            return False
        largest = limit * np.sqrt(second.astype(np.float64) * _ROUNDING + lost)
        if not (np.abs(means) <= largest * _ROUNDING).all():
            return False
    return True
