"""Publishing and fetching what manifests name. Nothing is trusted; everything is hashed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.contradictions import contradictions
from llamafund_chain.evidence.hashing import FileDigest, raw_cid, resolve_inside
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, EvidenceManifest, FileEntry, Manifest, Read, parse_as
from llamafund_chain.evidence.merkle import BLOCK_SIZE, ChunkProof, MerkleHasher, Outline, prove_chunks
from llamafund_chain.files import is_abandoned, is_unfinished, read_spans, storage_error
from llamafund_chain.store import LocalStore, Store
from llamafund_chain.store.base import Source, called
from llamafund_chain.store.disk_space import require_names, require_room
from llamafund_chain.store.http.resume import kept_paths
from llamafund_chain.store.kinds.local import Batch
from llamafund_chain.store.sources import PASSED_OVER, places_of

M = TypeVar("M", bound=Manifest)

Progress = Callable[[int], None]
"""Called with the number of bytes done since the previous call."""


def publish_manifest(store: Store, manifest: Manifest) -> str:
    """Put a manifest's listings and then the manifest into a store, and pin them.

    Returns:
        Its SHA-256, 64 hexadecimal digits, which goes on chain.

    Raises:
        VerificationError: It is too long for a manifest.
        LlamafundError: The store cannot keep it.
    """
    with _putting(store, manifest) as batch:
        return _put_manifest(batch, manifest)


def fetch_manifest(source: Source, sha256: str, kind: type[M]) -> M:
    """Fetch a manifest by its hash, with all its files.

    Args:
        source: Where it was published.
        sha256: 64 hexadecimal digits, as on chain.
        kind: The class that it must have.

    Raises:
        UsageError: `sha256` is not a hash.
        MissingContentError: The source does not have it, or one of its listings.
        VerificationError: The bytes do not have this hash, or are not a valid manifest of that kind.
    """
    read = reading(source)
    return parse_as(kind, read(sha256), sha256=sha256, read=read)


def reading(source: Source) -> Read:
    """A function that reads manifests by their hashes from a source, for `parse_as` and `load_manifest`."""

    def read(sha256: str) -> bytes:
        cid = raw_cid(sha256)
        with called({cid: sha256}):
            return source.read(cid, limit=MAX_MANIFEST_BYTES)

    return read


def publish_tree(store: Store, root: Path, manifest: EvidenceManifest, *, progress: Progress | None = None) -> str:
    """Put the files that a manifest names, and then the manifest, into a store, and pin them.

    Args:
        store: Where to put them.
        root: The directory that the manifest's paths are relative to.
        manifest: The manifest of these files.
        progress: Called with the number of bytes put since the previous call.

    Returns:
        The manifest's SHA-256, 64 hexadecimal digits.

    Raises:
        UsageError: A file is missing or leads out of the directory.
        VerificationError: A file no longer matches the manifest.
        LlamafundError: The store cannot keep it.
    """
    with _putting(store, manifest) as batch:
        for entry in manifest.files:
            digest = batch.put_file(resolve_inside(root, entry.path))
            require_unchanged(entry.path, digest, digest_of(entry))
            if progress is not None:
                progress(digest.size)
        return _put_manifest(batch, manifest)


class _OneByOne:
    """A batch for stores that have none: each content is put and pinned by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_file(self, path: Path) -> FileDigest:
        return self._pinned(self._store.put_file(path))

    def put_bytes(self, data: bytes) -> FileDigest:
        return self._pinned(self._store.put_bytes(data))

    def flush(self) -> None:
        """Nothing waits."""

    def _pinned(self, digest: FileDigest) -> FileDigest:
        self._store.pin(digest.cid)
        return digest


@contextmanager
def _putting(store: Store, manifest: Manifest) -> Iterator[Batch | _OneByOne]:
    """What puts and pins the contents of a manifest."""
    if isinstance(store, LocalStore):
        with store.batch(manifest.sha256) as batch:
            yield batch
    else:
        yield _OneByOne(store)


def _put_manifest(batch: Batch | _OneByOne, manifest: Manifest) -> str:
    """Put a manifest after everything that it names."""
    if isinstance(manifest, EvidenceManifest):
        for listing in manifest.further_manifests():
            batch.put_bytes(listing.to_bytes())
    data = manifest.to_bytes()
    batch.flush()
    return batch.put_bytes(data).sha256


class ChangedFileError(VerificationError):
    """A file no longer matches the manifest that was made of it."""


def digest_of(entry: FileEntry) -> FileDigest:
    """The digest that a file must have, by its entry in a manifest."""
    return FileDigest(size=entry.size, sha256=entry.sha256, cid=entry.cid)


def require_unchanged(name: str, actual: FileDigest, expected: FileDigest) -> None:
    """Refuse a file that no longer matches its manifest.

    Args:
        name: The file, for the message.
        actual: The digest that it has.
        expected: The digest that it must have.

    Raises:
        ChangedFileError: They differ.
    """
    if actual != expected:
        raise ChangedFileError(
            f"{name!r} has the SHA-256 {actual.sha256}, but the manifest says {expected.sha256}",
            "The file was changed after the manifest was made",
            "Make the manifest again",
        )


