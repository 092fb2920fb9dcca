"""Datasets: a directory with documents to train on and documents held out for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import (
    HashCache,
    Inspector,
    TreeListing,
    hash_listing,
    list_tree,
    refuse_suspects,
    resolve_inside,
)
from llamafund_chain.evidence.manifests import RULES, DatasetManifest, DatasetPart, is_companion
from llamafund_chain.mistakes import find_mistakes, refusal
from llamafund_chain.store import Store
from llamafund_chain.store.content import Progress, publish_tree
from llamafund_chain.store.documents import SUFFIXES, Parser, parser
from llamafund_chain.text import counted

PartName = Literal["train", "heldout"]

PARTS: tuple[PartName, ...] = ("train", "heldout")


@dataclass(frozen=True)
class Layout:
    """Which files of a directory are in which part of a dataset.

    Attributes:
        train: Folders, or patterns such as `data/train-*`, of files to train on.
        heldout: The same of files that are held out.
        hidden: Whether to take in what `LeavingOut` leaves out by its named lists.
        allow_secrets: Whether files that look like secrets may go out.
    """

    train: Sequence[str] = ("train",)
    heldout: Sequence[str] = ("heldout",)
    hidden: bool = False
    allow_secrets: bool = False


AS_NAMED = Layout()
"""The parts are the folders `train/` and `heldout/`."""


def build_dataset(
    root: Path,
    *,
    title: str,
    source: str,
    license: str,
    preparation: str,
    store: Store,
    layout: Layout = AS_NAMED,
    listed: Callable[[TreeListing], None] | None = None,
    remark: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    sending: Progress | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
) -> DatasetManifest:
    """Describe a directory of documents in a manifest and publish both.

    One read of the files hashes them, and counts and compares the documents; Parquet and Arrow files are read twice.

    Args:
        root: Contains `train/` and `heldout/`, or what `layout` names, with files of `documents.SUFFIXES`: `.txt` is
            one document, a line of `.jsonl` and a row of a table is an object with a string `text`, in UTF-8. Beside
            the parts, there may be companions such as `README.md`, which become part of the manifest.
        title: The dataset's name.
        source: Where the documents come from.
        license: Their license, if possible an SPDX identifier.
        preparation: How the documents were prepared.
        store: Where to publish them.
        layout: Which files are in which part, and what stays behind.
        listed: Called with the files, before the first byte is read.
        remark: Called with remarks for a person.
        progress: Called with the number of bytes hashed since the previous call, from any thread, one call at a time.
        total: Called once, before the first byte is hashed, with the total number of bytes.
        sending: Called with the number of bytes published since the previous call, after everything was hashed.
        jobs: Cores to use; `None` for all that this process may use.
        cache: Digests from earlier runs. The documents are read all the same.

    Raises:
        UsageError: A part is missing, a file does not belong there, looks like a secret or cannot be read as documents,
            a held-out document is also a training document, or a text is empty or too long.
        VerificationError: The files do not fit into one manifest, or changed while they were published.
        LlamafundError: A file cannot be read, or the store cannot keep it.
    """
    listing = list_tree(root, hidden=layout.hidden)
    if listed is not None:
        listed(listing)
    names = [listing.name(number) for number in range(len(listing))]
    parts = {
        "train": _members(root, names, layout.train, "train"),
        "heldout": _members(root, names, layout.heldout, "heldout"),
    }
    members = {name: part.files for name, part in parts.items()}
    _refuse_strays(root, names, members)
    refuse_suspects(listing, allow_secrets=layout.allow_secrets)
    census = _Census(root)
    tree = hash_listing(listing, progress=progress, total=total, jobs=jobs, cache=cache, inspect=census.inspect)
    census.refuse_leaks(members)
    if remark is not None and census.with_crlf:
        remark(
            f"{counted(census.with_crlf, 'document')} of {sum(map(census.count, members.values()))} with CRLF line "
            "ends: a model learns these too"
        )
    try:
        manifest = DatasetManifest(
            title=title,
            files=tree.files,
            content=tree.content,
            preparation=preparation,
            parts=tuple(
                DatasetPart(
                    name=name,
                    paths=parts[name].claims,
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
    publish_tree(store, root, manifest, progress=sending)
    return manifest


@dataclass(frozen=True)
class _Part:
    """A part's files, and the paths by which the manifest names them."""

    files: tuple[str, ...]
    claims: tuple[str, ...]


