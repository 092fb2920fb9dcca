"""What stores on other machines share: verified reading, and fetching that resumes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.file_dag import ReadAt
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import SPAN, storage_error, sync, sync_directory
from llamafund_chain.store.base import OtherFormError, check_cid, read_verified, verified, wrong_pair, wrong_size
from llamafund_chain.store.ipfs.unixfs import under_other_profile

Spans = Callable[[int], Iterator[bytes]]
"""Returns the bytes of a file from an offset on."""

Repair = Callable[[ReadAt, int], Iterator[tuple[int, bytes]]]
"""Returns the blocks to overwrite in the first bytes of a file, with their offsets; the length is that of those. An
empty block says that the file ends there."""


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
        other = under_other_profile(cid, lambda: self._spans(cid, 0))
        return self._judged(verified(self._spans(cid, 0), cid, self.location, size=size, other=other), cid, size)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`. Bytes received before a connection broke are kept and used the next time."""
        check_cid(cid)
        repair = self._repair(cid)
        with self._judging(cid, size):
            fetch_resuming(
                lambda start: self._spans(cid, start),
                cid,
                destination,
                self.location,
                size=size,
                sha256=sha256,
                repair=repair,
            )

    def _judged(self, spans: Iterator[bytes], cid: str, size: int | None) -> Iterator[bytes]:
        with self._judging(cid, size):
            yield from spans

    @contextlib.contextmanager
    def _judging(self, cid: str, size: int | None) -> Iterator[None]:
        """Tell a server that sends something else from a manifest with a wrong size, where a verified block can.

        Raises:
            VerificationError: The address is that of a file of another size.
        """
        try:
            yield
        except WrongAnswerError as error:
            length = None if size is None else self._length(cid)
            if size is None or length is None or length == size:
                raise
            raise wrong_size(cid, length, size) from error

    def _length(self, cid: str) -> int | None:  # noqa: ARG002 - for stores that can
        """Bytes of a file, by blocks that match its address; `None` if that cannot be told."""
        return None

    def _repair(self, cid: str) -> Repair | None:  # noqa: ARG002 - for stores that can
        """How to mend what was received earlier; `None` if the store's bytes are only proven at their end."""
        return None

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
    spans: Spans,
    cid: str,
    destination: Path,
    location: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
    repair: Repair | None = None,
) -> None:
    """Write a file that gets its name only after it is verified, resuming an earlier attempt.

    Args:
        spans: Returns the bytes from an offset on.
        cid: Their address.
        destination: Replaced if it exists.
        location: Where they come from, for messages.
        size: The expected number of bytes; `None` accepts any.
        sha256: The expected SHA-256, 64 hexadecimal digits; `None` accepts any.
        repair: For spans that are verified block by block: mends what earlier attempts left. `None` for others.

    Raises:
        VerificationError: The bytes are wrong. Those of this attempt were discarded, unless they were verified.
        LlamafundError: Whatever `spans` raises, or the file cannot be written. Bytes received so far are kept.
    """
    expected = _Expected(cid, location, size, sha256)
    with _Partial(destination.parent, cid) as partial:
        if repair is not None:
            _receive_proven(partial, spans, expected, repair)
            partial.commit(destination)
            return
        # An attempt from the beginning, beside bytes of which nobody knows whether they are right.
        if not again_path(destination.parent, cid).exists():
            began = partial.size
            try:
                _receive(partial, spans, expected)
            except (WrongAnswerError, OtherFormError):
                partial.cut(began)
                if not began:
                    raise
            except VerificationError:
                # The bytes may be right, but whoever named them is not.
                partial.cut(0)
                raise
            else:
                partial.commit(destination)
                return
        with _Partial(destination.parent, cid, again=True) as beside:
            try:
                _receive(beside, spans, expected)
            except (VerificationError, OtherFormError):
                beside.cut(0)
                raise
            beside.commit(destination)
        partial.cut(0)


