"""What a recipe would take: parameters, memory, tokens, operations, and an estimate of time and money.

The model is built on the meta device, where tensors have shapes and no memory. One batch goes forward and backward
there, so operations and kept activations are counted, not guessed; only the speed of a device and its price are
assumptions.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError
from llamafund_chain.store import MissingContentError
from llamafund_trainer.base_files import fetch_base
from llamafund_trainer.process.launch import bounds_for, run_job
from llamafund_trainer.process.messages import DryRunEvent, DryRunJob

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import RecipeFile


@dataclass(frozen=True)
class Device:
    """A kind of machine to estimate with; all of it is an assumption.

    Attributes:
        name: What people call it.
        flops: Operations a second that training sustains; for accelerators 40 % of the dense bfloat16 peak that the
            vendor states, which well-tuned training of this size reaches (PaLM, arXiv 2204.02311, section 4.1).
        memory: Bytes.
        price: US dollars an hour, of the order that providers asked when this was written.
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


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        counted: On the meta device.
        tokens: That the model sees, repeated ones included.
        devices: How many, one for each process.
        seconds: Of the whole run.
        dollars: Of the whole run.
        fits: Whether one process's share fits into one device's memory.
    """

    counted: DryRunEvent
    device: Device
    tokens: int
    devices: int
    seconds: float
    dollars: float
    fits: bool

    @property
    def memory(self) -> int:
        """Bytes in each process."""
        return self.counted.model_bytes + self.counted.activation_bytes


def dry_run(
    recipe_file: RecipeFile, device: Device, price: float | None = None, store: Store | None = None
) -> Estimate:
    """Count in a process of its own, and estimate.

    Args:
        recipe_file: The recipe.
        device: What to estimate with.
        price: US dollars an hour for one device; the device's own when `None`.
        store: Holds the configuration of the base model, where the recipe names one.

    Raises:
        LlamafundError: The process failed, or there is a base model and the store lacks its configuration.
        VerificationError: The base model cannot be trained.
    """
    recipe = recipe_file.recipe
    with tempfile.TemporaryDirectory(prefix="llamafund-") as place:
        path = Path(place) / "recipe.yaml"
        path.write_bytes(recipe_file.data)
        job = DryRunJob(recipe=path)
        if recipe.base is not None:
            base = _base_shape(store, recipe.base, Path(place) / "base")
            job = DryRunJob(recipe=path, base=base, bounds=bounds_for(base))
        for event in run_job(job, recipe):
            if isinstance(event, DryRunEvent):
                break
        else:
            raise LlamafundError("The dry run ended without a result")
    devices = recipe.determinism.processes
    seconds = event.flops / (device.flops * devices)
    return Estimate(
        counted=event,
        device=device,
        tokens=recipe.training.steps * recipe.samples_per_step * recipe.data.context_length,
        devices=devices,
        seconds=seconds,
        dollars=seconds / 3600 * devices * (device.price if price is None else price),
        fits=event.model_bytes + event.activation_bytes <= device.memory,
    )


def _base_shape(store: Store | None, sha256: str, directory: Path) -> Path:
    """The directory with the base model's configuration; the weights are not needed."""
    try:
        if store is None:
            raise MissingContentError("No store was named")
        return fetch_base(store, sha256, directory, weights=False).directory
    except MissingContentError as error:
        raise MissingContentError(
            f"The shape of the base model {sha256} is not known",
            f"It stands in its config.json: {error.what}",
            "Name a store that holds the base model with --store; see llamafund publish",
        ) from error
