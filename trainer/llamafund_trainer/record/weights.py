"""The open weights of a recorded run: which files they take from the last checkpoint, their card and their manifest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.files import storage_error, write_file
from llamafund_trainer.record.card import short_card, with_claims
from llamafund_trainer.tensors.compare import TYPE_NAMES, count_elements, read_numbers
from llamafund_trainer.tensors.shards import WEIGHTS, join_files, weight_files, weight_pieces

MODEL_CARD = "README.md"

_SUFFIX = ".safetensors"
_OPEN = frozenset({_SUFFIX, ".json", ".txt", ".model", ".jinja", ".md"})
"""Endings of files that only hold data. Any other file of a checkpoint is training state, or could run code."""

_COMPILED = "_orig_mod."
"""What `torch.compile` puts before the names of a module's parameters."""

_ZERO = re.compile(r"(^|/)(bf16_|fp16_)?(zero_pp_rank|mp_rank)_")
"""Begins the names of DeepSpeed's files."""

_OF_OTHERS = (
    "Save the weights with safetensors, too, as model.safetensors; or write them to model/ with "
    "HuggingFaceStorageWriter(..., save_distributed=True)"
)
_OF_DEEPSPEED = (
    "Let DeepSpeed's own zero_to_fp32.py, which it puts into every checkpoint, join them before you record it: "
    "python zero_to_fp32.py . . --safe_serialization. Or let a Trainer save whole weights: with ZeRO-3, its "
    "DeepSpeed configuration says stage3_gather_16bit_weights_on_model_save"
)

_STATE = re.compile(r"optimizer|scheduler|scaler|rng_state|trainer_state|training_args")


@dataclass(frozen=True)
class WeightsClaim:
    """What a researcher says about open weights.

    Attributes:
        license: SPDX identifier.
        score: Of the promised metric, in millionths; higher is better.
        metrics: Integers in millionths, or counts where the name says so.
        measurement: How they were measured.
        model_card: Text of the author for the model card, in Markdown; `None` for none.
    """

    license: str
    score: int
    metrics: Mapping[str, int]
    measurement: str
    model_card: str | None


def require_exportable(directory: Path, names: set[str], step: int) -> None:
    """Refuse a checkpoint that could not be exported at the end of the training.

    Args:
        directory: The checkpoint.
        names: Its files.
        step: Optimizer steps done.

    Raises:
        UsageError: It has no weights that can be read without running code, or only under names that nothing loads.
    """
    weights = _with_weights(names)
    if not weights:
        raise UsageError(
            f"The checkpoint after step {step} has no {_SUFFIX} file, so nothing could be exported at the end",
            "Other formats can run code when they are loaded",
            _OF_DEEPSPEED if any(_ZERO.search(name) for name in names) else _OF_OTHERS,
        )
    # One by one: the same tensor has a piece in each of several shards.
    for name in _names(directory, weights, step):
        if _COMPILED in name:
            raise UsageError(
                f"The checkpoint after step {step} calls a weight {name!r}",
                "That name comes from torch.compile, and no model without it has that name",
                "Save the model that was compiled, for example model._orig_mod.state_dict()",
            )


def _names(directory: Path, weights: Sequence[str], step: int) -> Iterator[str]:
    try:
        yield from (entry.name for entry in weight_pieces(directory, weights))
    except VerificationError as error:
        raise UsageError(
            f"The weights in the checkpoint after step {step} could not be exported at the end",
            f"{error.what}. {error.why}",
            _OF_OTHERS,
        ) from error


def _with_weights(names: Set[str]) -> list[str]:
    """The files of a checkpoint that an export takes weights from."""
    found = sorted(name for name in names if name.endswith(_SUFFIX) and _is_open(name))
    return found or [name for name in weight_files(sorted(names)) if name in names]


def _require_finite(source: Path, weights: Sequence[str], step: int) -> None:
    import numpy as np

    for entry in weight_pieces(source, weights):
        if entry.dtype in TYPE_NAMES and not all(np.isfinite(numbers).all() for numbers in read_numbers(entry)):
            raise VerificationError(
                f"The weight {entry.name!r} after step {step} has values that are not finite numbers",
                "The training has diverged, and nobody can use this model",
                "Export an earlier checkpoint with step=, or lower the learning rate and train again",
            )


def write_weights(checkpoint: CheckpointManifest, source: Path, target: Path, claim: WeightsClaim) -> WeightsManifest:
    """Write the open weights of a checkpoint with their model card.

    Args:
        checkpoint: The manifest of the checkpoint.
        source: Its files, unchanged.
        target: Empty or missing directory.
        claim: What is said about the weights.

    Returns:
        The manifest of what was written.

    Raises:
        UsageError: The directory is not empty, or the checkpoint has no weights that can be read without
            running code.
        VerificationError: A weight is not a finite number.
        LlamafundError: A file cannot be read or written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{str(target)!r} is not empty", remedy="Name an empty or new directory")
    names = _copy(checkpoint, source, target)
    card = short_card(checkpoint, claim.license)
    if claim.model_card is not None:
        card = with_claims(card, claim.model_card)
    write_file(target / MODEL_CARD, card.encode("utf-8"))
    tree = hash_tree(target, sorted({*names, MODEL_CARD}))
    return WeightsManifest(
        files=tree.files,
        content=tree.content,
        parent=checkpoint.sha256,
        recipe=checkpoint.recipe,
        dataset=checkpoint.dataset,
        license=claim.license,
        model_card=MODEL_CARD,
        metrics=dict(claim.metrics),
        measurement=claim.measurement,
        parameters=sum(count_elements(target / name) for name in names if name.endswith(_SUFFIX)),
        outcome_score=claim.score,
    )


def _copy(checkpoint: CheckpointManifest, source: Path, target: Path) -> Sequence[str]:
    """Copy what is open, and join shards of the weights into one file; returns the names of the files."""
    present = {entry.path for entry in checkpoint.files}
    require_exportable(source, present, checkpoint.steps.last)
    _require_finite(source, _with_weights(present), checkpoint.steps.last)
    shards = [name for name in weight_files(sorted(present)) if name != WEIGHTS]
    copied = [entry.path for entry in checkpoint.files if _is_open(entry.path) and entry.path not in shards]
    try:
        target.mkdir(parents=True, exist_ok=True)
        if shards:
            join_files(source, shards, target / WEIGHTS)
        for name in copied:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
    except OSError as error:
        raise storage_error(error, f"Writing to {str(target)!r}") from error
    return [*copied, WEIGHTS] if shards else copied


def _is_open(name: str) -> bool:
    path = Path(name)
    return path.suffix in _OPEN and path.name != MODEL_CARD and _STATE.search(name) is None
