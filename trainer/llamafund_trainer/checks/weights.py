"""Checks of the open weights: their score, their bytes, and whether they load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.strict_yaml import read_json
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    Base,
    fetch_base,
)
from llamafund_trainer.checks.shared import MAX_CONFIG_BYTES, checkpoint_of, load_json_object
from llamafund_trainer.llama import ARCHITECTURE, END_OF_TEXT, END_OF_TEXT_ID, config_values
from llamafund_trainer.metric import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.runs.export import EXPORTED
from llamafund_trainer.runs.inputs import fetch_inputs, fetch_recipe
from llamafund_trainer.runs.measure import load_published, measure_weights, same_tokenizer
from llamafund_trainer.runs.open_weights import fetch_weights
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.tensors.compare import compare_files, count_elements
from llamafund_trainer.tensors.initial_weights import parameter_count
from llamafund_trainer.tensors.shards import WEIGHTS

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

_RUNS_CODE = frozenset({".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack"})
_PROMPT = "The"

_SETTINGS_OF_TOKENIZER = {
    "backend": "tokenizers",
    "bos_token": END_OF_TEXT,
    "clean_up_tokenization_spaces": False,
    "eos_token": END_OF_TEXT,
    "pad_token": END_OF_TEXT,
    "tokenizer_class": "TokenizersBackend",
}
"""What `tokenizer_config.json` says about a tokenizer that was trained, besides the length of a text."""

_NOT_THE_MODELS = frozenset({"transformers_version", "use_cache"})
"""Keys of a configuration that whoever saves a model sets, and that do not change what it computes."""

_BESIDE = frozenset({GENERATION_CONFIG, *TOKENIZER_FILES})

_VERSION = "transformers_version"

_GENERATION: dict[str, object] = {
    "_from_model_config": True,
    "bos_token_id": END_OF_TEXT_ID,
    "eos_token_id": END_OF_TEXT_ID,
    "output_attentions": False,
    "output_hidden_states": False,
    "pad_token_id": END_OF_TEXT_ID,
    "use_cache": True,
}
"""What `generation_config.json` says about a new model."""

_DEFAULTS = {"pretraining_tp": 1}
"""What transformers writes into a configuration though nobody set it."""


def metric_re_evaluated(context: CheckContext) -> Iterator[Finding]:
    """The promised metric, measured again on the published weights, is the integer that the evidence says."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    if context.proposal.outcome.metric != METRIC:
        detail = f"The promised metric is {context.proposal.outcome.metric!r}; this program measures {METRIC}"
        yield Finding("skip", detail)
        return
    workdir = context.workdir
    fetch_tree(context.store, evidence, workdir, ["tokenizer.json"])
    context.progress("Measuring the model on the held-out text again")
    checkpoint = evidence if isinstance(evidence, CheckpointManifest) else checkpoint_of(context, evidence)
    inputs = fetch_inputs(context.store, checkpoint, workdir / "inputs")
    measured = measure_weights(inputs, fetch_weights(context.store, evidence, inputs.recipe, inputs.base, workdir))
    value = measured.value
    score = None if value is None else context.proposal.outcome.score(value)
    stated = evidence.score if context.score is None else context.score
    facts: dict[str, JsonValue] = {"measured": value, "score": score, "stated": stated}
    if not same_tokenizer(workdir / "tokenizer.json", measured.tokenizer):
        whose = "the training part gives" if inputs.base is None else "the base model has"
        detail = f"The published tokenizer is not the one that {whose}: the metric means nothing with it"
        yield Finding("fail", detail, facts)
        return
    wrong = sorted(
        key
        for key, reported in evidence.metrics.items()
        if key in measured.metrics and measured.metrics[key] != reported
    )
    if score is None or stated != score or wrong:
        said = "nothing" if stated is None else from_millionths(stated)
        found = "no finite number" if score is None else from_millionths(score)
        detail = f"The evidence claims the score {said}; measured again it is {found}"
        if wrong:
            key = wrong[0]
            detail += (
                f". It reports {key} {from_millionths(evidence.metrics[key])}, "
                f"measured is {from_millionths(measured.metrics[key])}"
            )
        yield Finding("fail", detail, facts)
        return
    baseline = min(measured.metrics[UNIGRAM_TOKENS], measured.metrics[UNIGRAM_BYTES])
    detail = (
        f"Measured again: {from_millionths(value or 0)} bits per byte, exactly as claimed "
        f"(the best model without context has {from_millionths(baseline)})"
    )
    yield Finding("pass", detail, {**facts, "unigram": baseline})


