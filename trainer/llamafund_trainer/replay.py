"""Repeating parts of a run from its evidence, to see whether the same bytes come out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.manifests import CheckpointManifest
from llamafund_trainer.environment import differing_settings
from llamafund_trainer.inputs import Inputs, fetch_recipe
from llamafund_trainer.jobs import SegmentEvent, SegmentJob, StepEvent
from llamafund_trainer.lora import ADAPTER
from llamafund_trainer.repeating import (
    Segment,
    fetch_start,
    fetch_trained_weights,
    honest_spread,
    run_segments,
    state_files,
    state_hash,
    trained_weights,
)
from llamafund_trainer.shards import MODEL, OPTIMIZER, SETTINGS, holds_weights, read_shards, shard_files
from llamafund_trainer.state import optimizer_problem, schedule_problem
from llamafund_trainer.tensors import Difference, compare_files, largest_change, movement

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import Recipe

CALIBRATION_FACTOR = 16.0
"""Tolerance, as a multiple of the largest difference between the auditor's own honest repetitions of a segment.

There is no one number. Honest repetitions under other instruction sets came apart by 1e-6 to 3e-5 of the largest change
of a weight in segments of 10 steps at a learning rate of 0.001, and by up to 0.94 of it in segments of 50 steps at
0.01, where rounding errors grow until the weights are others; 1 and 2 threads gave the same bits. So each segment is
calibrated by itself. One instruction set was up to 5.3 times as far from the recorded one as another, which the factor
covers three times over. `python -m bench tolerance` measures it; docs/verification.md has the table.
"""

UNDECIDABLE = 0.1
"""Tolerance, as a share of the largest change of a weight over the segment, from which a comparison shows nothing.

Had the segment not been trained at all, the difference would be the whole change.
"""

DETECTION_FORMULA = "1 - (1 - f)^s"
"""Chance that s random segments show a cheat who faked a fraction f of all; picks that are not random do not count."""

Verdict = Literal["same", "close", "unclear", "different"]
Reason = Literal["asked for", "random", "first", "last", "largest change of the weights"]


@dataclass(frozen=True)
class Pick:
    """A segment to repeat, and why that one."""

    segment: Segment
    reason: Reason


@dataclass(frozen=True)
class FileComparison:
    """A state file as published and as it came out."""

    step: int
    path: str
    published: str
    repeated: str


@dataclass(frozen=True)
class SegmentResult:
    """What repeating a segment showed.

    Attributes:
        compared: Every state file that was compared.
        settings: What is not as it was recorded: name to (then, now).
        difference: Between the weights at the end, or at the start of the run, where they differ.
        seconds: Time it took.
        problem: Why the segment was not repeated at all: what its start says that is not the recipe's.
        moved: Largest change of a weight over the segment as published, where the weights differ.
        tolerance: Largest difference of a weight that honest repetitions explain; null where the environment is the
            recorded one, which explains none, or where there was nothing to explain.
    """

    pick: Pick
    compared: tuple[FileComparison, ...]
    settings: dict[str, tuple[str, str]]
    difference: Difference | None
    seconds: float
    problem: str = ""
    moved: float = 0.0
    tolerance: float | None = None
    differing: tuple[FileComparison, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "differing", tuple(file for file in self.compared if file.published != file.repeated))

    @property
    def verdict(self) -> Verdict:
        """`same` means every bit, and nothing else does.

        Where the environment is not the recorded one, `close` means that honest repetitions differ by as much, and
        `unclear` that they differ by so much that they show nothing.
        """
        if self.problem:
            return "different"
        if not self.differing:
            return "same"
        if not self.settings or self.difference is None or self.tolerance is None or self._starts_otherwise:
            return "different"
        if not self.difference.amount <= self.tolerance:
            return "different"
        return "close" if self.tolerance < UNDECIDABLE * self.moved else "unclear"

    @property
    def _starts_otherwise(self) -> bool:
        # The initial weights are no arithmetic of the training: no environment explains others.
        start = self.pick.segment.start.steps.last
        trained = (file.path for file in self.differing if file.step == start)
        return any(path == ADAPTER or holds_weights(path) for path in trained)

    def describe(self) -> str:
        """The result in one sentence."""
        segment = self.pick.segment
        steps = f"Steps {segment.start.steps.last} to {segment.end.steps.last} ({self.pick.reason})"
        if self.problem:
            return f"{steps} cannot come from the recipe: {self.problem}"
        listed = ", ".join(f"{name} ({then!r} then, {now!r} now)" for name, (then, now) in self.settings.items())
        elsewhere = f"; not the same environment: {listed}" if listed else ""
        if self.verdict == "same":
            names = ", ".join(dict.fromkeys(file.path for file in self.compared))
            return f"{steps} were repeated bit for bit: {names}{elsewhere}"
        first = self.differing[0]
        found = (
            f"{steps} were repeated and gave other bytes: {first.path} after step {first.step} is published as "
            f"{first.published}, repeated it is {first.repeated} ({len(self.differing)} of {len(self.compared)} "
            "files differ)"
        )
        if self.difference is not None and self.difference.largest:
            found += (
                f"; the largest difference of a weight is {self.difference.amount:.3g} in {self.difference.largest}, "
                f"where the segment changed weights by up to {self.moved:.3g}"
            )
        found += elsewhere
        if self.tolerance is not None:
            found += f"; honest repetitions explain differences up to {self.tolerance:.3g}"
        if self.verdict == "unclear":
            found += ", so much that this shows nothing: repeat it in the recorded environment"
        return found


def segments_of(run: Sequence[CheckpointManifest]) -> tuple[Segment, ...]:
    """The segments between a run's checkpoints, given oldest first."""
    return tuple(Segment(index, start, end) for index, (start, end) in enumerate(pairwise(run)))


