"""Repeating parts of a run from its evidence, and comparing the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_trainer.process.messages import SegmentEvent, SegmentJob, StepEvent
from llamafund_trainer.record.environment import differing_settings
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.result import FileComparison, SegmentResult, is_trained
from llamafund_trainer.replay.segments import (
    fetch_start,
    fetch_state,
    fetch_trained_weights,
    repeat_everywhere,
    run_segments,
    state_files,
    state_hash,
    trained_weights,
)
from llamafund_trainer.replay.tolerance import (
    optimizer_changes,
    optimizer_entries,
    optimizer_gap,
    optimizer_spread,
    weights_gap,
    weights_spread,
)
from llamafund_trainer.runs.inputs import Inputs
from llamafund_trainer.tensors.optimizer_bounds import moments_problem
from llamafund_trainer.tensors.optimizer_settings import (
    OPTIMIZER_STATE,
    RNG_STATE,
    SCHEDULER_STATE,
    optimizer_problem,
    schedule_problem,
)
from llamafund_trainer.tensors.shards import MODEL, SETTINGS, read_shards, shard_files
from llamafund_trainer.tensors.torch_save import same_values

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import Recipe


@dataclass(frozen=True)
class _Repetition:
    """A segment to repeat: its place among the picks, and the job."""

    index: int
    job: SegmentJob


def replay_segments(
    store: Store,
    inputs: Inputs,
    picks: Sequence[Pick],
    workdir: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[SegmentResult, ...]:
    """Repeat segments in one fresh process and compare the results with the published state.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        picks: Segments of one run.
        workdir: Existing directory for fetched and new files.
        progress: Called with the number of steps repeated so far.

    Raises:
        UsageError: There is nothing to repeat.
        LlamafundError: The store lacks something, or the process failed.
        VerificationError: Fetched files do not match their hashes, or training cannot continue from them.
    """
    if not picks:
        raise UsageError("There is no segment to repeat", "A run needs two checkpoints")
    place = workdir.absolute()
    results: dict[int, SegmentResult] = {}
    repetitions: list[_Repetition] = []
    for index, pick in enumerate(picks):
        first, last = pick.segment.start.steps.last, pick.segment.end.steps.last
        start = fetch_start(store, inputs.recipe, pick.segment, place)
        problem = None if start is None else _start_problem(inputs.recipe, first, start)
        if problem is not None:
            results[index] = SegmentResult(pick, (), {}, 0.0, problem=problem)
            continue
        job = SegmentJob(first=first, last=last, start=start, output=place / f"repeated-{first}")
        repetitions.append(_Repetition(index, job))
    seed = picks[0].segment.end.seed
    for event in _repeated(inputs, seed, [repetition.job for repetition in repetitions], progress):
        index = repetitions[event.index].index
        results[index] = _judge(store, inputs, picks[index], event, place)
    return tuple(results[index] for index in range(len(picks)))


def _repeated(
    inputs: Inputs, seed: str, jobs: Sequence[SegmentJob], progress: Callable[[int], None]
) -> Sequence[SegmentEvent]:
    """Repeat all segments in one process, which has ended when this returns."""
    steps = 0
    events: list[SegmentEvent] = []
    for event in run_segments(inputs, seed, jobs):
        if isinstance(event, StepEvent) and event.loss is None:
            steps += 1
            progress(steps)
        elif isinstance(event, SegmentEvent):
            events.append(event)
    if len(events) < len(jobs):
        raise LlamafundError("The training process ended before all segments were repeated")
    return events


def _start_problem(recipe: Recipe, step: int, start: Path) -> str | None:
    if recipe.determinism.sharding == "full":
        read_shards([start / path for path in shard_files(MODEL, recipe.determinism.processes)])
    return _state_problem(recipe, step, start)


def _state_problem(recipe: Recipe, step: int, state: Path) -> str | None:
    """What no run of the recipe can lead to. A state that was forged once would repeat in every later segment."""
    return next(_state_problems(recipe, step, state), None)


def _state_problems(recipe: Recipe, step: int, state: Path) -> Iterator[str]:
    settings = OPTIMIZER_STATE if recipe.determinism.sharding == "none" else SETTINGS
    schedule = schedule_problem(recipe, step, state / SCHEDULER_STATE)
    if schedule is not None:
        yield schedule
    optimizer = optimizer_problem(recipe, step, state / settings)
    if optimizer is not None:
        yield optimizer
    moments = moments_problem(recipe, step, optimizer_entries(recipe, step, state))
    if moments is not None:
        yield moments


def _judge(store: Store, inputs: Inputs, pick: Pick, event: SegmentEvent, workdir: Path) -> SegmentResult:
    """Compare a repeated segment: hashes first, and more only if they differ."""
    recipe, segment = inputs.recipe, pick.segment
    ends = [segment.start, segment.end] if segment.start.steps.last == 0 else [segment.end]
    repeated = {end.steps.last: event.directory.parent / f"checkpoint-{end.steps.last}" for end in ends}
    compared = tuple(
        FileComparison(step, path, end.entry(path).sha256, state_hash(repeated[step] / path))
        for end in ends
        for step in (end.steps.last,)
        for path in state_files(recipe, step)
    )
    settings = differing_settings(segment.end.environment, event.environment)
    result = SegmentResult(pick, compared, settings, event.seconds)
    if not result.differing:
        return result
    for end in ends:
        if any(is_trained(file.path) for file in result.differing if file.step == end.steps.last):
            before, published = (fetch_trained_weights(store, recipe, each, workdir) for each in (segment.start, end))
            made = trained_weights(recipe, repeated[end.steps.last])
            result = replace(result, weights=weights_gap(published, made, before))
    return _explain(store, inputs, result, repeated, workdir) if settings else result


def _explain(
    store: Store, inputs: Inputs, result: SegmentResult, repeated: Mapping[int, Path], workdir: Path
) -> SegmentResult:
    """Compare the rest of the state, too, and find out what another environment explains."""
    recipe, segment = inputs.recipe, result.pick.segment
    first, last = segment.start.steps.last, segment.end.steps.last
    published = {
        end.steps.last: fetch_state(store, end, workdir, state_files(recipe, end.steps.last))
        for end in (segment.start, segment.end)
    }
    for step, made in repeated.items():
        problem = _state_problem(recipe, step, published[step])
        if problem is not None:
            return replace(result, problem=problem)
        if not same_values(published[step] / RNG_STATE, made / RNG_STATE):
            result = replace(result, random_differs=True)
    before = optimizer_entries(recipe, first, published[first])
    ours = optimizer_entries(recipe, last, repeated[last])
    changes = optimizer_changes(before, ours)
    gap = optimizer_gap(optimizer_entries(recipe, last, published[last]), ours, changes)
    result = replace(result, optimizer=gap)
    if result.weights is None and result.optimizer is None:
        return result
    outcomes = repeat_everywhere(store, inputs, segment, workdir).values()
    if result.weights is not None:
        result = replace(result, weights=result.weights.calibrated(weights_spread(recipe, outcomes)))
    if result.optimizer is not None:
        optimizers = [optimizer_entries(recipe, last, outcome) for outcome in outcomes]
        result = replace(result, optimizer=result.optimizer.calibrated(optimizer_spread(optimizers, changes)))
    return result
