"""Training a part of a run again: the ground that replay, its tolerance, its estimate and bisection share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from llamafund_trainer.process.launch import run_job
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
"""Files of a checkpoint that hold the whole state of a run, but for adapters and shards; see `state_files`."""

INSTRUCTION_SETS = {"generic": "", "avx2": "avx2", "avx512": "avx512f"}
"""Ways to compute that give honest repetitions other bits, each with what Linux calls the processor's part in it; see
`DeterminismSection`."""


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


def segments_of(run: Sequence[CheckpointManifest]) -> tuple[Segment, ...]:
    """The segments between a run's checkpoints, given oldest first."""
    return tuple(Segment(index, start, end) for index, (start, end) in enumerate(pairwise(run)))


def state_files(recipe: Recipe, step: int) -> tuple[str, ...]:
    """The files that hold the whole state after some steps: `STATE_FILES`, or what stands in their place.

    They follow from the recipe, so that no manifest decides what is compared.
    """
    if recipe.lora is not None:
        return (ADAPTER, *STATE_FILES[1:])
    if recipe.determinism.sharding == "none":
        return STATE_FILES
    processes = recipe.determinism.processes
    # An optimizer has no state before the first step.
    optimizer = shard_files(OPTIMIZER, processes) if step else ()
    return (*shard_files(MODEL, processes), *optimizer, SETTINGS, RNG_STATE, SCHEDULER_STATE)


def run_segments(inputs: Inputs, seed: str, jobs: Sequence[SegmentJob]) -> Iterator[Event]:
    """Repeat segments in one fresh process, where there are any."""
    if jobs:
        job = ReplayJob(
            recipe=inputs.recipe_path,
            dataset=inputs.dataset_path,
            data=inputs.data,
            base=inputs.base_path,
            bounds=inputs.bounds,
            seed=seed,
            segments=tuple(jobs),
        )
        yield from run_job(job, inputs.recipe)


def repeat_once(inputs: Inputs, seed: str, first: int, last: int, start: Path | None, output: Path) -> Path:
    """Train from one step to another in a fresh process, without comparing.

    Args:
        inputs: Recipe and data.
        seed: The run's training seed.
        first: Step at which to begin.
        last: Step at which to end; one at which the recipe writes a checkpoint.
        start: Directory with the state at `first`; `None` to begin with the seed.
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
    """The state that a segment begins with; `None` where it begins with the seed."""
    # The first segment takes nothing from the evidence but the seed, so it repeats the initial state as well.
    step = segment.start.steps.last
    return fetch_state(store, segment.start, workdir, state_files(recipe, step)) if step else None


def fetch_state(store: Store, checkpoint: CheckpointManifest, workdir: Path, paths: Sequence[str]) -> Path:
    """Files of a checkpoint, fetched and verified once; returns their directory."""
    directory = _published(checkpoint, workdir)
    missing = [path for path in paths if not (directory / path).exists()]
    if missing:
        fetch_tree(store, checkpoint, directory, missing)
    return directory


def fetch_trained_weights(store: Store, recipe: Recipe, checkpoint: CheckpointManifest, workdir: Path) -> Path:
    """What is trained, all weights or an adapter, of a checkpoint in one file: fetched, verified and joined once."""
    if recipe.lora is not None:
        return fetch_state(store, checkpoint, workdir, (ADAPTER,)) / ADAPTER
    directory = _published(checkpoint, workdir)
    whole = directory / WEIGHTS
    return whole if whole.exists() else fetch_joined(store, checkpoint, directory)


def trained_weights(recipe: Recipe, directory: Path) -> Path:
    """What is trained, all weights or an adapter, of a checkpoint on disk in one file."""
    return whole_weights(directory, directory) if recipe.lora is None else directory / ADAPTER


def _published(checkpoint: CheckpointManifest, workdir: Path) -> Path:
    return workdir / f"published-{checkpoint.sha256[:16]}"


def state_hash(path: Path) -> str:
    """SHA-256 of a file that repeating the training wrote.

    Raises:
        LlamafundError: It wrote no such file.
    """
    if not path.exists():
        raise LlamafundError(f"Repeating the training wrote no {path.name}", f"Expected in {path.parent}")
    return hash_file(path).sha256


def with_recipe(inputs: Inputs, directory: Path, **sections: Mapping[str, object]) -> Inputs:
    """The same inputs with some values of the recipe changed, for a repetition that is not the recipe's own.

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


def repeat_everywhere(store: Store, inputs: Inputs, segment: Segment, workdir: Path) -> dict[str, Path]:
    """Repeat a segment honestly under each of `INSTRUCTION_SETS` that this machine has.

    Args:
        store: Where the checkpoints are published.
        inputs: Recipe and data.
        segment: What to repeat.
        workdir: Existing directory for fetched and new files.

    Returns:
        By instruction set, the directory of the checkpoint that it ends with.

    Raises:
        LlamafundError: The store lacks something, or a process failed.
    """
    start = fetch_start(store, inputs.recipe, segment, workdir)
    first, last = segment.start.steps.last, segment.end.steps.last
    outcomes: dict[str, Path] = {}
    has = _processor_flags()
    for name, needed in INSTRUCTION_SETS.items():
        if needed and has and needed not in has:
            continue
        directory = workdir / f"calibration-{first}-{name}"
        directory.mkdir()
        changed = with_recipe(inputs, directory, determinism={"instruction_set": name})
        outcomes[name] = repeat_once(changed, segment.end.seed, first, last, start, directory / "repeated")
    return outcomes


def _processor_flags() -> frozenset[str]:
    """What the processor can do, as Linux calls it; empty elsewhere. A library told to use more would crash."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
