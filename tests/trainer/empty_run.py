"""A run for tests that look at nothing but its steps."""

from __future__ import annotations

from itertools import pairwise

from llamafund_chain.evidence.manifests import CheckpointManifest, StepRange
from llamafund_trainer.replay.segments import Segment


def empty_run(count: int) -> tuple[Segment, ...]:
    """So many segments of ten steps, with checkpoints that hold nothing."""
    steps = [StepRange(first=max(0, 10 * (index - 1)), last=10 * index) for index in range(count + 1)]
    links = [CheckpointManifest.model_construct(steps=each) for each in steps]
    return tuple(Segment(index, *ends) for index, ends in enumerate(pairwise(links)))
