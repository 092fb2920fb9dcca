"""The open weights of a recorded run: which files they take from the last checkpoint, their card and their manifest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.files import storage_error, write_file
from llamafund_trainer.tensors.compare import count_elements
from llamafund_trainer.tensors.shards import WEIGHTS, join_shards, weight_files

MODEL_CARD = "README.md"

_SUFFIX = ".safetensors"
_OPEN = frozenset({_SUFFIX, ".json", ".txt", ".model", ".jinja", ".md"})
"""Endings of files that only hold data. Any other file of a checkpoint is training state, or could run code."""

_STATE = re.compile(r"optimizer|scheduler|scaler|rng_state|trainer_state|training_args")


@dataclass(frozen=True)
class WeightsClaim:
    """What a researcher says about open weights.

    Attributes:
        license: SPDX identifier.
        score: Of the promised metric, in millionths; higher is better.
        metrics: Integers in millionths, or counts where the name says so.
        measurement: How they were measured.
        model_card: Text of the model card in Markdown; `None` for a short one.
    """

    license: str
    score: int
    metrics: Mapping[str, int]
    measurement: str
    model_card: str | None


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
        UsageError: The directory is not empty, or the checkpoint has no `.safetensors` file.
        LlamafundError: A file cannot be read or written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{str(target)!r} is not empty", remedy="Name an empty or new directory")
    names = _copy(checkpoint, source, target)
    card = _short_card(checkpoint, claim.license) if claim.model_card is None else claim.model_card
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
    names = [entry.path for entry in checkpoint.files if _is_open(entry.path)]
    if not any(name.endswith(_SUFFIX) for name in names):
        raise UsageError(
            f"The checkpoint after step {checkpoint.steps.last} has no {_SUFFIX} file",
            "Other formats can run code when they are loaded",
            "Save the weights with safetensors",
        )
    shards = [name for name in weight_files(names) if name != WEIGHTS]
    copied = [name for name in names if name not in shards]
    try:
        target.mkdir(parents=True, exist_ok=True)
        if shards:
            join_shards([source / name for name in shards], target / WEIGHTS)
        for name in copied:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
    except OSError as error:
        raise storage_error(error, f"Writing to {str(target)!r}") from error
    return [*copied, WEIGHTS] if shards else copied


def _is_open(name: str) -> bool:
    path = Path(name)
    return path.suffix in _OPEN and path.name != MODEL_CARD and _STATE.search(name) is None


def _short_card(checkpoint: CheckpointManifest, license: str) -> str:
    return (
        f"---\nlicense: {license.lower()}\n---\n\n# Model weights\n\n"
        "Exported from the last checkpoint of a recorded training run. Each line is the SHA-256 of a file that names "
        "everything before it.\n\n| | |\n|---|---|\n"
        f"| last checkpoint | `{checkpoint.sha256}` |\n"
        f"| recipe | `{checkpoint.recipe}` |\n"
        f"| dataset | `{checkpoint.dataset}` |\n"
        f"| training seed | `{checkpoint.seed}` |\n\n"
        f"{checkpoint.steps.last} steps. License: {license}\n"
    )
