"""Open weights by whatever name somebody has for them: a file, a directory, or the hash of a manifest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence import fetch_manifest, fetch_tree
from llamafund_chain.hashing import raw_cid
from llamafund_chain.manifests import MAX_MANIFEST_BYTES, CheckpointManifest, WeightsManifest
from llamafund_trainer.shards import WEIGHTS, fetch_weights, in_shards, weight_files, whole_weights

if TYPE_CHECKING:
    from llamafund_chain.store import Store

SUFFIX = ".safetensors"

_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class OpenWeights:
    """A model's weights on disk.

    Attributes:
        name: As they were asked for.
        files: The safetensors files, in the order of their names; more than one where a model is stored in parts.
        manifest: What they were fetched by; null for a file or directory.
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
            manifest. 64 hexadecimal digits are always a hash; write `./` before a file that is called so.
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


def _fetched(name: str, sha256: str, store: Store, workdir: Path) -> OpenWeights:
    manifest = fetch_manifest(store, sha256, _kind(store.read(raw_cid(sha256), limit=MAX_MANIFEST_BYTES)))
    directory = workdir / f"weights-{sha256[:16]}"
    if weight_files([entry.path for entry in manifest.files]) != (WEIGHTS,):
        return OpenWeights(name, (fetch_weights(store, manifest, directory),), manifest)
    paths = [entry.path for entry in manifest.files if entry.path.endswith(SUFFIX) and "/" not in entry.path]
    if not paths:
        raise VerificationError(f"Manifest {sha256} names no weights", f"None of its files ends in {SUFFIX}")
    fetch_tree(store, manifest, directory, paths)
    return OpenWeights(name, tuple(directory / path for path in sorted(paths)), manifest)


def _kind(data: bytes) -> type[CheckpointManifest | WeightsManifest]:
    """Which kind to expect; what is neither is refused when it is read as one."""
    try:
        schema = json.loads(data).get("schema")
    except (ValueError, AttributeError, RecursionError):
        return WeightsManifest
    return CheckpointManifest if schema == CheckpointManifest.SCHEMA else WeightsManifest
