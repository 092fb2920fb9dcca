"""New models: Llamas with a byte-level tokenizer, and what their published files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

ARCHITECTURE = "LlamaForCausalLM"
END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0

GENERATION_VALUES: Mapping[str, object] = {
    "_from_model_config": True,
    "bos_token_id": END_OF_TEXT_ID,
    "eos_token_id": END_OF_TEXT_ID,
    "output_attentions": False,
    "output_hidden_states": False,
    "pad_token_id": END_OF_TEXT_ID,
    "use_cache": True,
}
"""What `generation_config.json` says."""

CONFIG_DEFAULTS: Mapping[str, object] = {"pretraining_tp": 1}
"""What transformers adds to `config.json` by itself."""


def config_values(recipe: Recipe) -> dict[str, Any]:
    """Arguments of `transformers.LlamaConfig`."""
    model = recipe.architecture
    return {
        "vocab_size": recipe.vocab_size,
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


def published_config(recipe: Recipe) -> dict[str, Any]:
    """What `config.json` says of the model itself."""
    return {**config_values(recipe), "model_type": "llama", "architectures": [ARCHITECTURE]}


def tokenizer_config(recipe: Recipe) -> dict[str, Any]:
    """What `tokenizer_config.json` says."""
    return {
        "backend": "tokenizers",
        "bos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TEXT,
        "model_max_length": recipe.data.context_length,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "TokenizersBackend",
    }
