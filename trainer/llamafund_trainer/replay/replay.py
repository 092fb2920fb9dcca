"""Repeating parts of a run from its evidence, and comparing the bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.process.launch import Task, run_jobs
from llamafund_trainer.process.messages import SegmentEvent, SegmentJob, StepEvent
from llamafund_trainer.record.environment import explaining_settings, record_problem, settings_outside
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.history import TRAINER_STATE, HistoryError, read_history, repeated_problem
from llamafund_trainer.replay.result import FileComparison, SegmentResult, is_trained
from llamafund_trainer.replay.segments import (
    fetch_start,
    fetch_state,
    fetch_trained_weights,
    published_files,
    repeat_everywhere,
    replay_job,
    state_hash,
    trained_weights,
)
from llamafund_trainer.replay.tolerance import (
    Gap,
    Nearness,
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


_DOUBTS: tuple[Nearness, ...] = ("close", "unclear", "different")
"""From what accuses nobody to what does."""


@dataclass(frozen=True)
class _Repetition:
    """A segment to repeat: its place among the picks, and the job."""

    index: int
    job: SegmentJob


@dataclass(frozen=True)
class _Made:
    """What came of a repetition, and where it was made."""

    event: SegmentEvent | LlamafundError
    where: str


def replay_segments(
    store: Store,
    inputs: Inputs,
    picks: Sequence[Pick],
    workdir: Path,
    *,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[SegmentResult, ...]:
    """Repeat segments in processes of their own and compare the results with the published state.

    If a process dies, its segments count as unchecked, and those of the others are compared all the same.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        picks: Segments of one run.
        workdir: Existing directory for fetched and new files.
        jobs: How many processes share the segments. Each takes the memory of a training and the recipe's threads or
            devices. The bytes are the same for any number.
        progress: Called with the number of steps repeated so far.

    Raises:
        UsageError: There is nothing to repeat.
        LlamafundError: The store lacks something, or no segment could be repeated.
        VerificationError: Fetched files do not match their hashes, or training cannot continue from them.
    """
    if not picks:
        raise UsageError("There is no segment to repeat", "A run needs two checkpoints")
    place = workdir.absolute()
    results: dict[int, SegmentResult] = {}
    repetitions: list[_Repetition] = []
    for index, pick in enumerate(picks):
        first, last = pick.segment.start.steps.last, pick.segment.end.steps.last
        problem = _record_problem(inputs.recipe, pick)
        start = None if problem is not None else fetch_start(store, inputs.recipe, pick.segment, place)
        if start is not None:
            problem = _start_problem(inputs.recipe, first, start)
        if problem is not None:
            results[index] = SegmentResult(pick, (), {}, 0.0, problem=problem)
            continue
        job = SegmentJob(first=first, last=last, start=start, output=place / f"repeated-{first}")
        repetitions.append(_Repetition(index, job))
    for index, made in _repeated(inputs, picks[0].segment.end.seed, repetitions, jobs, progress).items():
        if isinstance(made.event, LlamafundError):
            result = SegmentResult(picks[index], (), {}, 0.0, trouble=str(made.event))
        else:
            result = _judge(store, inputs, picks[index], made.event, place, jobs)
        results[index] = replace(result, ran_on=made.where)
    return tuple(results[index] for index in range(len(picks)))


def _repeated(
    inputs: Inputs, seed: str, repetitions: Sequence[_Repetition], jobs: int, progress: Callable[[int], None]
) -> dict[int, _Made]:
    """Repeat all segments in processes that have ended when this returns. The keys are places among the picks."""
    shares = _shared_out(repetitions, jobs)
    tasks = [Task(replay_job(inputs, seed, [each.job for each in share]), inputs.recipe) for share in shares]
    done: dict[tuple[int, int], SegmentEvent] = {}
    troubles: dict[int, LlamafundError] = {}
    steps = 0
    with closing(run_jobs(tasks, max(1, len(tasks)))) as events:
        for task, event in events:
            if isinstance(event, VerificationError):
                raise event
            if isinstance(event, LlamafundError):
                troubles[task] = event
            elif isinstance(event, StepEvent) and event.loss is None:
                steps += 1
                progress(steps)
            elif isinstance(event, SegmentEvent):
                done[task, event.index] = event
    if troubles and not done:
        raise next(iter(troubles.values()))
    made: dict[int, _Made] = {}
    for task, share in enumerate(shares):
        where = f"process {task + 1} of {len(shares)} on this machine"
        for number, repetition in enumerate(share):
            made[repetition.index] = _Made(done.get((task, number)) or troubles[task], where)
    return made


def _shared_out(repetitions: Sequence[_Repetition], jobs: int) -> list[list[_Repetition]]:
    """The segments of each process, so that all have about as many steps; none is empty."""
    shares: list[list[_Repetition]] = [[] for _ in range(min(jobs, len(repetitions)))]
    for each in sorted(repetitions, key=lambda each: each.job.first - each.job.last):
        min(shares, key=_steps).append(each)
    return shares


def _steps(share: Sequence[_Repetition]) -> int:
    return sum(each.job.last - each.job.first for each in share)


def _record_problem(recipe: Recipe, pick: Pick) -> str | None:
    for link in (*pick.segment.between, pick.segment.end):
        found = record_problem(recipe, link.environment)
        if found is not None:
            return f"the checkpoint after step {link.steps.last} {found}"
    return None


def _start_problem(recipe: Recipe, step: int, start: Path) -> str | None:
    if recipe.determinism.sharding == "full":
        read_shards([start / path for path in shard_files(MODEL, recipe.determinism.processes)])
    return _state_problem(recipe, step, start)


def _state_problem(recipe: Recipe, step: int, state: Path) -> str | None:
    """What no run of the recipe can lead to. A state that was forged once would repeat in every later segment."""
    return next(_state_problems(recipe, step, state), None)


def _state_problems(recipe: Recipe, step: int, state: Path) -> Iterator[str]:
    schedule = schedule_problem(recipe, step, state / SCHEDULER_STATE)
    if schedule is not None:
        yield schedule
    if not recipe.keeps_state(step):
        return
    settings = OPTIMIZER_STATE if recipe.determinism.sharding == "none" else SETTINGS
    optimizer = optimizer_problem(recipe, step, state / settings)
    if optimizer is not None:
        yield optimizer
    moments = moments_problem(recipe, step, optimizer_entries(recipe, step, state))
    if moments is not None:
        yield moments


def _judge(store: Store, inputs: Inputs, pick: Pick, event: SegmentEvent, workdir: Path, jobs: int) -> SegmentResult:
    """Compare a repeated segment: hashes first, and more only if they differ."""
    recipe, segment = inputs.recipe, pick.segment
    repeated = {link.steps.last: _checkpoint_beside(event.directory, link.steps.last) for link in segment.made}
    compared = tuple(
        FileComparison(step, path, link.entry(path).sha256, state_hash(repeated[step] / path))
        for link in segment.made
        for step in (link.steps.last,)
        for path in published_files(recipe, step)
    )
    settings: dict[str, tuple[str, str]] = {}
    for link in (*segment.between, segment.end):
        settings |= explaining_settings(recipe, link.environment, event.environment)
    outside = settings_outside(recipe, event.environment)
    result = SegmentResult(pick, compared, settings, event.seconds, outside=outside)
    if not result.differing:
        return replace(result, problem=_history_problem(store, inputs.recipe, result, repeated, workdir))
    gaps: dict[int, Gap] = {}
    for link in segment.made:
        step = link.steps.last
        if any(is_trained(file.path) for file in result.differing if file.step == step):
            before, published = (fetch_trained_weights(store, recipe, each, workdir) for each in (segment.start, link))
            gap = weights_gap(published, trained_weights(recipe, repeated[step]), before)
            gaps |= {} if gap is None else {step: gap}
    result = replace(result, weights=_worst(gaps))
    return _explain(store, inputs, result, gaps, repeated, workdir, jobs) if settings or outside else result


def _checkpoint_beside(checkpoint: Path, step: int) -> Path:
    """The checkpoint after a step that the same repetition made."""
    return checkpoint.parent / f"checkpoint-{step}"


def _worst(gaps: Mapping[int, Gap]) -> Gap | None:
    """The gap that says most against the published weights; one at step 0 only if there is no other."""
    trained = [gap for step, gap in gaps.items() if step] or list(gaps.values())
    # The later one of equals: it shows what the whole segment led to.
    return max(reversed(trained), key=lambda gap: (_DOUBTS.index(gap.nearness), _size(gap.amount)), default=None)


def _size(amount: float) -> float:
    return math.inf if math.isnan(amount) else amount


def _history_problem(
    store: Store, recipe: Recipe, result: SegmentResult, repeated: Mapping[int, Path], workdir: Path
) -> str:
    """What the published history says about the segment that its repetition did not log; empty if nothing."""
    segment = result.pick.segment
    last, made = segment.end.steps.last, repeated[segment.end.steps.last] / TRAINER_STATE
    elsewhere = bool(result.settings or result.outside)
    if elsewhere or not made.exists() or TRAINER_STATE not in {entry.path for entry in segment.end.files}:
        return ""
    # Training writes a file of this name into the directory that it starts from.
    place = workdir / f"history-{segment.end.sha256[:16]}"
    fetch_tree(store, segment.end, place, [TRAINER_STATE])
    try:
        said, found = read_history(place / TRAINER_STATE, last), read_history(made, last)
    except HistoryError as error:
        return str(error)
    return repeated_problem(said, found, segment.start.steps.last, recipe.training.log_every) or ""


def _explain(
    store: Store,
    inputs: Inputs,
    result: SegmentResult,
    gaps: Mapping[int, Gap],
    repeated: Mapping[int, Path],
    workdir: Path,
    jobs: int,
) -> SegmentResult:
    """Compare the rest of the state, too, and find out what another environment explains."""
    recipe, segment = inputs.recipe, result.pick.segment
    first, last = segment.start.steps.last, segment.end.steps.last
    published = {
        link.steps.last: fetch_state(store, link, workdir, published_files(recipe, link.steps.last))
        for link in (segment.start, *segment.between, segment.end)
    }
    for step, made in repeated.items():
        problem = _state_problem(recipe, step, published[step])
        if problem is not None:
            return replace(result, problem=problem)
        if not same_values(published[step] / RNG_STATE, made / RNG_STATE):
            result = replace(result, random_differs=True)
    changes: Mapping[str, float] = {}
    if recipe.keeps_state(last):
        before = optimizer_entries(recipe, first, published[first])
        ours = optimizer_entries(recipe, last, repeated[last])
        changes = optimizer_changes(before, ours)
        gap = optimizer_gap(optimizer_entries(recipe, last, published[last]), ours, changes)
        result = replace(result, optimizer=gap)
    if result.outside or (result.weights is None and result.optimizer is None):
        return result
    if recipe.determinism.device == "cuda":
        # No instruction set of the processor changes what a GPU computes, so nothing is known of other honest results.
        return replace(
            result,
            weights=_worst({step: each.calibrated(0.0) for step, each in gaps.items()}),
            optimizer=None if result.optimizer is None else result.optimizer.calibrated(0.0),
        )
    outcomes = repeat_everywhere(store, inputs, segment, workdir, jobs).values()
    calibrated = {
        step: each.calibrated(weights_spread(recipe, [_checkpoint_beside(outcome, step) for outcome in outcomes]))
        for step, each in gaps.items()
    }
    result = replace(result, weights=_worst(calibrated))
    if result.optimizer is not None:
        optimizers = [optimizer_entries(recipe, last, outcome) for outcome in outcomes]
        result = replace(result, optimizer=result.optimizer.calibrated(optimizer_spread(optimizers, changes)))
    return result
