"""Datasets: a directory with the documents to train on and the ones held out to measure with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence import publish_tree
from llamafund_chain.files import read_spans
from llamafund_chain.hashing import hash_tree, resolve_inside
from llamafund_chain.manifests import DatasetManifest, DatasetPart, FileEntry
from llamafund_chain.store import Store

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Longest document, so that a hostile file cannot fill the memory."""

PartName = Literal["train", "heldout"]

PARTS: tuple[PartName, ...] = ("train", "heldout")

_SUFFIXES = (".txt", ".jsonl")


def build_dataset(
    root: Path,
    *,
    title: str,
    source: str,
    licence: str,
    preparation: str,
    store: Store,
    progress: Callable[[int], None] | None = None,
) -> DatasetManifest:
    """Describe a directory of documents in a manifest and publish both.

    Args:
        root: Holds `train/` and `heldout/`, with `.txt` files of one document each or `.jsonl` files of one
            object with a string `text` on each line, in UTF-8, and nothing else.
        title: The dataset's name.
        source: Where the documents come from.
        licence: Their licence, an SPDX identifier where there is one.
        preparation: What was done to them.
        store: Where they are published.
        progress: Called with the number of bytes hashed since the call before.

    Raises:
        UsageError: A part is missing, a file does not belong or cannot be read as documents, a held-out
            document stands among the training documents too, or a text is empty or too long.
        VerificationError: The files do not fit into one manifest, or changed while they were published.
        LlamafundError: A file cannot be read, or the store cannot keep it.
    """
    tree = hash_tree(root, progress=progress)
    members = {name: _members(root, tree.files, name) for name in PARTS}
    _refuse_strays(root, tree.files)
    counts = _count_documents(root, members)
    try:
        manifest = DatasetManifest(
            title=title,
            files=tree.files,
            content=tree.content,
            preparation=preparation,
            parts=tuple(
                DatasetPart(
                    name=name,
                    paths=tuple(entry.path for entry in members[name]),
                    source=source,
                    licence=licence,
                    samples=counts[name],
                )
                for name in PARTS
            ),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"The dataset's {first['loc'][-1] if first['loc'] else 'manifest'} cannot be used",
            first["msg"],
            "Give another one",
        ) from error
    # Its length is checked before the store is given anything.
    manifest.to_bytes()
    publish_tree(store, root, manifest)
    return manifest


def read_documents(root: Path, entries: Iterable[FileEntry]) -> Iterator[str]:
    """The documents of some of a dataset's files, in order.

    Args:
        root: The directory that their paths are relative to.
        entries: The files.

    Raises:
        UsageError: A file is missing or leads out of the directory, or holds something else than documents.
        LlamafundError: A file cannot be read.
    """
    for entry in entries:
        path = resolve_inside(root, entry.path)
        if entry.path.endswith(".jsonl"):
            yield from _read_lines(path, entry.path)
        else:
            yield _read_whole(path, entry.path)


def _members(root: Path, files: Sequence[FileEntry], part: PartName) -> tuple[FileEntry, ...]:
    members = tuple(entry for entry in files if entry.path.startswith(f"{part}/"))
    if not members:
        raise UsageError(
            f"{str(root)!r} has no files in {part}/",
            "A dataset has documents to train on in train/ and others to measure with in heldout/",
            "Put .txt or .jsonl files there",
        )
    return members


def _refuse_strays(root: Path, files: Sequence[FileEntry]) -> None:
    for entry in files:
        if entry.path.split("/")[0] not in PARTS or not entry.path.endswith(_SUFFIXES):
            raise UsageError(
                f"{entry.path!r} in {str(root)!r} belongs to no part of the dataset",
                "Expected are only .txt and .jsonl files in train/ and heldout/",
                "Move it out of the directory",
            )


def _count_documents(root: Path, members: Mapping[PartName, tuple[FileEntry, ...]]) -> dict[PartName, int]:
    seen: dict[bytes, str] = {}
    counts: dict[PartName, int] = dict.fromkeys(PARTS, 0)
    for entry in members["train"]:
        for document in read_documents(root, (entry,)):
            seen.setdefault(_fingerprint(document), entry.path)
            counts["train"] += 1
    for entry in members["heldout"]:
        for document in read_documents(root, (entry,)):
            original = seen.get(_fingerprint(document))
            if original is not None:
                raise UsageError(
                    f"A document of {entry.path!r} stands in {original!r} too",
                    "A model that was trained on the text it is measured with looks better than it is",
                    "Remove it from one of them",
                )
            counts["heldout"] += 1
    return counts


def _fingerprint(document: str) -> bytes:
    # Spaces and line ends do not make it another document.
    return hashlib.sha256(" ".join(document.split()).encode("utf-8")).digest()


def _read_whole(path: Path, name: str) -> str:
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > MAX_DOCUMENT_BYTES:
            raise _too_long(name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(name, f"It is not UTF-8: {error}") from error
    if not text.strip():
        raise _unreadable(name, "It holds no text")
    return text


def _read_lines(path: Path, name: str) -> Iterator[str]:
    found = False
    for number, line in enumerate(_lines(path, name), start=1):
        if line.strip():
            found = True
            yield _parse_line(line, f"{name}, line {number}")
    if not found:
        raise _unreadable(name, "It holds no documents")


def _lines(path: Path, name: str) -> Iterator[bytes]:
    rest = bytearray()
    for span in read_spans(path):
        head, *tail = span.split(b"\n")
        rest += head
        for piece in tail:
            yield bytes(rest)
            rest = bytearray(piece)
        if len(rest) > MAX_DOCUMENT_BYTES:
            raise _too_long(name)
    yield bytes(rest)


def _parse_line(line: bytes, place: str) -> str:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _unreadable(place, f"It is not JSON: {error}") from error
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise _unreadable(place, 'It is not an object with some text under the key "text"')
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _unreadable(place, "Its text is not valid Unicode: it holds half of a surrogate pair") from error
    return text


def _unreadable(place: str, reason: str) -> UsageError:
    return UsageError(f"{place!r} cannot be read as documents", reason, "Correct or remove it")


def _too_long(name: str) -> UsageError:
    return UsageError(f"{name!r} has a document longer than {MAX_DOCUMENT_BYTES} bytes", remedy="Split it into several")
