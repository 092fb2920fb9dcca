"""What a replay will take, estimated before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_trainer.process.messages import SegmentJob, StepEvent
from llamafund_trainer.replay.segments import fetch_start, run_segments, state_files

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.replay.segments import Segment
    from llamafund_trainer.runs.inputs import Inputs

PROBE_STEPS = 3
"""Steps that measure the pace. The first is slower, so only the others count."""

SMALL_WORK = 10**12
"""Floating point operations below which a replay hardly takes longer than timing it would."""


@dataclass(frozen=True)
class Effort:
    """What repeating segments takes.

    Attributes:
        steps: Optimizer steps to repeat.
        all_steps: Steps of the whole run.
        tokens: Tokens that the model sees in the repeated steps; `None` for a program of the researcher's own.
        operations: Floating point operations: 6 for each parameter and token (Kaplan et al. 2020), without attention.
            4 if an adapter is trained, because frozen weights need no gradients; `None` for a program.
        fetched: Bytes of the states that the segments start from.
        seconds: Expected time; `None` for small work, which is not timed.
    """

    steps: int
    all_steps: int
    tokens: int | None
    operations: int | None
    fetched: int
    seconds: float | None = None

    @property
    def share(self) -> float:
        """Share of the whole run's compute."""
        return self.steps / self.all_steps

    def describe(self) -> str:
        """The estimate as one sentence without its full stop."""
        work = f"{self.steps} of {self.all_steps} steps ({self.share:.0%} of the compute): "
        states = f"{self.fetched / 1e6:.1f} MB of states to fetch"
        if self.operations is None:
            return f"{work}a program of the researcher's own, {states}"
        work += f"{self.tokens} tokens, about {self.operations:.1e} floating point operations, {states}"
        if self.seconds is None:
            return f"{work}; too little to estimate its time"
        return f"{work}; about {_duration(self.seconds)}, judging by a few of these steps on this machine"


def effort_of_program(all_segments: Sequence[Segment], chosen: Sequence[Segment]) -> Effort:
    """What repeating the chosen segments of a program takes, as far as its manifests tell."""
    return Effort(
        steps=sum(segment.steps for segment in chosen),
        all_steps=sum(segment.steps for segment in all_segments),
        tokens=None,
        operations=None,
        fetched=sum(segment.start.content.size for segment in chosen if segment.start.steps.last > 0),
    )


def planned_effort(inputs: Inputs, all_segments: Sequence[Segment], chosen: Sequence[Segment]) -> Effort:
    """What repeating the chosen segments takes, without the time."""
    recipe = inputs.recipe
    steps = sum(segment.steps for segment in chosen)
    tokens = steps * recipe.samples_per_step * recipe.data.context_length
    later = [segment.start for segment in chosen if segment.start.steps.last > 0]
    return Effort(
        steps=steps,
        all_steps=sum(segment.steps for segment in all_segments),
        tokens=tokens,
        operations=(6 if recipe.lora is None else 4) * inputs.parameters * tokens,
        fetched=sum(start.entry(name).size for start in later for name in state_files(recipe, start.steps.last)),
    )


def timed_effort(store: Store, inputs: Inputs, segment: Segment, planned: Effort, workdir: Path) -> Effort:
    """Add the time to an estimate, measured by running a few steps of a segment.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        segment: One of the segments to repeat.
        planned: The estimate without the time.
        workdir: Existing directory for fetched and new files.

    Returns:
        The estimate with the time, or `planned` if the work is small.

    Raises:
        LlamafundError: The store lacks something, or the process failed.
    """
    if planned.operations is None or planned.operations < SMALL_WORK or segment.steps <= PROBE_STEPS:
        return planned
    place, first = workdir.absolute(), segment.start.steps.last
    start = fetch_start(store, inputs.recipe, segment, place)
    job = SegmentJob(first=first, last=first + PROBE_STEPS, start=start, output=place / "pace")
    times = [
        time.monotonic()
        for event in run_segments(inputs, segment.end.seed, [job])
        if isinstance(event, StepEvent) and event.loss is None
    ]
    return replace(planned, seconds=(times[-1] - times[0]) / (len(times) - 1) * planned.steps)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
