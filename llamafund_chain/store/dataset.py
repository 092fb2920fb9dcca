"""Datasets: a directory with documents to train on and documents held out for measuring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import ValidationError

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import HashCache, hash_listing, list_tree, resolve_inside
from llamafund_chain.evidence.manifests import RULES, DatasetManifest, DatasetPart, FileEntry
from llamafund_chain.files import read_spans
from llamafund_chain.mistakes import DocumentError, decode, explain_json, find_mistakes, refusal
from llamafund_chain.store import Store
from llamafund_chain.store.content import publish_tree
from llamafund_chain.strict_yaml import nesting

_MAX_DEPTH = 500
"""Half of Python's own limit, which other libraries may lift."""

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Most bytes of a document, so that a hostile file cannot fill the memory."""

PartName = Literal["train", "heldout"]

PARTS: tuple[PartName, ...] = ("train", "heldout")

_SUFFIXES = (".txt", ".jsonl")


def build_dataset(
    root: Path,
    *,
    title: str,
    source: str,
    license: str,
    preparation: str,
    store: Store,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
) -> DatasetManifest:
    """Describe a directory of documents in a manifest and publish both.

    One read of the files hashes them, and counts and compares the documents.

    Args:
        root: Contains only `train/` and `heldout/`, with `.txt` files of one document each, or `.jsonl` files of one
            object with a string `text` per line, in UTF-8.
        title: The dataset's name.
        source: Where the documents come from.
        license: Their license, if possible an SPDX identifier.
        preparation: How the documents were prepared.
        store: Where to publish them.
        progress: Called with the number of bytes hashed since the previous call, from any thread, one call at a time.
        total: Called once, before the first byte is read, with the total number of bytes.
        jobs: Cores to use; `None` for all that this process may use.
        cache: Digests from earlier runs. The documents are read all the same.

    Raises:
        UsageError: A part is missing, a file does not belong there or cannot be read as documents, a held-out
            document is also a training document, or a text is empty or too long.
        VerificationError: The files do not fit into one manifest, or changed while they were published.
        LlamafundError: A file cannot be read, or the store cannot keep it.
    """
    listing = list_tree(root)
    names = [listing.name(number) for number in range(len(listing))]
    members = {part: _members(root, names, part) for part in PARTS}
    _refuse_strays(root, names)
    census = _Census()
    tree = hash_listing(listing, progress=progress, total=total, jobs=jobs, cache=cache, inspect=census.inspect)
    census.refuse_leaks(members)
    try:
        manifest = DatasetManifest(
            title=title,
            files=tree.files,
            content=tree.content,
            preparation=preparation,
            parts=tuple(
                DatasetPart(
                    name=name,
                    paths=(f"{name}/",),
                    source=source,
                    license=license,
                    samples=census.count(members[name]),
                )
                for name in PARTS
            ),
        )
    except ValidationError as error:
        given = {"title": title, "source": source, "license": license, "preparation": preparation}
        mistakes = find_mistakes(error, DatasetManifest, given, language="JSON", rules=RULES)
        raise refusal(UsageError, "The dataset", mistakes) from error
    # Its length is checked before anything goes to the store.
    manifest.to_bytes()
    publish_tree(store, root, manifest)
    return manifest


def read_documents(root: Path, entries: Iterable[FileEntry]) -> Iterator[str]:
    """The documents of some of a dataset's files, in order.

    Args:
        root: The directory that their paths are relative to.
        entries: The files.

    Raises:
        UsageError: A file is missing or leads out of the directory, or contains anything but documents.
        LlamafundError: A file cannot be read.
    """
    for entry in entries:
        parser = _parser(entry.path)
        for span in read_spans(resolve_inside(root, entry.path)):
            yield from parser.update(span)
        yield from parser.finish()


def _members(root: Path, names: Sequence[str], part: PartName) -> tuple[str, ...]:
    members = tuple(name for name in names if name.startswith(f"{part}/"))
    if not members:
        raise UsageError(
            f"{str(root)!r} has no files in {part}/",
            "A dataset needs documents to train on in train/ and others for measuring in heldout/",
            "Put .txt or .jsonl files there",
        )
    return members


def _refuse_strays(root: Path, names: Sequence[str]) -> None:
    for name in names:
        if name.split("/")[0] not in PARTS or not name.endswith(_SUFFIXES):
            raise UsageError(
                f"{name!r} in {str(root)!r} belongs to no part of the dataset",
                "There may only be .txt and .jsonl files in train/ and heldout/",
                "Move it out of the directory",
            )


class _Census:
    """The fingerprints of all documents, by file."""

    def __init__(self) -> None:
        self._fingerprints: dict[str, list[bytes]] = {}

    def inspect(self, name: str) -> _Inspector:
        """An inspector that counts a file's documents while it is hashed."""
        found: list[bytes] = []
        self._fingerprints[name] = found
        return _Inspector(_parser(name), found)

    def count(self, names: Iterable[str]) -> int:
        """Number of documents in files."""
        return sum(len(self._fingerprints[name]) for name in names)

    def refuse_leaks(self, members: Mapping[PartName, Sequence[str]]) -> None:
        """Refuse a held-out document that is also a training document."""
        seen: dict[bytes, str] = {}
        for name in members["train"]:
            for fingerprint in self._fingerprints[name]:
                seen.setdefault(fingerprint, name)
        for name in members["heldout"]:
            for fingerprint in self._fingerprints[name]:
                if (original := seen.get(fingerprint)) is not None:
                    raise UsageError(
                        f"A document of {name!r} is also in {original!r}",
                        "A model that is measured on its training text looks better than it is",
                        "Remove it from one of them",
                    )