def detection_chance(faked: float, random_segments: int) -> float:
    """The chance that so many random segments catch a cheat who faked a fraction of all: 1 − (1 − f)^s."""
    return 1 - (1 - faked) ** random_segments


def catch_chance(faked: float, picks: Sequence[Pick], segments: int) -> float:
    """`detection_chance` of what was picked; 1 when nothing was left out.

    Args:
        faked: Fraction of all segments.
        picks: Those repeated.
        segments: How many the run has.
    """
    if len(picks) == segments:
        return 1.0
    return detection_chance(faked, sum(pick.reason == "random" for pick in picks))


def random_order(count: int, entropy: bytes) -> list[int]:
    """All numbers below `count` in an order that the entropy alone decides."""
    return sorted(range(count), key=lambda index: hashlib.sha256(entropy + index.to_bytes(8, "big")).digest())


def choose(
    segments: Sequence[Segment], count: int, entropy: bytes, jumps: Callable[[], Sequence[float]]
) -> tuple[Pick, ...]:
    """Which segments to repeat.

    The first pick is random; with two or more the first segment is among them, with three or more the last,
    with four or more the one that changed the weights most. All others are random.

    Args:
        segments: All of them.
        count: How many to pick, at most all.
        entropy: Decides the random ones.
        jumps: Gives the change of the weights over each segment; only called when it matters.
    """
    order = random_order(len(segments), entropy)
    if count >= len(segments):
        return tuple(Pick(segment, "random") for segment in segments)
    picked: dict[int, Reason] = {order[0]: "random"} if count else {}
    if count >= 2:
        picked.setdefault(0, "first")
    if count >= 3:
        picked.setdefault(len(segments) - 1, "last")
    if count >= 4:
        sizes = jumps()
        picked.setdefault(max(range(len(sizes)), key=lambda index: sizes[index]), "largest change of the weights")
    for index in order:
        if len(picked) >= count:
            break
        picked.setdefault(index, "random")
    return tuple(Pick(segments[index], picked[index]) for index in sorted(picked))


def weight_jumps(store: Store, segments: Sequence[Segment], workdir: Path) -> list[float]:
    """How far the weights move over each segment, from the published weights themselves.

    Args:
        store: Where the checkpoints are published.
        segments: Consecutive ones.
        workdir: Existing directory for fetched files.
    """
    recipe = fetch_recipe(store, segments[0].end.recipe).recipe
    before = fetch_trained_weights(store, recipe, segments[0].start, workdir)
    sizes: list[float] = []
    for segment in segments:
        after = fetch_trained_weights(store, recipe, segment.end, workdir)
        sizes.append(movement(before, after))
        before = after
    return sizes


