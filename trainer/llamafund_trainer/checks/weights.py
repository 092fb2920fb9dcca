"""Checks of open weights: their score, their bytes, and whether they load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import TOKENIZER, TOKENIZER_FILES
from llamafund_trainer.checks.equality import fetch_pair, missing_file, other_files, other_tensors
from llamafund_trainer.checks.shared import checkpoint_of
from llamafund_trainer.metric import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.runs.export import EXPORTED
from llamafund_trainer.runs.inputs import fetch_inputs, fetch_recipe
from llamafund_trainer.runs.measure import Measurement, load_published, measure_weights, same_tokenizer
from llamafund_trainer.runs.open_weights import fetch_weights

_RUNS_CODE = frozenset({".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack"})
"""Endings of files that can run code when they are loaded."""

_PROMPT = "The"


def metric_re_evaluated(context: CheckContext) -> Iterator[Finding]:
    """The promised metric, measured again on the published weights, is the integer in the evidence."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    if context.proposal.outcome.metric != METRIC:
        promised = context.proposal.outcome.metric
        yield Finding("skip", f"The promised metric is {promised!r}; this program measures {METRIC}")
        return
    workdir = context.workdir
    fetch_tree(context.store, evidence, workdir, [TOKENIZER])
    context.progress("Measuring the model on the held-out text again")
    checkpoint = evidence if isinstance(evidence, CheckpointManifest) else checkpoint_of(context, evidence)
    inputs = fetch_inputs(context.store, checkpoint, workdir / "inputs")
    measured = measure_weights(inputs, fetch_weights(context.store, evidence, inputs.recipe, inputs.base, workdir))
    value = measured.value
    score = None if value is None else context.proposal.outcome.score(value)
    stated = evidence.score if context.score is None else context.score
    facts: dict[str, JsonValue] = {"measured": value, "score": score, "stated": stated}
    if not same_tokenizer(workdir / TOKENIZER, measured.tokenizer):
        source = "training data" if inputs.base is None else "base model"
        detail = f"The published tokenizer is not the one of the {source}. The metric means nothing with it"
        yield Finding("fail", detail, facts)
        return
    wrong = _wrong_claim(evidence, measured, score, stated)
    if wrong is not None:
        yield Finding("fail", wrong, facts)
        return
    baseline = min(measured.metrics[UNIGRAM_TOKENS], measured.metrics[UNIGRAM_BYTES])
    detail = (
        f"Measured again: {from_millionths(value or 0)} bits per byte, exactly as claimed "
        f"(the best model without context reaches {from_millionths(baseline)})"
    )
    yield Finding("pass", detail, {**facts, "unigram": baseline})


def _wrong_claim(
    evidence: CheckpointManifest | WeightsManifest, measured: Measurement, score: int | None, stated: int | None
) -> str | None:
    wrong = [
        key
        for key, reported in sorted(evidence.metrics.items())
        if key in measured.metrics and measured.metrics[key] != reported
    ]
    if score is not None and stated == score and not wrong:
        return None
    claimed = "no score" if stated is None else f"the score {from_millionths(stated)}"
    found = "it is not a finite number" if score is None else f"it is {from_millionths(score)}"
    detail = f"The evidence claims {claimed}; measured again, {found}"
    if wrong:
        key = wrong[0]
        reported, value = (from_millionths(metrics[key]) for metrics in (evidence.metrics, measured.metrics))
        detail += f". It reports {key} {reported}; the measured value is {value}"
    return detail


def weights_equal_checkpoint(context: CheckContext) -> Iterator[Finding]:
    """The open weights are the last checkpoint's, tensor by tensor, in the same architecture and with its tokenizer."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    checkpoint = checkpoint_of(context, evidence)
    facts: dict[str, JsonValue] = {"checkpoint": checkpoint.sha256}
    missing = missing_file(evidence, checkpoint)
    if missing is not None:
        yield Finding("fail", f"The last checkpoint has {missing}, but the published weights do not", facts)
        return
    pair = fetch_pair(context.store, evidence, checkpoint, context.workdir)
    difference = other_tensors(context.store, pair)
    if difference is not None:
        detail = (
            f"The published weights are not those of the last checkpoint: {len(difference.tensors)} tensors differ, "
            f"among them {difference.tensors[0]}. The largest difference is {difference.amount:.3g}"
        )
        yield Finding("fail", detail, {**facts, "tensors": len(difference.tensors)})
        return
    problem = other_files(pair)
    if problem is not None:
        yield Finding("fail", problem, facts)
        return
    detail = f"All {evidence.parameters} parameters equal checkpoint {checkpoint.sha256} bit for bit"
    yield Finding("pass", f"{detail}; architecture and tokenizer are the same", facts)


def loads_in_transformers(context: CheckContext) -> Iterator[Finding]:
    """Plain transformers loads the published directory, offline and without running code from it."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    odd = [entry.path for entry in evidence.files if Path(entry.path).suffix.lower() in _RUNS_CODE]
    if odd:
        detail = f"{odd[0]!r} is among the published files. Loading such a file can run code of its author"
        yield Finding("fail", detail)
        return
    recipe = fetch_recipe(context.store, evidence.recipe).recipe
    known = EXPORTED if recipe.base is None else EXPORTED | set(TOKENIZER_FILES)
    unknown = [entry.path for entry in evidence.files if entry.path not in known]
    if unknown:
        detail = (
            f"{unknown[0]!r} is among the published files. A library may take it for part of the model, and no check "
            "compares it with the training"
        )
        yield Finding("fail", detail)
        return
    workdir = context.workdir
    fetch_tree(context.store, evidence, workdir)
    context.progress("Loading the model with transformers")
    loaded = load_published(workdir, recipe, _PROMPT)
    facts: dict[str, JsonValue] = {"model_class": loaded.model_class, "text": loaded.text}
    if loaded.parameters != evidence.parameters:
        detail = f"transformers finds {loaded.parameters} parameters; the manifest says {evidence.parameters}"
        yield Finding("fail", detail, facts)
        return
    written = json.dumps(loaded.text, ensure_ascii=False)
    detail = f"transformers loads it as {loaded.model_class} with {loaded.parameters} parameters; it writes {written}"
    yield Finding("pass", detail, facts)
