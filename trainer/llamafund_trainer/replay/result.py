"""What repeating a segment showed, as a verdict, in words and for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.tolerance import Gap, Nearness
from llamafund_trainer.tensors.lora import ADAPTER
from llamafund_trainer.tensors.shards import holds_weights

DRAWING = frozenset({"accelerate", "numpy", "peft", "torch", "transformers"})
"""Libraries whose version may decide how many random numbers a step draws; peft is only recorded for adapters."""

Verdict = Literal["same", "unchecked"] | Nearness


@dataclass(frozen=True)
class FileComparison:
    """Hashes of a state file as it was published and as it was repeated.

    Attributes:
        step: Step of the checkpoint that the file belongs to.
        path: Name of the file in the checkpoint.
        published: SHA-256 in the published manifest.
        repeated: SHA-256 of the repeated file.
    """

    step: int
    path: str
    published: str
    repeated: str


@dataclass(frozen=True)
class Word:
    """What a worker elsewhere says of a segment.

    Attributes:
        worker: Its address; empty if nobody knows.
        verdict: What it says; `unchecked` if it says nothing that can be taken.
        answer: SHA-256 of its answer; empty if there is none.
        reason: Why it says so, if it does not say `same`.
        result: The same as a result, if it says `same`.
    """

    worker: str
    verdict: Verdict
    answer: str = ""
    reason: str = ""
    result: SegmentResult | None = None


@dataclass(frozen=True)
class SegmentResult:
    """What repeating a segment showed.

    Honest repetitions are only made if the environment is not the recorded one. In the recorded environment nothing
    explains a difference.

    Attributes:
        pick: The segment.
        compared: Every state file that was compared.
        settings: Settings that are not as recorded and may explain a difference: name to (then, now).
        outside: Settings of this machine that the recipe's environment does not allow: name to (what it says, now).
            Then a difference shows nothing, because nobody promised that this machine gives the same bytes.
        seconds: Time it took.
        weights: How far the weights at the end are apart, or at the start of the run, if they differ.
        optimizer: How far the optimizers are apart, as a share of each tensor's change. Only compared if the
            environment is not the recorded one.
        random_differs: Whether the random state holds different numbers, in the same case.
        problem: What the published state says that contradicts the recipe. If it is the state that the segment starts
            from, nothing was repeated.
        trouble: Why the segment could not be repeated, which says nothing about it.
        ran_on: Which process or worker repeated it; empty if nothing was to be repeated.
        words: What workers elsewhere say of it, in the order of asking.
        differing: The compared files that differ.
    """

    pick: Pick
    compared: tuple[FileComparison, ...]
    settings: dict[str, tuple[str, str]]
    seconds: float
    weights: Gap | None = None
    optimizer: Gap | None = None
    random_differs: bool = False
    problem: str = ""
    trouble: str = ""
    ran_on: str = ""
    words: tuple[Word, ...] = ()
    outside: dict[str, tuple[str, str]] = field(default_factory=dict)
    differing: tuple[FileComparison, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "differing", tuple(file for file in self.compared if file.published != file.repeated))

    @property
    def verdict(self) -> Verdict:
        """`same` only if every bit is.

        If the environment is not the recorded one, `close` means that honest repetitions differ by as much, and
        `unclear` that they differ by so much that a comparison shows nothing. `unchecked` means that nothing was
        compared.
        """
        if self.problem:
            return "different"
        if self.trouble:
            return "unchecked"
        if not self.differing:
            return "same"
        if self._starts_differently:
            return "different"
        if self.outside:
            return "different" if self._cannot_be_compared else "unclear"
        if not self.settings:
            return "different"
        found = {gap.nearness for gap in (self.weights, self.optimizer) if gap is not None}
        if self.random_differs:
            found.add("unclear" if DRAWING & self.settings.keys() else "different")
        # Without any of these, the files hold the same values in different bytes.
        return next((each for each in ("different", "unclear") if each in found), "close")

    @property
    def _cannot_be_compared(self) -> bool:
        # No machine rounds one tensor into another. An optimizer's may differ without end by rounding alone: a part of
        # the model may have no gradients on one machine and tiny ones on another.
        return self.weights is not None and math.isinf(self.weights.amount)

    @property
    def _starts_differently(self) -> bool:
        # Initial weights come from integer arithmetic, so no environment explains different ones.
        start = self.pick.segment.start.steps.last
        return any(is_trained(file.path) for file in self.differing if file.step == start)

    def gap_facts(self) -> dict[str, JsonValue]:
        """How far apart things are, for machines. Numbers are strings because JSON has no infinity."""
        weights, optimizer = self.weights, self.optimizer
        return {
            "largest_difference": None if weights is None else str(weights.amount),
            "largest_change": str(0.0 if weights is None else weights.moved),
            "tolerance": _tolerance(weights),
            "optimizer_difference": None if optimizer is None else str(optimizer.amount),
            "optimizer_tolerance": _tolerance(optimizer),
            "random_differs": self.random_differs,
        }

    def describe(self) -> str:
        """The result as one sentence without its full stop."""
        segment = self.pick.segment
        steps = f"Steps {segment.start.steps.last} to {segment.end.steps.last} ({self.pick.reason})"
        if self.problem:
            return f"{steps} cannot come from the recipe: {self.problem}"
        if self.trouble:
            return f"{steps} could not be repeated: {self.trouble.rstrip('.')}"
        if self.verdict == "same":
            names = ", ".join(dict.fromkeys(file.path for file in self.compared))
            return "; ".join([f"{steps} were repeated bit for bit: {names}", *self._environment()])
        first = self.differing[0]
        found = (
            f"{steps} were repeated and gave different bytes: {first.path} after step {first.step} is published as "
            f"{first.published}, but repeated it is {first.repeated} ({len(self.differing)} of {len(self.compared)} "
            "files differ)"
        )
        return "; ".join([found, *self._differences(), *self._environment(), *self._explanations()])

    def _differences(self) -> Iterator[str]:
        if self.weights is not None:
            yield (
                f"the largest difference of a weight is {self.weights.amount:.3g} in {self.weights.largest}, "
                f"where the segment changed weights by up to {self.weights.moved:.3g}"
            )
        if self.optimizer is not None:
            yield (
                f"the optimizer's {self.optimizer.largest} differs by {self.optimizer.amount:.3g} of what the "
                "segment changed in it"
            )
        if self.random_differs:
            yield "the random state holds different numbers"

    def _environment(self) -> Iterator[str]:
        listed = ", ".join(f"{name} ({then!r} then, {now!r} now)" for name, (then, now) in self.settings.items())
        if listed:
            yield f"not the same environment: {listed}"
        listed = ", ".join(f"{name} ({now!r}, it says {named!r})" for name, (named, now) in self.outside.items())
        if listed:
            yield f"this machine is not in the recipe's environment: {listed}"

    def _explanations(self) -> Iterator[str]:
        explained = [
            f"{gap.tolerance:.3g}{of}"
            for gap, of in ((self.weights, ""), (self.optimizer, " of the change in the optimizer"))
            if gap is not None and gap.tolerance is not None
        ]
        if explained:
            yield f"honest repetitions explain differences up to {' and '.join(explained)}"
        if self.verdict == "unclear":
            where = "in the recipe's environment" if self.outside else "in the recorded environment"
            yield f"this shows nothing either way: repeat it {where}"


def is_trained(path: str) -> bool:
    """Whether a file of a checkpoint holds what is trained: weights or an adapter."""
    return path == ADAPTER or holds_weights(path)


def worst_verdict(results: Sequence[SegmentResult]) -> Verdict | None:
    """The verdict on all segments together; `None` if there are none."""
    order: tuple[Verdict, ...] = ("different", "unchecked", "unclear", "close", "same")
    found = {result.verdict for result in results}
    return next((verdict for verdict in order if verdict in found), None)


def _tolerance(gap: Gap | None) -> str | None:
    return None if gap is None or gap.tolerance is None else str(gap.tolerance)
