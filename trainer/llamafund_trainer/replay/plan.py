"""What a replay will repeat, and what that will take, before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_trainer.replay.bisection import Bisection, bisect, finer_checkpoints
from llamafund_trainer.replay.choice import Pick, choose, weight_jumps
from llamafund_trainer.replay.estimate import Effort, planned_effort, timed_effort
from llamafund_trainer.replay.result import SegmentResult
from llamafund_trainer.replay.segments import Segment, segments_of
from llamafund_trainer.runs.inputs import Inputs, fetch_inputs, walk_run

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
        inputs: The run's recipe and data.
        segments: All segments of the run.
        picks: Those to repeat.
        effort: What repeating them takes.
        finer: Checkpoints inside the segments: step to directory.
    """

    inputs: Inputs
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
        UsageError: The run has no such segment or none at all, or `finer` holds no checkpoints.
        LlamafundError: The store lacks something, or the training process failed.
        VerificationError: Fetched files do not match their hashes, or the checkpoints are not one run.
    """
    segments = segments_of(walk_run(store, fetch_manifest(store, request.checkpoint, CheckpointManifest)))
    picks = _picks(store, request, segments, workdir)
    inputs = fetch_inputs(store, picks[0].segment.end, workdir)
    finer = {} if request.finer is None else finer_checkpoints(request.finer, inputs.recipe)
    planned = planned_effort(inputs, segments, [pick.segment for pick in picks])
    effort = timed_effort(store, inputs, picks[0].segment, planned, workdir)
    return ReplayPlan(inputs, segments, picks, effort, finer)


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
    if wrong is None or not plan.finer or wrong.settings or wrong.problem:
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
