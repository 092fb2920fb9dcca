"""What an attestor or auditor checks about a training run and the weights that came out of it.

Everything is fetched from the store and computed again; nothing that a manifest says is believed. What needs
torch runs in a fresh process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.base_files import (
    fetch_base,
)
from llamafund_trainer.checks.shared import checkpoint_of, promised_step, run_of_milestone
from llamafund_trainer.record.environment import INFORMATIVE, pinned_variables, recipe_settings
from llamafund_trainer.replay.choice import catch_chance, choose, weight_jumps
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_inputs, fetch_recipe, walk_run
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.seeds import data_order_seed
from llamafund_trainer.tensors.compare import compare_files, compare_with
from llamafund_trainer.tensors.initial_weights import initial_tensors, parameter_count, parameter_shapes
from llamafund_trainer.tensors.lora import ADAPTER, changed_by
from llamafund_trainer.tensors.optimizer_settings import SCHEDULER_STATE, schedule_problem
from llamafund_trainer.tensors.shards import WEIGHTS, fetch_joined

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe, RecipeFile
    from llamafund_trainer.replay.segments import Segment

NOT_PINNED = frozenset(
    {"cpu_capability", "machine", "numpy", "processor", "python", "system", "torch", "torch_build", "transformers"}
)
"""Settings that a checkpoint has to record and that no recipe decides."""

_BY_LIBRARIES = frozenset({"CUBLAS_WORKSPACE_CONFIG", "accelerate", "safetensors", "tokenizers"})
"""Settings that the trainer records where a library says or sets them."""

_OF_GPU = frozenset({"cuda", "cudnn", "cudnn_benchmark", "flash_attention", "gpu", "gpu_capability", "tf32"})


def initial_weights_from_seed(context: CheckContext) -> Iterator[Finding]:
    """The run's first checkpoint holds the weights that follow from the campaign's seed, and nothing learned."""
    run = run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    seed = context.training_seed or first.seed
    workdir = context.workdir
    recipe_file = fetch_recipe(context.store, first.recipe)
    recipe = recipe_file.recipe
    if recipe.base is not None:
        if recipe.lora is not None:
            yield _initial_adapter(context, recipe_file, seed)
        return
    published = fetch_joined(context.store, first, workdir)
    difference = compare_with(published, parameter_shapes(recipe), initial_tensors(recipe, seed))
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed}
    if difference is None:
        detail = f"All {parameter_count(recipe)} parameters of step 0 follow from the seed {seed}"
        yield Finding("pass", detail, facts)
    else:
        detail = (
            f"The weights of step 0 do not follow from the seed {seed}: {len(difference.tensors)} tensors differ, "
            f"{difference.tensors[0]} among them. The run did not start fresh"
        )
        yield Finding("fail", detail, {**facts, "tensors": len(difference.tensors)})


def _initial_adapter(context: CheckContext, recipe_file: RecipeFile, seed: str) -> Finding:
    first, workdir = run_of_milestone(context)[0], context.workdir
    base = fetch_base(context.store, str(recipe_file.recipe.base), workdir / "base")
    fetch_tree(context.store, first, workdir, [ADAPTER])
    made = make_start(recipe_file, base, seed, workdir)
    difference = compare_files(workdir / ADAPTER, made / ADAPTER)
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed, "base": recipe_file.recipe.base}
    if difference is None:
        return Finding("pass", f"The adapter of step 0 follows from the seed {seed}", facts)
    detail = (
        f"The adapter of step 0 does not follow from the seed {seed}: {len(difference.tensors)} tensors differ, "
        f"{difference.tensors[0]} among them. The run did not start fresh"
    )
    return Finding("fail", detail, {**facts, "tensors": len(difference.tensors)})


def initial_weights_from_base(context: CheckContext) -> Iterator[Finding]:
    """A fine-tuning begins with the base model that the recipe names, and nothing learned since."""
    run = run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    recipe_file = fetch_recipe(context.store, first.recipe)
    named = recipe_file.recipe.base
    if named is None:
        return
    workdir = context.workdir
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
        yield Finding("fail", detail, {**facts, "tensors": len(changed)})
        return
    yield Finding("pass", f"The model of step 0 is the base model {named}", facts)


def environment_recorded(context: CheckContext) -> Iterator[Finding]:
    """Every checkpoint records what decides the bits, and what the recipe pins is as the recipe pins it.

    A record that names other settings would let other bytes pass as the work of another machine. Only what this
    version of the trainer can record for the recipe is taken; a later one that records more has to check its own runs.
    """
    run = run_of_milestone(context)
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
                yield Finding("fail", detail, {"setting": key, "recorded": found, "pinned": expected})
                return
        missing = sorted(NOT_PINNED - link.environment.keys())
        if missing:
            detail = f"The checkpoint after step {link.steps.last} does not record {', '.join(missing)}"
            yield Finding("fail", detail, {"missing": [*missing]})
            return
        unknown = sorted(link.environment.keys() - known)
        if unknown:
            key, found = unknown[0][:80], link.environment[unknown[0]][:80]
            detail = (
                f"The checkpoint after step {link.steps.last} records {key!r} {found!r}; for this recipe this version "
                "of the trainer records no such setting. If a later version made the run, check it with that one"
            )
            yield Finding("fail", detail, {"setting": key, "recorded": found})
            return
    changed = sorted(
        key for key in NOT_PINNED - INFORMATIVE if any(link.environment[key] != run[0].environment[key] for link in run)
    )
    facts: dict[str, JsonValue] = {"pinned": len(pinned), "changed": [*changed]}
    if changed:
        detail = f"The run moved to another environment on its way: {', '.join(changed)} changed"
        yield Finding("warn", detail, facts)
        return
    detail = f"All {len(run)} checkpoints record one environment, with the {len(pinned)} settings that the recipe pins"
    yield Finding("pass", detail, facts)


def schedule_follows_recipe(context: CheckContext) -> Iterator[Finding]:
    """Step count and learning rate in every checkpoint's scheduler are those that follow from the recipe."""
    run = run_of_milestone(context)
    if not run:
        return
    workdir = context.workdir
    recipe = fetch_recipe(context.store, run[-1].recipe).recipe
    for link in run:
        place = workdir / link.sha256[:16]
        fetch_tree(context.store, link, place, [SCHEDULER_STATE])
        problem = schedule_problem(recipe, link.steps.last, place / SCHEDULER_STATE)
        if problem is not None:
            yield Finding("fail", problem, {"checkpoint": link.sha256})
            return
    detail = f"In all {len(run)} checkpoints the learning rate is the recipe's for their step"
    yield Finding("pass", detail, {"checkpoints": len(run)})


