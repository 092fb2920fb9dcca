"""A whole training run: started, continued where it was interrupted, published checkpoint by checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from llamafund_chain.errors import ExitCode, LlamafundError, UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import CheckpointManifest, load_manifest
from llamafund_chain.files import write_file
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.process.launch import run_job
from llamafund_trainer.process.messages import CheckpointEvent, StepEvent, StoppedEvent, TrainJob
from llamafund_trainer.process.pause import remove_outdated_pause
from llamafund_trainer.recipe import RecipeFile
from llamafund_trainer.runs.inputs import Inputs, prepare_inputs

if TYPE_CHECKING:
    from llamafund_chain.store import Store


_PAUSE = "pause"


class StoppedError(LlamafundError):
    """The run was told to stop; it can go on."""

    exit_code = ExitCode.INTERRUPTED


class RunRecord(BaseModel):
    """What a run directory belongs to; kept in `run.json`.

    Attributes:
        recipe: SHA-256 of the recipe file.
        dataset: SHA-256 of the dataset manifest.
        seed: The training seed, 64 hexadecimal digits.
        parent: Evidence that the run grows out of.
        milestone_steps: Steps after which a milestone's evidence is due.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    recipe: str
    dataset: str
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        step: Optimizer steps done.
        loss: Nats per token where it was just logged, else `None`.
        checkpoint: The checkpoint that was just published, else `None`.
    """

    step: int
    loss: float | None = None
    checkpoint: CheckpointManifest | None = None


def train_run(
    store: Store,
    recipe_file: RecipeFile,
    record: RunRecord,
    directory: Path,
    *,
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> tuple[CheckpointManifest, ...]:
    """Train, and publish the recipe and every checkpoint.

    A run that was interrupted goes on after its last published checkpoint; one that was told to stop with a
    SIGTERM, after the step at which it did.

    Args:
        store: Holds the dataset; takes everything else.
        recipe_file: What to do.
        record: What the run is made of.
        directory: For inputs, the latest checkpoint and the manifests; empty, missing, or of the same run.
        progress: Told about steps and checkpoints.

    Returns:
        All checkpoints, oldest first.

    Raises:
        UsageError: The directory holds something else.
        StoppedError: The process got a SIGTERM and stopped after a step.
        LlamafundError: The store lacks something, or the training failed or diverged.
    """
    history = _claim(store, record, directory)
    store.pin(store.put_bytes(recipe_file.data).cid)
    inputs = prepare_inputs(store, recipe_file, record.dataset, directory / "inputs")
    checkpoints = list(history)
    if not checkpoints or checkpoints[-1].steps.last < recipe_file.recipe.training.steps:
        for event in run_job(_job(store, inputs, record, history, directory), recipe_file.recipe):
            if isinstance(event, StepEvent):
                progress(RunProgress(event.step, event.loss))
            elif isinstance(event, CheckpointEvent):
                manifest = load_manifest(CheckpointManifest, event.manifest)
                publish_tree(store, event.directory, manifest)
                _remove_older(event.directory, manifest.steps.last)
                remove_outdated_pause(directory / _PAUSE, manifest.sha256)
                checkpoints.append(manifest)
                progress(RunProgress(manifest.steps.last, checkpoint=manifest))
            elif isinstance(event, StoppedEvent):
                raise StoppedError(
                    f"The training was told to stop and did so after step {event.step}",
                    "Its state is saved",
                    "Run the same command again: it goes on from there",
                )
    last = checkpoints[-1].steps.last
    if last != recipe_file.recipe.training.steps:
        raise LlamafundError(
            f"The training stopped after step {last}", f"The recipe has {recipe_file.recipe.training.steps} steps"
        )
    return tuple(checkpoints)


def _claim(store: Store, record: RunRecord, directory: Path) -> tuple[CheckpointManifest, ...]:
    """Take a directory for a run; what the run published so far, when it was begun there before."""
    file = directory / "run.json"
    manifests = directory / "manifests"
    if not file.exists():
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(
                f"{str(directory)!r} holds something that is not a training run",
                "Files of two runs would be mixed up",
                "Name an empty or new directory with --out",
            )
        manifests.mkdir(parents=True)
        write_file(file, (record.model_dump_json(indent=2) + "\n").encode())
        return ()
    try:
        earlier = RunRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{str(file)!r} does not describe a training run", remedy="Name a new directory") from error
    if earlier != record:
        changed = [name for name in RunRecord.model_fields if getattr(earlier, name) != getattr(record, name)]
        raise UsageError(
            f"{str(directory)!r} holds another training run",
            f"It differs in {', '.join(changed)}",
            "Name a new directory with --out",
        )
    return _published(store, record, manifests)


def _published(store: Store, record: RunRecord, manifests: Path) -> tuple[CheckpointManifest, ...]:
    history: list[CheckpointManifest] = []
    parent = record.parent
    for path in sorted(manifests.glob("step-*.json")):
        manifest = load_manifest(CheckpointManifest, path)
        # A manifest whose files were not all published yet belongs to a checkpoint that has to be made again.
        if manifest.parent != parent or not store.has(raw_cid(manifest.sha256)):
            break
        history.append(manifest)
        parent = manifest.sha256
    # The initial weights alone are quicker made again than fetched.
    return tuple(history) if history and history[-1].steps.last > 0 else ()


def _job(
    store: Store, inputs: Inputs, record: RunRecord, history: tuple[CheckpointManifest, ...], directory: Path
) -> TrainJob:
    place = directory.absolute()
    manifests = place / "manifests"
    checkpoints = place / "checkpoints"
    # What an interrupted run left half-written must not mix with what is written now.
    shutil.rmtree(checkpoints, ignore_errors=True)
    if history:
        fetch_tree(store, history[-1], checkpoints / f"checkpoint-{history[-1].steps.last}")
    return TrainJob(
        recipe=inputs.recipe_path,
        dataset=inputs.dataset_path,
        data=inputs.data,
        base=inputs.base_path,
        seed=record.seed,
        parent=record.parent,
        milestone_steps=record.milestone_steps,
        checkpoints=checkpoints,
        manifests=manifests,
        pause=place / _PAUSE,
        resume=history[-1].steps.last if history else None,
    )


def _remove_older(directory: Path, step: int) -> None:
    """Remove the checkpoints before this one: they are in the store.

    Later ones belong to the training process, which may be ahead.
    """
    for other in directory.parent.iterdir():
        kind, _, number = other.name.partition("-")
        if kind == "checkpoint" and number.isdecimal() and int(number) < step:
            shutil.rmtree(other, ignore_errors=True)
