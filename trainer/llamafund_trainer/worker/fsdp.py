"""Fully sharded data parallel training with torch's FSDP2, and its checkpoints.

Parameters, gradients and optimizer state are split by rows among the processes. `torch.distributed.checkpoint` writes
checkpoints as safetensors, each process its own rows; see `shards`. Accelerate's FSDP plugin silently leaves a model on
the CPU whole. So the model is sharded here, and the Trainer is told that it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Trainer

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.files import machine_trouble, write_file
from llamafund_chain.strict_yaml import read_json
from llamafund_trainer.tensors.optimizer_bounds import COUNT, MEAN, SQUARES
from llamafund_trainer.tensors.optimizer_settings import MAX_SETTINGS, SCHEDULER_STATE
from llamafund_trainer.tensors.shards import MODEL, OPTIMIZER, SETTINGS, sort_header
from llamafund_trainer.worker.model import empty_model

if TYPE_CHECKING:
    from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
    from torch.distributed.checkpoint.storage import WriteResult

    from llamafund_trainer.recipe import Recipe


def sharded_model(
    recipe: Recipe, device: torch.device, rows: Iterable[tuple[str, torch.Tensor]], dtype: torch.dtype = torch.float32
) -> Any:
    """A new model whose parameters are split among the processes. No process ever holds more than its rows of it.

    A layer is gathered to compute it, and released afterwards.

    Args:
        recipe: Decides the architecture.
        device: This process's.
        rows: Each parameter's name with the rows that this process holds.
        dtype: Of the parameters.
    """
    with torch.device("meta"):
        model: Any = empty_model(recipe)
        model.to(dtype)
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device=device)
    # Parameters that were one are two now.
    model.tie_weights()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "inv_freq"):
                # Its numbers follow from the configuration, and are in no file.
                setattr(parent, name, type(child)(child.config).to(device))
    parameters = dict(model.named_parameters())
    for name, values in rows:
        with torch.no_grad():
            parameters.pop(name).to_local().copy_(values)
    if parameters:
        raise LlamafundError(f"The model's {min(parameters)} has no values")
    return model


def own_rows(tensor: torch.Tensor) -> torch.Tensor:
    """The rows of a tensor that this process holds, as `fully_shard` shares them out."""
    rows = tensor.chunk(distributed.get_world_size())
    rank = distributed.get_rank()
    return rows[rank] if rank < len(rows) else tensor[:0]


def exact_copy(recipe: Recipe, model: Any) -> Any:
    """A copy in float64 of a model that is split among the processes, split in the same way."""
    parameters = dict(model.named_parameters())
    device = next(iter(parameters.values())).to_local().device
    rows = ((name, parameter.to_local()) for name, parameter in parameters.items())
    return sharded_model(recipe, device, rows, torch.float64)


class ShardedTrainer(Trainer):
    """Trains a model that `sharded_model` has split, and saves and resumes in shards.

    Every process writes and reads its own rows. When saving returns, all rows are on disk.
    """

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        # Set only now: the Trainer refuses to save such models because it cannot resume them, but this class can.
        self.is_distributed_loading_by_transformers = True

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        # Do not defer it to the last batch of a step: no process has the memory for whole gradients.
        yield

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the parameters in shards, and the configuration."""
        directory = Path(str(output_dir or self.args.output_dir))
        model: Any = self.model
        if self.args.should_save:
            directory.mkdir(parents=True, exist_ok=True)
            # FSDP renames its classes, but the file is for loading the whole model.
            model.config.architectures = [type(model).__name__.removeprefix("FSDP")]
            model.config.save_pretrained(directory)
            model.generation_config.save_pretrained(directory)
        _save(dict(model.named_parameters()), directory / MODEL)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        model = self.model if model is None else model
        _load(dict(model.named_parameters()), Path(resume_from_checkpoint) / MODEL)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        directory = Path(output_dir)
        optimizer, scheduler = self._optimization()
        # Before the first step there is no state.
        if optimizer.state:
            _save(self._moments(), directory / OPTIMIZER)
        if self.args.should_save:
            settings = [
                {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
            ]
            write_file(directory / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
            torch.save(scheduler.state_dict(), directory / SCHEDULER_STATE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        directory = Path(checkpoint)
        optimizer, scheduler = self._optimization()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                moments = {name: torch.zeros_like(parameter) for name in (MEAN, SQUARES)}
                optimizer.state[parameter] = {COUNT: torch.tensor(0.0), **moments}
        _load(self._moments(), directory / OPTIMIZER)
        for group, settings in zip(optimizer.param_groups, read_json(directory / SETTINGS, MAX_SETTINGS), strict=True):
            # The file must not decide which parameters are in a group.
            group.update({name: _as_torch(value) for name, value in settings.items() if name != "params"})
        scheduler.load_state_dict(torch.load(directory / SCHEDULER_STATE, weights_only=True))

    def _optimization(self) -> tuple[Any, Any]:
        return self.optimizer, self.lr_scheduler

    def _moments(self) -> dict[str, torch.Tensor]:
        """The optimizer's tensors, by the names of the parameters that they belong to."""
        model: Any = self.model
        optimizer, _ = self._optimization()
        return {
            f"{name}.{key}": value
            for name, parameter in model.named_parameters()
            for key, value in optimizer.state[parameter].items()
        }


class _StableWriter(HuggingFaceStorageWriter):
    """Writes the same bytes for the same tensors."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Any:
        future = super().write_data(plan, planner)
        results: list[WriteResult] = future.wait()
        for name in {result.storage_data.relative_path for result in results}:
            path = Path(self.path) / name
            sort_header(path)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        return future


def _save(tensors: dict[str, Any], directory: Path) -> None:
    with _cause_of_failure():
        save(tensors, storage_writer=_StableWriter(str(directory), save_distributed=True))


def _load(tensors: dict[str, Any], directory: Path) -> None:
    """Read each process's part of tensors into them."""
    try:
        with _cause_of_failure():
            load(tensors, storage_reader=HuggingFaceStorageReader(str(directory)))
    # A stranger's files can raise any exception.
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise machine_trouble(error, f"Reading {directory.name}/") or VerificationError(
            f"The shards in {directory.name}/ are not the state of this model", f"Torch says: {said}", "Do not use them"
        ) from error


@contextmanager
def _cause_of_failure() -> Iterator[None]:
    """Raise the cause in the first failed process, not torch's list of all causes, which is not an `Exception`."""
    try:
        yield
    except CheckpointException as failed:
        cause, _ = failed.failures[min(failed.failures)]
        if isinstance(cause, Exception):
            raise cause from failed
        raise RuntimeError(str(cause)) from failed


def _as_torch(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