def steps_follow_recipe(context: CheckContext) -> Iterator[Finding]:
    """The run went as far as the recipe says for this milestone, with a checkpoint wherever the recipe has one."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    head = evidence if isinstance(evidence, CheckpointManifest) else checkpoint_of(context, evidence)
    recipe = fetch_recipe(context.store, head.recipe).recipe
    promised = promised_step(context, recipe)
    facts: dict[str, JsonValue] = {"step": head.steps.last, "promised": promised}
    if head.steps.last != promised:
        detail = f"The run stands at step {head.steps.last}; by the recipe this milestone is after step {promised}"
        yield Finding("fail", detail, facts)
        return
    found = [link.steps.last for link in walk_run(context.store, head)]
    # Side by side, as far as there is evidence: a recipe can name more steps than fit into memory.
    for step, planned in zip(found, recipe.checkpoint_steps(), strict=False):
        if step != planned:
            what = f"a checkpoint after step {step}" if step < planned else f"no checkpoint after step {planned}"
            detail = f"There is {what}; the recipe has one every {recipe.training.checkpoint_every} steps"
            yield Finding("fail", detail, facts)
            return
    detail = f"The run stands at step {promised} of {recipe.training.steps}, with all its {len(found)} checkpoints"
    yield Finding("pass", detail, facts)


def replay(context: CheckContext) -> Iterator[Finding]:
    """Random parts of the training, repeated from the evidence, give the same bytes."""
    run = run_of_milestone(context)
    if not run:
        return
    wrong = next((link for link in run if link.data_order_seed != data_order_seed(link.seed)), None)
    if wrong is not None:
        detail = (
            f"The checkpoint after step {wrong.steps.last} says data order seed {wrong.data_order_seed}; "
            f"from its training seed follows {data_order_seed(wrong.seed)}"
        )
        yield Finding("fail", detail)
        return
    segments = segments_of(run)
    if context.replay_segments == 0 or not segments:
        yield Finding("skip", "No part of the training was repeated")
        return
    workdir = context.workdir
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
        yield Finding(status, result.describe(), facts)  # type: ignore[arg-type]


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


def _all_steps(segments: tuple[Segment, ...]) -> int:
    return sum(segment.steps for segment in segments)
