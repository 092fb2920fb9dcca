"""What a recipe would take: parameters, memory, tokens, operations, and an estimate of time and cost.

The model is built on the meta device, where tensors have shapes but no memory. One batch goes forward and backward
there. Operations and memory are therefore counted; only a device's speed and price are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import MissingContentError
from llamafund_trainer.base_files import fetch_base
from llamafund_trainer.process.launch import bounds_for, run_job
from llamafund_trainer.process.messages import DryRunEvent, DryRunJob
from llamafund_trainer.record.environment import settings_outside

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import RecipeFile


@dataclass(frozen=True)
class Device:
    """A kind of device to estimate with. All values are assumptions.

    Attributes:
        name: What people call it.
        flops: Operations per second that training sustains. For accelerators, 40 % of the vendor's dense bfloat16
            peak, which well-tuned training of this size reaches (PaLM, arXiv 2204.02311, section 4.1).
        memory: Bytes.
        price: US dollars per hour, about what providers charged when this was written.
    """

    name: str
    flops: float
    memory: int
    price: float


DEVICES = {
    "laptop": Device("laptop, two cores", 0.05e12, 16 * 10**9, 0.0),
    "rtx-4090": Device("RTX 4090", 0.4 * 165e12, 24 * 10**9, 0.40),
    "a100": Device("A100 80 GB", 0.4 * 312e12, 80 * 10**9, 1.60),
    "h100": Device("H100 80 GB", 0.4 * 989e12, 80 * 10**9, 2.50),
    "h200": Device("H200 141 GB", 0.4 * 989e12, 141 * 10**9, 3.20),
    "b200": Device("B200 180 GB", 0.4 * 2250e12, 180 * 10**9, 4.50),
}


HOST_FLOPS = {"laptop": 0.025e12}
"""Operations per second in float64 that a device's host sustains. It measures checkpoints where a GPU has no room for
it. An assumption."""

SERVER_FLOPS = 0.5e12
"""The same for the hosts of all others."""

TOKEN_BYTES = 4
"""Bytes of text for each token, to estimate the time of a measurement. About what English takes with a vocabulary of
32 000 to 128 000 tokens; smaller vocabularies have shorter tokens."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        counted: What was counted on the meta device.
        device: The device that the estimate assumes.
        price: US dollars per hour and device.
        tokens: Tokens that the model sees, counting repeated ones.
        devices: How many devices, one for each process.
        seconds: For the whole run.
        dollars: For the whole run.
        fixes_environment: Whether the recipe says where it is trained.
        outside: What this machine has other than the recipe says: name to (what it says, what is here).
        steps: Of the whole run.
        checkpoints: How many the run publishes, with the initial one.
        with_state: How many of them hold the optimizer's state; the initial one has none yet.
        store: Bytes of all checkpoints in the store: weights in float32, and two moments for each parameter where the
            optimizer's state is.
        saved: Bytes that the store would have more if all checkpoints held the optimizer's state.
        segment_steps: Steps that a replay repeats at least.
        measuring: Seconds that the host takes to measure a checkpoint on a megabyte of held-out text.
    """

    counted: DryRunEvent
    device: Device
    price: float
    tokens: int
    devices: int
    seconds: float
    dollars: float
    fixes_environment: bool
    outside: dict[str, tuple[str, str]]
    steps: int
    checkpoints: int
    with_state: int
    store: int
    saved: int
    segment_steps: int
    measuring: float

    @property
    def segment_seconds(self) -> float:
        """What a replay of the fewest steps takes on the same devices."""
        return self.seconds * self.segment_steps / self.steps

    @property
    def memory(self) -> int:
        """Bytes in each process."""
        return self.counted.model_bytes + self.counted.activation_bytes

    @property
    def fits(self) -> bool:
        """Whether one process's share fits into one device's memory."""
        return self.memory <= self.device.memory


def dry_run(
    recipe_file: RecipeFile, device: Device, price: float | None = None, store: Store | None = None
) -> Estimate:
    """Count in a separate process, and estimate.

    Args:
        recipe_file: The recipe.
        device: The device to assume.
        price: US dollars per hour and device; the device's usual price when `None`.
        store: Holds the configuration of the base model, if the recipe names one.

    Raises:
        LlamafundError: The process failed, or the store lacks the base model's configuration.
        VerificationError: The base model cannot be trained.
    """
    recipe = recipe_file.recipe
    with ScratchFolder("dry-run") as place:
        path = place / "recipe.yaml"
        path.write_bytes(recipe_file.data)
        job = DryRunJob(recipe=path)
        if recipe.base is not None:
            base = _base_shape(store, recipe.base, place / "base")
            job = DryRunJob(recipe=path, base=base, bounds=bounds_for(base))
        for event in run_job(job, recipe):
            if isinstance(event, DryRunEvent):
                break
        else:
            raise LlamafundError("The dry run ended without a result")
    devices = recipe.determinism.processes
    seconds = event.flops / (device.flops * devices)
    price = device.price if price is None else price
    checkpoints, with_state = len(recipe.checkpoint_steps()), len(recipe.state_steps()) - 1
    weights, moments = 4 * event.trained, 8 * event.trained
    host_flops = next((HOST_FLOPS[key] for key in HOST_FLOPS if DEVICES[key] is device), SERVER_FLOPS)
    return Estimate(
        counted=event,
        device=device,
        price=price,
        tokens=recipe.training.steps * recipe.samples_per_step * recipe.data.context_length,
        devices=devices,
        seconds=seconds,
        dollars=seconds / 3600 * devices * price,
        fixes_environment=recipe.environment is not None,
        outside=settings_outside(recipe, event.environment),
        steps=recipe.training.steps,
        checkpoints=checkpoints,
        with_state=with_state,
        store=weights * checkpoints + moments * with_state,
        saved=moments * (checkpoints - 1 - with_state),
        segment_steps=recipe.state_steps().step,
        measuring=event.measuring_flops * 10**6 / TOKEN_BYTES / host_flops,
    )


def _base_shape(store: Store | None, sha256: str, directory: Path) -> Path:
    """Fetch the base model's configuration, which is all that counting needs; returns its directory."""
    try:
        if store is None:
            raise MissingContentError("No store was named")
        return fetch_base(store, sha256, directory, weights=False).directory
    except MissingContentError as error:
        raise MissingContentError(
            f"The size of the base model {sha256} is not known",
            f"Its config.json says it, and cannot be fetched: {error.what}",
            "Name a store that holds the base model with --store; llamafund publish puts one there",
        ) from error
