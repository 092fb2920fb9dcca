"""What an attestor or auditor checks about a training run and the weights that came out of it.

Everything is fetched from the store and computed again; nothing that a manifest says is believed. What needs
torch runs in a fresh process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.checks import Check, CheckContext, CheckResult
from llamafund_chain.evidence import fetch_manifest, fetch_tree
from llamafund_chain.manifests import CheckpointManifest, EvidenceManifest, WeightsManifest
from llamafund_chain.terms import MilestoneKind
from llamafund_chain.text import from_millionths
from llamafund_trainer.base import (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    Base,
    fetch_base,
)
from llamafund_trainer.environment import INFORMATIVE, pinned_variables, recipe_settings
from llamafund_trainer.evaluation import METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS
from llamafund_trainer.export import EXPORTED
from llamafund_trainer.initial import initial_tensors, parameter_count, parameter_shapes
from llamafund_trainer.inputs import fetch_inputs, fetch_recipe, walk_run
from llamafund_trainer.lora import ADAPTER, changed_by
from llamafund_trainer.measuring import load_published, measure_weights, read_json, same_tokenizer
from llamafund_trainer.model import ARCHITECTURE, config_values
from llamafund_trainer.replay import catch_chance, choose, segments_of, weight_jumps
from llamafund_trainer.replay import replay as replay_segments
from llamafund_trainer.seeds import data_order_seed
from llamafund_trainer.shards import WEIGHTS, fetch_joined
from llamafund_trainer.starting import make_start
from llamafund_trainer.state import SCHEDULER_STATE, schedule_problem
from llamafund_trainer.tensors import compare_files, compare_with, count_elements
from llamafund_trainer.tokenizer import END_OF_TEXT, END_OF_TEXT_ID
from llamafund_trainer.weights import fetch_weights

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe, RecipeFile
    from llamafund_trainer.repeating import Segment

_RUNS_CODE = frozenset({".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack"})
_MAX_CONFIG_BYTES = 1024 * 1024
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

NOT_PINNED = frozenset(
    {"cpu_capability", "machine", "numpy", "processor", "python", "system", "torch", "torch_build", "transformers"}
)
"""Settings that a checkpoint has to record and that no recipe decides."""

_BY_LIBRARIES = frozenset({"CUBLAS_WORKSPACE_CONFIG", "accelerate", "safetensors", "tokenizers"})
"""Settings that the trainer records where a library says or sets them."""

_OF_GPU = frozenset({"cuda", "cudnn", "cudnn_benchmark", "flash_attention", "gpu", "gpu_capability", "tf32"})


def initial_weights_from_seed(context: CheckContext) -> Iterator[CheckResult]:
    """The run's first checkpoint holds the weights that follow from the campaign's seed, and nothing learned."""
    name = "initial-weights-from-seed"
    run = _run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    seed = context.training_seed or first.seed
    workdir = _workdir(context, name)
    recipe_file = fetch_recipe(context.store, first.recipe)
    recipe = recipe_file.recipe
    if recipe.base is not None:
        if recipe.lora is not None:
            yield _initial_adapter(context, name, recipe_file, seed)
        return
    published = fetch_joined(context.store, first, workdir)
    difference = compare_with(published, parameter_shapes(recipe), initial_tensors(recipe, seed))
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed}
    if difference is None:
        detail = f"All {parameter_count(recipe)} parameters of step 0 follow from the seed {seed}"
        yield CheckResult(name, "pass", detail, facts)
    else:
        detail = (
            f"The weights of step 0 do not follow from the seed {seed}: {len(difference.tensors)} tensors differ, "
            f"{difference.tensors[0]} among them. The run did not start fresh"
        )
        yield CheckResult(name, "fail", detail, {**facts, "tensors": len(difference.tensors)})


def _initial_adapter(context: CheckContext, name: str, recipe_file: RecipeFile, seed: str) -> CheckResult:
    first, workdir = _run_of_milestone(context)[0], _workdir(context, name)
    base = fetch_base(context.store, str(recipe_file.recipe.base), workdir / "base")
    fetch_tree(context.store, first, workdir, [ADAPTER])
    made = make_start(recipe_file, base, seed, workdir)
    difference = compare_files(workdir / ADAPTER, made / ADAPTER)
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed, "base": recipe_file.recipe.base}
    if difference is None:
        return CheckResult(name, "pass", f"The adapter of step 0 follows from the seed {seed}", facts)
    detail = (
        f"The adapter of step 0 does not follow from the seed {seed}: {len(difference.tensors)} tensors differ, "
        f"{difference.tensors[0]} among them. The run did not start fresh"
    )
    return CheckResult(name, "fail", detail, {**facts, "tensors": len(difference.tensors)})


def initial_weights_from_base(context: CheckContext) -> Iterator[CheckResult]:
    """A fine-tuning begins with the base model that the recipe names, and nothing learned since."""
    name = "initial-weights-from-base"
    run = _run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    recipe_file = fetch_recipe(context.store, first.recipe)
    named = recipe_file.recipe.base
    if named is None:
        return
    workdir = _workdir(context, name)
    base = fetch_base(context.store, named, workdir / "base")
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "base": named}
    lora = recipe_file.recipe.lora
    file = WEIGHTS if lora is None else ADAPTER
    fetch_tree(context.store, first, workdir, [file])
    if lora is not None:
        # The base model itself is no part of the checkpoint: it is enough that the adapter adds nothing to it.
        changed = changed_by(base.tensors, workdir / file, lora)
    else:
        difference = compare_files(workdir / file, make_start(recipe_file, base, first.seed, workdir) / file)
        changed = () if difference is None else difference.tensors
    if changed:
        detail = (
            f"The model of step 0 is not the base model {named}: {len(changed)} tensors differ, {changed[0]} among "
            "them. The run started elsewhere"
        )
        yield CheckResult(name, "fail", detail, {**facts, "tensors": len(changed)})
        return
    yield CheckResult(name, "pass", f"The model of step 0 is the base model {named}", facts)


def environment_recorded(context: CheckContext) -> Iterator[CheckResult]:
    """Every checkpoint records what decides the bits, and what the recipe pins is as the recipe pins it.

    A record that names other settings would let other bytes pass as the work of another machine. Only what this
    version of the trainer can record for the recipe is taken; a later one that records more has to check its own runs.
    """
    name = "environment-recorded"
    run = _run_of_milestone(context)
    if not run:
        return
    recipe = fetch_recipe(context.store, run[-1].recipe).recipe
    pinned = pinned_record(recipe)
    known = recorded_settings(recipe)
    for link in run:
        for key, expected in pinned.items():
            found = link.environment.get(key, "")
            if found != expected:
                detail = (
                    f"The checkpoint after step {link.steps.last} was made with {key} {found!r}, as it says; the "
                    f"recipe pins {expected!r}, and the trainer sets it"
                )
                yield CheckResult(name, "fail", detail, {"setting": key, "recorded": found, "pinned": expected})
                return
        missing = sorted(NOT_PINNED - link.environment.keys())
        if missing:
            detail = f"The checkpoint after step {link.steps.last} does not record {', '.join(missing)}"
            yield CheckResult(name, "fail", detail, {"missing": [*missing]})
            return
        unknown = sorted(link.environment.keys() - known)
        if unknown:
            key, found = unknown[0][:80], link.environment[unknown[0]][:80]
            detail = (
                f"The checkpoint after step {link.steps.last} records {key!r} {found!r}; for this recipe this version "
                "of the trainer records no such setting. If a later version made the run, check it with that one"
            )
            yield CheckResult(name, "fail", detail, {"setting": key, "recorded": found})
            return
    changed = sorted(
        key for key in NOT_PINNED - INFORMATIVE if any(link.environment[key] != run[0].environment[key] for link in run)
    )
    facts: dict[str, JsonValue] = {"pinned": len(pinned), "changed": [*changed]}
    if changed:
        detail = f"The run moved to another environment on its way: {', '.join(changed)} changed"
        yield CheckResult(name, "warn", detail, facts)
        return
    detail = f"All {len(run)} checkpoints record one environment, with the {len(pinned)} settings that the recipe pins"
    yield CheckResult(name, "pass", detail, facts)


def schedule_follows_recipe(context: CheckContext) -> Iterator[CheckResult]:
    """Step count and learning rate in every checkpoint's scheduler are those that follow from the recipe."""
    name = "schedule-follows-recipe"
    run = _run_of_milestone(context)
    if not run:
        return
    workdir = _workdir(context, name)
    recipe = fetch_recipe(context.store, run[-1].recipe).recipe
    for link in run:
        place = workdir / link.sha256[:16]
        fetch_tree(context.store, link, place, [SCHEDULER_STATE])
        problem = schedule_problem(recipe, link.steps.last, place / SCHEDULER_STATE)
        if problem is not None:
            yield CheckResult(name, "fail", problem, {"checkpoint": link.sha256})
            return
    detail = f"In all {len(run)} checkpoints the learning rate is the recipe's for their step"
    yield CheckResult(name, "pass", detail, {"checkpoints": len(run)})


