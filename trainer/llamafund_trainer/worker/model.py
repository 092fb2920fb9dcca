"""The model that is trained: a new `transformers.LlamaForCausalLM`, or a base model, with or without an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_trainer.llama import config_values
from llamafund_trainer.tensors.initial_weights import initial_tensors, parameter_shapes
from llamafund_trainer.worker.base_model import empty_base, load_base, saved_tensors, write_config
from llamafund_trainer.worker.peft_adapter import add_adapter, merged, tidy_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peft import PeftModel
    from transformers import PreTrainedModel

    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe


def empty_model(recipe: Recipe) -> LlamaForCausalLM:
    """A model of the recipe's architecture; its weights are not yet anything in particular."""
    build: Any = LlamaConfig
    return LlamaForCausalLM(build(**config_values(recipe), attn_implementation="eager"))


def initial_model(recipe: Recipe, seed: str) -> LlamaForCausalLM:
    """The model of checkpoint 0."""
    model = empty_model(recipe)
    set_weights(model, recipe, {name: torch.from_numpy(values) for name, values in initial_tensors(recipe, seed)})
    return model


def starting_model(recipe: Recipe, seed: str, base: Base | None) -> PreTrainedModel | PeftModel:
    """The model of checkpoint 0.

    Args:
        recipe: The run's recipe.
        seed: The training seed.
        base: The base model that the recipe names; `None` where it names none.

    Raises:
        VerificationError: The base model cannot be trained.
        UsageError: The recipe adapts layers that the base model does not have, or has longer samples than it takes.
    """
    if base is None:
        return initial_model(recipe, seed)
    model = load_base(base)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and recipe.data.context_length > longest:
        raise UsageError(
            f"data.context_length is {recipe.data.context_length}",
            f"The base model was made for {longest} tokens at most",
            "Choose a smaller one",
        )
    if recipe.lora is None:
        return model
    return add_adapter(model, recipe, seed, base)


def load_model(recipe: Recipe, weights: Path, base: Base | None = None) -> PreTrainedModel:
    """A model of the run's architecture with the weights of a file; the `config.json` beside it plays no part.

    Raises:
        VerificationError: The file is not safetensors, or its tensors are not the architecture's.
    """
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise VerificationError(f"{weights.name} cannot be read as safetensors", str(error)) from error
    if base is not None:
        model = empty_base(base)
        copy_tensors(saved_tensors(model), tensors)
        return model
    # Without memory first: a recipe can describe a model that is far larger than the file.
    with torch.device("meta"):
        set_weights(empty_model(recipe), recipe, tensors)
    new = empty_model(recipe)
    set_weights(new, recipe, tensors)
    return new


def set_weights(model: LlamaForCausalLM, recipe: Recipe, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into a model, each exactly once.

    Raises:
        VerificationError: Names, shapes or types are not the recipe's.
    """
    parameters = dict(model.named_parameters())
    copy_tensors({name: parameters[name] for name in parameter_shapes(recipe)}, tensors)


def copy_tensors(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into those of a model.

    Args:
        own: The model's, by name.
        tensors: As many others, of the same names, types and shapes.

    Raises:
        VerificationError: They are not.
    """
    if set(tensors) != set(own):
        odd = sorted(set(tensors) ^ set(own))
        raise VerificationError(
            f"The weights have other tensors than the recipe's model: {', '.join(map(repr, odd[:3]))}",
            f"{len(odd)} names are missing or unknown",
        )
    with torch.no_grad():
        for name, place in own.items():
            tensor = tensors[name]
            if tensor.shape != place.shape or tensor.dtype != place.dtype:
                raise VerificationError(
                    f"The tensor {name} is {tensor.dtype} of shape {tuple(tensor.shape)}",
                    f"The recipe's model has {str(place.dtype).removeprefix('torch.')} of shape {tuple(place.shape)}",
                )
            place.copy_(tensor)


def whole_model(model: Any) -> Any:
    """A model as it will be published: with its adapter merged into it, where it has one."""
    if not hasattr(model, "peft_config"):
        return model
    return merged(model)


def finish_fine_tuned(recipe: Recipe, base: Base, directory: Path) -> None:
    """Add to a checkpoint what the Trainer does not save, so that everything for the open weights is there."""
    base.copy_tokenizer(directory)
    if recipe.lora is None:
        return
    tidy_adapter(directory)
    write_config(base, directory)
    base.copy_generation_config(directory)
