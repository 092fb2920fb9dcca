"""The folder that a demo leaves behind.

Layout: `keystore/` and `passphrase` (throwaway keys), `state/` (the journal of transactions), `corpus/` (the dataset as
files), `recipe.yaml`, `store/` (the content store that everybody in the story shares), `campaigns/` (campaign files),
`manifests/`, `signatures/` (attestation files), `training/` (checkpoints), `weights/` (the exported model),
`downloaded/` (the model as a stranger gets it), `frauds/` (what the cheats wrote, and the audits that expose them),
`audit.json`, `audit.html`, `facts.json`, `summary.txt`.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError

MARKER = ".llamafund-demo"
"""A demo wrote the folder that has this file. The next demo may replace it."""

_SUBFOLDERS = ("campaigns", "manifests", "signatures", "frauds", "logs")


@dataclass(frozen=True)
class Folder:
    """Paths inside a demo's folder."""

    root: Path

    @property
    def keystore(self) -> Path:
        return self.root / "keystore"

    @property
    def passphrase(self) -> Path:
        return self.root / "passphrase"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def campaigns(self) -> Path:
        return self.root / "campaigns"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def signatures(self) -> Path:
        return self.root / "signatures"

    @property
    def training(self) -> Path:
        return self.root / "training"

    @property
    def weights(self) -> Path:
        return self.root / "weights"

    @property
    def downloaded(self) -> Path:
        return self.root / "downloaded"

    @property
    def frauds(self) -> Path:
        return self.root / "frauds"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_json(self) -> Path:
        return self.root / "audit.json"

    @property
    def audit_html(self) -> Path:
        return self.root / "audit.html"

    @property
    def facts(self) -> Path:
        return self.root / "facts.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.txt"


def prepare(root: Path) -> Folder:
    """Create an empty demo folder, replacing the folder of an earlier demo.

    Args:
        root: Where to create it. Its parent must exist.

    Raises:
        UsageError: `root` exists and was not written by a demo, or its parent is missing.
        LlamafundError: The folder cannot be written.
    """
    if not root.parent.is_dir():
        raise UsageError(
            f"The demo cannot write to {root}",
            f"The folder {root.parent} does not exist",
            "Create it, or name another folder with --out",
        )
    try:
        if root.is_symlink() or (root.exists() and not root.is_dir()):
            raise _foreign(root, "It is not a plain folder")
        if root.is_dir():
            if not (root / MARKER).is_file() and any(root.iterdir()):
                raise _foreign(root, f"It has no file {MARKER}, so no demo wrote it")
            shutil.rmtree(root)
        root.mkdir()
        (root / MARKER).write_text("Written by `llamafund demo`; the next demo replaces this folder.\n", "utf-8")
        for name in _SUBFOLDERS:
            (root / name).mkdir()
        folder = Folder(root)
        descriptor = os.open(folder.passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    except OSError as error:
        raise LlamafundError(
            f"The demo cannot write to {root}",
            error.strerror or str(error),
            "Name a folder that you may write to with --out",
        ) from error
    return folder


def _foreign(root: Path, why: str) -> UsageError:
    return UsageError(
        f"The demo does not replace {root}",
        why,
        "Name a new folder with --out, or move this one away",
    )