@dataclass(frozen=True)
class _Expected:
    """What a file must be, and where it comes from."""

    cid: str
    location: str
    size: int | None
    sha256: str | None

    def check(self, partial: _Partial) -> None:
        """Compare a whole file with it.

        Raises:
            WrongAnswerError: It has another address.
            VerificationError: It has the address, but another size or hash; it was discarded.
        """
        digest = partial.digest()
        if digest.cid != self.cid and not under_other_profile(self.cid, partial.spans)(digest):
            raise WrongAnswerError(
                f"{self.location} sent {digest.size} bytes for {self.cid}, whose address is {digest.cid}",
                "They were replaced, damaged or cut short, and were discarded"
                if self.size is None
                else f"They were replaced, damaged or cut short: there must be {self.size}. They were discarded",
                "Use another location, or ask whoever published it",
            )
        if self.size is not None and digest.size != self.size:
            partial.cut(0)
            raise wrong_size(self.cid, digest.size, self.size)
        if self.sha256 is not None and digest.sha256 != self.sha256:
            partial.cut(0)
            raise wrong_pair(self.cid, digest.sha256, self.sha256)


def _receive(partial: _Partial, spans: Spans, expected: _Expected) -> None:
    """Append what comes, and compare the whole with what is expected."""
    try:
        for span in spans(partial.size):
            partial.append(span)
            if expected.size is not None and partial.size > expected.size:
                break
    except NodeUnreachableError as error:
        kept = f"{partial.size} bytes are kept" if partial.size else "Nothing was received"
        error.why = f"{error.why}; {kept}" if error.why else kept
        raise
    expected.check(partial)


def _receive_proven(partial: _Partial, spans: Spans, expected: _Expected, repair: Repair) -> None:
    """Append bytes of which each is verified. What is wrong in the end was wrong before, and is mended."""
    began = partial.size
    try:
        _receive(partial, spans, expected)
    except WrongAnswerError:
        # From the spans: everything that came before is right. Only a whole file has a digest.
        if not partial.is_whole or not began:
            raise
        for offset, block in repair(partial.read_at, began):
            if block:
                partial.overwrite(offset, block)
            else:
                partial.cut(offset)
        partial.rehash()
        expected.check(partial)


def partial_path(directory: Path, cid: str) -> Path:
    """Where the bytes of a file received so far are kept; `is_unfinished` knows its name."""
    return directory / f".{cid}.partial"


def again_path(directory: Path, cid: str) -> Path:
    """Where a file is received from its beginning once more, because what was kept did not lead to it."""
    return directory / f".{cid}.again.partial"


def kept_paths(directory: Path, cid: str) -> frozenset[Path]:
    """All files by which fetching into a directory resumes."""
    return frozenset({partial_path(directory, cid), again_path(directory, cid)})


class _Partial:
    """A partly fetched file. It outlives the process, and only one process at a time writes to it."""

    def __init__(self, directory: Path, cid: str, *, again: bool = False) -> None:
        self._path = again_path(directory, cid) if again else partial_path(directory, cid)
        self._hasher = FileHasher()
        self._digest: FileDigest | None = None
        self._committed = False
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
            self.rehash()
        except LlamafundError:
            self._stream.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # An empty one is useless, and one that has its name is gone.
        if self.size == 0 and not self._committed:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._stream.close()

    @property
    def is_whole(self) -> bool:
        """Whether everything came, so that its digest is known."""
        return self._digest is not None

    def rehash(self) -> None:
        """Compute the digest of what is there."""
        self._hasher, self._digest, self.size = FileHasher(), None, 0
        try:
            self._stream.seek(0)
            while span := self._stream.read(SPAN):
                self._hasher.update(span)
                self.size += len(span)
        except OSError as error:
            raise storage_error(error, f"Reading {str(self._path)!r}") from error

    def spans(self) -> Iterator[bytes]:
        """Its bytes."""
        for offset in range(0, self.size, SPAN):
            yield self.read_at(offset, min(SPAN, self.size - offset))

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._stream.fileno(), length, offset)
        except OSError as error:
            raise storage_error(error, f"Reading {str(self._path)!r}") from error

    def overwrite(self, offset: int, block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                written = os.pwrite(self._stream.fileno(), view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise storage_error(error, f"Writing into {str(self._path.parent)!r}") from error

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

    def cut(self, size: int) -> None:
        """Keep only the first `size` bytes."""
        try:
            self._stream.truncate(size)
        except OSError as error:
            raise storage_error(error, f"Writing into {str(self._path.parent)!r}") from error
        self.rehash()

    def commit(self, final: Path) -> None:
        try:
            sync(self._stream.fileno())
            self._path.replace(final)
            self._committed = True
            # The name is durable only once its directory is.
            sync_directory(final.parent)
        except OSError as error:
            raise storage_error(error, f"Writing {str(final)!r}") from error
