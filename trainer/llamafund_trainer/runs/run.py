"""A whole training run: started, or continued after an interruption, and published checkpoint by checkpoint."""

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
from llamafund_chain.files import is_unfinished, storage_error, write_file
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.process.launch import run_job
from llamafund_trainer.process.messages import CheckpointEvent, Machines, StepEvent, StoppedEvent, TrainJob
from llamafund_trainer.process.pause import find_pause, remove_outdated_pause
from llamafund_trainer.recipe import Recipe, RecipeFile
from llamafund_trainer.runs.inputs import input_paths, prepare_inputs

if TYPE_CHECKING:
    from llamafund_chain.store import Store


_PAUSE = "pause"


class StoppedError(LlamafundError):
    """The run was told to stop, and can be continued."""

    exit_code = ExitCode.INTERRUPTED


class RunRecord(BaseModel):
    """Which run a directory belongs to; kept in `run.json`.

    Attributes:
        recipe: SHA-256 of the recipe file.
        dataset: SHA-256 of the dataset manifest.
        seed: The training seed, 64 hexadecimal digits.
        parent: SHA-256 of the evidence before the run.
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
    """How far a run has come.

    Attributes:
        step: Optimizer steps done.
        loss: Nats per token if it was just logged, else `None`.
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
    machines: Machines | None = None,
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> tuple[CheckpointManifest, ...]:
    """Train, and publish the recipe and every checkpoint.

    If several machines train together, each of them calls this with the same directory. The first one fetches and
    publishes.

    An interrupted run continues from its last published checkpoint with the optimizer's state. A run that was stopped
    with SIGTERM continues from the step at which it stopped.

    Args:
        store: Holds the dataset; takes everything else.
        recipe_file: The recipe.
        record: What the run is made of.
        directory: For inputs, the latest checkpoint and the manifests. Empty, missing, or of the same run.
        machines: Where the processes are; `None` if all are on this machine.
        progress: Called after steps and checkpoints.

    Returns:
        All checkpoints, oldest first.

    Raises:
        UsageError: The directory holds something else.
        StoppedError: The process got a SIGTERM and stopped after a step.
        LlamafundError: The store lacks something, or the training failed or diverged.
    """
    follows = machines is not None and machines.number > 0
    history = _published(store, record, directory / "manifests") if follows else _claim(store, record, directory)
    if not follows:
        store.pin(store.put_bytes(recipe_file.data).cid)
        prepare_inputs(store, recipe_file, record.dataset, directory / "inputs")
    if history and history[-1].steps.last < recipe_file.recipe.training.steps:
        history = _continued(recipe_file.recipe, history, directory / _PAUSE)
    checkpoints = list(history)
    if not checkpoints or checkpoints[-1].steps.last < recipe_file.recipe.training.steps:
        if not follows:
            _make_place(store, history, directory / "checkpoints")
        for event in run_job(_job(recipe_file.recipe, record, history, directory, machines), recipe_file.recipe):
            if isinstance(event, StepEvent):
                progress(RunProgress(event.step, event.loss))
            elif isinstance(event, CheckpointEvent):
                manifest = load_manifest(CheckpointManifest, event.manifest)
                publish_tree(store, event.directory, manifest)
                _remove_older(event.directory, manifest.steps.last)
                remove_outdated_pause(directory / _PAUSE, manifest.sha256, manifest.steps.last)
                checkpoints.append(manifest)
                progress(RunProgress(manifest.steps.last, checkpoint=manifest))
            elif isinstance(event, StoppedEvent):
                raise StoppedError(
                    f"The training stopped after step {event.step}",
                    "It was told to, and has saved its state",
                    "Run the same command again to continue from there",
                )
    if follows:
        checkpoints = [
            load_manifest(CheckpointManifest, path) for path in sorted((directory / "manifests").glob("step-*.json"))
        ]
    last = checkpoints[-1].steps.last if checkpoints else 0
    if last != recipe_file.recipe.training.steps:
        raise LlamafundError(
            f"The training ended after step {last}", f"The recipe has {recipe_file.recipe.training.steps} steps"
        )
    return tuple(checkpoints)


