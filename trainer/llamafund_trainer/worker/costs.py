"""What a model and a training step cost, counted on tensors without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from llamafund_trainer.process.messages import DryRunEvent
from llamafund_trainer.worker.base_model import empty_base
from llamafund_trainer.worker.model import empty_model
from llamafund_trainer.worker.peft_adapter import wrap

if TYPE_CHECKING:
    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe


_WEIGHT_BYTES = 4
"""Bytes per parameter for its value in float32."""

_TRAINED_BYTES = 12
"""Bytes per trained parameter for its gradient and AdamW's two moments in float32."""

_BUCKET_BYTES = 4
"""Bytes per trained parameter for DistributedDataParallel's buckets, if several processes exchange gradients."""

_GATHERED_BYTES = 8
"""Bytes per parameter of a layer gathered from all processes, for its weights and gradients in float32."""

_GATHERED_LAYERS = 2
"""The current layer and the one that is fetched ahead. Parameters outside the layers are always gathered."""


def count_costs(recipe: Recipe, base: Base | None = None) -> DryRunEvent:
    """Count on the meta device.

    Args:
        recipe: The recipe.
        base: The base model, if the recipe names one; only its configuration is read.
    """
    low = recipe.precision.dtype == "bfloat16"
    given: Any = None if base is None else empty_base(base, on_meta=True)
    if recipe.lora is not None:
        given = wrap(given, recipe)
    # Fake tensors are on the meta device but claim to be on the CPU; otherwise autocast would not apply to them.
    with FakeTensorMode(allow_non_fake_inputs=given is not None):
        model: Any = empty_model(recipe) if given is None else given.to_empty(device="cpu")
        model.tie_weights()
        return _count(model, recipe, torch.autocast("cpu", torch.bfloat16, enabled=low))


def _count(model: Any, recipe: Recipe, autocast: Any) -> DryRunEvent:
    if recipe.training.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    parameters = list(model.parameters())
    own = {_storage(parameter) for parameter in parameters}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        if _storage(tensor) not in own:
            # Kept alive, so that no later storage gets the same address.
            kept[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    batch, length = recipe.training.batch_size // recipe.determinism.processes, recipe.data.context_length
    tokens = torch.zeros((batch, length), dtype=torch.int64)
    # Given in full, because transformers would look at values to make one, and there are none.
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
        # In the end the adapter is merged into the model and adds no parameters.
        parameters=count if recipe.lora is None else count - trained,
        trained=trained,
        model_bytes=_model_bytes(model, recipe, count, trained),
        activation_bytes=activations,
        flops=counter.get_total_flops() * batches,
    )


def _model_bytes(model: Any, recipe: Recipe, count: int, trained: int) -> int:
    """Memory for the model's state in each process."""
    processes = recipe.determinism.processes
    if recipe.determinism.sharding == "none":
        return count * _WEIGHT_BYTES + trained * (_TRAINED_BYTES + (_BUCKET_BYTES if processes > 1 else 0))
    layers = model.model.layers
    layer: int = sum(parameter.numel() for parameter in layers[0].parameters())
    gathered = count - (len(layers) - min(len(layers), _GATHERED_LAYERS)) * layer
    return count * (_WEIGHT_BYTES + _TRAINED_BYTES) // processes + gathered * _GATHERED_BYTES


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)
