"""Repeating parts of a run from its evidence, to see whether the same bytes come out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence import fetch_tree
from llamafund_chain.hashing import hash_file
from llamafund_chain.manifests import CheckpointManifest
from llamafund_trainer.environment import differing_settings
from llamafund_trainer.inputs import Inputs
from llamafund_trainer.jobs import ReplayJob, SegmentEvent, SegmentJob, StepEvent
from llamafund_trainer.process import run_job
from llamafund_trainer.tensors import Difference, compare_files, movement

if TYPE_CHECKING:
    from llamafund_chain.store import Store

STATE_FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt")
"""Files of a checkpoint that hold the whole state of a run: what is compared, and continued from."""

TOLERANCE = 1e-3
"""Largest difference of a parameter that other arithmetic may explain, where the environment differs."""

Reason = Literal["asked for", "random", "first", "last", "largest change of the weights"]


@dataclass(frozen=True)
class Segment:
    """The steps between two checkpoints.

    Attributes:
        index: Counted from 0 along the run.
        start: Where it begins; the first one of a run begins with the seed and repeats `start` as well.
        end: Where it ends.
    """

    index: int
    start: CheckpointManifest
    end: CheckpointManifest

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.end.steps.last - self.start.steps.last


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
        difference: Between the weights at the end, where they differ.
        seconds: Time it took.
    """

    pick: Pick
    compared: tuple[FileComparison, ...]
    settings: dict[str, tuple[str, str]]
    difference: Difference | None
    seconds: float
    differing: tuple[FileComparison, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "differing", tuple(file for file in self.compared if file.published != file.repeated))

    @property
    def verdict(self) -> Literal["same", "close", "different"]:
        """`same` means every bit. `close` is only said where the environment differs, and is not equality."""
        if not self.differing:
            return "same"
        near = self.difference is not None and self.difference.amount <= TOLERANCE
        return "close" if self.settings and near else "different"

    def describe(self) -> str:
        """The result in one sentence."""
        segment = self.pick.segment
        steps = f"Steps {segment.start.steps.last} to {segment.end.steps.last} ({self.pick.reason})"
        if self.verdict == "same":
            names = ", ".join(dict.fromkeys(file.path for file in self.compared))
            return f"{steps} were repeated bit for bit: {names}"
        first = self.differing[0]
        found = (
            f"{steps} were repeated and gave other bytes: {first.path} after step {first.step} is published as "
            f"{first.published}, repeated it is {first.repeated} ({len(self.differing)} of {len(self.compared)} "
            "files differ)"
        )
        if self.difference is not None and self.difference.largest:
            found += (
                f"; the largest difference of a weight is {self.difference.amount:.3g} in {self.difference.largest}"
            )
        if self.settings:
            listed = ", ".join(f"{name} ({then!r} then, {now!r} now)" for name, (then, now) in self.settings.items())
            found += f"; not the same environment: {listed}; differences up to {TOLERANCE:g} may come from that"
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
    before = _fetch_state(store, segments[0].start, workdir, ("model.safetensors",))
    sizes: list[float] = []
    for segment in segments:
        after = _fetch_state(store, segment.end, workdir, ("model.safetensors",))
        sizes.append(movement(before / "model.safetensors", after / "model.safetensors"))
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
    jobs = tuple(_segment_job(store, pick.segment, place) for pick in picks)
    job = ReplayJob(
        recipe=inputs.recipe_path,
        dataset=inputs.dataset_path,
        data=inputs.data,
        seed=picks[0].segment.end.seed,
        segments=jobs,
    )
    results: list[SegmentResult] = []
    steps = 0
    for event in run_job(job, inputs.recipe):
        if isinstance(event, StepEvent) and event.loss is None:
            steps += 1
            progress(steps)
        elif isinstance(event, SegmentEvent):
            results.append(_compare(store, picks[event.index], event, place))
    return tuple(results)


def _segment_job(store: Store, segment: Segment, workdir: Path) -> SegmentJob:
    first, last = segment.start.steps.last, segment.end.steps.last
    # The first segment takes nothing from the evidence but the seed, so it repeats the initial state as well.
    start = None if first == 0 else _fetch_state(store, segment.start, workdir, STATE_FILES)
    return SegmentJob(first=first, last=last, start=start, output=workdir / f"repeated-{first}")


def _compare(store: Store, pick: Pick, event: SegmentEvent, workdir: Path) -> SegmentResult:
    segment = pick.segment
    ends = [segment.start, segment.end] if segment.start.steps.last == 0 else [segment.end]
    compared: list[FileComparison] = []
    difference: Difference | None = None
    for end in ends:
        directory = event.directory.parent / f"checkpoint-{end.steps.last}"
        for path in STATE_FILES:
            published, repeated = end.entry(path).sha256, _sha256(directory / path)
            compared.append(FileComparison(end.steps.last, path, published, repeated))
            if path == "model.safetensors" and published != repeated and difference is None:
                published_at = _fetch_state(store, end, workdir, (path,))
                difference = compare_files(published_at / path, directory / path)
    settings = differing_settings(segment.end.environment, event.environment)
    return SegmentResult(pick, tuple(compared), settings, difference, event.seconds)


def _sha256(path: Path) -> str:
    if not path.exists():
        raise LlamafundError(f"Repeating the training wrote no {path.name}", f"Expected in {path.parent}")
    return hash_file(path).sha256


def _fetch_state(store: Store, checkpoint: CheckpointManifest, workdir: Path, paths: Sequence[str]) -> Path:
    directory = workdir / f"published-{checkpoint.sha256[:16]}"
    missing = [path for path in paths if not (directory / path).exists()]
    if missing:
        fetch_tree(store, checkpoint, directory, missing)
    return directory
