"""Open weights by whatever name somebody has for them: a file, a directory, or the hash of a manifest."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_trainer.base_files import fetch_base
from llamafund_trainer.runs.inputs import fetch_recipe
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
        name: As they were asked for.
        files: The safetensors files, in the order of their names; more than one where a model is stored in parts.
        manifest: What they were fetched by; `None` for a file or directory.
        beside: Directory of what belongs to them, where they had to be joined from shards in another place.
    """

    name: str
    files: tuple[Path, ...]
    manifest: CheckpointManifest | WeightsManifest | None = None
    beside: Path | None = None

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return self.beside or self.files[0].parent


def open_weights(name: str, store: Store, workdir: Path) -> OpenWeights:
    """Find weights, and fetch them where they are named by hash.

    Args:
        name: A safetensors file, a directory that holds such files, or the SHA-256 of a checkpoint's or weights'
            manifest; a checkpoint's adapter is merged into its base model. 64 hexadecimal digits are always a hash;
            write `./` before a file that is called so.
        store: Where manifests and files are.
        workdir: Existing directory for fetched files.

    Raises:
        UsageError: There is nothing of that name, or no weights in it.
        LlamafundError: The store lacks something.
        VerificationError: What was fetched is not what it claims to be, or no checkpoint or weights.
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
            raise UsageError(f"The directory {name!r} holds no weights", f"No file in it ends in {SUFFIX}")
        return OpenWeights(name, files)
    if not path.is_file():
        raise UsageError(
            f"There are no weights called {name!r}",
            "It is no file, no directory and no hash of 64 hexadecimal digits",
            "Name a .safetensors file, a directory with such files, or the hash of a manifest",
        )
    return OpenWeights(name, (path,))


def fetch_weights(
    store: Store,
    evidence: CheckpointManifest | WeightsManifest,
    recipe: Recipe,
    base: Base | None,
    directory: Path,
) -> Path:
    """The whole weights of open weights or a checkpoint in one file; an adapter is merged, shards are joined.

    Args:
        store: Where they were published.
        evidence: Names them.
        recipe: The run's.
        base: The base model, where the recipe names one.
        directory: Where to; created when missing.

    Returns:
        `model.safetensors` in the directory.

    Raises:
        LlamafundError: The store lacks something, or the file cannot be written.
        VerificationError: What was fetched is not what it claims to be, or no adapter of that recipe and base model.
    """
    if recipe.lora is None or base is None or isinstance(evidence, WeightsManifest):
        return fetch_joined(store, evidence, directory)
    target = directory / WEIGHTS
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="llamafund-adapter-") as place:
        fetch_tree(store, evidence, Path(place), [ADAPTER])
        merge_files(base.tensors, Path(place) / ADAPTER, recipe.lora, target)
    return target


def _fetched(name: str, sha256: str, store: Store, workdir: Path) -> OpenWeights:
    manifest = fetch_manifest(store, sha256, _kind(store.read(raw_cid(sha256), limit=MAX_MANIFEST_BYTES)))
    directory = workdir / f"weights-{sha256[:16]}"
    _refuse_two_kinds(manifest)
    if weight_files([entry.path for entry in manifest.files]) != (WEIGHTS,):
        return OpenWeights(name, (fetch_joined(store, manifest, directory),), manifest)
    paths = [entry.path for entry in manifest.files if entry.path.endswith(SUFFIX) and "/" not in entry.path]
    if not paths:
        raise VerificationError(f"Manifest {sha256} names no weights", f"None of its files ends in {SUFFIX}")
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
            f"Manifest {manifest.sha256} names both {ADAPTER} and whole weights", "Nobody can tell which of them count"
        )


def _adapter_recipe(
    store: Store, manifest: CheckpointManifest | WeightsManifest, paths: Sequence[str]
) -> Recipe | None:
    """The recipe of a checkpoint that holds an adapter of it; `None` for whatever else holds weights."""
    if not isinstance(manifest, CheckpointManifest) or list(paths) != [ADAPTER]:
        return None
    try:
        recipe = fetch_recipe(store, manifest.recipe).recipe
    except UsageError:
        return None  # Another trainer's run: its adapter is compared as it is.
    return recipe if recipe.lora is not None else None


def _kind(data: bytes) -> type[CheckpointManifest | WeightsManifest]:
    """Which kind to expect; what is neither is refused when it is read as one."""
    try:
        schema = json.loads(data).get("schema")
    except (ValueError, AttributeError, RecursionError):
        return WeightsManifest
    return CheckpointManifest if schema == CheckpointManifest.SCHEMA else WeightsManifest
