"""Open weights, named by a file, a directory, or the hash of a manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.http.answers import parse_json
from llamafund_chain.store.content import fetch_manifest, fetch_tree, reading
from llamafund_trainer.base_files import fetch_base
from llamafund_trainer.runs.inputs import OtherRecipeError, fetch_recipe
from llamafund_trainer.tensors.lora import ADAPTER, merge_files
from llamafund_trainer.tensors.shards import (
    WEIGHTS,
    fetch_joined,
    holds_weights,
    in_shards,
    weight_files,
    whole_weights,
)

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.base_files import Base
    from llamafund_trainer.recipe import Recipe

SUFFIX = ".safetensors"

_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class OpenWeights:
    """A model's weights on disk.

    Attributes:
        name: What the user called them.
        files: The safetensors files, sorted by name; more than one if the model is stored in several.
        manifest: The manifest they were fetched by; `None` for a file or directory.
        beside: Directory with the model's other files, if the weights were joined from shards somewhere else.
    """

    name: str
    files: tuple[Path, ...]
    manifest: CheckpointManifest | WeightsManifest | None = None
    beside: Path | None = None

    @property
    def directory(self) -> Path:
        """The directory with the model's other files."""
        return self.beside or self.files[0].parent


def open_weights(name: str, store: Store, workdir: Path) -> OpenWeights:
    """Find weights, and fetch them if they are named by a hash.

    Args:
        name: A safetensors file, a directory with such files, or the SHA-256 of a manifest of weights or of a
            checkpoint. A checkpoint's adapter is merged into its base model. 64 hexadecimal digits always mean a
            hash; write `./` before the name of a file that looks like one.
        store: Holds the manifests and files.
        workdir: Existing directory for fetched files.

    Raises:
        UsageError: There is nothing of that name, or it holds no weights.
        LlamafundError: The store lacks something.
        VerificationError: Fetched files do not match their hashes, or are not a checkpoint or weights.
    """
    match = _HASH.fullmatch(name)
    if match:
        return _fetched(name, match[1].lower(), store, workdir)
    path = Path(name)
    if path.is_dir():
        files = tuple(sorted(each for each in path.iterdir() if each.suffix == SUFFIX and each.is_file()))
        if in_shards(path):
            return OpenWeights(name, (whole_weights(path, workdir),), beside=path)
        if not files:
            raise UsageError(
                f"The directory {name!r} has no weights",
                f"No file in it ends in {SUFFIX}",
                "Name a directory that transformers or llamafund export wrote",
            )
        return OpenWeights(name, files)
    if not path.is_file():
        raise UsageError(
            f"There are no weights called {name!r}",
            "It is neither a file nor a directory, nor a hash of 64 hexadecimal digits",
            f"Name a {SUFFIX} file, a directory with such files, or the hash of a manifest",
        )
    return OpenWeights(name, (path,))


def fetch_weights(
    store: Store,
    evidence: CheckpointManifest | WeightsManifest,
    recipe: Recipe,
    base: Base | None,
    directory: Path,
) -> Path:
    """Fetch weights or a checkpoint as one file with the whole weights: adapters are merged, shards joined.

    Args:
        store: Where they were published.
        evidence: The manifest of the weights or the checkpoint.
        recipe: The run's recipe.
        base: The base model, if the recipe names one.
        directory: Where to write; created when missing.

    Returns:
        `model.safetensors` in the directory.

    Raises:
        LlamafundError: The store lacks something, or the file cannot be written.
        VerificationError: Fetched files do not match their hashes, or the adapter does not fit recipe and base model.
    """
    if recipe.lora is None or base is None or isinstance(evidence, WeightsManifest):
        return fetch_joined(store, evidence, directory)
    target = directory / WEIGHTS
    directory.mkdir(parents=True, exist_ok=True)
    with ScratchFolder("adapter") as place:
        fetch_tree(store, evidence, place, [ADAPTER])
        merge_files(base.tensors, place / ADAPTER, recipe.lora, target)
    return target


def _fetched(name: str, sha256: str, store: Store, workdir: Path) -> OpenWeights:
    manifest = fetch_manifest(store, sha256, _kind(reading(store)(sha256)))
    directory = workdir / f"weights-{sha256[:16]}"
    _refuse_two_kinds(manifest)
    if weight_files([entry.path for entry in manifest.files]) != (WEIGHTS,):
        return OpenWeights(name, (fetch_joined(store, manifest, directory),), manifest)
    paths = [entry.path for entry in manifest.files if entry.path.endswith(SUFFIX) and "/" not in entry.path]
    if not paths:
        raise VerificationError(f"The manifest {sha256} names no weights", f"None of its files ends in {SUFFIX}")
    recipe = _adapter_recipe(store, manifest, paths)
    if recipe is not None and recipe.base is not None:
        base = fetch_base(store, recipe.base, workdir / f"base-{recipe.base[:16]}")
        return OpenWeights(name, (fetch_weights(store, manifest, recipe, base, directory),), manifest)
    fetch_tree(store, manifest, directory, paths)
    return OpenWeights(name, tuple(directory / path for path in sorted(paths)), manifest)


def _refuse_two_kinds(manifest: CheckpointManifest | WeightsManifest) -> None:
    names = [entry.path for entry in manifest.files]
    if ADAPTER in names and any(map(holds_weights, names)):
        raise VerificationError(
            f"The manifest {manifest.sha256} names both {ADAPTER} and whole weights",
            "It is not clear which of them count",
            "Do not use it",
        )


def _adapter_recipe(
    store: Store, manifest: CheckpointManifest | WeightsManifest, paths: Sequence[str]
) -> Recipe | None:
    """The recipe of a checkpoint that holds an adapter and nothing else; `None` for anything else."""
    if not isinstance(manifest, CheckpointManifest) or list(paths) != [ADAPTER]:
        return None
    try:
        recipe = fetch_recipe(store, manifest.recipe).recipe
    except OtherRecipeError:
        return None  # A run of another trainer, whose adapter is compared as a file.
    return recipe if recipe.lora is not None else None


def _kind(data: bytes) -> type[CheckpointManifest | WeightsManifest]:
    """Which kind of manifest to expect. Anything else is refused when it is read as one of the two."""
    try:
        schema = parse_json(data).get("schema")
    except (ValueError, AttributeError):
        return WeightsManifest
    return CheckpointManifest if schema == CheckpointManifest.SCHEMA else WeightsManifest