def _claim(store: Store, record: RunRecord, directory: Path) -> tuple[CheckpointManifest, ...]:
    """Take a directory for a run. Returns what the run has published so far, if it was started there before."""
    file = directory / "run.json"
    manifests = directory / "manifests"
    if not file.exists():
        if directory.exists() and not (directory.is_dir() and all(map(_is_left_over, directory.iterdir()))):
            raise UsageError(
                f"{str(directory)!r} is not empty and holds no training run",
                "The run's files would get mixed up with others",
                "Name an empty or new directory with --out",
            )
        try:
            manifests.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"Writing to {str(directory)!r}") from error
        write_file(file, (record.model_dump_json(indent=2) + "\n").encode())
        return ()
    try:
        earlier = RunRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{str(file)!r} does not describe a training run",
            "Another program or another version wrote it",
            "Name a new directory with --out",
        ) from error
    if earlier != record:
        changed = [name for name in RunRecord.model_fields if getattr(earlier, name) != getattr(record, name)]
        raise UsageError(
            f"{str(directory)!r} holds another training run",
            f"It differs in {', '.join(changed)}",
            "Name a new directory with --out",
        )
    return _published(store, record, manifests)


def _is_left_over(path: Path) -> bool:
    """Whether something may be left of a run that ended before `run.json` was written."""
    return is_unfinished(path.name) or (path.name == "manifests" and path.is_dir() and not any(path.iterdir()))


def _published(store: Store, record: RunRecord, manifests: Path) -> tuple[CheckpointManifest, ...]:
    history: list[CheckpointManifest] = []
    parent = record.parent
    for path in sorted(manifests.glob("step-*.json")):
        manifest = load_manifest(CheckpointManifest, path)
        # The manifest is published last. Without it the checkpoint is not complete, and the run makes it again.
        if manifest.parent != parent or not store.has(raw_cid(manifest.sha256)):
            break
        history.append(manifest)
        parent = manifest.sha256
    # It is faster to make the initial weights again than to fetch them.
    return tuple(history) if history and history[-1].steps.last > 0 else ()


def _continued(recipe: Recipe, history: tuple[CheckpointManifest, ...], pause: Path) -> tuple[CheckpointManifest, ...]:
    """The checkpoints up to the one that the run continues from; those after it are made again."""
    if find_pause(pause, history[-1].sha256) is not None:
        return history
    with_state = [number for number, link in enumerate(history) if recipe.keeps_state(link.steps.last)]
    return history[: with_state[-1] + 1] if with_state[-1] else ()


def _make_place(store: Store, history: tuple[CheckpointManifest, ...], checkpoints: Path) -> None:
    # An interrupted run may have left part of a checkpoint.
    shutil.rmtree(checkpoints, ignore_errors=True)
    if history:
        fetch_tree(store, history[-1], checkpoints / f"checkpoint-{history[-1].steps.last}")


def _job(
    recipe: Recipe,
    record: RunRecord,
    history: tuple[CheckpointManifest, ...],
    directory: Path,
    machines: Machines | None,
) -> TrainJob:
    place = directory.absolute()
    return TrainJob.model_validate(
        {
            **input_paths(recipe, place / "inputs"),
            "machines": machines,
            "seed": record.seed,
            "parent": record.parent,
            "milestone_steps": record.milestone_steps,
            "checkpoints": place / "checkpoints",
            "manifests": place / "manifests",
            "pause": place / _PAUSE,
            "resume": history[-1].steps.last if history else None,
        }
    )


def _remove_older(directory: Path, step: int) -> None:
    """Remove the checkpoints before this one, which are in the store.

    Later ones belong to the training process, which may be ahead.
    """
    for other in directory.parent.iterdir():
        kind, _, number = other.name.partition("-")
        if kind == "checkpoint" and number.isdecimal() and int(number) < step:
            shutil.rmtree(other, ignore_errors=True)
