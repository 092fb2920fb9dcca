"""Fetching what a manifest names from several sources in turn: verified, resumable, complete or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import TypeVar

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import (
    MAX_MANIFEST_BYTES,
    EvidenceManifest,
    FileEntry,
    Listing,
    Manifest,
    all_files,
    parse_head,
)
from llamafund_chain.files import read_spans
from llamafund_chain.store import LocalStore, MissingContentError, Store
from llamafund_chain.store.disk_space import require_room
from llamafund_chain.store.http.client import RefusedError
from llamafund_chain.store.http.resume import is_partial
from llamafund_chain.store.kinds.mirror import MirrorStore, check_mirror, mirrors_of

Progress = Callable[[int], None]
"""Called with the number of bytes done since the call before."""

Report = Callable[[str], None]
"""Told what a person may want to know."""

T = TypeVar("T")

_MIRROR = re.compile(r"(hf|mirror(\+insecure)?):")


def fetch_manifest(sources: Sequence[Store], sha256: str, *, report: Report | None = None) -> Manifest:
    """Get a manifest by its hash from the first source that has it, without its listings.

    Raises:
        UsageError: It is not a hash.
        VerificationError: The bytes are no valid manifest, or a source lied and no other has it.
        LlamafundError: No source gave it; the message says why each did not.
    """
    return parse_head(read_manifest(sources, sha256, report=report), sha256=sha256)


def fetch_tree(
    sources: Sequence[Store],
    manifest: Manifest,
    destination: Path,
    *,
    mirrors: Sequence[str] = (),
    hints: bool = True,
    total: Progress | None = None,
    progress: Progress | None = None,
    report: Report | None = None,
) -> tuple[int, int]:
    """Get all files that a manifest names. Each appears under its name only after it was verified.

    Files that are there already and right are left alone, so that an interrupted fetch goes on where it was.

    Args:
        sources: Tried in turn for each file.
        manifest: What the files must be; its listings are fetched too.
        destination: The directory, created when missing; other files of the same names are replaced.
        mirrors: Mirrors to try after them; see `mirror.check_mirror`.
        hints: Try the mirrors that the manifest names last.
        total: Called once with the bytes of all files.
        progress: Called with bytes of files that are done.
        report: Told about sources that failed where another one helped.

    Returns:
        Number of files fetched, and of those that were there already.

    Raises:
        UsageError: A path leads out of the destination, or the manifest names no files.
        VerificationError: A file is not what the manifest says, wherever it came from.
        LlamafundError: No source gave a file, or it cannot be written; the message names it. Or the disk has no room
            for what is missing; nothing was fetched then.
    """
    if not isinstance(manifest, (EvidenceManifest, Listing)):
        raise UsageError(
            f"The manifest {manifest.sha256} is a {manifest.schema_}, which names no files",
            remedy="Fetch it by its address (CID) to get the manifest itself",
        )
    files = tuple(all_files(manifest, lambda sha256: read_manifest(sources, sha256, report=report)))
    if total is not None:
        total(sum(entry.size for entry in files))
    places: list[Store] = [
        *sources,
        *(_mirror(name, files) for name in mirrors),
        *(MirrorStore(name, files) for name in (mirrors_of(manifest) if hints else ())),
    ]
    for entry in files:
        if any(is_partial(name) for name in entry.path.split("/")):
            raise VerificationError(
                f"The manifest {manifest.sha256} names a file {entry.path!r}",
                "Files that are still being fetched are called that: another one would be written over it",
                "Do not trust this manifest",
            )
    real = destination.resolve()
    # Links take up no space.
    if not any(isinstance(source, LocalStore) and source.links for source in sources):
        require_room(real, files)
    fetched = present = 0
    for entry in files:
        target = real / entry.path
        if not target.parent.resolve().is_relative_to(real):
            raise UsageError(
                f"{entry.path!r} would be written outside of {str(destination)!r}",
                f"A link there leads to {str(target.parent.resolve())!r}",
                "Remove the link, or fetch into an empty directory",
            )
        if _is_right(target, entry):
            present += 1
        else:
            with _naming(entry.path):
                fetch_file(places, entry.cid, target, size=entry.size, sha256=entry.sha256, report=report)
            fetched += 1
        if progress is not None:
            progress(entry.size)
    return fetched, present


def fetch_file(
    sources: Sequence[Store],
    cid: str,
    destination: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    report: Report | None = None,
) -> str:
    """Get one file from the first source that has it and is honest.

    Args:
        sources: Tried in turn.
        cid: Its address.
        destination: Replaced when it exists, and only by verified bytes.
        size: Bytes there must be; not compared when `None`.
        sha256: Of the file; not compared when `None`.
        report: Told about sources that failed where another one helped.

    Returns:
        The location that it came from.

    Raises:
        LlamafundError: No source gave it; the message says why each did not.
    """

    def get(source: Store) -> str:
        source.fetch(cid, destination, size=size, sha256=sha256)
        return source.location

    return _first(sources, cid, get, report)


def is_mirror(location: str) -> bool:
    """Whether a location is that of a mirror, which only `fetch_tree` can use."""
    return _MIRROR.match(location) is not None


def check_mirror_location(location: str) -> None:
    """Refuse what is not the location of a mirror.

    Raises:
        UsageError: It is malformed, or plain HTTP to another machine.
    """
    name, insecure = _mirror_name(location)
    check_mirror(name, insecure=insecure)


def _mirror_name(location: str) -> tuple[str, bool]:
    return location.replace("mirror+insecure:", "mirror:", 1), location.startswith("mirror+insecure:")


def _mirror(location: str, files: Sequence[FileEntry]) -> MirrorStore:
    name, insecure = _mirror_name(location)
    return MirrorStore(name, files, insecure=insecure)


def read_manifest(sources: Sequence[Store], sha256: str, *, report: Report | None = None) -> bytes:
    """Get a manifest's bytes by their hash.

    Args:
        sources: Tried in turn.
        sha256: 64 hexadecimal digits.
        report: Told about sources that failed where another one helped.

    Raises:
        UsageError: It is not a hash.
        LlamafundError: No source gave it; the message says why each did not.
    """
    cid = raw_cid(sha256)
    return _first(sources, cid, lambda source: source.read(cid, limit=MAX_MANIFEST_BYTES), report)


def _first(sources: Sequence[Store], cid: str, get: Callable[[Store], T], report: Report | None) -> T:
    problems: list[tuple[Store, LlamafundError]] = []
    for source in sources:
        try:
            result = get(source)
        except (MissingContentError, NodeUnreachableError, RefusedError, VerificationError) as error:
            problems.append((source, error))
            continue
        if report is not None:
            for other, problem in problems:
                if not isinstance(problem, MissingContentError):
                    report(f"{other.location} did not give {cid}: {problem}")
        return result
    if len(problems) == 1:
        raise problems[0][1]
    # A lie weighs more than silence, and silence more than not having it.
    for kind in (VerificationError, NodeUnreachableError, RefusedError, MissingContentError):
        if any(isinstance(problem, kind) for _, problem in problems):
            break
    raise kind(
        f"None of {len(problems)} sources gave {cid}",
        "; ".join(f"{source.location}: {problem.what}" for source, problem in problems)[:2000],
        "Name another source, or ask whoever published it to keep it available",
    )


def _is_right(path: Path, entry: FileEntry) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    digest = new_sha256()
    for span in read_spans(path):
        digest.update(span)
    return digest.hexdigest() == entry.sha256


@contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except (MissingContentError, NodeUnreachableError, RefusedError, VerificationError) as error:
        raise type(error)(f"{path!r}: {error.what}", error.why, error.remedy) from error