def replay(
    store: Store,
    inputs: Inputs,
    picks: Sequence[Pick],
    workdir: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[SegmentResult, ...]:
    """Repeat segments in one fresh process and compare what comes out.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        picks: Segments of one run.
        workdir: Existing directory for fetched and new files.
        progress: Called with the number of steps repeated so far.

    Raises:
        UsageError: There is nothing to repeat.
        LlamafundError: The store lacks something, or the process failed.
        VerificationError: What was fetched is not what it claims to be, or cannot be continued from.
    """
    if not picks:
        raise UsageError("There is no segment to repeat", "A run needs two checkpoints")
    place = workdir.absolute()
    results: dict[int, SegmentResult] = {}
    jobs: list[SegmentJob] = []
    repeated: list[int] = []
    for index, pick in enumerate(picks):
        start, first = fetch_start(store, inputs.recipe, pick.segment, place), pick.segment.start.steps.last
        problem = None if start is None else _start_problem(inputs.recipe, first, start)
        if problem is not None:
            results[index] = SegmentResult(pick, (), {}, None, 0.0, problem)
            continue
        last = pick.segment.end.steps.last
        jobs.append(SegmentJob(first=first, last=last, start=start, output=place / f"repeated-{first}"))
        repeated.append(index)
    steps = 0
    for event in run_segments(inputs, picks[0].segment.end.seed, jobs):
        if isinstance(event, StepEvent) and event.loss is None:
            steps += 1
            progress(steps)
        elif isinstance(event, SegmentEvent):
            index = repeated[event.index]
            results[index] = _compare(store, inputs.recipe, picks[index], event, place)
    if len(results) < len(picks):
        raise LlamafundError("The training process ended before all segments were repeated")
    return tuple(_calibrated(store, inputs, results[index], place) for index in range(len(picks)))


def _start_problem(recipe: Recipe, step: int, start: Path) -> str | None:
    # Settings travel with the state: one that was wrong from the start would repeat in every later segment.
    problem = schedule_problem(recipe, step, start / "scheduler.pt")
    if recipe.determinism.sharding == "none":
        return problem or optimizer_problem(recipe, step, start / "optimizer.pt")
    for part in (MODEL, OPTIMIZER):
        read_shards([start / path for path in shard_files(part, recipe.determinism.processes)])
    return problem or optimizer_problem(recipe, step, start / SETTINGS)


def _compare(store: Store, recipe: Recipe, pick: Pick, event: SegmentEvent, workdir: Path) -> SegmentResult:
    segment = pick.segment
    ends = [segment.start, segment.end] if segment.start.steps.last == 0 else [segment.end]
    compared: list[FileComparison] = []
    difference: Difference | None = None
    for end in ends:
        directory = event.directory.parent / f"checkpoint-{end.steps.last}"
        start = len(compared)
        for path in state_files(recipe, end.steps.last):
            published, repeated = end.entry(path).sha256, state_hash(directory / path)
            compared.append(FileComparison(end.steps.last, path, published, repeated))
        wrong = (file.path for file in compared[start:] if file.published != file.repeated)
        if any(path == ADAPTER or holds_weights(path) for path in wrong):
            published_weights = fetch_trained_weights(store, recipe, end, workdir)
            difference = compare_files(published_weights, trained_weights(recipe, directory))
    settings = differing_settings(segment.end.environment, event.environment)
    moved = 0.0
    if difference is not None:
        before, after = (fetch_trained_weights(store, recipe, end, workdir) for end in (segment.start, segment.end))
        moved = largest_change(before, after)
    return SegmentResult(pick, tuple(compared), settings, difference, event.seconds, moved=moved)


def _calibrated(store: Store, inputs: Inputs, result: SegmentResult, workdir: Path) -> SegmentResult:
    """The result with a tolerance, where another environment may explain a difference of the weights."""
    if not result.settings or result.difference is None:
        return result
    spread = honest_spread(store, inputs, result.pick.segment, workdir)
    return replace(result, tolerance=CALIBRATION_FACTOR * spread)
