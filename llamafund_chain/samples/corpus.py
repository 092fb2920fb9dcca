"""Real text to train on: the English text of one version of the Python reference, which ships with this package."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import write_file

TITLE = "The Python language reference, as text"
SOURCE = "pydoc_data.topics of CPython 3.11.7"
LICENSE = "PSF-2.0"

TEXT_SHA256 = "5995015bae077ec02e49b859f8fcf314bad467cda7183f64bc3463adfdf7ad54"
"""SHA-256 of `reference/topics.json`, uncompressed: the text is the same whichever Python runs."""

DATASET_SHA256 = "726ab20149480ba5f715a3eb80a3078e548828af9cb3159855bd40db70e956ec"
"""SHA-256 of the manifest that the demo builds from it. It follows from the text, the split and the words above."""

HELDOUT_PERCENT = 10
"""At most this many percent of the bytes are held out."""

_MIN_PARAGRAPH = 40


@dataclass(frozen=True)
class CorpusSummary:
    """What was written.

    Attributes:
        train_documents: Number of files in `train/`.
        heldout_documents: Number of files in `heldout/`.
        train_bytes: UTF-8 bytes in `train/`.
        heldout_bytes: UTF-8 bytes in `heldout/`.
        duplicates: Topics skipped because another topic has the same text.
        preparation: How the data was prepared, for the dataset's manifest.
    """

    train_documents: int
    heldout_documents: int
    train_bytes: int
    heldout_bytes: int
    duplicates: int
    preparation: str


def write_corpus(directory: Path) -> CorpusSummary:
    """Write each topic of the Python reference once, to `train/` or `heldout/`.

    The topics quote one another: `for` occurs word for word in `compound`. A model trained on one and measured
    on the other would only show its memory. So topics that share a paragraph stay together. The SHA-256 of these
    groups decides which are held out: nobody picks, and every machine gets the same split.

    Args:
        directory: Where the two directories are created; must be empty or missing.

    Raises:
        UsageError: The directory is not empty.
        LlamafundError: The package's text is missing or changed, or the files cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"{str(directory)!r} is not empty",
            "Files of an older split would end up in both parts",
            "Name an empty or new directory",
        )
    topics = _topics()
    names: dict[str, str] = {}
    for name, text in sorted(topics.items()):
        names.setdefault(f"{text.strip()}\n", name)
    parts = _split(sorted(names))
    sizes = {part: sum(len(text.encode("utf-8")) for text in texts) for part, texts in parts.items()}
    for part, texts in parts.items():
        for text in texts:
            write_file(directory / part / f"{names[text]}.txt", text.encode("utf-8"))
    return CorpusSummary(
        train_documents=len(parts["train"]),
        heldout_documents=len(parts["heldout"]),
        train_bytes=sizes["train"],
        heldout_bytes=sizes["heldout"],
        duplicates=len(topics) - len(names),
        preparation=(
            "One file for each topic, surrounding white space removed, topics with the same text once. "
            f"Topics that share a paragraph of at least {_MIN_PARAGRAPH} characters form a group; in the order "
            f"of their SHA-256, groups are held out as long as they fit into {HELDOUT_PERCENT} percent of the "
            "bytes."
        ),
    )


def _split(texts: Sequence[str]) -> dict[str, list[str]]:
    room = sum(len(text.encode("utf-8")) for text in texts) * HELDOUT_PERCENT // 100
    parts: dict[str, list[str]] = {"train": [], "heldout": []}
    for group in sorted(_groups(texts), key=lambda group: hashlib.sha256("".join(group).encode("utf-8")).digest()):
        size = sum(len(text.encode("utf-8")) for text in group)
        held_out = size <= room
        room -= size if held_out else 0
        parts["heldout" if held_out else "train"].extend(group)
    return parts


def _groups(texts: Sequence[str]) -> list[list[str]]:
    """Group texts that share a paragraph, directly or through others; in the order given."""
    groups: list[tuple[set[str], list[str]]] = []
    for text in texts:
        paragraphs = _paragraphs(text)
        members = [text]
        apart: list[tuple[set[str], list[str]]] = []
        for others, group in groups:
            if paragraphs & others:
                paragraphs |= others
                members = group + members
            else:
                apart.append((others, group))
        groups = [*apart, (paragraphs, sorted(members))]
    return [members for _, members in groups]


def _paragraphs(text: str) -> set[str]:
    pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    return {piece for piece in pieces if len(piece) >= _MIN_PARAGRAPH}


def _topics() -> dict[str, str]:
    file = files("llamafund_chain") / "samples" / "reference" / "topics.json.gz"
    remedy = "Install llamafund again"
    try:
        text = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise LlamafundError(f"The sample text cannot be read from {file}", str(error), remedy) from error
    if (found := hashlib.sha256(text).hexdigest()) != TEXT_SHA256:
        raise LlamafundError(
            f"The sample text in {file} is not the text of this package",
            f"Its SHA-256 is {found} instead of {TEXT_SHA256}",
            remedy,
        )
    topics: dict[str, str] = json.loads(text)
    return topics