def steps_follow_recipe(context: CheckContext) -> Iterator[CheckResult]:
    """The run went as far as the recipe says for this milestone, with a checkpoint wherever the recipe has one."""
    name = "steps-follow-recipe"
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    head = evidence if isinstance(evidence, CheckpointManifest) else _checkpoint_of(context, evidence)
    recipe = fetch_recipe(context.store, head.recipe).recipe
    promised = _promised_step(context, recipe)
    facts: dict[str, JsonValue] = {"step": head.steps.last, "promised": promised}
    if head.steps.last != promised:
        detail = f"The run stands at step {head.steps.last}; by the recipe this milestone is after step {promised}"
        yield CheckResult(name, "fail", detail, facts)
        return
    found = [link.steps.last for link in walk_run(context.store, head)]
    # Side by side, as far as there is evidence: a recipe can name more steps than fit into memory.
    for step, planned in zip(found, recipe.checkpoint_steps(), strict=False):
        if step != planned:
            what = f"a checkpoint after step {step}" if step < planned else f"no checkpoint after step {planned}"
            detail = f"There is {what}; the recipe has one every {recipe.training.checkpoint_every} steps"
            yield CheckResult(name, "fail", detail, facts)
            return
    detail = f"The run stands at step {promised} of {recipe.training.steps}, with all its {len(found)} checkpoints"
    yield CheckResult(name, "pass", detail, facts)


