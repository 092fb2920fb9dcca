"""Segments of a run, and training one again: what replay, tolerance, estimate and bisection share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import hash_file
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.strict_yaml import load_yaml
from llamafund_trainer.process.launch import Task, run_job, run_jobs
from llamafund_trainer.process.messages import Event, ReplayJob, SegmentEvent, SegmentJob
from llamafund_trainer.recipe import Recipe, parse_recipe
from llamafund_trainer.runs.inputs import Inputs
from llamafund_trainer.tensors.lora import ADAPTER
from llamafund_trainer.tensors.optimizer_settings import OPTIMIZER_STATE, RNG_STATE, SCHEDULER_STATE
from llamafund_trainer.tensors.shards import (
    MODEL,
    OPTIMIZER,
    SETTINGS,
    WEIGHTS,
    fetch_joined,
    shard_files,
    whole_weights,
)

if TYPE_CHECKING:
    from llamafund_chain.store import Store

STATE_FILES = (WEIGHTS, OPTIMIZER_STATE, RNG_STATE, SCHEDULER_STATE)
"""Files that hold the whole state of a checkpoint, without adapters and shards; see `state_files`."""

_OPTIMIZER = f"{OPTIMIZER}/"

INSTRUCTION_SETS = {"generic": "", "avx2": "avx2", "avx512": "avx512f"}
"""Instruction sets of `DeterminismSection`, which give honest repetitions different bits, and the processor flag in
Linux that each needs."""


@dataclass(frozen=True)
class Segment:
    """The steps between two checkpoints that hold the whole state.

    Attributes:
        index: Position in the run, from 0.
        start: Checkpoint at its start. A run's first segment starts from the seed and repeats this checkpoint, too.
        end: Checkpoint at its end.
        between: Checkpoints on the way, which hold no optimizer's state.
    """

    index: int
    start: CheckpointManifest
    end: CheckpointManifest
    between: tuple[CheckpointManifest, ...] = ()

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.end.steps.last - self.start.steps.last

    @property
    def made(self) -> tuple[CheckpointManifest, ...]:
        """The checkpoints that repeating it makes, oldest first; the one before the first step if it starts there."""
        if self.start.steps.last or self.start == self.end:
            return (*self.between, self.end)
        return (self.start, *self.between, self.end)


def segments_of(run: Sequence[CheckpointManifest], recipe: Recipe | None = None) -> tuple[Segment, ...]:
    """The segments of a run.

    Args:
        run: Its checkpoints, oldest first.
        recipe: Says which of them hold the optimizer's state; all do when `None`.
    """
    ends = [
        place
        for place, link in enumerate(run)
        if recipe is None or place in (0, len(run) - 1) or recipe.keeps_state(link.steps.last)
    ]
    return tuple(
        Segment(index, run[start], run[end], tuple(run[start + 1 : end]))
        for index, (start, end) in enumerate(pairwise(ends))
    )


def published_files(recipe: Recipe, step: int) -> tuple[str, ...]:
    """The files of the state that the checkpoint after a step must hold: all, or all but the optimizer's.

    They follow from the recipe, so no manifest decides what is compared.
    """
    files = state_files(recipe, step)
    if recipe.keeps_state(step):
        return files
    return tuple(path for path in files if path not in (OPTIMIZER_STATE, SETTINGS) and not path.startswith(_OPTIMIZER))


def state_files(recipe: Recipe, step: int) -> tuple[str, ...]:
    """The files that hold the whole state after a step, whether the checkpoint there keeps it or not."""
    if recipe.lora is not None:
        return (ADAPTER, *STATE_FILES[1:])
    if recipe.determinism.sharding == "none":
        return STATE_FILES
    processes = recipe.determinism.processes
    # Before the first step the optimizer has no state.
    optimizer = shard_files(OPTIMIZER, processes) if step else ()
    return (*shard_files(MODEL, processes), *optimizer, SETTINGS, RNG_STATE, SCHEDULER_STATE)


def run_segments(inputs: Inputs, seed: str, jobs: Sequence[SegmentJob]) -> Iterator[Event]:
    """Repeat segments in one process of their own; does nothing if there are none."""
    if jobs:
        yield from run_job(replay_job(inputs, seed, jobs), inputs.recipe)


def replay_job(inputs: Inputs, seed: str, jobs: Sequence[SegmentJob]) -> ReplayJob:
    """What a process needs to repeat segments of one run."""
    return ReplayJob(
        recipe=inputs.recipe_path,
        dataset=inputs.dataset_path,
        data=inputs.data,
        base=inputs.base_path,
        bounds=inputs.bounds,
        seed=seed,
        segments=tuple(jobs),
    )


def repeat_once(inputs: Inputs, seed: str, first: int, last: int, start: Path | None, output: Path) -> Path:
    """Train from one step to another in a process of its own, without comparing.

    Args:
        inputs: Recipe and data.
        seed: The run's training seed.
        first: Step to start from.
        last: Step to end at; the recipe must write a checkpoint there.
        start: Directory with the state at `first`; `None` to start from the seed.
        output: Directory for the result.

    Returns:
        The directory of the checkpoint at `last`.

    Raises:
        LlamafundError: The process failed.
    """
    for event in run_segments(inputs, seed, [SegmentJob(first=first, last=last, start=start, output=output)]):
        if isinstance(event, SegmentEvent):
            return event.directory
    raise LlamafundError("The training process ended before the segment was repeated")


def fetch_start(store: Store, recipe: Recipe, segment: Segment, workdir: Path) -> Path | None:
    """Fetch the state that a segment starts from; `None` if it starts from the seed."""
    # The first segment takes only the seed from the evidence, so it also repeats the initial state.
    step = segment.start.steps.last
    return fetch_state(store, segment.start, workdir, state_files(recipe, step)) if step else None


def fetch_state(store: Store, checkpoint: CheckpointManifest, workdir: Path, paths: Sequence[str]) -> Path:
    """Fetch and verify files of a checkpoint, each only once; returns their directory."""
    directory = _published(checkpoint, workdir)
    missing = [path for path in paths if not (directory / path).exists()]
    if missing:
        fetch_tree(store, checkpoint, directory, missing)
    return directory


def fetch_trained_weights(store: Store, recipe: Recipe, checkpoint: CheckpointManifest, workdir: Path) -> Path:
    """Fetch what is trained, all weights or an adapter, of a checkpoint as one file; joins shards only once."""
    if recipe.lora is not None:
        return fetch_state(store, checkpoint, workdir, (ADAPTER,)) / ADAPTER
    directory = _published(checkpoint, workdir)
    whole = directory / WEIGHTS
    return whole if whole.exists() else fetch_joined(store, checkpoint, directory)


def trained_weights(recipe: Recipe, directory: Path) -> Path:
    """What is trained, all weights or an adapter, of a checkpoint on disk as one file."""
    return whole_weights(directory, directory) if recipe.lora is None else directory / ADAPTER


def _published(checkpoint: CheckpointManifest, workdir: Path) -> Path:
    return workdir / f"published-{checkpoint.sha256[:16]}"


def state_hash(path: Path) -> str:
    """SHA-256 of a file that the repeated training wrote.

    Raises:
        LlamafundError: It wrote no such file.
    """
    if not path.exists():
        raise LlamafundError(f"The repeated training wrote no {path.name}", f"It should be in {path.parent}")
    return hash_file(path).sha256


def with_recipe(inputs: Inputs, directory: Path, **sections: Mapping[str, object]) -> Inputs:
    """The same inputs with some values of the recipe changed.

    Args:
        inputs: What to change.
        directory: Existing directory for the changed recipe.
        **sections: New values by section.
    """
    raw: dict[str, Any] = load_yaml(inputs.recipe_file.data.decode("utf-8"))
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    changed = parse_recipe(yaml.safe_dump(raw).encode())
    path = directory.absolute() / "recipe.yaml"
    path.write_bytes(changed.data)
    return replace(inputs, recipe_file=changed, recipe_path=path)


def repeat_everywhere(
    store: Store, inputs: Inputs, segment: Segment, workdir: Path, at_once: int = 1
) -> dict[str, Path]:
    """Repeat a segment honestly with each of `INSTRUCTION_SETS` that this machine has.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        segment: The segment to repeat.
        workdir: Existing directory for fetched and new files.
        at_once: How many processes there are at the same time, at most.

    Returns:
        The directory of the last checkpoint, by instruction set.

    Raises:
        LlamafundError: The store lacks something, or a process failed.
    """
    start = fetch_start(store, inputs.recipe, segment, workdir)
    first, last = segment.start.steps.last, segment.end.steps.last
    return repeat_in_every_set(inputs, segment.end.seed, first, last, start, workdir, at_once)


def repeat_in_every_set(
    inputs: Inputs, seed: str, first: int, last: int, start: Path | None, workdir: Path, at_once: int = 1
) -> dict[str, Path]:
    """Train from one step to another with each of `INSTRUCTION_SETS` that this machine has.

    Args:
        inputs: Recipe and data.
        seed: The training seed.
        first: Step to start from.
        last: Step to end at; the recipe must write a checkpoint there.
        start: Directory with the state at `first`; `None` to start from the seed.
        workdir: Existing directory for new files.
        at_once: Most processes at a time.

    Returns:
        The directory of the last checkpoint, by instruction set.

    Raises:
        LlamafundError: A process failed.
    """
    names = [name for name, needed in INSTRUCTION_SETS.items() if not needed or _has(needed)]
    tasks: list[Task] = []
    for name in names:
        directory = workdir / f"calibration-{first}-{name}"
        directory.mkdir()
        changed = with_recipe(inputs, directory, determinism={"instruction_set": name})
        job = SegmentJob(first=first, last=last, start=start, output=directory / "repeated")
        tasks.append(Task(replay_job(changed, seed, [job]), changed.recipe))
    outcomes: dict[str, Path] = {}
    with closing(run_jobs(tasks, at_once)) as events:
        for index, event in events:
            if isinstance(event, LlamafundError):
                raise event
            if isinstance(event, SegmentEvent):
                outcomes[names[index]] = event.directory
    return outcomes


def _has(flag: str) -> bool:
    """Whether the processor has an instruction set, as far as the system says. To use another would crash."""
    flags = _processor_flags()
    return not flags or flag in flags


def _processor_flags() -> frozenset[str]:
    """The processor's flags in Linux; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
