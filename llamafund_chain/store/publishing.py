"""Publishing a directory's files, and the manifests that name them, to any number of locations."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256 as new_sha256
from pathlib import Path

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.file_dag import FileDag, ReadAt
from llamafund_chain.evidence.hashing import FileDigest, hash_bytes, raw_cid, resolve_inside
from llamafund_chain.evidence.manifests import EvidenceManifest, FileEntry, Listing, Manifest
from llamafund_chain.evidence.manifests.listings import list_files, list_listings
from llamafund_chain.evidence.profiles import USUAL, Profile, profile_named
from llamafund_chain.files import read_spans
from llamafund_chain.store import LocalStore, MissingContentError, open_store
from llamafund_chain.store.archive import CarWriter
from llamafund_chain.store.content import ChangedFileError, Progress, digest_of, require_unchanged
from llamafund_chain.store.http.client import without_secrets
from llamafund_chain.store.ipfs.unixfs import reading_at, under_other_profile
from llamafund_chain.store.kinds.kubo import KuboStore
from llamafund_chain.store.kinds.pinning import PinningStore
from llamafund_chain.store.sources import Report

CAR_PREFIX = "car:"
"""Prefix of a CAR file's location."""


@dataclass
class Outcome:
    """How publishing to one location went.

    Attributes:
        location: The location.
        sent: Bytes sent to it.
        present: Bytes that it had already.
        pinned: Number of contents pinned there; 0 for CAR files, which pin nothing.
        seconds: Time spent on it.
        problem: Why it failed; `None` if everything is there.
    """

    location: str
    sent: int = 0
    present: int = 0
    pinned: int = 0
    seconds: float = 0.0
    problem: LlamafundError | None = None


@dataclass(frozen=True)
class Published:
    """What was published, and where it is.

    Attributes:
        sha256: The manifest's SHA-256, which goes on chain and which `fetching` takes.
        files: Number of files.
        size: Total bytes of the files.
        outcomes: One per location, in the given order.
    """

    sha256: str
    files: int
    size: int
    outcomes: tuple[Outcome, ...]


def list_directory(files: Sequence[FileEntry], profile: Profile = USUAL) -> Listing:
    """The listing that names a directory's files, directly or through further listings.

    Args:
        files: Sorted by the bytes of their paths, at least one.
        profile: That of their addresses.
    """
    return _listings(files, profile)[-1]


def profile_of(manifest: Manifest) -> Profile:
    """The profile of the addresses in a manifest."""
    return profile_named(manifest.profile if isinstance(manifest, Listing) else None)


def address_by(profile: Profile) -> Callable[[Path], str] | None:
    """Computes a file's address by a profile; `None` for the usual one, which hashing computes anyway."""
    return None if profile == USUAL else lambda path: FileDag.of(read_spans(path), profile).cid


def readdressed(
    root: Path, files: Sequence[FileEntry], profile: Profile, *, progress: Progress | None = None
) -> tuple[FileEntry, ...]:
    """The entries of a directory's files with the addresses of another profile. Only long files are read again.

    Args:
        root: The directory.
        files: With the usual addresses.
        profile: The profile.
        progress: Called with the bytes of each file that is done.

    Raises:
        VerificationError: A file has changed since its entry was made.
        LlamafundError: A file cannot be read.
    """
    made = []
    for entry in files:
        if profile != USUAL and entry.size > USUAL.leaf_size:
            made.append(entry.model_copy(update={"cid": _readdress(root, entry, profile)}))
        else:
            made.append(entry)
        if progress is not None:
            progress(entry.size)
    return tuple(made)


def _readdress(root: Path, entry: FileEntry, profile: Profile) -> str:
    hasher = new_sha256()

    def spans() -> Iterator[bytes]:
        for span in read_spans(resolve_inside(root, entry.path)):
            hasher.update(span)
            yield span

    dag = FileDag.of(spans(), profile)
    require_unchanged(entry.path, FileDigest(dag.size, hasher.hexdigest(), entry.cid), digest_of(entry))
    return dag.cid