class _Inspector:
    def __init__(self, parser: _Parser, found: list[bytes]) -> None:
        self._parser = parser
        self._found = found

    def update(self, data: bytes, /) -> None:
        self._found.extend(map(_fingerprint, self._parser.update(data)))

    def finish(self) -> None:
        self._found.extend(map(_fingerprint, self._parser.finish()))


def _fingerprint(document: str) -> bytes:
    # Other white space does not make it another document.
    return hashlib.sha256(" ".join(document.split()).encode("utf-8")).digest()


class _Parser(Protocol):
    """Finds the documents in a file's bytes, however the bytes are split."""

    def update(self, data: bytes) -> Iterator[str]: ...

    def finish(self) -> Iterator[str]: ...


def _parser(name: str) -> _Parser:
    return _Lines(name) if name.endswith(".jsonl") else _Whole(name)


class _Whole:
    """A file that is one document."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._data = bytearray()

    def update(self, data: bytes) -> Iterator[str]:
        self._data += data
        if len(self._data) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)
        return iter(())

    def finish(self) -> Iterator[str]:
        try:
            text = decode(bytes(self._data))
        except DocumentError as error:
            raise _unreadable(repr(self._name), f"It is not UTF-8: {error}") from error
        if not text.strip():
            raise _unreadable(repr(self._name), "It contains no text")
        yield text


class _Lines:
    """A file with one JSON object per line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = bytearray()
        self._number = 0
        self._found = False

    def update(self, data: bytes) -> Iterator[str]:
        head, *tail = data.split(b"\n")
        self._rest += head
        for piece in tail:
            yield from self._line()
            self._rest = bytearray(piece)
        if len(self._rest) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)

    def finish(self) -> Iterator[str]:
        yield from self._line()
        if not self._found:
            raise _unreadable(repr(self._name), "It contains no documents")

    def _line(self) -> Iterator[str]:
        self._number += 1
        if len(self._rest) > MAX_DOCUMENT_BYTES:
            raise _too_long(self._name)
        if self._rest.strip():
            self._found = True
            yield _parse_line(bytes(self._rest), f"{self._name!r}, line {self._number}")


def _parse_line(line: bytes, place: str) -> str:
    if nesting(line) > _MAX_DEPTH:
        raise _unreadable(place, f"It is not JSON that can be read: nested more than {_MAX_DEPTH} deep")
    try:
        value = json.loads(decode(line))
    except json.JSONDecodeError as error:
        raise _unreadable(place, f"It is not JSON: {explain_json(error).problem}") from error
    except DocumentError as error:
        raise _unreadable(place, f"It is not JSON: {error.problem}") from error
    except ValueError as error:
        raise _unreadable(place, "It is not JSON that can be read: a number is too long") from error
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise _unreadable(place, 'It is not an object with some text under the key "text"')
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _unreadable(place, "Its text is not valid Unicode: it contains half of a surrogate pair") from error
    return text


def _unreadable(place: str, reason: str) -> UsageError:
    return UsageError(f"{place} cannot be read as documents", reason, "Correct or remove it")


def _too_long(name: str) -> UsageError:
    return UsageError(f"{name!r} has a document longer than {MAX_DOCUMENT_BYTES} bytes", remedy="Split it into several")
