"""Repeating parts of a run from its evidence, to see whether the same bytes come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_trainer.process.messages import SegmentEvent, SegmentJob, StepEvent
from llamafund_trainer.record.environment import differing_settings
from llamafund_trainer.replay.choice import Pick
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
from llamafund_trainer.tensors.lora import ADAPTER
from llamafund_trainer.tensors.optimizer_bounds import moments_problem
from llamafund_trainer.tensors.optimizer_settings import (
    OPTIMIZER_STATE,
    RNG_STATE,
    SCHEDULER_STATE,
    optimizer_problem,
    schedule_problem,
)
from llamafund_trainer.tensors.shards import MODEL, SETTINGS, holds_weights, read_shards, shard_files
from llamafund_trainer.tensors.torch_save import same_values

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import Recipe

DRAWING = frozenset({"accelerate", "numpy", "peft", "torch", "transformers"})
"""Libraries whose versions may decide how many random numbers a step takes; peft is recorded for adapters only."""

Verdict = Literal["same"] | Nearness


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
        seconds: Time it took.
        weights: Between the weights at the end, or at the start of the run, where they differ. Honest repetitions are
            only asked where the environment is not the recorded one, which explains no difference.
        optimizer: The same of the optimizer, in shares of the change of each tensor; only looked at where the
            environment is not the recorded one.
        random_differs: Whether the random state holds other numbers, in the same case.
        problem: What the published state says that is not the recipe's; if it is the one that the segment begins with,
            nothing was repeated.
    """

    pick: Pick
    compared: tuple[FileComparison, ...]
    settings: dict[str, tuple[str, str]]
    seconds: float
    weights: Gap | None = None
    optimizer: Gap | None = None
    random_differs: bool = False
    problem: str = ""
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
        if not self.settings or self._starts_otherwise:
            return "different"
        found = {gap.nearness for gap in (self.weights, self.optimizer) if gap is not None}
        if self.random_differs:
            found.add("unclear" if DRAWING & self.settings.keys() else "different")
        # What is left are the same values in other bytes.
        return next((each for each in ("different", "unclear") if each in found), "close")

    @property
    def _starts_otherwise(self) -> bool:
        # The initial weights are no arithmetic of the training: no environment explains others.
        start = self.pick.segment.start.steps.last
        trained = (file.path for file in self.differing if file.step == start)
        return any(map(_is_trained, trained))

    def gap_facts(self) -> dict[str, JsonValue]:
        """How far apart things are, for machines. Numbers are texts: JSON has no infinity."""
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
        if self.weights is not None:
            found += (
                f"; the largest difference of a weight is {self.weights.amount:.3g} in {self.weights.largest}, "
                f"where the segment changed weights by up to {self.weights.moved:.3g}"
            )
        if self.optimizer is not None:
            found += (
                f"; the optimizer's {self.optimizer.largest} differs by {self.optimizer.amount:.3g} of what the "
                "segment changed in it"
            )
        if self.random_differs:
            found += "; the random state holds other numbers"
        found += elsewhere
        explained = [
            f"{gap.tolerance:.3g}{of}"
            for gap, of in ((self.weights, ""), (self.optimizer, " of the change in the optimizer"))
            if gap is not None and gap.tolerance is not None
        ]
        if explained:
            found += f"; honest repetitions explain differences up to {' and '.join(explained)}"
        if self.verdict == "unclear":
            found += "; this shows nothing either way: repeat it in the recorded environment"
        return found


def worst_verdict(results: Sequence[SegmentResult]) -> Verdict | None:
    """The verdict on all segments together; `None` if there are none."""
    order: tuple[Verdict, ...] = ("different", "unclear", "close", "same")
    found = {result.verdict for result in results}
    return next((verdict for verdict in order if verdict in found), None)


def _tolerance(gap: Gap | None) -> str | None:
    return None if gap is None or gap.tolerance is None else str(gap.tolerance)


def replay_segments(
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
            results[index] = SegmentResult(pick, (), {}, 0.0, problem=problem)
            continue
        last = pick.segment.end.steps.last
        jobs.append(SegmentJob(first=first, last=last, start=start, output=place / f"repeated-{first}"))
        repeated.append(index)
    steps = 0
    events: list[SegmentEvent] = []
    for event in run_segments(inputs, picks[0].segment.end.seed, jobs):
        if isinstance(event, StepEvent) and event.loss is None:
            steps += 1
            progress(steps)
        elif isinstance(event, SegmentEvent):
            events.append(event)
    if len(events) < len(jobs):
        raise LlamafundError("The training process ended before all segments were repeated")
    for event in events:
        index = repeated[event.index]
        results[index] = _judged(store, inputs, picks[index], event, place)
    return tuple(results[index] for index in range(len(picks)))


def _start_problem(recipe: Recipe, step: int, start: Path) -> str | None:
    if recipe.determinism.sharding == "full":
        read_shards([start / path for path in shard_files(MODEL, recipe.determinism.processes)])
    return _state_problem(recipe, step, start)


def _state_problem(recipe: Recipe, step: int, state: Path) -> str | None:
    """What no run of the recipe comes to: a state that was forged once would repeat in every later segment."""
    problem = schedule_problem(recipe, step, state / SCHEDULER_STATE)
    settings = OPTIMIZER_STATE if recipe.determinism.sharding == "none" else SETTINGS
    problem = problem or optimizer_problem(recipe, step, state / settings)
    return problem or moments_problem(recipe, step, optimizer_entries(recipe, step, state))


def _judged(store: Store, inputs: Inputs, pick: Pick, event: SegmentEvent, workdir: Path) -> SegmentResult:
    """What a repeated segment shows: hashes first, and more only where they differ."""
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
        if any(_is_trained(file.path) for file in result.differing if file.step == end.steps.last):
            before, published = (fetch_trained_weights(store, recipe, each, workdir) for each in (segment.start, end))
            made = trained_weights(recipe, repeated[end.steps.last])
            result = replace(result, weights=weights_gap(published, made, before))
    return _explained(store, inputs, result, repeated, workdir) if settings else result


def _explained(
    store: Store, inputs: Inputs, result: SegmentResult, repeated: Mapping[int, Path], workdir: Path
) -> SegmentResult:
    """The same with the rest of the state compared, and with what another environment explains."""
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


def _is_trained(path: str) -> bool:
    return path == ADAPTER or holds_weights(path)
