"""What a recipe would take: parameters, memory, tokens, operations, and an estimate of time and money.

The model is built on the meta device, where tensors have shapes and no memory. One batch goes forward and backward
there, so operations and kept activations are counted, not guessed; only the speed of a device and its price are
assumptions.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import LlamafundError
from llamafund_chain.store import MissingContentError
from llamafund_trainer.base import fetch_base
from llamafund_trainer.jobs import DryRunEvent, DryRunJob
from llamafund_trainer.process import bounds_for, run_job

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.base import Base
    from llamafund_trainer.recipe import Recipe, RecipeFile

_WEIGHT_BYTES = 4
"""For each parameter: its value in float32."""

_TRAINED_BYTES = 12
"""For each parameter that is trained: gradient and AdamW's two moments in float32."""

_BUCKET_BYTES = 4
"""For each parameter that is trained, where several processes exchange gradients: DistributedDataParallel's buckets."""

_GATHERED_BYTES = 8
"""For each parameter of a layer that is gathered from all processes: its weights and gradients in float32."""

_GATHERED_LAYERS = 2
"""The layer at work and the one that is fetched ahead of time; what is outside of the layers is always gathered."""


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
        price: US dollars an hour for one device; the device's own when null.
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


def count_costs(recipe: Recipe, base: Base | None = None) -> DryRunEvent:
    """Count on the meta device; imports torch, so it belongs into the training process.

    Args:
        recipe: What to count.
        base: The base model, where the recipe names one; only its configuration is read.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from llamafund_trainer.foundation import empty_base
    from llamafund_trainer.model import empty_model

    low = recipe.precision.dtype == "bfloat16"
    given: Any = None if base is None else empty_base(base, on_meta=True)
    if recipe.lora is not None:
        from llamafund_trainer.adapters import wrap

        given = wrap(given, recipe)
    # Tensors on the meta device that say they are elsewhere: only so does autocast apply to them.
    with FakeTensorMode(allow_non_fake_inputs=given is not None):
        model: Any = empty_model(recipe) if given is None else given.to_empty(device="cpu")
        model.tie_weights()
        return _count(model, recipe, torch.autocast("cpu", torch.bfloat16, enabled=low))


def _count(model: Any, recipe: Recipe, autocast: Any) -> DryRunEvent:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    if recipe.training.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    parameters = list(model.parameters())
    own = {_storage(parameter) for parameter in parameters}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        if _storage(tensor) not in own:
            # Held on to, so that no later storage takes its place and its number.
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    batch, length = recipe.training.batch_size // recipe.determinism.processes, recipe.data.context_length
    tokens = torch.zeros((batch, length), dtype=torch.int64)
    # Given whole, because transformers looks at values to make one, and here there are none.
    mask = torch.zeros((batch, 1, length, length))
    counter: Any = FlopCounterMode(display=False)
    with counter:
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            autocast,
        ):
            loss = model(input_ids=tokens, attention_mask=mask, labels=tokens, use_cache=False).loss
        activations = sum(storage.nbytes() for storage in kept.values())
        loss.backward()
    batches = recipe.training.steps * recipe.training.gradient_accumulation * recipe.determinism.processes
    count = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return DryRunEvent(
        # What an adapter adds is merged into the model in the end.
        parameters=count if recipe.lora is None else count - trained,
        trained=trained,
        model_bytes=_model_bytes(model, recipe, count, trained),
        activation_bytes=activations,
        flops=counter.get_total_flops() * batches,
    )


def _model_bytes(model: Any, recipe: Recipe, count: int, trained: int) -> int:
    """In each process, for so many parameters, of which so many are trained."""
    processes = recipe.determinism.processes
    if recipe.determinism.sharding == "none":
        return count * _WEIGHT_BYTES + trained * (_TRAINED_BYTES + (_BUCKET_BYTES if processes > 1 else 0))
    layers = model.model.layers
    layer: int = sum(parameter.numel() for parameter in layers[0].parameters())
    gathered = count - (len(layers) - min(len(layers), _GATHERED_LAYERS)) * layer
    return count * (_WEIGHT_BYTES + _TRAINED_BYTES) // processes + gathered * _GATHERED_BYTES


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)
