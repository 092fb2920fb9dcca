"""The model: `transformers.LlamaForCausalLM`, with its initial weights from the training seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import VerificationError
from llamafund_trainer.initial import initial_tensors, parameter_shapes
from llamafund_trainer.tokenizer import END_OF_TEXT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from transformers import LlamaForCausalLM

    from llamafund_trainer.recipe import Recipe

ARCHITECTURE = "LlamaForCausalLM"


def config_values(recipe: Recipe) -> dict[str, Any]:
    """Arguments of `transformers.LlamaConfig`; also what a published `config.json` must agree with."""
    model = recipe.model
    return {
        "vocab_size": recipe.tokenizer.vocab_size,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.hidden_size // model.heads,
        "hidden_act": "silu",
        "max_position_embeddings": recipe.data.context_length,
        "initializer_range": model.initializer_range,
        "rms_norm_eps": model.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "tie_word_embeddings": model.tie_embeddings,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "bos_token_id": END_OF_TEXT_ID,
        "eos_token_id": END_OF_TEXT_ID,
        "pad_token_id": END_OF_TEXT_ID,
        "dtype": "float32",
    }


def empty_model(recipe: Recipe) -> LlamaForCausalLM:
    """A model of the recipe's architecture; its weights are not yet anything in particular."""
    from transformers import LlamaConfig, LlamaForCausalLM

    build: Any = LlamaConfig
    return LlamaForCausalLM(build(**config_values(recipe), attn_implementation="eager"))


def initial_model(recipe: Recipe, seed: str) -> LlamaForCausalLM:
    """The model of checkpoint 0."""
    import torch

    model = empty_model(recipe)
    set_weights(model, recipe, {name: torch.from_numpy(values) for name, values in initial_tensors(recipe, seed)})
    return model


def load_model(recipe: Recipe, weights: Path) -> LlamaForCausalLM:
    """A model of the recipe's architecture with the weights of a file; its `config.json` plays no part.

    Raises:
        VerificationError: The file is not safetensors, or its tensors are not the architecture's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise VerificationError(f"{weights.name} cannot be read as safetensors", str(error)) from error
    model = empty_model(recipe)
    set_weights(model, recipe, tensors)
    return model


def set_weights(model: LlamaForCausalLM, recipe: Recipe, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into a model, each exactly once.

    Raises:
        VerificationError: Names, shapes or types are not the recipe's.
    """
    import torch

    shapes = parameter_shapes(recipe)
    if set(tensors) != set(shapes):
        odd = sorted(set(tensors) ^ set(shapes))
        raise VerificationError(
            f"The weights have other tensors than the recipe's model: {', '.join(map(repr, odd[:3]))}",
            f"{len(odd)} names are missing or unknown",
        )
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, shape in shapes.items():
            tensor = tensors[name]
            if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
                raise VerificationError(
                    f"The tensor {name} is {tensor.dtype} of shape {tuple(tensor.shape)}",
                    f"The recipe's model has float32 of shape {shape}",
                )
            parameters[name].copy_(tensor)
