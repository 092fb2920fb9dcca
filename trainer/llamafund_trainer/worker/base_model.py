"""A base model in the training process: built by transformers itself, from verified local files only."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from llamafund_chain.errors import VerificationError
from llamafund_trainer.base_files import GENERATION_CONFIG
from llamafund_trainer.recipe import MAX_LAYERS, MAX_SIZE
from llamafund_trainer.tensors.compare import read_entries

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel

    from llamafund_trainer.base_files import Base

_ATTENTION = "eager"
_MAX_DEPTH = 16
"""Of objects and lists in a configuration."""

_REPEATED = re.compile(r"(?:layers?|blocks?|depths?|stages?|experts|types)$")
_NO_SIZE = re.compile(r"theta|base|seed|_id$|_ids$")
"""Keys of a configuration whose numbers nothing is made as large as."""

_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "max_position_embeddings")


def base_config(base: Base) -> PreTrainedConfig:
    """The base model's configuration, for weights in float32.

    Raises:
        VerificationError: transformers has no such architecture, or the model cannot be trained.
    """
    _refuse_absurd(base.name, base.config)
    kind = base.config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise VerificationError(
            f"{base.name} is of the type {str(kind)[:80]!r}",
            "transformers has no language model of that type built in",
            "Choose another one",
        )
    if base.config.get("quantization_config") is not None:
        raise VerificationError(
            f"{base.name}'s weights are quantised", "Only whole weights are trained", "Name the original model"
        )
    auto: Any = AutoConfig
    try:
        config = auto.from_pretrained(base.directory, local_files_only=True, trust_remote_code=False)
        # Some architectures derive one that their configuration leaves out.
        sizes = {name: value for name in _SIZES if (value := getattr(config, name, None)) is not None}
        layers = config.get_text_config().num_hidden_layers
    except Exception as error:
        raise _unusable(base, "config.json", error) from error
    wrong = [name for name, value in sizes.items() if not isinstance(value, int) or not 0 < value <= MAX_SIZE]
    if wrong or not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        name = wrong[0] if wrong else "num_hidden_layers"
        raise VerificationError(
            f"{base.name}'s {name} is {str(getattr(config, name))[:40]}", "No such model can be built"
        )
    config.dtype = "float32"
    config._name_or_path = ""
    return config  # type: ignore[no-any-return]


def load_base(base: Base) -> PreTrainedModel:
    """The base model with its weights as float32, which holds every value of bfloat16 and float16.

    Raises:
        VerificationError: transformers cannot load it, or weights are missing, left over or of another shape.
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
            attn_implementation=_ATTENTION,
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
    # It would stand in published files, and names a place on this machine.
    model.name_or_path = model.config._name_or_path = ""
    return model  # type: ignore[no-any-return]


def empty_base(base: Base, *, on_meta: bool = False) -> PreTrainedModel:
    """A model of the base model's architecture; its weights are not yet anything in particular.

    Args:
        base: Its configuration is all that is looked at.
        on_meta: Without memory for the weights.
    """
    auto: Any = AutoModelForCausalLM
    config = base_config(base)
    if not on_meta:
        refuse_oversized(base)
    with torch.device("meta") if on_meta else nullcontext():
        try:
            model = auto.from_config(
                config, dtype=torch.float32, trust_remote_code=False, attn_implementation=_ATTENTION
            )
        except Exception as error:
            raise _unusable(base, "config.json", error) from error
    return model  # type: ignore[no-any-return]


def saved_tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The tensors that `save_pretrained` writes, by name; of several names of one tensor the one that it keeps."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    state: dict[str, torch.Tensor] = model.state_dict()
    places = {tensor.data_ptr() for name, tensor in state.items() if name not in tied}
    return {name: tensor for name, tensor in state.items() if name not in tied or tensor.data_ptr() not in places}


def refuse_renamed(model: PreTrainedModel, base: Base, saved: Path) -> None:
    """Refuse a model whose weights are saved under other names than it has them, before it is trained.

    transformers joins the experts of some architectures when it loads them and parts them when it saves them: what
    is saved then could neither be measured nor merged here.

    Args:
        model: As it is trained.
        base: What it began as.
        saved: The safetensors file that was written of it.

    Raises:
        VerificationError: They have other names.
    """
    odd = sorted(set(saved_tensors(model)) ^ set(read_entries([saved])))
    if odd:
        raise VerificationError(
            f"{base.name} is of an architecture that cannot be fine-tuned: {base.config.get('model_type')}",
            f"transformers saves its weights under other names than it trains them: {odd[0]!r} is one of {len(odd)}",
            "Choose another base model",
        )


def write_config(base: Base, directory: Path) -> None:
    """Write the `config.json` of a model that the base model was made into."""
    config = base_config(base)
    # As the Trainer writes it, whatever the base model's file says: other programs go by it.
    config.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[base.config["model_type"]]]
    config.save_pretrained(directory)


def write_generation_config(base: Base, directory: Path) -> None:
    """Write the `generation_config.json` of such a model: the base model's, or what follows from its configuration.

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
    """Refuse a configuration that asks for far more than the weights hold: it would only fill the memory.

    Raises:
        VerificationError: It does, or transformers has no such architecture.
    """
    shape = empty_base(base, on_meta=True)
    wanted = sum(tensor.numel() for tensors in (shape.parameters(), shape.buffers()) for tensor in tensors)
    held = sum(math.prod(entry.shape) for entry in base.tensors.values())
    # Of tied weights the files hold one.
    if wanted > 2 * held:
        raise VerificationError(
            f"{base.name}'s configuration asks for {wanted} weights", f"Its files hold {held}", "Do not use it"
        )


def _refuse_doubled(base: Base) -> None:
    """Transformers unties what the configuration ties where the files hold both, and the result could not be read."""
    tied = getattr(empty_base(base, on_meta=True), "all_tied_weights_keys", None) or ()
    doubled = sorted(set(tied) & set(base.tensors))
    if doubled:
        raise VerificationError(
            f"{base.name}'s configuration ties {doubled[0]!r} to another tensor",
            "Its files hold both",
            "Load and save it once with transformers, and publish the result",
        )


def _refuse_absurd(whose: str, value: object, key: str = "", depth: int = 0) -> None:
    """Refuse numbers that would make even an empty model endless to build, wherever in a configuration they stand."""
    if depth > _MAX_DEPTH:
        raise VerificationError(f"{whose}'s configuration is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict):
        for name, below in value.items():
            _refuse_absurd(whose, below, name, depth + 1)
    elif isinstance(value, list):
        for below in value:
            _refuse_absurd(whose, below, key, depth + 1)
    elif isinstance(value, int) and not _NO_SIZE.search(key):
        most = MAX_LAYERS if _REPEATED.search(key) else MAX_SIZE
        if value > most:
            raise VerificationError(f"{whose}'s {key} is {str(value)[:40]}", f"Nothing is built larger than {most}")


def _unusable(base: Base, what: str, error: Exception) -> VerificationError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    return VerificationError(f"transformers cannot use {base.name[0].lower()}{base.name[1:]}'s {what}", reason)
