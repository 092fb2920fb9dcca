"""A directory as a store: offline, for the demo, for tests, and for a shared disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from llamafund_chain.errors import LlamafundError, UsageError, WrongAnswerError
from llamafund_chain.evidence.hashing import FileDigest, FileHasher, hash_bytes
from llamafund_chain.evidence.hashing.digests import BLOCK_SIZE
from llamafund_chain.files import (
    NO_LINK,
    SPAN,
    IrregularFileError,
    PendingFile,
    open_regular,
    read_spans,
    storage_error,
    sync,
    sync_all,
    sync_directory,
    unfinished_name,
)
from llamafund_chain.store.base import (
    MissingContentError,
    check_cid,
    fetch_verified,
    is_cid,
    read_verified,
    verified,
)
from llamafund_chain.store.ipfs.unixfs import under_other_profile

GRACE_SECONDS = 3600.0
"""How long `LocalStore.gc` keeps content that nobody has pinned yet."""

_READ_ONLY = 0o444
_NO_LOCK = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_OWNER = re.compile(r"[0-9a-f]{64}")

WAIT_SECONDS = 60.0
"""How long `LocalStore.gc` waits for writers."""

_POLL_SECONDS = 0.02

BATCH_FILES = 2000
BATCH_BYTES = 128 * 1024 * 1024
BATCH_SECONDS = 2.0
"""After so many files, bytes or seconds a batch is flushed: how much work a crash can lose."""


@dataclass(frozen=True)
class Collected:
    """What `LocalStore.gc` did.

    Attributes:
        removed: Addresses whose content was removed.
        freed: Bytes of that content and of unfinished files. Content with hard links elsewhere takes up its space
            until it is removed there too.
        unfinished: Number of unfinished files of killed writers.
        spared: Number of unpinned contents that are too new to be removed.
        strays: What is in the store's folders and does not belong there; it was left alone.
    """

    removed: tuple[str, ...]
    freed: int
    unfinished: int
    spared: int
    strays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What `LocalStore.check` found.

    Attributes:
        contents: Number of contents.
        size: Their bytes.
        damaged: Addresses whose bytes are others, or cannot be read.
        missing: Pinned addresses without content.
        unfinished: Number of unfinished files of writers, alive or killed.
        strays: What is in the store's folders and does not belong there.
    """

    contents: int
    size: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    unfinished: int
    strays: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether everything that is pinned is there, and nothing is damaged."""
        return not self.damaged and not self.missing


class LocalStore:
    """Content in `content/<cid>`, pins in `pins/`, unfinished files in `incoming/`.

    A pin has an owner. What somebody pins by hand is an empty file `pins/<cid>`. What belongs to a published manifest
    is a line of the file `pins/<sha256 of the manifest>`. Content is kept as long as anybody pins it.

    Several processes may use one directory at the same time. Files get their names only when they are complete, and
    are read-only, because content never changes. A killed writer leaves a file in `incoming/`, which `gc` removes.

    Args:
        directory: Created when something is first put into it.
        link: Put and fetch files as hard links where the file systems allow it, so that a file takes up its space
            only once. The file becomes read-only under its other name too. Writing to it all the same damages the
            store's content, which is noticed when it is read. Between two file systems, and where links are not
            permitted, files are copied as usual.
    """

    def __init__(self, directory: Path, *, link: bool = False) -> None:
        self._directory = directory
        self._link = link
        self._content = directory / "content"
        self._incoming = directory / "incoming"
        self._pins = directory / "pins"

    @property
    def location(self) -> str:
        """The directory."""
        return str(self._directory)

    @property
    def links(self) -> bool:
        """Whether it puts and fetches hard links where possible."""
        return self._link

    def path_of(self, cid: str) -> Path:
        """Where the content of this address is or would be.

        Raises:
            UsageError: `cid` is not an address that stores use.
        """
        check_cid(cid)
        return self._content / cid

    def put_file(self, path: Path) -> FileDigest:
        """See `Store.put_file`."""
        if self._link:
            digest = self._put_link(path)
            if digest is not None:
                return digest
        return self._put(read_spans(path))

    def put_bytes(self, data: bytes) -> FileDigest:
        """See `Store.put_bytes`."""
        return self._put(iter((data,)))

    def put_stream(
        self, spans: Iterator[bytes], cid: str, *, other: Callable[[FileDigest], bool] | None = None
    ) -> None:
        """Keep bytes whose address is known, replacing any bytes under it.

        Args:
            spans: The bytes.
            cid: Their address.
            other: See `verified`.

        Raises:
            VerificationError: They have another address; nothing was kept.
            LlamafundError: They cannot be stored, or whatever `spans` raises.
        """
        check_cid(cid)
        self._put(verified(spans, cid, self.location, other=other), cid)

    def put_spans(self, spans: Iterator[bytes]) -> FileDigest:
        """Keep bytes whose address is not known yet.

        Raises:
            LlamafundError: They cannot be stored, or whatever `spans` raises; nothing was kept.
        """
        return self._put(spans)

    def free(self) -> int:
        """Free space, in bytes.

        Raises:
            LlamafundError: The directory cannot be examined.
        """
        place = self._directory
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            return shutil.disk_usage(place).free
        except OSError as error:
            raise storage_error(error, f"Looking at {self.location!r}") from error

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """See `Store.stream`."""
        return self._verified(cid, lambda: self._spans(cid), size, None)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`."""
        if not self._link or not self._fetch_link(cid, destination, size, sha256):
            fetch_verified(self._verified(cid, lambda: self._spans(cid), size, sha256), destination)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Store.read`."""
        return read_verified(self.stream(cid), cid, self.location, limit=limit)

    def has(self, cid: str) -> bool:
        """See `Store.has`."""
        return self.path_of(cid).is_file()

    def pin(self, cid: str) -> None:
        """See `Store.pin`."""
        with self._writing():
            if not self.has(cid):
                raise self._missing(cid)
            with PendingFile(self._incoming) as pending:
                pending.commit(self._pins / cid)

    def batch(self, owner: str) -> Batch:
        """Put many contents with few flushes, and pin them for a manifest.

        Args:
            owner: The manifest's SHA-256, 64 hexadecimal digits.

        Raises:
            UsageError: It is something else.
        """
        return Batch(self, owner)

    def owners(self) -> dict[str, frozenset[str]]:
        """The addresses that each published manifest pins, by its SHA-256."""
        return {path.name: self._pins_of(path) for path in self._entries(self._pins) if _OWNER.fullmatch(path.name)}

    def pinned_by_hand(self) -> frozenset[str]:
        """The addresses that somebody pinned one by one."""
        return frozenset(path.name for path in self._entries(self._pins) if is_cid(path.name))

    def release(self, owner: str) -> bool:
        """Undo all pins of a published manifest. Contents that others pin too stay pinned.

        Returns:
            Whether there were any.

        Raises:
            UsageError: It is no SHA-256.
            LlamafundError: The disk fails, or has no locks.
        """
        path = self._pins_file(owner)
        if not path.exists():
            return False
        with self._writing(), ExitStack() as stack:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                # Whoever is adding to it finishes first, and whoever comes later begins a new file.
                self._lock(descriptor, fcntl.LOCK_EX)
                path.unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise storage_error(error, f"Unpinning {owner} in {self.location}") from error
        return True

    def unpin(self, cid: str) -> None:
        """See `Store.unpin`. This undoes a pin by hand; published manifests keep theirs until `release`."""
        check_cid(cid)
        try:
            (self._pins / cid).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, f"Unpinning {cid} in {self.location}") from error

    def pins(self) -> frozenset[str]:
        """See `Store.pins`."""
        return self.pinned_by_hand().union(*self.owners().values())

    def contents(self) -> frozenset[str]:
        """All addresses with content."""
        try:
            return frozenset(entry.name for entry in self._content.iterdir() if is_cid(entry.name))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise storage_error(error, f"Listing {self.location}") from error

    def sizes(self) -> dict[str, int]:
        """The bytes of each content, by its address."""
        return {cid: _size(self._content / cid) for cid in sorted(self.contents())}

    def gc(self, *, grace: float = GRACE_SECONDS, wait: float = WAIT_SECONDS) -> Collected:
        """Remove content that is not pinned, and unfinished files of killed writers.

        Nothing pinned is ever removed. `grace` protects content that is about to be pinned. New writers wait until
        this is done, and this waits for those that are writing.

        Args:
            grace: Seconds for which content is kept after it was put, or put again.
            wait: Most seconds to wait for writers.

        Raises:
            LlamafundError: The store is still being written to, or something cannot be removed.
        """
        removed: list[str] = []
        freed = unfinished = spared = 0
        if not self._directory.exists():
            return Collected((), freed, unfinished, spared)
        with self._alone(wait):
            pinned = self.pins()
            strays = self._strays()
            # No writer is alive: a writer holds the lock that was just taken, and loses it when it is killed.
            for leftover in self._entries(self._incoming):
                if not leftover.is_dir() or leftover.is_symlink():
                    freed += self._remove(leftover)
                    unfinished += 1
            # By the time of the file's last change of name or mode, which no writer can set back.
            youngest = time.time() - grace
            for cid in sorted(self.contents() - pinned):
                path = self._content / cid
                status = path.lstat()
                if stat.S_ISDIR(status.st_mode):
                    continue
                if status.st_ctime > youngest:
                    spared += 1
                    continue
                freed += self._remove(path)
                removed.append(cid)
        return Collected(tuple(removed), freed, unfinished, spared, strays)

    def check(
        self, *, total: Callable[[int], None] | None = None, progress: Callable[[int], None] | None = None
    ) -> Checked:
        """Read everything and compare it with its address. Others may write meanwhile.

        Args:
            total: Called once with the bytes of all contents.
            progress: Called with the number of bytes read since the previous call.

        Raises:
            LlamafundError: A folder cannot be listed.
        """
        sizes, pinned = self.sizes(), self.pins()
        if total is not None:
            total(sum(sizes.values()))
        damaged: list[str] = []
        for cid in sizes:
            try:
                for span in self.stream(cid):
                    if progress is not None:
                        progress(len(span))
            except MissingContentError:
                # Garbage that somebody collected meanwhile; were it pinned, it would be missing below.
                continue
            except LlamafundError:
                damaged.append(cid)
        missing = tuple(sorted(cid for cid in pinned if cid not in sizes and not self.has(cid)))
        return Checked(
            contents=len(sizes),
            size=sum(sizes.values()),
            damaged=tuple(damaged),
            missing=missing,
            unfinished=sum(not path.is_dir() for path in self._entries(self._incoming)),
            strays=self._strays(),
        )

    def _strays(self) -> tuple[str, ...]:
        """What does not belong into the store's folders, by its path in the store."""
        found = [path for path in self._entries(self._incoming) if path.is_dir() and not path.is_symlink()]
        found += [path for path in self._entries(self._content) if not is_cid(path.name) or path.is_dir()]
        found += [path for path in self._entries(self._pins) if not (is_cid(path.name) or _OWNER.fullmatch(path.name))]
        return tuple(str(path.relative_to(self._directory)) for path in found)

    def _pins_file(self, owner: str) -> Path:
        if not _OWNER.fullmatch(owner):
            raise UsageError(
                f"{owner[:80]!r} is not a SHA-256", "Pins belong to manifests, which are named by their hash"
            )
        return self._pins / owner

    def _pins_of(self, path: Path) -> frozenset[str]:
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise storage_error(error, f"Reading the pins {path.name} of {self.location}") from error
        # A writer that was killed may have left a part of a line at the end.
        return frozenset(line for line in (line.decode("ascii", "replace") for line in lines) if is_cid(line))

    def _add_pins(self, owner: str, cids: Iterable[str]) -> None:
        """Append to an owner's pins, and wait until they are on the disk. Needs the lock of a writer."""
        path = self._pins_file(owner)
        try:
            self._pins.mkdir(parents=True, exist_ok=True)
            new = not path.exists()
            with self._appending(path) as stream:
                # Begins on a new line, whatever a killed writer left.
                data = memoryview(("\n" + "\n".join(cids) + "\n").encode("ascii"))
                while data:
                    data = data[stream.write(data) :]
                sync(stream.fileno())
            if new:
                sync_directory(self._pins)
        except OSError as error:
            raise storage_error(error, f"Pinning for {owner} in {self.location}") from error

    @contextlib.contextmanager
    def _appending(self, path: Path) -> Iterator[FileIO]:
        """A file of pins, open for appending, which `release` does not remove meanwhile."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            with FileIO(descriptor, "r+b") as stream:
                self._lock(descriptor, fcntl.LOCK_EX)
                # It may have been removed between opening and locking.
                if os.fstat(descriptor).st_nlink:
                    yield stream
                    return

    def _settle(self, files: list[tuple[Path, str]], descriptor: int) -> None:
        """Flush unfinished files to the disk and give them their names. Needs the lock of a writer."""
        try:
            self._content.mkdir(parents=True, exist_ok=True)
            sync_all([path for path, _ in files], descriptor)
            for path, cid in files:
                # Even if there is content under the address: it may have been damaged since.
                path.replace(self._content / cid)
            sync_directory(self._content)
        except OSError as error:
            raise storage_error(error, f"Writing into {self.location!r}") from error

    def _verified(
        self, cid: str, spans: Callable[[], Iterator[bytes]], size: int | None, sha256: str | None
    ) -> Iterator[bytes]:
        other = under_other_profile(cid, spans)
        return verified(spans(), cid, self.location, size=size, sha256=sha256, to_the_end=True, other=other)

    def _put(self, spans: Iterator[bytes], cid: str | None = None) -> FileDigest:
        """Keep bytes under an address for which they were judged, or by default under their usual one."""
        hasher = FileHasher()
        with self._writing(), PendingFile(self._incoming, mode=_READ_ONLY) as pending:
            for span in spans:
                hasher.update(span)
                pending.write(span)
            digest = hasher.finish()
            # Even if there is content under the address: it may have been damaged since.
            pending.commit(self._content / (cid or digest.cid))
        return digest

    def _put_link(self, path: Path) -> FileDigest | None:
        """Put a file as a hard link; `None` if that is not possible."""
        with self._writing():
            pending = self._incoming / unfinished_name()
            try:
                os.link(path, pending, follow_symlinks=False)
            except OSError as error:
                if error.errno in NO_LINK:
                    return None
                # Copying will report what is wrong with the path.
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    return None
                raise storage_error(error, f"Linking {str(path)!r} into {self.location}") from error
            try:
                if not stat.S_ISREG(pending.lstat().st_mode):
                    return None
                pending.chmod(_READ_ONLY)
                hasher = FileHasher()
                for span in read_spans(pending):
                    hasher.update(span)
                digest = hasher.finish()
                self._content.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(pending, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    sync(descriptor)
                finally:
                    os.close(descriptor)
                # Renaming one link of a file over another does nothing and leaves both names.
                pending.replace(self._content / digest.cid)
                sync_directory(self._content)
            except OSError as error:
                raise storage_error(error, f"Linking {str(path)!r} into {self.location}") from error
            finally:
                with contextlib.suppress(OSError):
                    pending.unlink(missing_ok=True)
        return digest

    def _fetch_link(self, cid: str, destination: Path, size: int | None, sha256: str | None) -> bool:
        """Fetch a file as a hard link; false if that is not possible."""
        pending = destination.parent / unfinished_name()
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            # First linked, then verified through the link: so the verified bytes get the name.
            os.link(self.path_of(cid), pending, follow_symlinks=False)
        except FileNotFoundError as error:
            raise self._missing(cid) from error
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise storage_error(error, f"Linking {cid} to {str(destination)!r}") from error
        try:
            for _ in self._verified(cid, lambda: self._spans_at(pending, cid), size, sha256):
                pass
            pending.replace(destination)
        except OSError as error:
            raise storage_error(error, f"Linking {cid} to {str(destination)!r}") from error
        finally:
            # Also if the destination was already a link to the same file: renaming then leaves both names.
            with contextlib.suppress(OSError):
                pending.unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def _writing(self) -> Iterator[int]:
        """Keep `gc` out. Any number of writers may work at the same time, but none may call this twice.

        Yields:
            A descriptor of the folder for unfinished files.
        """
        self._begin()
        with ExitStack() as stack:
            gate = self._open(self._directory, stack)
            writers = self._open(self._incoming, stack)
            # A writer passes the gate, so that `gc`, which holds it, need not wait for ever for new ones.
            self._lock(gate, fcntl.LOCK_SH)
            self._lock(writers, fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield writers

    @contextlib.contextmanager
    def _alone(self, wait: float) -> Iterator[None]:
        self._begin()
        deadline = time.monotonic() + wait
        with ExitStack() as stack:
            for place in (self._directory, self._incoming):
                descriptor = self._open(place, stack)
                while not self._lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    if time.monotonic() >= deadline:
                        raise LlamafundError(
                            f"The store {self.location} is being written to",
                            f"Nothing was removed, because new content is not pinned yet; {wait:g} seconds have passed",
                            "Run the command again when the other program has finished",
                        )
                    time.sleep(_POLL_SECONDS)
            yield

    def _begin(self) -> None:
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"Writing into {self.location!r}") from error

    def _open(self, directory: Path, stack: ExitStack) -> int:
        # On directories: a killed process loses its lock, and there is no lock file to keep.
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, f"Writing into {self.location!r}") from error
        stack.callback(os.close, descriptor)
        return descriptor

    def _lock(self, descriptor: int, how: int) -> bool:
        """Take a lock; false if somebody else holds it and `how` says not to wait."""
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCK:
                raise LlamafundError(
                    f"The disk of the store {self.location} has no file locks",
                    f"flock says: {error.strerror}. Nothing was written, because two programs could harm each other",
                    "Put the store on a local disk, or mount the network folder with locks",
                ) from error
            raise storage_error(error, f"Locking {self.location!r}") from error
        return True

    def _entries(self, directory: Path) -> list[Path]:
        try:
            return sorted(directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, f"Listing {str(directory)!r}") from error

    def _remove(self, path: Path) -> int:
        try:
            size = path.lstat().st_size
            path.unlink()
        except OSError as error:
            raise storage_error(error, f"Removing {str(path)!r}") from error
        return size

    def _spans(self, cid: str) -> Iterator[bytes]:
        return self._spans_at(self.path_of(cid), cid)

    def _spans_at(self, path: Path, cid: str) -> Iterator[bytes]:
        try:
            stream = open_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._missing(cid) from error
        except IrregularFileError as error:
            raise WrongAnswerError(
                f"{cid} in the store {self.location} is {error}",
                "A store keeps only files; another program has put it there",
                "Remove it and put the content there again",
            ) from error
        except OSError as error:
            raise storage_error(error, f"Reading {cid} in {self.location}") from error
        with stream:
            while True:
                try:
                    span = stream.read(SPAN)
                except OSError as error:
                    raise storage_error(error, f"Reading {cid} in {self.location}") from error
                if not span:
                    return
                yield span

    def _missing(self, cid: str) -> MissingContentError:
        return MissingContentError(
            f"The store {self.location} has nothing under {cid}",
            "It was never put there, or was removed",
            "Ask whoever published it to put it there again, or use another store",
        )


class Batch:
    """Puts many contents into a store and pins them for their manifest, with few flushes to the disk.

    A context manager. What was put is in the store, on the disk and pinned after `flush`, which also happens by itself
    every `BATCH_SECONDS`, and at the end of the block unless it ends with an error. A crash loses at most what was put
    since, never a part of a content.

    Args:
        store: The store.
        owner: SHA-256 of the manifest that pins them.
    """

    def __init__(self, store: LocalStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._known = store._pins_of(store._pins_file(owner))
        self._waiting: list[tuple[Path, str]] = []
        self._wanted: set[str] = set()
        self._pins: dict[str, None] = {}
        self._bytes = 0
        self._lock: ExitStack | None = None
        self._descriptor = -1
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
            self._pin_again()
        else:
            self.discard()

    def put_file(self, path: Path) -> FileDigest:
        """Put a regular file and pin it; see `Store.put_file`."""
        if self._store.links:
            # Linking takes the lock itself.
            self.flush()
            digest = self._store.put_file(path)
            self.keep(digest.cid)
            return digest
        return self._put(read_spans(path))

    def put_bytes(self, data: bytes) -> FileDigest:
        """Put bytes and pin them; see `Store.put_bytes`."""
        return self._put(iter((data,)))

    def put_stream(
        self, spans: Iterator[bytes], cid: str, *, other: Callable[[FileDigest], bool] | None = None
    ) -> None:
        """Put bytes whose address is known, and pin them; see `LocalStore.put_stream`."""
        # It takes the lock itself.
        self.flush()
        self._store.put_stream(spans, cid, other=other)
        self.keep(cid)

    def keep(self, cid: str) -> bool:
        """Pin content that is there, and keep `gc` away from it from now on.

        Returns:
            Whether there is any.
        """
        self._hold()
        if not self._store.has(cid):
            return False
        self._pin(cid)
        self._flush_if_due()
        return True

    def flush(self) -> None:
        """Wait until everything is on the disk, named and pinned.

        Raises:
            LlamafundError: The disk is full or fails.
        """
        try:
            if self._waiting:
                self._store._settle(self._waiting, self._descriptor)
                self._waiting = []
            if self._pins:
                self._store._add_pins(self._owner, self._pins)
                self._known |= self._pins.keys()
                self._pins = {}
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was not flushed."""
        for path, _ in self._waiting:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._waiting, self._pins, self._bytes = [], {}, 0
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _put(self, spans: Iterator[bytes]) -> FileDigest:
        self._hold()
        first = next(spans, b"")
        second = next(spans, None)
        with PendingFile(self._store._incoming, mode=_READ_ONLY) as pending:
            if second is None and len(first) <= BLOCK_SIZE:
                digest = hash_bytes(first)
                pending.write(first)
            else:
                hasher = FileHasher()
                for span in chain((first,), () if second is None else (second,), spans):
                    hasher.update(span)
                    pending.write(span)
                digest = hasher.finish()
            self._waiting.append((pending.leave(), digest.cid))
        self._bytes += digest.size
        self._pin(digest.cid)
        self._flush_if_due()
        return digest

    def _pin_again(self) -> None:
        """Pin what somebody else's `release` of the same manifest has unpinned since this began."""
        lost = self._wanted - self._store._pins_of(self._store._pins_file(self._owner))
        if lost:
            with self._store._writing():
                self._store._add_pins(self._owner, sorted(lost))

    def _pin(self, cid: str) -> None:
        self._wanted.add(cid)
        if cid not in self._known:
            self._pins[cid] = None

    def _hold(self) -> None:
        if self._lock is None:
            with ExitStack() as stack:
                self._descriptor = stack.enter_context(self._store._writing())
                self._lock = stack.pop_all()
            self._began = time.monotonic()

    def _flush_if_due(self) -> None:
        if (
            len(self._waiting) >= BATCH_FILES
            or self._bytes >= BATCH_BYTES
            or time.monotonic() - self._began > BATCH_SECONDS
        ):
            self.flush()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
