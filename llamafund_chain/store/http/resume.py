"""What stores on other machines share: verified reading, and fetching that resumes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Self

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import SPAN, storage_error
from llamafund_chain.store.base import check_cid, read_verified, verified, wrong_pair

_PARTIAL = re.compile(r"\.b[a-z2-7]{58}\.partial")
Spans = Callable[[int], Iterator[bytes]]
"""Returns the bytes of a file from an offset on."""


class RemoteStore(ABC):
    """A store on a network; see `Store` for the methods."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The server's address."""

    @abstractmethod
    def _spans(self, cid: str, start: int) -> Iterator[bytes]:
        """The bytes under an address from an offset on, verified or not."""

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """See `Store.stream`."""
        check_cid(cid)
        return verified(self._spans(cid, 0), cid, self.location, size=size)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`. Bytes received before a connection broke are kept and used the next time."""
        check_cid(cid)
        fetch_resuming(lambda start: self._spans(cid, start), cid, destination, self.location, size=size, sha256=sha256)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Store.read`."""
        return read_verified(self.stream(cid), cid, self.location, limit=limit)


class ReadOnlyStore(RemoteStore):
    """A read-only store."""

    def put_file(self, path: Path) -> FileDigest:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._read_only(f"{str(path)!r} cannot be put into {self.location}")

    def put_bytes(self, data: bytes) -> FileDigest:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._read_only(f"{len(data)} bytes cannot be put into {self.location}")

    def pin(self, cid: str) -> None:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._read_only(f"{cid} cannot be pinned at {self.location}")

    def unpin(self, cid: str) -> None:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._read_only(f"{cid} cannot be unpinned at {self.location}")

    def pins(self) -> frozenset[str]:
        """None: nobody can pin there."""
        return frozenset()

    def _read_only(self, what: str) -> UsageError:
        return UsageError(what, "It is read-only", "Publish to a directory or a Kubo node (kubo:…)")


def fetch_resuming(
    spans: Spans, cid: str, destination: Path, location: str, *, size: int | None = None, sha256: str | None = None
) -> None:
    """Write a file that gets its name only after it is verified, resuming an earlier attempt.

    Args:
        spans: Returns the bytes from an offset on.
        cid: Their address.
        destination: Replaced if it exists.
        location: Where they come from, for messages.
        size: The expected number of bytes; `None` accepts any.
        sha256: The expected SHA-256, 64 hexadecimal digits; `None` accepts any.

    Raises:
        VerificationError: The bytes are wrong; they were discarded.
        LlamafundError: Whatever `spans` raises, or the file cannot be written. Bytes received so far are kept.
    """
    with _Partial(destination.parent, cid) as partial:
        resumed = partial.size > 0
        try:
            _receive(partial, spans, cid, location, size)
        except VerificationError:
            partial.discard()
            if not resumed:
                raise
            # The bytes from an earlier attempt may be the wrong ones.
            _receive(partial, spans, cid, location, size)
        actual = partial.digest()
        if sha256 is not None and actual.sha256 != sha256:
            partial.discard()
            raise wrong_pair(cid, actual.sha256, sha256)
        partial.commit(destination)


def _receive(partial: _Partial, spans: Spans, cid: str, location: str, size: int | None) -> None:
    try:
        for span in spans(partial.size):
            partial.append(span)
            if size is not None and partial.size > size:
                break
    except VerificationError:
        partial.discard()
        raise
    except NodeUnreachableError as error:
        kept = f"{partial.size} bytes are kept" if partial.size else "Nothing was received"
        why = f"{error.why}; {kept}" if error.why else kept
        raise NodeUnreachableError(error.what, why, error.remedy) from error
    digest = partial.digest()
    if digest.cid != cid or (size is not None and digest.size != size):
        partial.discard()
        raise VerificationError(
            f"{location} sent {digest.size} bytes for {cid}, whose address is {digest.cid}",
            "They were replaced, damaged or cut short, and were discarded"
            if size is None
            else f"They were replaced, damaged or cut short: there must be {size}. They were discarded",
            "Use another location, or ask whoever published it",
        )


def partial_path(directory: Path, cid: str) -> Path:
    """Where the bytes of a file received so far are kept."""
    return directory / f".{cid}.partial"


def is_partial(name: str) -> bool:
    """Whether a file name is that of a partly fetched file."""
    return _PARTIAL.fullmatch(name) is not None


class _Partial:
    """A partly fetched file. It outlives the process, and only one process at a time writes to it."""

    def __init__(self, directory: Path, cid: str) -> None:
        self._path = partial_path(directory, cid)
        self._hasher = FileHasher()
        self._digest: FileDigest | None = None
        self.size = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._stream = self._open()
        except BlockingIOError as error:
            raise LlamafundError(
                f"{cid} is already being fetched into {str(directory)!r}",
                "Another process is writing to it",
                "Wait for it, or fetch into another directory",
            ) from error
        except OSError as error:
            raise storage_error(error, f"Writing into {str(directory)!r}") from error

    def _open(self) -> FileIO:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            stream = FileIO(descriptor, "r+b")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(descriptor)
                if status.st_nlink > 1 or not stat.S_ISREG(status.st_mode):
                    raise LlamafundError(
                        f"{str(self._path)!r} was not left by an earlier attempt",
                        "It is linked to another file, which would be overwritten",
                        "Remove it, or fetch into another directory",
                    )
                # The process that held the lock before may have given the file its final name.
                if os.path.samestat(status, os.stat(self._path)):  # noqa: PTH116
                    return stream
            except FileNotFoundError:
                pass
            except BaseException:
                stream.close()
                raise
            stream.close()

    def __enter__(self) -> Self:
        try:
            while span := self._stream.read(SPAN):
                self._hasher.update(span)
                self.size += len(span)
        except OSError as error:
            self._stream.close()
            raise storage_error(error, f"Reading {str(self._path)!r}") from error
        return self

    def __exit__(self, *_: object) -> None:
        # An empty one is useless.
        if self.size == 0 and self._digest is None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._stream.close()

    def append(self, span: bytes) -> None:
        view = memoryview(span)
        try:
            while view:
                written = self._stream.write(view)
                self._hasher.update(bytes(view[:written]))
                self.size += written
                view = view[written:]
        except OSError as error:
            raise storage_error(error, f"Writing into {str(self._path.parent)!r}") from error

    def digest(self) -> FileDigest:
        if self._digest is None:
            self._digest = self._hasher.finish()
        return self._digest

    def discard(self) -> None:
        try:
            self._stream.truncate(0)
            self._stream.seek(0)
        except OSError as error:
            raise storage_error(error, f"Writing into {str(self._path.parent)!r}") from error
        self._hasher, self._digest, self.size = FileHasher(), None, 0

    def commit(self, final: Path) -> None:
        try:
            os.fsync(self._stream.fileno())
            self._path.replace(final)
            # The name is durable only once its directory is.
            descriptor = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, f"Writing {str(final)!r}") from error