def replay(context: CheckContext) -> Iterator[CheckResult]:
    """Random parts of the training, repeated from the evidence, give the same bytes."""
    name = "replay"
    run = _run_of_milestone(context)
    if not run:
        return
    wrong = next((link for link in run if link.data_order_seed != data_order_seed(link.seed)), None)
    if wrong is not None:
        detail = (
            f"The checkpoint after step {wrong.steps.last} says data order seed {wrong.data_order_seed}; "
            f"from its training seed follows {data_order_seed(wrong.seed)}"
        )
        yield CheckResult(name, "fail", detail)
        return
    segments = segments_of(run)
    if context.replay_segments == 0 or not segments:
        yield CheckResult(name, "skip", "No part of the training was repeated")
        return
    workdir = _workdir(context, name)
    picks = choose(
        segments, context.replay_segments, context.entropy, lambda: weight_jumps(context.store, segments, workdir)
    )
    steps = sum(pick.segment.steps for pick in picks)
    context.progress(f"Repeating {steps} of {_all_steps(segments)} training steps")
    inputs = fetch_inputs(context.store, run[-1], workdir)
    chance = catch_chance(0.5, picks, len(segments))
    for result in replay_segments(context.store, inputs, picks, workdir):
        segment = result.pick.segment
        facts: dict[str, JsonValue] = {
            "first_step": segment.start.steps.last,
            "last_step": segment.end.steps.last,
            "reason": result.pick.reason,
            "share_of_compute": round(steps / _all_steps(segments), 6),
            "chance_if_half_is_faked": round(chance, 6),
            "seconds": round(result.seconds, 3),
            "differing": [f"{file.path} after step {file.step}" for file in result.differing],
            "settings": {key: [then, now] for key, (then, now) in result.settings.items()},
            **result.gap_facts(),
        }
        status = {"same": "pass", "close": "warn", "unclear": "warn", "different": "fail"}[result.verdict]
        yield CheckResult(name, status, result.describe(), facts)  # type: ignore[arg-type]


def metric_re_evaluated(context: CheckContext) -> Iterator[CheckResult]:
    """The promised metric, measured again on the published weights, is the integer that the evidence says."""
    name = "metric-re-evaluated"
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    if context.proposal.outcome.metric != METRIC:
        detail = f"The promised metric is {context.proposal.outcome.metric!r}; this program measures {METRIC}"
        yield CheckResult(name, "skip", detail)
        return
    workdir = _workdir(context, name)
    fetch_tree(context.store, evidence, workdir, ["tokenizer.json"])
    context.progress("Measuring the model on the held-out text again")
    checkpoint = evidence if isinstance(evidence, CheckpointManifest) else _checkpoint_of(context, evidence)
    inputs = fetch_inputs(context.store, checkpoint, workdir / "inputs")
    measured = measure_weights(inputs, fetch_weights(context.store, evidence, inputs.recipe, inputs.base, workdir))
    value = measured.value
    score = None if value is None else context.proposal.outcome.score(value)
    stated = evidence.score if context.score is None else context.score
    facts: dict[str, JsonValue] = {"measured": value, "score": score, "stated": stated}
    if not same_tokenizer(workdir / "tokenizer.json", measured.tokenizer):
        whose = "the training part gives" if inputs.base is None else "the base model has"
        detail = f"The published tokenizer is not the one that {whose}: the metric means nothing with it"
        yield CheckResult(name, "fail", detail, facts)
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
        yield CheckResult(name, "fail", detail, facts)
        return
    baseline = min(measured.metrics[UNIGRAM_TOKENS], measured.metrics[UNIGRAM_BYTES])
    detail = (
        f"Measured again: {from_millionths(value or 0)} bits per byte, exactly as claimed "
        f"(the best model without context has {from_millionths(baseline)})"
    )
    yield CheckResult(name, "pass", detail, {**facts, "unigram": baseline})