@dataclass(frozen=True)
class Fetched:
    """The result of fetching files.

    Attributes:
        fetched: Number of files that were fetched.
        present: Number of correct files that existed already.
    """

    fetched: int
    present: int


def fetch_tree(
    source: Source,
    manifest: EvidenceManifest,
    destination: Path,
    paths: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch the files that a manifest names; otherwise like `fetch_files`.

    Args:
        source: Where they were published.
        manifest: The manifest that names them.
        destination: As in `fetch_files`.
        paths: Which files; `None` for all.
        progress: As in `fetch_files`.

    Raises:
        VerificationError: The manifest names no such file, or as `fetch_files`.
        LlamafundError: As `fetch_files`.
    """
    entries = manifest.files if paths is None else [manifest.entry(path) for path in paths]
    return fetch_files(source, entries, destination, progress=progress)


def fetch_files(
    source: Source, entries: Sequence[FileEntry], destination: Path, *, progress: Progress | None = None
) -> Fetched:
    """Fetch files by their entries in a manifest or listing. Each file gets its name only after it is verified.

    Correct files that exist already are left alone, so an interrupted fetch resumes. Unfinished files that a killed
    process left in the directory are removed, except those that this resumes.

    Args:
        source: Where they were published.
        entries: Their entries.
        destination: The directory for them, created if missing; other files of the same names are replaced.
        progress: Called with the bytes of each finished file.

    Raises:
        VerificationError: A file does not match its entry, or has the name of a partly fetched file; the message
            names it.
        MissingContentError: The source does not have a file; the message names it.
        UsageError: A link below `destination` leads out of it.
        LlamafundError: A file cannot be written, or vanished meanwhile. Or the disk has no room for the missing files,
            or cannot hold all their names; then nothing was fetched.
    """
    for entry in entries:
        _refuse_reserved_name(entry.path)
    root = destination.resolve()
    folders = {(root / entry.path).parent for entry in entries}
    resumed = {path for entry in entries for path in kept_paths((root / entry.path).parent, entry.cid)}
    remove_unfinished(folders, resumed)
    if not _makes_links(source):
        require_room(root, entries)
    require_names(root, [entry.path for entry in entries])
    fetched = 0
    targets: list[Path] = []
    for entry in entries:
        target = _place(root, entry.path, destination)
        if not _is_right(target, entry):
            with _naming(entry):
                source.fetch(entry.cid, target, size=entry.size, sha256=entry.sha256)
            fetched += 1
        targets.append(target)
        if progress is not None:
            progress(entry.size)
    _require_all_there(targets, entries)
    return Fetched(fetched, len(entries) - fetched)


def check_content(root: Path, manifest: EvidenceManifest, *, progress: Progress | None = None) -> None:
    """Compare a manifest's content root with that of files whose hashes are known to be right.

    Args:
        root: The directory that has them.
        manifest: With all its files.
        progress: Called with the number of bytes read since the previous call.

    Raises:
        VerificationError: The content root is not theirs.
        LlamafundError: A file is gone or cannot be read.
    """
    tree = MerkleHasher()
    for entry in manifest.files:
        for span in read_spans(root / entry.path):
            tree.update(span)
            if progress is not None:
                progress(len(span))
    _check_root(manifest, tree.root().hex())


def verify_content(store: Store, manifest: EvidenceManifest, *, progress: Progress | None = None) -> None:
    """Read every byte that a manifest names from a store, and compare sizes, hashes and content root.

    This writes nothing, so it needs only the space of one span of bytes.

    Args:
        store: Where they were published.
        manifest: The manifest that names them.
        progress: Called with the number of bytes read since the previous call.

    Raises:
        VerificationError: The manifest contradicts itself, even if the store has none of it. Or a file does not match
            the manifest, and the message names it; or all do, but the content root is not theirs.
        MissingContentError: The store does not have a file; the message names it.
    """
    for reason in contradictions(manifest.files, manifest.content):
        raise VerificationError(f"Manifest {manifest.sha256} contradicts itself", reason, "Do not sign or pay for it")
    tree = MerkleHasher()
    for span in _content(store, manifest, progress):
        tree.update(span)
    _check_root(manifest, tree.root().hex())


def prove_content(
    store: Store,
    manifest: EvidenceManifest,
    chunks: Collection[int],
    *,
    outline: Outline | None = None,
    progress: Progress | None = None,
) -> tuple[Outline, dict[int, ChunkProof]]:
    """Read a manifest's content from a store and make the proofs that answer challenges.

    Args:
        store: Where it was published.
        manifest: The manifest that names it.
        chunks: Numbers of the chunks to prove, from 0.
        outline: From an earlier call for the same content. With it, only files that these chunks' blocks touch are
            read.
        progress: Called with the number of bytes read since the previous call.

    Returns:
        The content's outline, and the proofs by chunk. Each proof leads to the manifest's content root.

    Raises:
        IndexError: There is no such chunk.
        VerificationError: A file does not match the manifest, and the message names it; or all do, but the content
            root is not theirs.
        MissingContentError: The store does not have a file; the message names it.
    """
    try:
        if outline is not None:
            _check_root(manifest, outline.root().hex())
            return outline, outline.prove(_content_of(store, manifest, outline.blocks_of(chunks), progress), chunks)
        outline, proofs = prove_chunks(_content(store, manifest, progress), manifest.content.size, chunks)
    except ValueError as error:
        raise VerificationError(f"The content of manifest {manifest.sha256} is not whole: {error}") from error
    _check_root(manifest, outline.root().hex())
    return outline, proofs


def _content(store: Store, manifest: EvidenceManifest, progress: Progress | None) -> Iterator[bytes]:
    for entry in manifest.files:
        with _naming(entry):
            yield from _checked(store, entry, progress)


def _content_of(
    store: Store, manifest: EvidenceManifest, blocks: Collection[int], progress: Progress | None
) -> Iterator[tuple[int, bytes]]:
    """The files that touch these blocks of the content, span by span, each with its offset in the content."""
    place = 0
    for entry in manifest.files:
        touched = range(place // BLOCK_SIZE, -(-(place + entry.size) // BLOCK_SIZE))
        if any(block in touched for block in blocks):
            start = place
            with _naming(entry):
                for span in _checked(store, entry, progress):
                    yield start, span
                    start += len(span)
        place += entry.size


def _check_root(manifest: EvidenceManifest, root: str) -> None:
    if root != manifest.content.root:
        raise VerificationError(
            f"The content root of manifest {manifest.sha256} is {manifest.content.root}",
            f"Its files give {root}, so nobody could answer a challenge honestly",
            "Do not sign or pay for it",
        )


def _checked(store: Store, entry: FileEntry, progress: Progress | None) -> Iterator[bytes]:
    """The bytes of a file. Use them only after the iterator has ended without an error."""
    # The address does not prove the SHA-256: for more than one block it is the hash of something else.
    hasher = hashlib.sha256()
    for span in store.stream(entry.cid, size=entry.size):
        hasher.update(span)
        if progress is not None:
            progress(len(span))
        yield span
    if hasher.hexdigest() != entry.sha256:
        raise VerificationError(
            f"Its SHA-256 is {hasher.hexdigest()}, but the manifest says {entry.sha256}",
            "The manifest's address and hash name different bytes",
            "Do not sign or pay for it",
        )


def _refuse_reserved_name(path: str) -> None:
    if any(is_unfinished(name) for name in path.split("/")):
        raise VerificationError(
            f"The manifest names a file {path!r}",
            "Unfinished files have such names, so one of them would overwrite it",
            "Do not trust this manifest",
        )


def remove_unfinished(folders: Iterable[Path], resumed: Collection[Path]) -> None:
    """Remove what killed processes left in folders, except files that will be resumed.

    Args:
        folders: Where to look, not below them.
        resumed: Unfinished files to leave alone.
    """
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names, of which there may be many
        except OSError:
            continue
        for name in names:
            path = folder / name
            if is_unfinished(name) and path not in resumed and is_abandoned(path):
                with suppress(OSError):
                    path.unlink()


def _require_all_there(targets: Sequence[Path], entries: Sequence[FileEntry]) -> None:
    """Refuse to call a fetch complete if somebody removed or replaced its files meanwhile."""
    for target, entry in zip(targets, entries, strict=True):
        try:
            status = target.lstat()
        except (FileNotFoundError, NotADirectoryError):
            size = None
        except OSError as error:
            raise storage_error(error, f"Looking at {str(target)!r}") from error
        else:
            size = status.st_size if stat.S_ISREG(status.st_mode) else None
        if size != entry.size:
            raise LlamafundError(
                f"{entry.path!r} vanished while the other files were fetched",
                f"Somebody removed or changed {str(target)!r}",
                "Run the command again, and let nobody else write there meanwhile",
            )


def _makes_links(source: Source) -> bool:
    """Whether files from this source may take up no space, because they are hard links."""
    return any(isinstance(place, LocalStore) and place.links for place in places_of(source))


def _place(root: Path, path: str, shown: Path) -> Path:
    """Where a file of a tree goes: below its root, even if somebody put a link there."""
    target = root / path
    folder = target.parent.resolve()
    if not folder.is_relative_to(root):
        raise UsageError(
            f"{path!r} would be written outside {str(shown)!r}",
            f"A link there leads to {str(folder)!r}",
            "Remove the link, or fetch into an empty directory",
        )
    return target


def _is_right(path: Path, entry: FileEntry) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    digest = hashlib.sha256()
    for span in read_spans(path):
        digest.update(span)
    return digest.hexdigest() == entry.sha256


@contextmanager
def _naming(entry: FileEntry) -> Iterator[None]:
    name = repr(entry.path)
    try:
        with called({entry.cid: name}):
            yield
    except PASSED_OVER as error:
        if name not in error.what:
            error.what = f"{name}: {error.what}"
        raise
