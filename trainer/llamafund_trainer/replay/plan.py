"""What a replay will repeat, and what that will take, before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.evidence.programs import ProgramFile
from llamafund_chain.store.content import fetch_manifest
from llamafund_trainer.replay.bisection import Bisection, bisect, finer_checkpoints
from llamafund_trainer.replay.choice import Pick, choose, weight_jumps
from llamafund_trainer.replay.estimate import Effort, effort_of_program, planned_effort, timed_effort
from llamafund_trainer.replay.program import Allowed, repeat_program
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.result import SegmentResult
from llamafund_trainer.replay.segments import Segment, segments_of
from llamafund_trainer.runs.inputs import Inputs, fetch_any_recipe, fetch_inputs, walk_run

if TYPE_CHECKING:
    from llamafund_chain.store import Store


@dataclass(frozen=True)
class ReplayRequest:
    """What to repeat of a run.

    Attributes:
        checkpoint: SHA-256 of the manifest of the run's last checkpoint.
        segments: How many segments to repeat.
        segment: Repeat only this one, counted from 0; `None` to choose `segments` of them.
        entropy: Decides the random ones.
        finer: Directory with checkpoints between those of the run, as `finer_checkpoints` reads it.
    """

    checkpoint: str
    segments: int
    segment: int | None
    entropy: bytes
    finer: Path | None


@dataclass(frozen=True)
class ReplayPlan:
    """What will be repeated.

    Attributes:
        inputs: The run's recipe and data; or the program that is its recipe, which finds its data itself.
        segments: All segments of the run.
        picks: Those to repeat.
        effort: What repeating them takes.
        finer: Checkpoints inside the segments: step to directory.
    """

    inputs: Inputs | ProgramFile
    segments: Sequence[Segment]
    picks: Sequence[Pick]
    effort: Effort
    finer: Mapping[int, Path]


def plan_replay(store: Store, request: ReplayRequest, workdir: Path) -> ReplayPlan:
    """Choose the segments, fetch what they need and estimate the effort.

    Args:
        store: Where the run is published.
        request: What to repeat.
        workdir: Existing directory for fetched and new files.

    Raises:
        UsageError: The run has no such segment or none at all, or `finer` holds no checkpoints, or is of no use.
        LlamafundError: The store lacks something, or the training process failed.
        VerificationError: Fetched files do not match their hashes, or the checkpoints are not one run.
    """
    run = walk_run(store, fetch_manifest(store, request.checkpoint, CheckpointManifest))
    recipe = fetch_any_recipe(store, run[-1].recipe)
    segments = segments_of(run, None if isinstance(recipe, ProgramFile) else recipe.recipe)
    picks = _picks(store, request, segments, workdir)
    if isinstance(recipe, ProgramFile):
        if request.finer is not None:
            what = "The first different step of a program cannot be looked for"
            raise UsageError(what, "It keeps no checkpoints but the published ones", "Leave out --finer")
        effort = effort_of_program(segments, [pick.segment for pick in picks])
        return ReplayPlan(recipe, segments, picks, effort, {})
    inputs = fetch_inputs(store, picks[0].segment.end, workdir)
    finer = {} if request.finer is None else finer_checkpoints(request.finer, inputs.recipe)
    planned = planned_effort(inputs, segments, [pick.segment for pick in picks])
    effort = timed_effort(store, inputs, picks[0].segment, planned, workdir)
    return ReplayPlan(inputs, segments, picks, effort, finer)


def repeat(
    store: Store,
    inputs: Inputs | ProgramFile,
    picks: Sequence[Pick],
    workdir: Path,
    *,
    jobs: int = 1,
    allowed: Allowed | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[SegmentResult, ...]:
    """Repeat segments of a run, whatever its recipe is.

    Args:
        store: Where the run is published.
        inputs: Recipe and data, or the program.
        picks: Segments of one run.
        workdir: Existing directory for fetched and new files.
        jobs: As in `replay_segments`; a program repeats one segment after the other.
        allowed: What a program may do.
        progress: Called with the number of steps repeated so far.

    Raises:
        LlamafundError: As `replay_segments` and `repeat_program`.
    """
    if isinstance(inputs, ProgramFile):
        return repeat_program(store, inputs, picks, workdir, allowed, progress=progress)
    return replay_segments(store, inputs, picks, workdir, jobs=jobs, progress=progress)


def first_difference(
    store: Store,
    plan: ReplayPlan,
    results: Sequence[SegmentResult],
    workdir: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Bisection | None:
    """Find the first step that differs, in the first segment that does, with the finer checkpoints of the plan.

    Args:
        store: Where the run is published.
        plan: What was repeated.
        results: What came out.
        workdir: Existing directory for fetched and new files.
        progress: Called with a sentence before the search starts.

    Returns:
        `None` if no segment differs, if there are no finer checkpoints, or if the segment started from a forged state
        or ran in another environment than the recorded one.

    Raises:
        LlamafundError: The store lacks something, or the training process failed.
    """
    wrong = next((result for result in results if result.verdict == "different"), None)
    if isinstance(plan.inputs, ProgramFile) or wrong is None or not plan.finer:
        return None
    if wrong.settings or wrong.outside or wrong.problem:
        return None
    progress("Looking for the first step that differs")
    return bisect(store, plan.inputs, wrong.pick.segment, plan.finer, workdir)


def _picks(store: Store, request: ReplayRequest, segments: Sequence[Segment], workdir: Path) -> Sequence[Pick]:
    if not segments:
        raise UsageError("There is no segment to repeat", "These are the initial weights", "Name a later checkpoint")
    if request.segment is None:
        return choose(segments, request.segments, request.entropy, lambda: weight_jumps(store, segments, workdir))
    if request.segment >= len(segments):
        raise UsageError(f"There is no segment {request.segment}", f"The run has {len(segments)}, counted from 0")
    return (Pick(segments[request.segment], "asked for"),)
