"""A directory as a store: offline, for the demo, for tests, and for a shared disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import (
    SPAN,
    IrregularFileError,
    PendingFile,
    open_regular,
    read_spans,
    storage_error,
)
from llamafund_chain.store.base import (
    MissingContentError,
    check_cid,
    fetch_verified,
    is_cid,
    read_verified,
    verified,
)

GRACE_SECONDS = 3600.0
"""How long `LocalStore.gc` keeps content that nobody has pinned yet."""

_READ_ONLY = 0o444
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


@dataclass(frozen=True)
class Collected:
    """What `LocalStore.gc` did.

    Attributes:
        removed: Addresses whose content was removed.
        freed: Bytes of that content and of unfinished files. Content with hard links elsewhere takes up its space
            until it is removed there too.
        unfinished: Number of unfinished files of killed writers.
        spared: Number of unpinned contents that are too new to be removed.
    """

    removed: tuple[str, ...]
    freed: int
    unfinished: int
    spared: int


class LocalStore:
    """Content in `content/<cid>`, pins as empty files in `pins/<cid>`, unfinished files in `incoming/`.

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

    def put_stream(self, spans: Iterator[bytes], cid: str) -> None:
        """Keep bytes whose address is known, replacing any bytes under it.

        Raises:
            VerificationError: They have another address; nothing was kept.
            LlamafundError: They cannot be stored, or whatever `spans` raises.
        """
        check_cid(cid)
        self._put(verified(spans, cid, self.location))

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
        return verified(self._spans(cid), cid, self.location, size=size)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`."""
        if not self._link or not self._fetch_link(cid, destination, size, sha256):
            fetch_verified(verified(self._spans(cid), cid, self.location, size=size, sha256=sha256), destination)

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

    def unpin(self, cid: str) -> None:
        """See `Store.unpin`."""
        check_cid(cid)
        try:
            (self._pins / cid).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, f"Unpinning {cid} in {self.location}") from error

    def pins(self) -> frozenset[str]:
        """See `Store.pins`."""
        try:
            return frozenset(entry.name for entry in self._pins.iterdir() if is_cid(entry.name))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise storage_error(error, f"Listing the pins of {self.location}") from error

    def contents(self) -> frozenset[str]:
        """All addresses with content."""
        try:
            return frozenset(entry.name for entry in self._content.iterdir() if is_cid(entry.name))
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise storage_error(error, f"Listing {self.location}") from error

    def gc(self, *, grace: float = GRACE_SECONDS) -> Collected:
        """Remove content that is not pinned, and unfinished files of killed writers.

        Nothing pinned is ever removed. `grace` protects content that is about to be pinned. If another process is
        writing, this fails rather than waits.

        Args:
            grace: Seconds for which content is kept after it was put, or put again.

        Raises:
            LlamafundError: The store is being written to, or something cannot be removed.
        """
        removed: list[str] = []
        freed = unfinished = spared = 0
        if not self._directory.exists():
            return Collected((), freed, unfinished, spared)
        with self._alone():
            pinned = self.pins()
            # No writer is alive: a writer holds the lock that was just taken, and loses it when it is killed.
            for leftover in self._entries(self._incoming):
                freed += self._remove(leftover)
                unfinished += 1
            # By the time of the file's last change of name or mode, which no writer can set back.
            youngest = time.time() - grace
            for cid in sorted(self.contents() - pinned):
                path = self._content / cid
                if path.lstat().st_ctime > youngest:
                    spared += 1
                    continue
                freed += self._remove(path)
                removed.append(cid)
        return Collected(tuple(removed), freed, unfinished, spared)

    def _put(self, spans: Iterator[bytes]) -> FileDigest:
        hasher = FileHasher()
        with self._writing(), PendingFile(self._incoming, mode=_READ_ONLY) as pending:
            for span in spans:
                hasher.update(span)
                pending.write(span)
            digest = hasher.finish()
            # Even if there is content under the address: it may have been damaged since.
            pending.commit(self._content / digest.cid)
        return digest

    def _put_link(self, path: Path) -> FileDigest | None:
        """Put a file as a hard link; `None` if that is not possible."""
        with self._writing():
            pending = self._incoming / f".{secrets.token_hex(12)}.part"
            try:
                os.link(path, pending, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_LINK:
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
                _sync(pending)
                # Renaming one link of a file over another does nothing and leaves both names.
                pending.replace(self._content / digest.cid)
                _sync(self._content)
            except OSError as error:
                raise storage_error(error, f"Linking {str(path)!r} into {self.location}") from error
            finally:
                with contextlib.suppress(OSError):
                    pending.unlink(missing_ok=True)
        return digest

    def _fetch_link(self, cid: str, destination: Path, size: int | None, sha256: str | None) -> bool:
        """Fetch a file as a hard link; false if that is not possible."""
        pending = destination.parent / f".{secrets.token_hex(12)}.part"
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            # First linked, then verified through the link: so the verified bytes get the name.
            os.link(self.path_of(cid), pending, follow_symlinks=False)
        except FileNotFoundError as error:
            raise self._missing(cid) from error
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise storage_error(error, f"Linking {cid} to {str(destination)!r}") from error
        try:
            for _ in verified(self._spans_at(pending, cid), cid, self.location, size=size, sha256=sha256):
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
    def _writing(self) -> Iterator[None]:
        """Keep `gc` out. Any number of writers may work at the same time."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        # On the directory: a killed process loses its lock, and there is no lock file to keep.
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, f"Writing into {self.location!r}") from error
        try:
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError as error:
                raise LlamafundError(
                    f"The store {self.location} is being written to",
                    "Nothing was removed, because new content is not pinned yet",
                    "Run the command again when the other program has finished",
                ) from error
            except OSError as error:
                raise storage_error(error, f"Locking {self.location!r}") from error
            yield
        finally:
            os.close(descriptor)

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
            raise VerificationError(
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
