"""Checks of what lies in the checkpoints of the trainer's own runs, beside what replay compares."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import JsonValue

from llamafund_chain.checks.beside import RUNS_CODE, some
from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.base_files import CONFIG, GENERATION_CONFIG, TOKENIZER_FILES
from llamafund_trainer.checks.shared import own_recipe, run_of_milestone
from llamafund_trainer.metric import DIVERGED, HELDOUT_BYTES, HELDOUT_TOKENS, METRIC, TRAIN_LOSS
from llamafund_trainer.replay.history import (
    TRAINER_STATE,
    History,
    HistoryError,
    continued_problem,
    loss_problem,
    read_history,
)
from llamafund_trainer.replay.segments import published_files
from llamafund_trainer.tensors.lora import ADAPTER_CONFIG

METRICS = frozenset({METRIC, HELDOUT_BYTES, HELDOUT_TOKENS, TRAIN_LOSS, DIVERGED})
"""Metrics that the trainer writes into a checkpoint's manifest."""

_BESIDE = frozenset({CONFIG, GENERATION_CONFIG, TRAINER_STATE, ADAPTER_CONFIG, *TOKENIZER_FILES})
_TRAINING_STATE = re.compile(
    r"(.*/)?([^/]*\.(pt|pth|ckpt|distcp|metadata)|\.metadata|(optimizer|scheduler|scaler|random_states|sampler|"
    r"custom_checkpoint|pytorch_model|adapter_model|training_args)[^/]*\.(bin|pkl))"
)
"""Pickles that the usual training programs write as their state; open weights may hold none."""


def checkpoint_files_known(context: CheckContext) -> Iterator[Finding]:
    """The checkpoints hold the files that the trainer writes and no others, and only metrics that it measures."""
    run = run_of_milestone(context)
    if not run:
        return
    recipe = own_recipe(context, run[-1])
    for link in run:
        paths = [entry.path for entry in link.files]
        if recipe is None:
            known = frozenset(path for path in paths if not _is_program(path))
        else:
            promised = published_files(recipe, link.steps.last)
            missing = [path for path in promised if path not in paths]
            if missing:
                listed: list[JsonValue] = [*missing]
                detail = f"There is no {', '.join(missing[:5])} in the checkpoint after step {link.steps.last}"
                yield Finding("fail", f"{detail}, which the recipe promises", {"missing": listed})
                return
            known = _BESIDE.union(promised)
        odd = [path for path in paths if path not in known]
        if odd:
            listed = [*odd[:100]]
            what = "no training writes" if recipe is None else "the trainer does not write there"
            detail = f"{some(odd)} in the checkpoint after step {link.steps.last}, which {what}"
            yield Finding("fail", detail, {"files": listed, "checkpoint": link.sha256})
            return
        invented = sorted(link.metrics.keys() - METRICS) if recipe is not None else []
        if invented:
            detail = (
                f"The checkpoint after step {link.steps.last} reports {', '.join(map(repr, invented[:5]))}, which the "
                "trainer does not measure and no check can"
            )
            yield Finding("fail", detail, {"metrics": [*invented[:100]], "checkpoint": link.sha256})
            return
    if recipe is None:
        detail = f"No file in the {len(run)} checkpoints is a program. Pickles in them are training state: load none"
    else:
        detail = f"All {len(run)} checkpoints hold only files and metrics that the trainer writes for this recipe"
    yield Finding("pass", detail, {"checkpoints": len(run)})


def histories_agree(context: CheckContext) -> Iterator[Finding]:
    """The losses in the checkpoints' histories agree with one another and with the manifests."""
    run = run_of_milestone(context)
    if not run:
        return
    is_own = own_recipe(context, run[-1]) is not None
    with_history = [link for link in run if TRAINER_STATE in {entry.path for entry in link.files}]
    if not with_history and not is_own:
        return
    before: History = {}
    for link in with_history:
        try:
            problem, before = _history_problem(context, link, before)
        except HistoryError as error:
            if not is_own:
                yield Finding("unchecked", f"No history as transformers writes it: {error}")
                return
            problem = str(error)
        if problem is not None:
            detail = f"The checkpoint after step {link.steps.last} contradicts itself or an earlier one: {problem}"
            yield Finding("fail", detail, {"checkpoint": link.sha256})
            return
    detail = f"The history of losses in {len(run)} checkpoints agrees with their manifests"
    yield Finding("pass", f"{detail}; replay repeats parts of it" if is_own else detail, {"logged": len(before)})


def _history_problem(context: CheckContext, link: CheckpointManifest, before: History) -> tuple[str | None, History]:
    place = context.workdir / link.sha256[:16]
    fetch_tree(context.store, link, place, [TRAINER_STATE])
    now = read_history(place / TRAINER_STATE, link.steps.last)
    return continued_problem(before, now) or loss_problem(now, link.metrics, link.steps.first), {**before, **now}


def _is_program(path: str) -> bool:
    """Whether a file is a program, or a pickle that no training program keeps its state in."""
    lower = path.lower()
    return lower.endswith(tuple(RUNS_CODE)) and _TRAINING_STATE.fullmatch(lower) is None