def weights_equal_checkpoint(context: CheckContext) -> Iterator[Finding]:
    """The open weights are the last checkpoint's, tensor by tensor, in the same architecture and tokenizer."""
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    checkpoint = checkpoint_of(context, evidence)
    published, original = context.workdir / "published", context.workdir / "checkpoint"
    recipe_file = fetch_recipe(context.store, checkpoint.recipe)
    recipe = recipe_file.recipe
    base = None if recipe.base is None else fetch_base(context.store, recipe.base, original / "base")
    named = {entry.path for entry in evidence.files}
    lacking = sorted({CONFIG, *_BESIDE & {entry.path for entry in checkpoint.files}} - named)
    if lacking:
        detail = f"The last checkpoint has {lacking[0]}, and the published weights lack it"
        yield Finding("fail", detail, {"checkpoint": checkpoint.sha256})
        return
    fetch_tree(context.store, evidence, published, sorted(named & {CONFIG, GENERATION_CONFIG, *TOKENIZER_FILES}))
    fetch_tree(context.store, checkpoint, original, [CONFIG, TOKENIZER])
    facts: dict[str, JsonValue] = {"checkpoint": checkpoint.sha256}
    difference = compare_files(
        fetch_weights(context.store, evidence, recipe, base, published),
        fetch_weights(context.store, checkpoint, recipe, base, original),
    )
    if difference is not None:
        detail = (
            f"The published weights are not those of the last checkpoint: {len(difference.tensors)} tensors differ, "
            f"{difference.tensors[0]} among them; largest difference {difference.amount:.3g}"
        )
        yield Finding("fail", detail, {**facts, "tensors": len(difference.tensors)})
        return
    if base is None:
        expected = {**config_values(recipe), "model_type": "llama", "architectures": [ARCHITECTURE]}
        parameters = parameter_count(recipe)
        generation = _GENERATION
    else:
        made = make_start(recipe_file, base, checkpoint.seed, original, weights=False)
        read = read_json(made / "config.json", MAX_CONFIG_BYTES)
        expected = {key: value for key, value in read.items() if key not in _NOT_THE_MODELS}
        parameters = count_elements(original / WEIGHTS)
        generation = read_json(made / GENERATION_CONFIG, MAX_CONFIG_BYTES)
    problem = _config_problem(published / "config.json", original / "config.json", expected)
    if problem is None and GENERATION_CONFIG in named:
        problem = _generation_problem(published / GENERATION_CONFIG, generation)
    if problem is None and load_json_object(published / "tokenizer.json") != load_json_object(
        original / "tokenizer.json"
    ):
        problem = "The published tokenizer.json is not the last checkpoint's"
    if problem is None:
        problem = _tokenizer_settings_problem(published, recipe) if base is None else _sidecar_problem(published, base)
    if problem is None and evidence.parameters != parameters:
        problem = f"The manifest counts {evidence.parameters} parameters; the model has {parameters}"
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
        detail = f"{odd[0]!r} is among the published files: loading such a file can run its author's program"
        yield Finding("fail", detail)
        return
    recipe = fetch_recipe(context.store, evidence.recipe).recipe
    known = EXPORTED if recipe.base is None else EXPORTED | set(TOKENIZER_FILES)
    unknown = [entry.path for entry in evidence.files if entry.path not in known]
    if unknown:
        detail = (
            f"{unknown[0]!r} is among the published files: libraries may take it for a part of the model, and nothing "
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


def _config_problem(published: Path, original: Path, expected: dict[str, object]) -> str | None:
    config, before = read_json(published, MAX_CONFIG_BYTES), read_json(original, MAX_CONFIG_BYTES)
    if not isinstance(config, dict) or not isinstance(before, dict):
        return "The published config.json is not an object"
    for key, value in expected.items():
        if config.get(key) != value:
            return f"The published config.json says {key} {config.get(key)!r}; the recipe's model has {value!r}"
    known = {**_DEFAULTS, **expected}
    added = sorted(key for key in set(config) - _NOT_THE_MODELS if key not in known or config[key] != known[key])
    if added:
        return f"The published config.json says {added[0]} {str(config[added[0]])[:80]!r}; the recipe's model does not"
    for key in sorted({*config, *before} - {_VERSION}):
        if config.get(key) != before.get(key):
            return f"The published config.json differs from the last checkpoint's in {key}"
    return None


def _generation_problem(path: Path, expected: dict[str, object]) -> str | None:
    """Whether the settings with which people will let the model write are other than the trainer's."""
    found = read_json(path, MAX_CONFIG_BYTES)
    if not isinstance(found, dict):
        return f"The published {path.name} is not an object"
    odd = sorted(key for key in {*found, *expected} - {_VERSION} if found.get(key) != expected.get(key))
    if odd:
        said, wanted = (str(values.get(odd[0]))[:80] for values in (found, expected))
        return f"The published {path.name} says {odd[0]} {said!r}; what the trainer writes says {wanted!r}"
    return None


def _tokenizer_settings_problem(published: Path, recipe: Recipe) -> str | None:
    """Whether the settings beside a trained tokenizer could make it cut texts otherwise."""
    expected = {**_SETTINGS_OF_TOKENIZER, "model_max_length": recipe.data.context_length}
    if read_json(published / TOKENIZER_CONFIG, MAX_CONFIG_BYTES) != expected:
        return f"The published {TOKENIZER_CONFIG} is not what the trainer writes"
    return None


def _sidecar_problem(published: Path, base: Base) -> str | None:
    """Whether the tokenizer's files are the base model's, byte for byte."""
    for name in TOKENIZER_FILES:
        ours, theirs = published / name, base.directory / name
        if ours.exists() != theirs.exists() or (ours.exists() and ours.read_bytes() != theirs.read_bytes()):
            return f"The published {name} is not the base model's"
    return None
