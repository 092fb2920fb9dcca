"""What a model, a training step and a measurement cost, counted on tensors without memory."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from llamafund_trainer.process.messages import DryRunEvent
from llamafund_trainer.record.environment import environment_here
from llamafund_trainer.worker.base_model import empty_base
from llamafund_trainer.worker.model import empty_model
from llamafund_trainer.worker.peft_adapter import wrap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe


_VALUE_BYTES = 4
"""Bytes of a number in float32, as which weights, gradients and AdamW's moments are kept."""

_EXACT_BYTES = 8
"""Bytes of a number in float64, as which the weights are measured."""

_MOMENTS = 2
"""Numbers that AdamW keeps for each trained parameter."""

_BUCKET_BYTES = 4
"""Bytes per trained parameter for DistributedDataParallel's buckets, if several processes exchange gradients."""

_GATHERED_BYTES = 8
"""Bytes per parameter of a layer gathered from all processes, for its weights and gradients in float32."""

_GATHERED_LAYERS = 2
"""The current layer and the one that is fetched ahead. Parameters outside the layers are always gathered."""

_HELD_BACK = 1.5
"""How much more than it needs a step holds on the CPU, where the C library keeps pieces of memory for later: 1.4 to 1.6
times were seen with glibc 2.36."""

LIBRARY_BYTES = 500 * 10**6
"""Host memory of a process that has loaded the libraries and no model: 0.42 to 0.53 GB were seen with torch 2.13 on
Linux. With CUDA it is more."""


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


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the memory of all tensors that come into being, also of those that are soon gone.

    Args:
        known: Tensors that do not count.

    Attributes:
        most: The most bytes at any time.
    """

    def __init__(self, known: Iterable[Any] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._now = 0
        self._known: Any = WeakIdKeyDictionary()
        for tensor in known:
            self._known[tensor.untyped_storage()] = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor):
                self._see(each.untyped_storage())
        return result

    def _see(self, storage: Any) -> None:
        if storage in self._known:
            return
        size = int(storage.nbytes())
        self._known[storage] = True
        weakref.finalize(storage, self._forget, size)
        self._now += size
        self.most = max(self.most, self._now)

    def _forget(self, size: int) -> None:
        self._now -= size


def _count(model: Any, recipe: Recipe, autocast: Any) -> DryRunEvent:
    parameters = list(model.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    if recipe.training.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    step, flops = _step(model, recipe, autocast)
    state, update = _state_bytes(model, recipe, count, trained)
    measured, per_token = _measuring(model, recipe, count)
    batches = recipe.training.steps * recipe.training.gradient_accumulation * recipe.determinism.processes
    beside = max(step, update)
    on_cpu = recipe.determinism.device == "cpu"
    # While checkpoints are measured there are no gradients.
    kept = (count + _MOMENTS * trained) * _VALUE_BYTES if recipe.determinism.sharding == "none" else state
    # The initial weights are drawn as a copy, from which the model is filled; a split model is filled row by row.
    started = 2 * count * _VALUE_BYTES if recipe.determinism.sharding == "none" else state
    host = max(state + int(beside * _HELD_BACK), kept + measured, started) if on_cpu else max(measured, started)
    return DryRunEvent(
        environment=environment_here(recipe),
        # In the end the adapter is merged into the model and adds no parameters.
        parameters=count if recipe.lora is None else count - trained,
        trained=trained,
        model_bytes=state,
        activation_bytes=beside,
        host_bytes=LIBRARY_BYTES + host,
        flops=flops * batches,
        measuring_flops=per_token,
    )


def _step(model: Any, recipe: Recipe, autocast: Any) -> tuple[int, int]:
    """The memory of a batch's way forward and back beside the model's state, and its operations."""
    batch, length = recipe.training.batch_size // recipe.determinism.processes, recipe.data.context_length
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]

    def go() -> None:
        tokens = torch.zeros((batch, length), dtype=torch.int64)
        # Given in full, because transformers would look at values to make one, and there are none.
        mask = torch.zeros((batch, 1, length, length))
        with autocast:
            loss = model(input_ids=tokens, attention_mask=mask, labels=tokens, use_cache=False).loss
        loss.backward()

    # Counted apart, because this counter keeps tensors alive when layers are computed twice.
    counter: Any = FlopCounterMode(display=False)
    with counter:
        go()
    whole = recipe.determinism.sharding == "none"
    before = whole and recipe.training.gradient_accumulation > 1
    for parameter in trained:
        if not before:
            parameter.grad = None
        if not whole:
            # Each is handed on when it is there.
            parameter.register_post_accumulate_grad_hook(_drop_gradient)
    gradients = [parameter.grad for parameter in trained] if before else []
    peak = _Peak([*parameters, *model.buffers(), *gradients])
    with peak:
        go()
    # The state counts gradients, too.
    counted = sum(parameter.numel() for parameter in trained) * _VALUE_BYTES if whole and not before else 0
    return max(0, peak.most - counted), counter.get_total_flops()


def _drop_gradient(parameter: Any) -> None:
    parameter.grad = None


def _measuring(model: Any, recipe: Recipe, count: int) -> tuple[int, int]:
    """The memory of the copy that measures a checkpoint, and the operations for a token of the held-out text."""
    whole = model if recipe.lora is None else model.get_base_model()
    batch, length = recipe.evaluation.batch_size, recipe.data.context_length
    whole.eval()
    if getattr(whole, "_supports_sdpa", False):
        whole.set_attn_implementation("sdpa")
    counter: Any = FlopCounterMode(display=False)
    peak = _Peak([*whole.parameters(), *whole.buffers()])
    with torch.no_grad(), counter, peak:
        tokens = torch.zeros((batch, length), dtype=torch.int64)
        logits = whole(input_ids=tokens, use_cache=False).logits
        torch.log_softmax(logits, dim=-1).gather(-1, tokens.unsqueeze(-1))
    copied = count // (recipe.determinism.processes if recipe.determinism.sharding == "full" else 1)
    per_token: int = counter.get_total_flops() // (batch * recipe.evaluation_stride)
    # Counted in float32, but measured in float64.
    predicted = peak.most * _EXACT_BYTES // _VALUE_BYTES
    return copied * _EXACT_BYTES + predicted, per_token


def _state_bytes(model: Any, recipe: Recipe, count: int, trained: int) -> tuple[int, int]:
    """Memory in each process for weights, gradients and optimizer state, and what an update takes beside them."""
    processes = recipe.determinism.processes
    numbers = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    # On a GPU AdamW updates all parameters together, with a number more for each; on the CPU one after the other.
    update = trained if recipe.determinism.device == "cuda" else 2 * max(numbers)
    if recipe.determinism.sharding == "none":
        buckets = trained * _BUCKET_BYTES if processes > 1 else 0
        return (count + (1 + _MOMENTS) * trained) * _VALUE_BYTES + buckets, update * _VALUE_BYTES
    layers = model.model.layers
    layer: int = sum(parameter.numel() for parameter in layers[0].parameters())
    gathered = count - (len(layers) - min(len(layers), _GATHERED_LAYERS)) * layer
    state = (count + (1 + _MOMENTS) * trained) * _VALUE_BYTES // processes + gathered * _GATHERED_BYTES
    return state, update * _VALUE_BYTES // processes
