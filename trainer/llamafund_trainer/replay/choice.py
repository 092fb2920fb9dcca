"""Which segments of a run to repeat, and how likely that is to expose a cheat."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.programs import ProgramFile
from llamafund_trainer.replay.segments import Segment, fetch_trained_weights
from llamafund_trainer.runs.inputs import fetch_any_recipe
from llamafund_trainer.tensors.compare import movement
from llamafund_trainer.tensors.shards import fetch_joined

if TYPE_CHECKING:
    from llamafund_chain.store import Store

DETECTION_FORMULA = "1 - (1 - f)^s"
"""The chance that s random segments expose a cheat who faked the fraction f of them; other picks do not count."""

Reason = Literal["asked for", "random", "first", "last", "largest change of the weights"]


@dataclass(frozen=True)
class Pick:
    """A segment to repeat, and the reason for repeating it."""

    segment: Segment
    reason: Reason


def choose(
    segments: Sequence[Segment], count: int, entropy: bytes, jumps: Callable[[], Sequence[float]]
) -> tuple[Pick, ...]:
    """Choose the segments to repeat.

    The first pick is random. Two or more include the first segment, three or more also the last one, and four or more
    also the one that changed the weights most. The rest are random.

    Args:
        segments: All segments of the run.
        count: How many to pick; all of them if there are no more.
        entropy: Decides the random picks.
        jumps: Returns the change of the weights over each segment. Only called if needed.
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
        picked.setdefault(max(range(len(sizes)), key=sizes.__getitem__), "largest change of the weights")
    for index in order:
        if len(picked) >= count:
            break
        picked.setdefault(index, "random")
    return tuple(Pick(segments[index], picked[index]) for index in sorted(picked))


def random_order(count: int, entropy: bytes) -> list[int]:
    """All numbers below `count`, in an order that depends on nothing but the entropy."""
    return sorted(range(count), key=lambda index: hashlib.sha256(entropy + index.to_bytes(8, "big")).digest())


def weight_jumps(store: Store, segments: Sequence[Segment], workdir: Path) -> list[float]:
    """How far the published weights move over each segment.

    Args:
        store: Where the checkpoints are published.
        segments: Consecutive segments.
        workdir: Existing directory for fetched files.
    """
    found = fetch_any_recipe(store, segments[0].end.recipe)
    if isinstance(found, ProgramFile):
        return [_jump_of_program(store, segment, workdir) for segment in segments]
    recipe = found.recipe
    before = fetch_trained_weights(store, recipe, segments[0].start, workdir)
    sizes: list[float] = []
    for segment in segments:
        after = fetch_trained_weights(store, recipe, segment.end, workdir)
        sizes.append(movement(before, after))
        before = after
    return sizes


def _jump_of_program(store: Store, segment: Segment, workdir: Path) -> float:
    """The same for a program, whose checkpoints may hold anything; 0 where there are no weights to compare."""
    try:
        before, after = (fetch_joined(store, each, workdir / each.sha256[:16]) for each in (segment.start, segment.end))
        return movement(before, after)
    except VerificationError:
        return 0.0
    finally:
        shutil.rmtree(workdir / segment.start.sha256[:16], ignore_errors=True)


def detection_chance(faked: float, random_segments: int) -> float:
    """The chance that random segments expose a cheat who faked a fraction of all: 1 − (1 − f)^s."""
    return 1 - (1 - faked) ** random_segments


def catch_chance(faked: float, picks: Sequence[Pick], segments: int) -> float:
    """`detection_chance` for these picks; 1 if they are all segments of the run.

    Args:
        faked: Fraction of all segments.
        picks: The segments to repeat.
        segments: How many segments the run has.
    """
    if len(picks) == segments:
        return 1.0
    return detection_chance(faked, sum(pick.reason == "random" for pick in picks))
