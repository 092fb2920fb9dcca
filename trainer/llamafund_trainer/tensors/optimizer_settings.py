"""Checking the settings in a checkpoint's optimizer and scheduler, without torch and without running a pickle.

`optimizer.pt` and `scheduler.pt` hold settings beside the state: learning rate, betas, weight decay. Training that
continues from such a file uses its settings, not the recipe's. One dishonest setting at the start would therefore
repeat bit for bit in every later segment, so a replay compares the settings with the recipe first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from llamafund_chain.strict_yaml import read_json
from llamafund_trainer.tensors.torch_save import read_saved

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

OPTIMIZER_STATE = "optimizer.pt"
SCHEDULER_STATE = "scheduler.pt"
RNG_STATE = "rng_state.pth"
"""The Trainer's names for files of a checkpoint without shards."""

MAX_SETTINGS = 1024 * 1024
"""Largest size of an optimizer's settings in JSON, in bytes."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of the next optimizer step after `step` steps, as transformers' schedules define it."""
    peak, schedule = recipe.optimizer.learning_rate, recipe.schedule
    warmup, steps = schedule.warmup_steps, recipe.training.steps
    if step < warmup:
        return peak * step / warmup
    if schedule.kind == "constant_with_warmup":
        return peak
    progress = (step - warmup) / (steps - warmup)
    if schedule.kind == "linear":
        return peak * max(0.0, 1 - progress)
    if schedule.kind == "cosine":
        return peak * max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
    assert_never(schedule.kind)


def schedule_problem(recipe: Recipe, step: int, path: Path) -> str | None:
    """Where a `scheduler.pt` contradicts the recipe; `None` if it does not.

    Args:
        recipe: The run's recipe.
        step: Optimizer steps done.
        path: The file.

    Raises:
        VerificationError: It is not a file of that kind.
    """
    state = read_saved(path)
    peak, rate = recipe.optimizer.learning_rate, learning_rate(recipe, step)
    for name, expected in (("base_lrs", peak), ("_last_lr", rate)):
        values = state.get(name)
        if not isinstance(values, list) or not values or not all(_close(value, expected) for value in values):
            return f"{path.name} after step {step} says {name} {_shown(values)}; by the recipe it is {expected:g}"
    for name, count in (("last_epoch", step), ("_step_count", step + 1)):
        if state.get(name) != count:
            return f"{path.name} after step {step} says {name} {_shown(state.get(name))}; it must be {count}"
    return None


def optimizer_problem(recipe: Recipe, step: int, path: Path) -> str | None:
    """Where the settings of an optimizer contradict the recipe; `None` if they do not. See `schedule_problem`.

    They are in `optimizer.pt`, or in a JSON file if the optimizer's state is in shards.
    """
    groups = _settings(path) if path.suffix == ".json" else read_saved(path).get("param_groups")
    if not isinstance(groups, list) or len(groups) != 2 or not all(isinstance(group, Mapping) for group in groups):
        return f"{path.name} after step {step} does not have the two groups of parameters that the trainer makes"
    if path.suffix != ".json" and not _numbered(groups):
        return f"{path.name} after step {step} has its parameters in another order than the trainer"
    optimizer = recipe.optimizer
    for group, decay in zip(groups, (optimizer.weight_decay, 0.0), strict=True):
        expected: dict[str, object] = {
            "lr": learning_rate(recipe, step),
            "initial_lr": optimizer.learning_rate,
            "betas": (optimizer.beta1, optimizer.beta2),
            "eps": optimizer.epsilon,
            "weight_decay": decay,
            "amsgrad": False,
            "maximize": False,
            "decoupled_weight_decay": True,
            # These choose an implementation, and implementations round differently.
            "foreach": None,
            "fused": None,
            "capturable": False,
            "differentiable": False,
        }
        odd = sorted(map(_shown, set(group) - set(expected) - {"params"}))
        if odd:
            return f"{path.name} after step {step} has the unknown setting {odd[0]}"
        for name, value in expected.items():
            found = group.get(name)
            same = _close(found, value) if isinstance(value, float) and name == "lr" else found == value
            if not same:
                return f"{path.name} after step {step} says {name} {_shown(found)}; by the recipe it is {value!r}"
    return None


def _numbered(groups: Iterable[Mapping[str, object]]) -> bool:
    """Whether the parameters are numbered from 0 through all groups; the numbers say which state is whose."""
    numbers: list[object] = []
    for group in groups:
        named = group.get("params")
        if not isinstance(named, list):
            return False
        numbers += named
    return all(type(found) is int and found == number for number, found in enumerate(numbers))


def _settings(path: Path) -> object:
    groups = read_json(path, MAX_SETTINGS)
    pairs = [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []
    for group in pairs:
        # JSON has no tuples.
        group["betas"] = tuple(group["betas"]) if isinstance(group.get("betas"), list) else group.get("betas")
    return groups


def _close(value: object, expected: float) -> bool:
    """Equal up to the last digits, which depend on the order of evaluation."""
    return isinstance(value, float) and math.isclose(value, expected, rel_tol=1e-9)


def _shown(value: object) -> str:
    """A stranger's value for an error message. A small pickle can hold a value whose text never ends."""
    if isinstance(value, list | tuple) and len(value) <= 8:
        return f"[{', '.join('…' if isinstance(each, list | tuple) else _shown(each) for each in value)}]"
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63):
        return repr(value)
    return repr(value[:80]) if isinstance(value, str) else f"something of type {type(value).__name__}"
