"""Low-rank adapters in the training process, through peft."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from llamafund_chain.errors import VerificationError
from llamafund_trainer.tensors.lora import ADAPTER_CONFIG, LowRank, initial_pair, merge_weight
from llamafund_trainer.worker.base_model import saved_tensors
from llamafund_trainer.worker.misfit import MisfitError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import LoraSection, Recipe

_ADAPTER = "default"
"""Peft's name for an adapter without a name."""

_PEFT_CARD = "README.md"


def add_adapter(model: PreTrainedModel, recipe: Recipe, seed: str, base: Base) -> PeftModel:
    """The base model with the adapter of checkpoint 0. Only the adapter is trained.

    Raises:
        MisfitError: The recipe names layers that cannot be adapted.
        VerificationError: The base model's tensors do not have the names that transformers gives them.
    """
    saved = set(saved_tensors(model))
    if saved != set(base.tensors):
        odd = sorted(saved ^ set(base.tensors))
        raise VerificationError(
            f"The base model's tensors have other names than in transformers: {', '.join(map(repr, odd[:3]))}",
            "An adapter could not be merged into them",
            "Load and save it once with transformers, and publish the result",
        )
    wrapped = wrap(model, recipe)
    with torch.no_grad():
        for name, layer in _adapted(wrapped):
            down, up = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
            pair = initial_pair(seed, name, down.shape[0], up.shape[0], down.shape[1])
            down.copy_(torch.from_numpy(pair.down))
            up.copy_(torch.from_numpy(pair.up))
    return wrapped


def wrap(model: PreTrainedModel, recipe: Recipe) -> PeftModel:
    """The model with an adapter that has arbitrary values; raises what `add_adapter` raises."""
    # Only here: a job that trains no adapter runs without peft.
    from peft import LoraConfig, get_peft_model

    lora = recipe.lora
    assert lora is not None
    # The adapter's configuration names it, where a directory of this machine would be useless.
    model.name_or_path = str(recipe.base)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_targets(model, lora),
        bias="none",
    )
    return get_peft_model(model, config)


def merged(model: Any) -> PreTrainedModel:
    """A copy of the base model with its adapter merged, as it will be published."""
    whole: Any = copy.deepcopy(model).cpu()
    with torch.no_grad():
        for _, layer in _adapted(whole):
            pair = LowRank(layer.lora_A[_ADAPTER].weight.numpy(), layer.lora_B[_ADAPTER].weight.numpy())
            weight = layer.get_base_layer().weight
            weight.copy_(torch.from_numpy(merge_weight(weight.numpy(), pair, layer.scaling[_ADAPTER])))
    return whole.unload()  # type: ignore[no-any-return]


def tidy_adapter(directory: Path) -> None:
    """Make the files that peft wrote beside the adapter the same in every run."""
    (directory / _PEFT_CARD).unlink(missing_ok=True)
    path = directory / ADAPTER_CONFIG
    config = json.loads(path.read_bytes())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _targets(model: PreTrainedModel, lora: LoraSection) -> list[str]:
    """The full names of the layers to adapt."""
    whole: Any = model
    output = whole.get_output_embeddings()
    linear = {
        name: name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module) is torch.nn.Linear and module is not output
    }
    known = sorted(set(linear.values()))
    if not known:
        raise MisfitError(
            "The base model has no linear layers to adapt",
            f"It is a {type(model).__name__}",
            "Leave out lora to train all weights",
        )
    wanted = known if lora.target_modules == "all-linear" else lora.target_modules
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise MisfitError(
                f"The base model has no linear layer called {name!r}; the nearest one is {near!r}",
                f"lora.target_modules may name these layers: {', '.join(known)}",
                "Correct the recipe",
            )
    return [name for name, last in linear.items() if last in wanted]


def _adapted(model: Any) -> Iterator[tuple[str, Any]]:
    """The adapted layers, with their names in the base model."""
    for name, module in model.get_base_model().named_modules():
        if hasattr(module, "lora_A") and _ADAPTER in module.lora_A:
            yield name, module