def listings_of(manifest: EvidenceManifest | Listing, files: Sequence[FileEntry]) -> Iterator[Listing]:
    """The listings to publish before a manifest; a listing comes before those that name it.

    Args:
        manifest: Names all files; a listing must come from `list_directory`.
        files: All of them.
    """
    if isinstance(manifest, Listing):
        yield from _listings(files, profile_of(manifest))[:-1]
    else:
        yield from manifest.further_manifests()


def publish(
    root: Path,
    manifest: EvidenceManifest | Listing,
    files: Sequence[FileEntry],
    locations: Sequence[str],
    *,
    link: bool = False,
    progress: Progress | None = None,
    report: Report | None = None,
) -> Published:
    """Send a directory's files and the manifests that name them to any number of locations, and pin them there.

    Each file is read, compared and split into blocks once, and each location gets only what it does not have. If a
    location fails, the others go on. Pinning services come last, when other locations have the content.

    Args:
        root: The directory that the files' paths are relative to.
        manifest: Names the files.
        files: All of them.
        locations: As `open_store` takes them, or `car:FILE` for a CAR file.
        link: Put hard links into local stores; see `LocalStore`.
        progress: Called with the bytes of files that are done at every location that has not failed.
        report: Called for each location that fails.

    Raises:
        UsageError: A location is malformed, or none takes bytes; or a file is missing or leads out of the directory.
        VerificationError: A file no longer matches the manifest.
        LlamafundError: A file cannot be read.
    """
    documents = [*(listing.to_bytes() for listing in listings_of(manifest, files)), manifest.to_bytes()]
    addresses = [raw_cid(new_sha256(document).hexdigest()) for document in documents]
    cids = list(dict.fromkeys([*reversed(addresses), *(entry.cid for entry in files)]))
    with ExitStack() as stack:
        targets = [_open_target(location, cids, link, manifest.sha256, stack) for location in dict.fromkeys(locations)]
        senders = [target for target in targets if isinstance(target, _Sender)]
        if not senders:
            raise UsageError(
                "No location takes the bytes",
                "A pinning service takes only addresses, and fetches the content from other nodes",
                "Add a Kubo node that others can reach, for example --to kubo:http://127.0.0.1:5001",
            )
        _send_files(root, files, profile_of(manifest), senders, progress, report)
        # Manifests after the files, and the one that names all others last: a location that has it has everything.
        for document in documents:
            for sender in senders:
                sender.attempt(sender.settle, report)
            _send_bytes(document, senders, report)
        for sender in senders:
            sender.attempt(sender.settle, report)
        for sender in senders:
            sender.attempt(sender.finish, report)
        services = [target for target in targets if isinstance(target, _Service)]
        _have_pinned(services, cids, senders, report)
    size = sum(entry.size for entry in files)
    return Published(manifest.sha256, len(files), size, tuple(target.outcome for target in targets))


class _Target:
    """A location to publish to. After a failure it is left alone."""

    def __init__(self, location: str) -> None:
        self.outcome = Outcome(location)

    def attempt(self, action: Callable[[], None], report: Report | None) -> None:
        if self.outcome.problem is not None:
            return
        began = time.monotonic()
        try:
            action()
        except ChangedFileError:
            # No place is to blame, and none gets anything more.
            raise
        except LlamafundError as error:
            self.outcome.problem = error
            if report is not None:
                report(f"{self.outcome.location} failed: {error}")
        finally:
            self.outcome.seconds += time.monotonic() - began

    @property
    def active(self) -> bool:
        return self.outcome.problem is None


class _Sender(_Target, ABC):
    """A location that takes bytes."""

    @abstractmethod
    def send(self, file: _File) -> None:
        """Make the location keep a file, unless it has the file."""

    def settle(self) -> None:
        """Called after all files, and after each manifest: what comes next names what came before."""

    def finish(self) -> None:
        """Called when everything was sent."""

    def origins(self) -> tuple[str, ...]:
        """Where other IPFS nodes can fetch the content."""
        return ()