def weights_equal_checkpoint(context: CheckContext) -> Iterator[CheckResult]:
    """The open weights are the last checkpoint's, tensor by tensor, in the same architecture and tokenizer."""
    name = "weights-equal-checkpoint"
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    checkpoint = _checkpoint_of(context, evidence)
    published, original = _workdir(context, name), _workdir(context, f"{name}-checkpoint")
    recipe_file = fetch_recipe(context.store, checkpoint.recipe)
    recipe = recipe_file.recipe
    base = None if recipe.base is None else fetch_base(context.store, recipe.base, original / "base")
    named = {entry.path for entry in evidence.files}
    lacking = sorted({CONFIG, *_BESIDE & {entry.path for entry in checkpoint.files}} - named)
    if lacking:
        detail = f"The last checkpoint has {lacking[0]}, and the published weights lack it"
        yield CheckResult(name, "fail", detail, {"checkpoint": checkpoint.sha256})
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
        yield CheckResult(name, "fail", detail, {**facts, "tensors": len(difference.tensors)})
        return
    if base is None:
        expected = {**config_values(recipe), "model_type": "llama", "architectures": [ARCHITECTURE]}
        parameters = parameter_count(recipe)
        generation = _GENERATION
    else:
        made = make_start(recipe_file, base, checkpoint.seed, original, weights=False)
        read = read_json(made / "config.json", _MAX_CONFIG_BYTES)
        expected = {key: value for key, value in read.items() if key not in _NOT_THE_MODELS}
        parameters = count_elements(original / WEIGHTS)
        generation = read_json(made / GENERATION_CONFIG, _MAX_CONFIG_BYTES)
    problem = _config_problem(published / "config.json", original / "config.json", expected)
    if problem is None and GENERATION_CONFIG in named:
        problem = _generation_problem(published / GENERATION_CONFIG, generation)
    if problem is None and _json(published / "tokenizer.json") != _json(original / "tokenizer.json"):
        problem = "The published tokenizer.json is not the last checkpoint's"
    if problem is None:
        problem = _tokenizer_settings_problem(published, recipe) if base is None else _sidecar_problem(published, base)
    if problem is None and evidence.parameters != parameters:
        problem = f"The manifest counts {evidence.parameters} parameters; the model has {parameters}"
    if problem is not None:
        yield CheckResult(name, "fail", problem, facts)
        return
    detail = f"All {evidence.parameters} parameters equal checkpoint {checkpoint.sha256} bit for bit"
    yield CheckResult(name, "pass", f"{detail}; architecture and tokenizer are the same", facts)


def loads_in_transformers(context: CheckContext) -> Iterator[CheckResult]:
    """Plain transformers loads the published directory, offline and without running code from it."""
    name = "loads-in-transformers"
    evidence = context.evidence
    if not isinstance(evidence, WeightsManifest):
        return
    odd = [entry.path for entry in evidence.files if Path(entry.path).suffix.lower() in _RUNS_CODE]
    if odd:
        detail = f"{odd[0]!r} is among the published files: loading such a file can run its author's program"
        yield CheckResult(name, "fail", detail)
        return
    recipe = fetch_recipe(context.store, evidence.recipe).recipe
    known = EXPORTED if recipe.base is None else EXPORTED | set(TOKENIZER_FILES)
    unknown = [entry.path for entry in evidence.files if entry.path not in known]
    if unknown:
        detail = (
            f"{unknown[0]!r} is among the published files: libraries may take it for a part of the model, and nothing "
            "compares it with the training"
        )
        yield CheckResult(name, "fail", detail)
        return
    workdir = _workdir(context, name)
    fetch_tree(context.store, evidence, workdir)
    context.progress("Loading the model with transformers")
    loaded = load_published(workdir, recipe, _PROMPT)
    facts: dict[str, JsonValue] = {"model_class": loaded.model_class, "text": loaded.text}
    if loaded.parameters != evidence.parameters:
        detail = f"transformers finds {loaded.parameters} parameters; the manifest says {evidence.parameters}"
        yield CheckResult(name, "fail", detail, facts)
        return
    written = json.dumps(loaded.text, ensure_ascii=False)
    detail = f"transformers loads it as {loaded.model_class} with {loaded.parameters} parameters; it writes {written}"
    yield CheckResult(name, "pass", detail, facts)


