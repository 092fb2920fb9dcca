"""Checks of open weights: their score, their bytes, and whether they load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from llamafund_chain.checks.beside import RUNS_CODE, some
from llamafund_chain.checks.check import CheckContext, Finding, needs
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import TOKENIZER, TOKENIZER_FILES
from llamafund_trainer.checks.equality import fetch_pair, missing_file, other_files, other_tensors
from llamafund_trainer.checks.shared import checkpoint_of, own_recipe
from llamafund_trainer.metric import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.runs.export import EXPORTED
from llamafund_trainer.runs.inputs import fetch_inputs, fetch_recipe
from llamafund_trainer.runs.measure import Measurement, load_published, measure_weights, same_tokenizer
from llamafund_trainer.runs.open_weights import SUFFIX, fetch_weights
from llamafund_trainer.tensors.compare import Difference, compare_files
from llamafund_trainer.tensors.shards import WEIGHTS, fetch_joined, weight_files

_PROMPT = "The"


@needs("weights")
def metric_re_evaluated(context: CheckContext) -> Iterator[Finding]:
    """The promised metric, measured again on the published weights, is the integer in the evidence."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    if context.proposal.outcome.metric != METRIC:
        promised = context.proposal.outcome.metric
        yield Finding("unchecked", f"The promised metric is {promised!r}; this program measures {METRIC}")
        return
    workdir = context.workdir
    fetch_recipe(context.store, evidence.recipe)
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
    claimed = sorted(evidence.metrics.keys() - measured.metrics.keys())
    facts["claimed"] = {key: evidence.metrics[key] for key in claimed}
    if claimed and isinstance(evidence, WeightsManifest):
        # Nothing but an export writes weights of the trainer's recipes, and it writes what it has measured.
        detail = f"The manifest reports {', '.join(map(repr, claimed[:5]))}, which this program does not measure"
        yield Finding("fail", f"{detail}: an invented metric", facts)
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


@needs("weights")
def weights_equal_checkpoint(context: CheckContext) -> Iterator[Finding]:
    """The open weights are the last checkpoint's, tensor by tensor, in the same architecture and with its tokenizer."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    checkpoint = checkpoint_of(context, evidence)
    facts: dict[str, JsonValue] = {"checkpoint": checkpoint.sha256}
    if own_recipe(context, checkpoint) is None:
        yield _copied(context, evidence, checkpoint)
        return
    missing = missing_file(evidence, checkpoint)
    if missing is not None:
        yield Finding("fail", f"The last checkpoint has {missing}, but the published weights do not", facts)
        return
    pair = fetch_pair(context.store, evidence, checkpoint, context.workdir)
    difference = other_tensors(context.store, pair)
    if difference is not None:
        yield Finding("fail", _differing(difference), {**facts, "tensors": len(difference.tensors)})
        return
    problem = other_files(pair)
    if problem is not None:
        yield Finding("fail", problem, facts)
        return
    detail = f"All {evidence.parameters} parameters equal checkpoint {checkpoint.sha256} bit for bit"
    yield Finding("pass", f"{detail}; architecture and tokenizer are the same", facts)


def _copied(context: CheckContext, weights: WeightsManifest, checkpoint: CheckpointManifest) -> Finding:
    """Whether the weights of a recorded run are its checkpoint's files, without knowing the model that they make."""
    facts: dict[str, JsonValue] = {"checkpoint": checkpoint.sha256}
    there = {entry.path: entry.sha256 for entry in checkpoint.files}
    joined = [path for path in weight_files(list(there)) if path != WEIGHTS]
    added: list[JsonValue] = []
    for entry in weights.files:
        if entry.path == weights.model_card or there.get(entry.path) == entry.sha256:
            continue
        if entry.path not in there and not (joined and entry.path == WEIGHTS):
            added.append(entry.path)
        elif not entry.path.endswith(SUFFIX):
            return Finding("fail", f"The published {entry.path!r} is not the last checkpoint's", facts)
        else:
            published, original = context.workdir / "published", context.workdir / "checkpoint"
            fetch_tree(context.store, weights, published, [entry.path])
            if joined and entry.path == WEIGHTS:
                fetch_joined(context.store, checkpoint, original)
            else:
                fetch_tree(context.store, checkpoint, original, [entry.path])
            difference = compare_files(published / entry.path, original / entry.path)
            if difference is not None:
                return Finding("fail", f"{entry.path!r}: {_differing(difference)}", facts)
    left = sorted(path for path in there.keys() - {entry.path for entry in weights.files} if path.endswith(SUFFIX))
    left = [path for path in left if path not in joined]
    if added or left:
        detail = f"{some([*map(str, added), *left])} in only one of the published weights and the last checkpoint"
        return Finding("warn", detail, {**facts, "added": added, "left_out": [*left]})
    return Finding("pass", f"Every file but the model card is checkpoint {checkpoint.sha256}'s, bit for bit", facts)


def _differing(difference: Difference) -> str:
    return (
        f"The published weights are not those of the last checkpoint: {len(difference.tensors)} tensors differ, "
        f"among them {difference.tensors[0]}. The largest difference is {difference.amount:.3g}"
    )


@needs("weights")
def loads_in_transformers(context: CheckContext) -> Iterator[Finding]:
    """Plain transformers loads the published directory, offline and without running code from it."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    odd = [entry.path for entry in evidence.files if Path(entry.path).suffix.lower() in RUNS_CODE]
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