class _File:
    """A file to send, and its blocks once they are needed.

    Args:
        name: For messages.
        digest: The digest that it must have.
        path: Where it is; `None` if it is in memory.
        data: Its bytes if it is in memory.
        read_at: Returns its bytes.
        profile: That of its address.
    """

    def __init__(
        self,
        name: str,
        digest: FileDigest,
        path: Path | None,
        data: bytes,
        read_at: ReadAt,
        profile: Profile = USUAL,
    ) -> None:
        self.profile = profile
        self.name = name
        self.digest = digest
        self.path = path
        self.data = data
        self.read_at = read_at

    def check(self, digest: FileDigest) -> None:
        require_unchanged(self.name, digest, self.digest)

    def spans(self) -> Iterator[bytes]:
        """Its bytes."""
        return iter((self.data,)) if self.path is None else read_spans(self.path)

    @cached_property
    def dag(self) -> FileDag:
        hasher = new_sha256()

        def spans() -> Iterator[bytes]:
            for span in self.spans():
                hasher.update(span)
                yield span

        dag = FileDag.of(spans(), self.profile)
        self.check(FileDigest(dag.size, hasher.hexdigest(), dag.cid))
        return dag


class _Directory(_Sender):
    def __init__(self, location: str, store: LocalStore, owner: str, stack: ExitStack) -> None:
        super().__init__(location)
        self._store = store
        self._batch = store.batch(owner)
        stack.callback(self._batch.discard)

    def send(self, file: _File) -> None:
        cid, size = file.digest.cid, file.digest.size
        if self._has(cid, size):
            self.outcome.present += size
        else:
            if file.profile != USUAL:
                # Its blocks are compared first, so the address is that of these bytes.
                other = under_other_profile(cid, file.spans)
                self._batch.put_stream(file.spans(), file.dag.cid, other=other)
            else:
                file.check(self._batch.put_bytes(file.data) if file.path is None else self._batch.put_file(file.path))
            self.outcome.sent += size
        self.outcome.pinned += 1

    def settle(self) -> None:
        self._batch.flush()

    def _has(self, cid: str, size: int) -> bool:
        """Whether the right bytes are there. The name alone is not enough: the disk may be damaged."""
        # Pinned first: garbage collection must not remove it meanwhile.
        if not self._batch.keep(cid):
            return False
        try:
            for _ in self._store.stream(cid, size=size):
                pass
        except (MissingContentError, VerificationError):
            return False
        return True


class _Node(_Sender):
    def __init__(self, location: str) -> None:
        super().__init__(location)
        store = open_store(location)
        assert isinstance(store, KuboStore)
        self._store = store
        self._pins: frozenset[str] | None = None

    def send(self, file: _File) -> None:
        if self._pins is None:
            self._pins = self._store.pins()
        # A node keeps every block of pinned content.
        if file.digest.cid in self._pins:
            self.outcome.present += file.digest.size
        else:
            self._store.put_dag(file.dag, file.read_at)
            self.outcome.sent += file.digest.size
            self._store.pin(file.digest.cid)
        self.outcome.pinned += 1

    def origins(self) -> tuple[str, ...]:
        if not self.active:
            return ()
        try:
            return self._store.addresses()
        except LlamafundError:
            # A hint that makes a service faster; without it the service searches the network.
            return ()


class _CarFile(_Sender):
    def __init__(self, location: str, cids: Sequence[str], stack: ExitStack) -> None:
        super().__init__(location)
        name = location.removeprefix(CAR_PREFIX)
        if not name or Path(name).is_dir():
            raise UsageError(f"{location!r} names no file", remedy="Write it like car:model.car")
        self._writer = stack.enter_context(CarWriter(Path(name), cids))

    def send(self, file: _File) -> None:
        self._writer.add(file.dag, file.read_at)
        self.outcome.sent += file.digest.size

    def finish(self) -> None:
        self._writer.close()