CHECKS: tuple[Check, ...] = (
    initial_weights_from_seed,
    initial_weights_from_base,
    environment_recorded,
    schedule_follows_recipe,
    steps_follow_recipe,
    replay,
    metric_re_evaluated,
    weights_equal_checkpoint,
    loads_in_transformers,
)
"""The checks that this package adds, cheapest first where the order is free."""


def pinned_record(recipe: Recipe) -> dict[str, str]:
    """What the record of an environment must say, because the recipe decides it and the trainer sets it."""
    pinned = {name: value for name, value in pinned_variables(recipe).items() if name != "CUDA_VISIBLE_DEVICES"}
    processes = str(recipe.determinism.processes)
    return {
        **pinned,
        **recipe_settings(recipe),
        "threads": str(recipe.determinism.threads),
        "processes": processes,
        **({"gpus": processes} if recipe.determinism.device == "cuda" else {}),
        "float32_matmul_precision": "highest",
        "deterministic_algorithms": "true",
    }


def recorded_settings(recipe: Recipe) -> frozenset[str]:
    """Names of everything that the trainer can record about a run of a recipe."""
    adapter = {"peft"} if recipe.lora is not None else set()
    gpu = _OF_GPU if recipe.determinism.device == "cuda" else frozenset()
    return NOT_PINNED.union(pinned_record(recipe), _BY_LIBRARIES, adapter, gpu)


def _run_of_milestone(context: CheckContext) -> tuple[CheckpointManifest, ...]:
    """The checkpoints that this milestone answers for, oldest first, with the one that it continues from.

    Weights whose last checkpoint was attested on its own answer for none.
    """
    evidence = context.evidence
    before: EvidenceManifest | None = context.ancestry[-1] if context.ancestry else None
    if isinstance(evidence, WeightsManifest) and not isinstance(before, CheckpointManifest):
        evidence = _checkpoint_of(context, evidence)
    if not isinstance(evidence, CheckpointManifest):
        return ()
    run = walk_run(context.store, evidence)
    if isinstance(before, CheckpointManifest):
        known = [link.sha256 for link in run]
        if before.sha256 in known:
            return run[known.index(before.sha256) :]
    return run


def _promised_step(context: CheckContext, recipe: Recipe) -> int:
    """The step that a milestone is due after; CHECKPOINT milestones divide the run among them."""
    checkpoints = [
        index for index, milestone in enumerate(context.terms.milestones) if milestone.kind is MilestoneKind.CHECKPOINT
    ]
    if context.milestone not in checkpoints:
        return recipe.training.steps
    return recipe.milestone_steps(len(checkpoints))[checkpoints.index(context.milestone)]


def _checkpoint_of(context: CheckContext, weights: WeightsManifest) -> CheckpointManifest:
    return fetch_manifest(context.store, weights.parent, CheckpointManifest)


def _all_steps(segments: tuple[Segment, ...]) -> int:
    return sum(segment.steps for segment in segments)


def _workdir(context: CheckContext, name: str) -> Path:
    directory = context.workdir / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _json(path: Path) -> object:
    return read_json(path, 64 * _MAX_CONFIG_BYTES)


def _config_problem(published: Path, original: Path, expected: dict[str, object]) -> str | None:
    config, before = read_json(published, _MAX_CONFIG_BYTES), read_json(original, _MAX_CONFIG_BYTES)
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
    found = read_json(path, _MAX_CONFIG_BYTES)
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
    if read_json(published / TOKENIZER_CONFIG, _MAX_CONFIG_BYTES) != expected:
        return f"The published {TOKENIZER_CONFIG} is not what the trainer writes"
    return None


def _sidecar_problem(published: Path, base: Base) -> str | None:
    """Whether the tokenizer's files are the base model's, byte for byte."""
    for name in TOKENIZER_FILES:
        ours, theirs = published / name, base.directory / name
        if ours.exists() != theirs.exists() or (ours.exists() and ours.read_bytes() != theirs.read_bytes()):
            return f"The published {name} is not the base model's"
    return None
