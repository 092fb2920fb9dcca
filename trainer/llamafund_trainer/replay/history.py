"""The history of losses in a checkpoint's `trainer_state.json`: what it says, and whether it can be true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamafund_chain.strict_yaml import read_json
from llamafund_chain.text import printable
from llamafund_trainer.metric import TRAIN_LOSS

TRAINER_STATE = "trainer_state.json"

_MAX_BYTES = 64 << 20
_COMPARED = ("loss", "grad_norm", "learning_rate")
"""What the trainer logs about a step and a repetition gives again; `epoch` follows from the step."""

History = Mapping[int, Mapping[str, Any]]
"""What was logged, by step."""


class HistoryError(ValueError):
    """A history that no training writes."""


def read_history(path: Path, step: int) -> History:
    """What a checkpoint's `trainer_state.json` says was logged.

    Args:
        path: The file.
        step: The checkpoint's step.

    Raises:
        HistoryError: It is of another step, names one twice or a later one, or has another form.
        VerificationError: It is no JSON.
    """
    state = read_json(path, _MAX_BYTES)
    if not isinstance(state, dict) or state.get("global_step") != step:
        raise HistoryError(f"{TRAINER_STATE} is not the state after step {step}")
    entries = state.get("log_history", [])
    if not isinstance(entries, list):
        raise HistoryError(f"log_history in {TRAINER_STATE} is not a list")
    history: dict[int, dict[str, Any]] = {}
    for entry in entries:
        at = entry.get("step") if isinstance(entry, dict) else None
        known = history.setdefault(at, {}) if isinstance(at, int) else {}
        # Of one step, transformers logs training and evaluation separately.
        if not isinstance(at, int) or at > step or any(key in known and key in entry for key in _COMPARED):
            raise HistoryError(f"{TRAINER_STATE} logs step {_shown(at)} twice, or it is not one up to step {step}")
        known.update(entry)
    return history


def repeated_problem(published: History, repeated: History, first: int, log_every: int) -> str | None:
    """Where a repeated segment logged something else than was published; `None` if nowhere.

    Args:
        published: Of the checkpoint at the segment's end.
        repeated: Of the same checkpoint, made again.
        first: The step that the segment starts from.
        log_every: Steps that a logged loss is the mean of. The first mean after a start may cover fewer.
    """
    for step in sorted(repeated):
        if step - log_every < first:
            continue
        for key in _COMPARED:
            said, found = published.get(step, {}).get(key), repeated[step].get(key)
            if said != found:
                return f"{TRAINER_STATE} says {key} {_shown(said)} after step {step}; repeated, it is {_shown(found)}"
    return None


def continued_problem(before: History, now: History) -> str | None:
    """Where a checkpoint's history rewrites what an earlier checkpoint's says; `None` if nowhere."""
    for step in sorted(before.keys() & now.keys()):
        for key in _COMPARED:
            then, later = before[step].get(key), now[step].get(key)
            if then != later:
                return f"after step {step} it says {key} {_shown(later)}; an earlier checkpoint says {_shown(then)}"
    return None


def loss_problem(history: History, metrics: Mapping[str, int], first: int) -> str | None:
    """How a manifest's training loss contradicts the history; `None` if it does not.

    Args:
        history: Of the checkpoint.
        metrics: Of its manifest, in millionths.
        first: The step of the checkpoint before it.
    """
    losses = [entry["loss"] for step, entry in history.items() if step > first and "loss" in entry]
    stated = metrics.get(TRAIN_LOSS)
    if stated is None or not losses or not all(_is_number(loss) for loss in losses):
        return None
    try:
        mean = round(math.fsum(losses) / len(losses) * 1_000_000)
    except OverflowError:
        return "its losses add up to more than any number that a program has"
    return None if mean == stated else f"the manifest says {TRAIN_LOSS} {stated}; by the history it is {mean}"


def _is_number(value: object) -> bool:
    # A whole number may be too long to be a float.
    return isinstance(value, int | float) and abs(value) < math.inf


def _shown(value: object) -> str:
    return "nothing" if value is None else printable(str(value), 40)
