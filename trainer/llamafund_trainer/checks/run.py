"""Checks of a training run: where it started, how it went, and whether it can be repeated.

Everything is fetched from the store and computed again; no manifest is believed. Whatever needs torch runs in a fresh
process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, CheckStatus, Finding, needs
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.evidence.programs import Program, ProgramFile
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.base_files import fetch_base
from llamafund_trainer.checks.shared import checkpoint_of, promised_step, run_of_milestone
from llamafund_trainer.record.environment import INFORMATIVE, LIBRARIES, fits, pinned_record, record_problem
from llamafund_trainer.replay.choice import catch_chance, choose, weight_jumps
from llamafund_trainer.replay.plan import repeat
from llamafund_trainer.replay.program import initial_difference
from llamafund_trainer.replay.result import SegmentResult, Verdict
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_any_recipe, fetch_inputs, walk_run
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.seeds import data_order_seed
from llamafund_trainer.tensors.compare import Difference, compare_files, compare_with
from llamafund_trainer.tensors.initial_weights import initial_tensors, parameter_count, parameter_shapes
from llamafund_trainer.tensors.lora import ADAPTER, changed_by
from llamafund_trainer.tensors.optimizer_settings import SCHEDULER_STATE, schedule_problem
from llamafund_trainer.tensors.shards import WEIGHTS, fetch_joined

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe, RecipeFile

NOT_PINNED = frozenset(
    {
        "cpu_capability",
        "machine",
        "numpy",
        "processor",
        "processor_class",
        "python",
        "system",
        "torch",
        "torch_build",
        "transformers",
    }
)
"""Settings that every checkpoint must record and that no recipe decides."""

_BY_LIBRARIES = frozenset(
    {"CUBLAS_WORKSPACE_CONFIG", "FLASH_ATTENTION_DETERMINISTIC", "accelerate", "safetensors", "tokenizers"}
)
"""Settings that the trainer records if a library is loaded or sets them."""

_OF_GPU = frozenset(
    {
        "attention_kernels",
        "cublas",
        "cuda",
        "cudnn",
        "cudnn_benchmark",
        "driver",
        "gpu",
        "gpu_capability",
        "tf32",
    }
)

OBSERVED = NOT_PINNED - {"transformers"} | {"device", "processes", "threads"}
"""Settings that every recorder records."""

_RECORDED_VERSIONS = frozenset({"numpy", "torch", *LIBRARIES})

_NOT_REPEATED = "No part of the training was repeated, as requested"

_STATUSES: dict[Verdict, CheckStatus] = {
    "same": "pass",
    "close": "warn",
    "unclear": "unchecked",
    "different": "fail",
    "unchecked": "unchecked",
}


@needs("weights")
def initial_weights_from_seed(context: CheckContext) -> Iterator[Finding]:
    """The run's first checkpoint has the weights that follow from the campaign's seed; nothing was learned before."""
    run = run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    seed = context.training_seed or first.seed
    recipe_file = fetch_any_recipe(context.store, first.recipe)
    if isinstance(recipe_file, ProgramFile):
        yield _initial_of_program(context, recipe_file, first)
        return
    recipe = recipe_file.recipe
    if recipe.base is not None:
        if recipe.lora is not None:
            yield _initial_adapter(context, first, recipe_file, seed)
        return
    published = fetch_joined(context.store, first, context.workdir)
    difference = compare_with(published, parameter_shapes(recipe), initial_tensors(recipe, seed))
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed}
    if difference is None:
        yield Finding("pass", f"All {parameter_count(recipe)} parameters of step 0 follow from the seed {seed}", facts)
    else:
        yield _not_from_seed("The weights of step 0 do", difference, seed, facts)


def _initial_of_program(context: CheckContext, program: ProgramFile, first: CheckpointManifest) -> Finding:
    if context.replay_segments == 0:
        return Finding("unchecked", _NOT_REPEATED)
    context.progress("Letting the program make its first checkpoint again")
    result = initial_difference(context.store, program, first, context.workdir)
    return Finding(_STATUSES[result.verdict], result.describe(), _segment_facts(result))


def _initial_adapter(context: CheckContext, first: CheckpointManifest, recipe_file: RecipeFile, seed: str) -> Finding:
    workdir = context.workdir
    base = fetch_base(context.store, str(recipe_file.recipe.base), workdir / "base")
    fetch_tree(context.store, first, workdir, [ADAPTER])
    made = make_start(recipe_file, base, seed, workdir)
    difference = compare_files(workdir / ADAPTER, made / ADAPTER)
    facts: dict[str, JsonValue] = {"checkpoint": first.sha256, "seed": seed, "base": recipe_file.recipe.base}
    if difference is None:
        return Finding("pass", f"The adapter of step 0 follows from the seed {seed}", facts)
    return _not_from_seed("The adapter of step 0 does", difference, seed, facts)


def _not_from_seed(what: str, difference: Difference, seed: str, facts: dict[str, JsonValue]) -> Finding:
    count, example = len(difference.tensors), difference.tensors[0]
    detail = (
        f"{what} not follow from the seed {seed}: {count} tensors differ, among them {example}. "
        "The run did not start fresh"
    )
    return Finding("fail", detail, {**facts, "tensors": count})


@needs("weights")
def initial_weights_from_base(context: CheckContext) -> Iterator[Finding]:
    """A fine-tuning run starts from the base model that the recipe names; nothing was learned in between."""
    run = run_of_milestone(context)
    if not run or run[0].steps.last != 0:
        return
    first = run[0]
    recipe_file = fetch_any_recipe(context.store, first.recipe)
    if isinstance(recipe_file, ProgramFile):
        return
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
        # The checkpoint does not contain the base model itself: it is enough that the adapter adds nothing to it.
        changed = changed_by(base.tensors, workdir / file, lora)
    else:
        difference = compare_files(workdir / file, make_start(recipe_file, base, first.seed, workdir) / file)
        changed = () if difference is None else difference.tensors
    if changed:
        detail = (
            f"The model of step 0 is not the base model {named}: {len(changed)} tensors differ, among them "
            f"{changed[0]}. The run started from another model"
        )
        yield Finding("fail", detail, {**facts, "tensors": len(changed)})
        return
    yield Finding("pass", f"The model of step 0 is the base model {named}", facts)


def environment_recorded(context: CheckContext) -> Iterator[Finding]:
    """Every checkpoint records what decides the bits, with the settings that the recipe pins.

    A forged record of other settings could make different bytes look like another machine's work. So a record outside
    of the recipe's environment is refused, and so are settings that this version of the trainer does not record for the
    recipe. A later version that records more must check its own runs.
    """
    run = run_of_milestone(context)
    if not run:
        return
    found = fetch_any_recipe(context.store, run[-1].recipe)
    if isinstance(found, ProgramFile):
        yield _environment_of_program(found.program, run)
        return
    recipe = found.recipe
    pinned, known = pinned_record(recipe), recorded_settings(recipe)
    wrong = next((found for link in run for found in _record_problems(link, recipe, known)), None)
    if wrong is not None:
        yield wrong
        return
    changed = sorted(
        key for key in NOT_PINNED - INFORMATIVE if any(link.environment[key] != run[0].environment[key] for link in run)
    )
    facts: dict[str, JsonValue] = {"pinned": len(pinned), "changed": [*changed]}
    if changed:
        yield Finding("warn", f"The run moved to another environment: {', '.join(changed)} changed", facts)
        return
    fixed = "it fixes no others" if recipe.environment is None else "it is the environment that the recipe names"
    detail = (
        f"All {len(run)} checkpoints record one environment, with the {len(pinned)} settings that the recipe pins; "
        f"{fixed}"
    )
    yield Finding("pass", detail, facts)


def _environment_of_program(program: Program, run: Sequence[CheckpointManifest]) -> Finding:
    """A record outside of what the recipe names, or of other versions than it locks, is a failure and no excuse."""
    named = program.environment | {name: value for name, value in program.lock.items() if name in _RECORDED_VERSIONS}
    named["processes"] = "1"
    for link in run:
        for name, value in named.items():
            found = link.environment.get(name, value)
            if not fits(found, value):
                detail = f"The checkpoint after step {link.steps.last} records {name} {found[:80]!r}"
                facts: dict[str, JsonValue] = {"setting": name, "recorded": found[:80], "named": value}
                return Finding("fail", f"{detail}; the recipe is for {value!r}", facts)
        missing = sorted(OBSERVED - link.environment.keys())
        if missing:
            detail = f"The checkpoint after step {link.steps.last} does not record {', '.join(missing)}"
            return Finding("fail", f"{detail}, which every recorder does", {"missing": [*missing]})
    changed = sorted(
        name
        for name in {name for link in run for name in link.environment} - INFORMATIVE
        if any(link.environment.get(name) != run[0].environment.get(name) for link in run)
    )
    if changed:
        detail = f"The run moved to another environment: {', '.join(name[:80] for name in changed[:20])} changed"
        return Finding("warn", detail, {"changed": [*changed[:100]]})
    return Finding("pass", f"All {len(run)} checkpoints record one environment, which the program chose")


def _record_problems(link: CheckpointManifest, recipe: Recipe, known: frozenset[str]) -> Iterator[Finding]:
    checkpoint, record = f"The checkpoint after step {link.steps.last}", link.environment
    problem = record_problem(recipe, record)
    if problem is not None:
        yield Finding("fail", f"{checkpoint} {problem}", {"checkpoint": link.sha256})
    missing = sorted(NOT_PINNED - record.keys())
    if missing:
        yield Finding("fail", f"{checkpoint} does not record {', '.join(missing)}", {"missing": [*missing]})
    for key in sorted(record.keys() - known):
        if recipe.uses_nccl and key.startswith("NCCL_"):
            continue
        name, found = key[:80], record[key][:80]
        detail = (
            f"{checkpoint} records {name!r} {found!r}; this version of the trainer records no such setting for this "
            "recipe. If a later version made the run, check it with that one"
        )
        yield Finding("fail", detail, {"setting": name, "recorded": found})


def schedule_follows_recipe(context: CheckContext) -> Iterator[Finding]:
    """Step count and learning rate in every checkpoint's scheduler are the recipe's."""
    run = run_of_milestone(context)
    if not run:
        return
    found = fetch_any_recipe(context.store, run[-1].recipe)
    if isinstance(found, ProgramFile):
        return
    recipe = found.recipe
    for link in run:
        place = context.workdir / link.sha256[:16]
        fetch_tree(context.store, link, place, [SCHEDULER_STATE])
        problem = schedule_problem(recipe, link.steps.last, place / SCHEDULER_STATE)
        if problem is not None:
            yield Finding("fail", problem, {"checkpoint": link.sha256})
            return
    detail = f"All {len(run)} checkpoints have the recipe's learning rate for their step"
    yield Finding("pass", detail, {"checkpoints": len(run)})


def steps_follow_recipe(context: CheckContext) -> Iterator[Finding]:
    """The run went as far as the recipe says for this milestone, with a checkpoint at each step that it names."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    head = evidence if isinstance(evidence, CheckpointManifest) else checkpoint_of(context, evidence)
    recipe_file = fetch_any_recipe(context.store, head.recipe)
    if isinstance(recipe_file, ProgramFile):
        detail = f"The run is at step {head.steps.last}. Its recipe is a program, which names no number of steps"
        yield Finding("warn", f"{detail}: compare that with the proposal's words", {"step": head.steps.last})
        return
    recipe = recipe_file.recipe
    promised = promised_step(context, recipe)
    facts: dict[str, JsonValue] = {"step": head.steps.last, "promised": promised}
    if head.steps.last != promised:
        detail = f"The run is at step {head.steps.last}; by the recipe this milestone is after step {promised}"
        yield Finding("fail", detail, facts)
        return
    found = [link.steps.last for link in walk_run(context.store, head)]
    # Lazily, because a recipe can name more steps than fit into memory.
    for step, planned in zip(found, recipe.checkpoint_steps(), strict=False):
        if step != planned:
            what = f"a checkpoint after step {step}" if step < planned else f"no checkpoint after step {planned}"
            detail = f"There is {what}; the recipe has one every {recipe.training.checkpoint_every} steps"
            yield Finding("fail", detail, facts)
            return
    detail = f"The run is at step {promised} of {recipe.training.steps}, with all its {len(found)} checkpoints"
    yield Finding("pass", detail, facts)