def _members(root: Path, names: Sequence[str], wanted: Sequence[str], part: PartName) -> _Part:
    files: dict[str, None] = {}
    claims: dict[str, None] = {}
    for word in wanted:
        folder = word.strip("/") + "/"
        found = [name for name in names if name.startswith(folder)]
        if found:
            claims[folder] = None
        else:
            found = [name for name in names if fnmatchcase(name, word)]
            claims |= dict.fromkeys(found)
        if not found:
            raise UsageError(
                f"{str(root)!r} has no files in {folder}",
                "A dataset needs documents to train on in train/ and others for measuring in heldout/",
                "Put documents there, or name the folder that has them: "
                + ("--train FOLDER" if part == "train" else "--heldout validation"),
            )
        files |= dict.fromkeys(found)
    return _Part(tuple(sorted(files, key=str.encode)), tuple(sorted(claims, key=str.encode)))


def _refuse_strays(root: Path, names: Sequence[str], members: Mapping[str, Sequence[str]]) -> None:
    train, heldout = (frozenset(members[part]) for part in PARTS)
    for name in names:
        if name in train and name in heldout:
            raise UsageError(
                f"{name!r} is both to train on and held out",
                "A model that is measured on its training text looks better than it is",
                "Name each file with only one of --train and --heldout",
            )
        stray = name not in train and name not in heldout
        if stray and is_companion(name):
            continue
        if stray or not name.endswith(SUFFIXES):
            raise UsageError(
                f"{name!r} in {str(root)!r} belongs to no part of the dataset",
                f"There may only be {', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]} files in train/ and heldout/",
                "Move it out of the directory, name it in .llamafundignore, or name its folder with --train or "
                "--heldout",
            )


class _Census:
    """The fingerprints of all documents, by file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fingerprints: dict[str, list[bytes]] = {}
        self._inspectors: list[_Inspector] = []

    def inspect(self, name: str) -> Inspector:
        """An inspector that counts a file's documents while it is hashed."""
        found: list[bytes] = []
        self._fingerprints[name] = found
        if not name.endswith(SUFFIXES) or is_companion(name):
            return _Companion()
        inspector = _Inspector(parser(name, resolve_inside(self._root, name)), found)
        self._inspectors.append(inspector)
        return inspector

    @property
    def with_crlf(self) -> int:
        """Number of documents with CRLF line ends."""
        return sum(inspector.with_crlf for inspector in self._inspectors)

    def count(self, names: Iterable[str]) -> int:
        """Number of documents in files."""
        return sum(len(self._fingerprints[name]) for name in names)

    def refuse_leaks(self, members: Mapping[str, Sequence[str]]) -> None:
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


class _Companion:
    """A file without documents."""

    def update(self, data: bytes, /) -> None:
        """Take bytes that nobody reads."""

    def finish(self) -> None:
        """The file has ended."""


class _Inspector:
    def __init__(self, parser: Parser, found: list[bytes]) -> None:
        self._parser = parser
        self._found = found
        self.with_crlf = 0

    def update(self, data: bytes, /) -> None:
        self._take(self._parser.update(data))

    def finish(self) -> None:
        self._take(self._parser.finish())

    def _take(self, documents: Iterable[str]) -> None:
        for document in documents:
            self._found.append(_fingerprint(document))
            self.with_crlf += "\r\n" in document


def _fingerprint(document: str) -> bytes:
    # Other white space does not make it another document.
    return hashlib.sha256(" ".join(document.split()).encode("utf-8")).digest()
