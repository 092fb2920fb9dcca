"""The files of a checkpoint: which of them are recorded, whether they are unchanged, and keeping them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.files import storage_error

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import EvidenceManifest

_LEFT_OUT = frozenset({"training_args.bin", "zero_to_fp32.py"})
"""The first one names the run's directory, so it differs from run to run; it is also a pickle. The other one is a
program that DeepSpeed puts into every checkpoint, and no part of the training."""


def recorded_names(directory: Path) -> set[str]:
    """Paths of the files that a manifest of the directory names."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()} - _LEFT_OUT


def is_complete(manifest: EvidenceManifest, directory: Path) -> bool:
    """Whether a directory has exactly what a manifest names."""
    present = recorded_names(directory)
    if present != {entry.path for entry in manifest.files}:
        return False
    return hash_tree(directory, sorted(present)).content == manifest.content


def make_durable(directory: Path, names: set[str]) -> None:
    """Flush files to disk, so that no manifest survives a power failure without its files."""
    files = [directory / name for name in sorted(names)]
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(directory)}
    for path in (*sorted(folders), *files):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, f"Writing {str(path)!r}") from error


def link_files(source: Path, target: Path) -> bool:
    """Give the recorded files of a directory a second name in another one, which is replaced.

    Returns:
        Whether that worked. It does not across disks, or on disks without links; then `target` is missing.
    """
    shutil.rmtree(target, ignore_errors=True)
    try:
        for name in sorted(recorded_names(source)):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).hardlink_to(source / name)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        return False
    return True


def save_model(model: Any, directory: Path) -> None:
    """Save a model's weights as safetensors, with a configuration even if it is a plain module."""
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(directory)
        return
    from safetensors.torch import save_model as save_plain

    save_plain(model, str(directory / "model.safetensors"))
    names = sorted(name for name, _ in model.named_parameters())
    (directory / "config.json").write_text(json.dumps({"class": type(model).__name__, "parameters": names}))