@needs("replay")
def replay(context: CheckContext) -> Iterator[Finding]:
    """Random parts of the training, repeated from the evidence, give the same bytes."""
    run = run_of_milestone(context)
    if not run:
        return
    wrong = next((link for link in run if link.data_order_seed != data_order_seed(link.seed)), None)
    if wrong is not None:
        detail = (
            f"The checkpoint after step {wrong.steps.last} has the data order seed {wrong.data_order_seed}; "
            f"from its training seed follows {data_order_seed(wrong.seed)}"
        )
        yield Finding("fail", detail)
        return
    program = fetch_any_recipe(context.store, run[-1].recipe)
    segments = segments_of(run, None if isinstance(program, ProgramFile) else program.recipe)
    if context.replay_segments == 0:
        yield Finding("unchecked", _NOT_REPEATED)
        return
    if not segments:
        yield Finding("pass", "The run has one checkpoint, so there is no training to repeat")
        return
    workdir = context.workdir
    picks = choose(
        segments, context.replay_segments, context.entropy, lambda: weight_jumps(context.store, segments, workdir)
    )
    steps, all_steps = sum(pick.segment.steps for pick in picks), sum(segment.steps for segment in segments)
    context.progress(f"Repeating {steps} of {all_steps} training steps")
    inputs = program if isinstance(program, ProgramFile) else fetch_inputs(context.store, run[-1], workdir)
    results = repeat(context.store, inputs, picks, workdir, jobs=context.jobs)
    shared: dict[str, JsonValue] = {
        "share_of_compute": round(steps / all_steps, 6),
        "chance_if_half_is_faked": round(catch_chance(0.5, picks, len(segments)), 6),
    }
    for result in results:
        yield Finding(_STATUSES[result.verdict], result.describe(), {**_segment_facts(result), **shared})


def _segment_facts(result: SegmentResult) -> dict[str, JsonValue]:
    segment = result.pick.segment
    return {
        "first_step": segment.start.steps.last,
        "last_step": segment.end.steps.last,
        "reason": result.pick.reason,
        "seconds": round(result.seconds, 3),
        "differing": [f"{file.path} after step {file.step}" for file in result.differing],
        "settings": {key: [then, now] for key, (then, now) in result.settings.items()},
        "outside": {key: [named, now] for key, (named, now) in result.outside.items()},
        **result.gap_facts(),
    }


def recorded_settings(recipe: Recipe) -> frozenset[str]:
    """Names of everything that the trainer can record about a run of a recipe."""
    adapter = {"peft"} if recipe.lora is not None else set()
    gpu = _OF_GPU if recipe.determinism.device == "cuda" else frozenset()
    nccl = {"nccl"} if recipe.uses_nccl else set()
    return NOT_PINNED.union(pinned_record(recipe), _BY_LIBRARIES, adapter, gpu, nccl)
