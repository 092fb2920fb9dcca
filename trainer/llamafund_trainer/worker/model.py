"""The model that is trained: a new `transformers.LlamaForCausalLM`, or a base model with or without an adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from llamafund_chain.errors import VerificationError
from llamafund_trainer.llama import config_values
from llamafund_trainer.tensors.compare import not_safetensors
from llamafund_trainer.tensors.initial_weights import initial_tensors, parameter_shapes
from llamafund_trainer.worker.base_model import empty_base, load_base, saved_tensors, write_config
from llamafund_trainer.worker.misfit import MisfitError
from llamafund_trainer.worker.peft_adapter import add_adapter, merged, tidy_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peft import PeftModel
    from transformers import PreTrainedModel

    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe


def empty_model(recipe: Recipe) -> LlamaForCausalLM:
    """A model of the recipe's architecture, with arbitrary weights."""
    build: Any = LlamaConfig
    return LlamaForCausalLM(build(**config_values(recipe), attn_implementation=recipe.determinism.attention))


def initial_model(recipe: Recipe, seed: str) -> LlamaForCausalLM:
    """A new model with the initial weights that follow from the seed."""
    model = empty_model(recipe)
    set_weights(model, recipe, {name: torch.from_numpy(values) for name, values in initial_tensors(recipe, seed)})
    return model


def starting_model(recipe: Recipe, seed: str, base: Base | None) -> PreTrainedModel | PeftModel:
    """The model of checkpoint 0.

    Args:
        recipe: The run's recipe.
        seed: The training seed.
        base: The base model that the recipe names; `None` if it names none.

    Raises:
        VerificationError: The base model cannot be trained.
        MisfitError: The recipe adapts layers that the base model lacks, or has samples that are too long for it.
    """
    if base is None:
        return initial_model(recipe, seed)
    model = load_base(base, recipe.determinism.attention)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and recipe.data.context_length > longest:
        raise MisfitError(
            f"data.context_length is {recipe.data.context_length}",
            f"The base model was made for {longest} tokens at most",
            "Choose a smaller data.context_length",
        )
    if recipe.lora is None:
        return model
    return add_adapter(model, recipe, seed, base)


def load_model(recipe: Recipe, weights: Path, base: Base | None = None) -> PreTrainedModel:
    """A model of the run's architecture with the weights in a file. A `config.json` beside the file is ignored.

    Raises:
        VerificationError: The file is not safetensors, or its tensors do not fit the architecture.
    """
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise not_safetensors(weights, error) from error
    if base is not None:
        model = empty_base(base)
        copy_tensors(saved_tensors(model), tensors)
        return model
    # First without memory, because a recipe can describe a much larger model than the file holds.
    with torch.device("meta"):
        set_weights(empty_model(recipe), recipe, tensors)
    new = empty_model(recipe)
    set_weights(new, recipe, tensors)
    return new


def set_weights(model: LlamaForCausalLM, recipe: Recipe, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors into a model, each exactly once.

    Raises:
        VerificationError: Names, shapes or types are not the recipe's.
    """
    parameters = dict(model.named_parameters())
    copy_tensors({name: parameters[name] for name in parameter_shapes(recipe)}, tensors)


def copy_tensors(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors into a model's.

    Args:
        own: The model's tensors by name.
        tensors: Tensors with the same names, types and shapes.

    Raises:
        VerificationError: Names, types or shapes differ.
    """
    if set(tensors) != set(own):
        odd = sorted(set(tensors) ^ set(own))
        raise VerificationError(
            f"The weights have other tensors than the recipe's model: {', '.join(map(repr, odd[:3]))}",
            f"{len(odd)} names are missing or unknown",
            "Check that the weights belong to this recipe",
        )
    with torch.no_grad():
        for name, place in own.items():
            tensor = tensors[name]
            if tensor.shape != place.shape or tensor.dtype != place.dtype:
                raise VerificationError(
                    f"The tensor {name} is {tensor.dtype} of shape {tuple(tensor.shape)}",
                    f"The recipe's model has {str(place.dtype).removeprefix('torch.')} of shape {tuple(place.shape)}",
                    "Check that the weights belong to this recipe",
                )
            place.copy_(tensor)


def whole_model(model: Any) -> Any:
    """A model as it will be published: with its adapter merged, if it has one."""
    if not hasattr(model, "peft_config"):
        return model
    return merged(model)


def finish_fine_tuned(recipe: Recipe, base: Base, directory: Path) -> None:
    """Add to a checkpoint what open weights need and the Trainer does not save."""
    base.copy_tokenizer(directory)
    if recipe.lora is None:
        return
    tidy_adapter(directory)
    write_config(base, directory)
    base.copy_generation_config(directory)