class _Service(_Target):
    """A pinning service: it gets the addresses when other locations have the content."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._location = location
        open_store(location)

    def nobody(self) -> None:
        raise LlamafundError("It was not asked", "No other location has the content, so it could not fetch it")

    def pin_all(self, cids: Sequence[str], origins: Sequence[str]) -> None:
        store = open_store(self._location)
        assert isinstance(store, PinningStore)
        store.origins = tuple(origins)
        # All requests go out before any wait, so that the service fetches side by side.
        store.request_all(cids)
        for cid in cids:
            store.pin(cid)
            self.outcome.pinned += 1


def _open_target(location: str, cids: Sequence[str], link: bool, owner: str, stack: ExitStack) -> _Target:
    if location.startswith(CAR_PREFIX):
        return _CarFile(location, cids, stack)
    store = open_store(location, link=link)
    if isinstance(store, LocalStore):
        return _Directory(location, store, owner, stack)
    kind = location.partition(":")[0].partition("+")[0]
    if kind == "kubo":
        return _Node(location)
    if kind == "pin":
        return _Service(location)
    raise UsageError(
        f"{without_secrets(location)!r} cannot be published to",
        "Gateways only serve what IPFS nodes have",
        "Publish to a Kubo node (kubo:…), and to a pinning service (pin:…) to have it kept",
    )


def _send_files(
    root: Path,
    files: Sequence[FileEntry],
    profile: Profile,
    senders: Sequence[_Sender],
    progress: Progress | None,
    report: Report | None,
) -> None:
    done: set[str] = set()
    folders: dict[str, Path] = {}
    for entry in files:
        if entry.cid not in done:
            _send_file(_place_of(root, entry.path, folders), entry, profile, senders, report)
            done.add(entry.cid)
        if progress is not None:
            progress(entry.size)


def _place_of(root: Path, name: str, folders: dict[str, Path]) -> Path:
    """Where a file is. Links are looked for once a folder: for small files that takes most of the time.

    Args:
        root: The directory that its path is relative to.
        name: The path.
        folders: Of earlier files, those that no link leads to, by their paths.
    """
    folder, _, last = name.rpartition("/")
    if folder in folders:
        path = folders[folder] / last
        return resolve_inside(root, name) if path.is_symlink() else path
    path = resolve_inside(root, name)
    if path == root.resolve() / name:
        folders[folder] = path.parent
    return path


def _have_pinned(
    services: Sequence[_Service], cids: Sequence[str], senders: Sequence[_Sender], report: Report | None
) -> None:
    """Ask pinning services to keep what other locations have."""
    origins = tuple(address for sender in senders for address in sender.origins())[:20]
    kept = any(sender.active for sender in senders)
    for service in services:
        service.attempt(partial(service.pin_all, cids, origins) if kept else service.nobody, report)


def _send_file(
    path: Path, entry: FileEntry, profile: Profile, senders: Sequence[_Sender], report: Report | None
) -> None:
    with ExitStack() as stack:
        opened: list[ReadAt] = []

        def read_at(offset: int, length: int) -> bytes:
            # Directories copy the file themselves.
            if not opened:
                opened.append(stack.enter_context(reading_at(path)))
            return opened[0](offset, length)

        _send(_File(entry.path, digest_of(entry), path, b"", read_at, profile), senders, report)


def _send_bytes(data: bytes, senders: Sequence[_Sender], report: Report | None) -> None:
    _send(
        _File("manifest", hash_bytes(data), None, data, lambda offset, length: data[offset : offset + length]),
        senders,
        report,
    )


def _send(file: _File, senders: Sequence[_Sender], report: Report | None) -> None:
    for sender in senders:
        sender.attempt(partial(sender.send, file), report)


def _listings(files: Sequence[FileEntry], profile: Profile) -> list[Listing]:
    made = list(list_files(files, profile))
    level = made
    while len(level) > 1:
        level = list(list_listings([listing.reference() for listing in level], profile))
        made = [*made, *level]
    return made
