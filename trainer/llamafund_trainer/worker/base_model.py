"""A base model in the training process, built by transformers from verified local files only."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.files import machine_trouble
from llamafund_trainer.base_files import GENERATION_CONFIG
from llamafund_trainer.recipe import MAX_LAYERS, MAX_SIZE
from llamafund_trainer.tensors.compare import read_entries

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel

    from llamafund_trainer.base_files import Base

_MAX_DEPTH = 16
"""How deep objects and lists in a configuration may be nested."""

_REPEATED = re.compile(r"(?:layers?|blocks?|depths?|stages?|experts|types)$")
_NO_SIZE = re.compile(r"theta|base|seed|_id$|_ids$")
"""Keys of a configuration whose numbers are not sizes."""

_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "max_position_embeddings")


def base_config(base: Base) -> PreTrainedConfig:
    """The base model's configuration, with weights in float32.

    Raises:
        VerificationError: transformers has no such architecture, or the model cannot be trained.
    """
    _refuse_absurd(base.name, base.config)
    kind = base.config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise VerificationError(
            f"{base.name} is of the type {str(kind)[:80]!r}",
            "transformers has no language model of that type built in",
            "Choose another base model",
        )
    if base.config.get("quantization_config") is not None:
        raise VerificationError(
            f"{base.name}'s weights are quantised",
            "Only full-precision weights can be trained",
            "Name the original model",
        )
    auto: Any = AutoConfig
    try:
        config = auto.from_pretrained(base.directory, local_files_only=True, trust_remote_code=False)
        # Some architectures derive a size that their configuration leaves out.
        sizes = {name: value for name in _SIZES if (value := getattr(config, name, None)) is not None}
        layers = config.get_text_config().num_hidden_layers
    except Exception as error:
        raise _unusable(base, "config.json", error) from error
    wrong = [name for name, value in sizes.items() if not isinstance(value, int) or not 0 < value <= MAX_SIZE]
    if wrong or not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        name = wrong[0] if wrong else "num_hidden_layers"
        raise VerificationError(
            f"{base.name}'s {name} is {str(getattr(config, name))[:40]}",
            "Nobody can build such a model",
            "Choose another base model",
        )
    config.dtype = "float32"
    config._name_or_path = ""
    return config  # type: ignore[no-any-return]


def load_base(base: Base, attention: str = "eager") -> PreTrainedModel:
    """The base model with its weights as float32, which can hold every value of bfloat16 and float16.

    Args:
        base: The base model.
        attention: How it is computed; see `DeterminismSection`.

    Raises:
        VerificationError: transformers cannot load it, or weights are missing, left over or have another shape.
    """
    config = base_config(base)
    refuse_oversized(base)
    _refuse_doubled(base)
    auto: Any = AutoModelForCausalLM
    try:
        model, found = auto.from_pretrained(
            base.directory,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=attention,
            output_loading_info=True,
        )
        model.generation_config.validate(strict=True)
    except Exception as error:
        raise _unusable(base, "files", error) from error
    odd = [f"{name}: {str(next(iter(found[name])))[:100]!r}" for name in sorted(found) if found[name]]
    if odd:
        raise VerificationError(
            f"{base.name}'s weights are not those of its architecture",
            "; ".join(each.replace("_", " ") for each in odd),
            "Load and save it once with transformers, and publish the result",
        )
    # Otherwise published files would name a directory of this machine.
    model.name_or_path = model.config._name_or_path = ""
    return model  # type: ignore[no-any-return]


def empty_base(base: Base, *, on_meta: bool = False) -> PreTrainedModel:
    """A model of the base model's architecture, with arbitrary weights.

    Args:
        base: The base model; only its configuration is used.
        on_meta: Whether to build it without memory for the weights.

    Raises:
        VerificationError: transformers cannot build it.
    """
    auto: Any = AutoModelForCausalLM
    config = base_config(base)
    if not on_meta:
        refuse_oversized(base)
    with torch.device("meta") if on_meta else nullcontext():
        try:
            model = auto.from_config(config, dtype=torch.float32, trust_remote_code=False, attn_implementation="eager")
        except Exception as error:
            raise _unusable(base, "config.json", error) from error
    return model  # type: ignore[no-any-return]


def saved_tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The tensors that `save_pretrained` writes, by name. Tied tensors have the one name that it keeps."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    state: dict[str, torch.Tensor] = model.state_dict()
    places = {tensor.data_ptr() for name, tensor in state.items() if name not in tied}
    return {name: tensor for name, tensor in state.items() if name not in tied or tensor.data_ptr() not in places}


def refuse_renamed(model: PreTrainedModel, base: Base, saved: Path) -> None:
    """Refuse a model whose saved weights have other names than its own, before it is trained.

    For some architectures, transformers joins the experts when it loads a model and splits them when it saves it. Such
    files could neither be measured nor merged here.

    Args:
        model: The model in training.
        base: Its base model.
        saved: The safetensors file that was written from the model.

    Raises:
        VerificationError: The names differ.
    """
    odd = sorted(set(saved_tensors(model)) ^ set(read_entries([saved])))
    if odd:
        raise VerificationError(
            f"{base.name} has an architecture that cannot be fine-tuned: {base.config.get('model_type')}",
            f"transformers saves its weights under other names than it trains: {odd[0]!r} is one of {len(odd)}",
            "Choose another base model",
        )


def write_config(base: Base, directory: Path) -> None:
    """Write the `config.json` of a model that was trained from the base model."""
    config = base_config(base)
    # As the Trainer writes it, whatever the base model's file says, because other programs rely on it.
    config.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[base.config["model_type"]]]
    config.save_pretrained(directory)


def write_generation_config(base: Base, directory: Path) -> None:
    """Write the `generation_config.json` of such a model: the base model's, or one derived from its configuration.

    Raises:
        VerificationError: The base model's cannot be read.
    """
    try:
        if (base.directory / GENERATION_CONFIG).exists():
            generation = GenerationConfig.from_pretrained(base.directory, local_files_only=True)
        else:
            generation = GenerationConfig.from_model_config(base_config(base))
        generation.save_pretrained(directory)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(base, GENERATION_CONFIG, error) from error


def refuse_oversized(base: Base) -> None:
    """Refuse a configuration that asks for many more weights than there are, which would only fill the memory.

    Raises:
        VerificationError: It does, or transformers has no such architecture.
    """
    shape = empty_base(base, on_meta=True)
    wanted = sum(tensor.numel() for tensors in (shape.parameters(), shape.buffers()) for tensor in tensors)
    held = sum(math.prod(entry.shape) for entry in base.tensors.values())
    # Files hold tied weights only once.
    if wanted > 2 * held:
        raise VerificationError(
            f"{base.name}'s configuration asks for {wanted} weights", f"Its files hold {held}", "Do not use it"
        )


def _refuse_doubled(base: Base) -> None:
    """Refuse files with both of two tied tensors: transformers would untie them, and the result would be unreadable."""
    tied = getattr(empty_base(base, on_meta=True), "all_tied_weights_keys", None) or ()
    doubled = sorted(set(tied) & set(base.tensors))
    if doubled:
        raise VerificationError(
            f"{base.name}'s configuration ties {doubled[0]!r} to another tensor",
            "Its files hold both of them",
            "Load and save it once with transformers, and publish the result",
        )


def _refuse_absurd(whose: str, value: object, key: str = "", depth: int = 0) -> None:
    """Refuse numbers anywhere in a configuration with which building even an empty model would never end."""
    if depth > _MAX_DEPTH:
        raise VerificationError(
            f"{whose}'s configuration is nested more than {_MAX_DEPTH} deep", "No real one is", "Do not use it"
        )
    if isinstance(value, dict):
        for name, below in value.items():
            _refuse_absurd(whose, below, name, depth + 1)
    elif isinstance(value, list):
        for below in value:
            _refuse_absurd(whose, below, key, depth + 1)
    elif isinstance(value, int) and not _NO_SIZE.search(key):
        most = MAX_LAYERS if _REPEATED.search(key) else MAX_SIZE
        if value > most:
            raise VerificationError(
                f"{whose}'s {key} is {str(value)[:40]}", f"It may be at most {most}", "Do not use it"
            )


def _unusable(base: Base, what: str, error: Exception) -> LlamafundError:
    said = " ".join(str(error).split())[:400]
    action = f"Reading {what}"
    return machine_trouble(error, action) or VerificationError(
        f"transformers cannot use {base.name[0].lower()}{base.name[1:]}'s {what}",
        f"It says: {said}",
        "Do not use it",
    )
