"""New models: Llamas with a byte-level tokenizer, and what their published files say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe

ARCHITECTURE = "LlamaForCausalLM"
END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0


def config_values(recipe: Recipe) -> dict[str, Any]:
    """Arguments of `transformers.LlamaConfig`. A published `config.json` must agree with them."""
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
