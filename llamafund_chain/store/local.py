"""A directory as a store: offline, for the demo, for tests, and for a disk that is shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llamafund_chain.errors import VerificationError
from llamafund_chain.files import (
    SPAN,
    IrregularFileError,
    PendingFile,
    open_regular,
    read_spans,
    storage_error,
)
from llamafund_chain.hashing import FileDigest, FileHasher
from llamafund_chain.store.base import (
    MissingContentError,
    check_cid,
    fetch_verified,
    read_verified,
    verified,
)


class LocalStore:
    """Content in `content/<cid>`, pins as empty files in `pins/<cid>`; unfinished files in `incoming/`.

    Several processes may use one directory at the same time: files appear under their names complete.

    Args:
        directory: Created when something is first put into it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._content = directory / "content"
        self._incoming = directory / "incoming"
        self._pins = directory / "pins"

    @property
    def location(self) -> str:
        """The directory."""
        return str(self._directory)

    def path_of(self, cid: str) -> Path:
        """Where the content of this address is or would be.

        Raises:
            UsageError: It is not an address of the kind that stores use.
        """
        check_cid(cid)
        return self._content / cid

    def put_file(self, path: Path) -> FileDigest:
        """See `Store.put_file`."""
        return self._put(read_spans(path))

    def put_bytes(self, data: bytes) -> FileDigest:
        """See `Store.put_bytes`."""
        return self._put(iter((data,)))

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """See `Store.stream`."""
        return verified(self._spans(cid), cid, self.location, size=size)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None) -> None:
        """See `Store.fetch`."""
        fetch_verified(self.stream(cid, size=size), destination)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Store.read`."""
        return read_verified(self.stream(cid), cid, self.location, limit=limit)

    def has(self, cid: str) -> bool:
        """See `Store.has`."""
        return self.path_of(cid).is_file()

    def pin(self, cid: str) -> None:
        """See `Store.pin`."""
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
            return frozenset(entry.name for entry in self._pins.iterdir())
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise storage_error(error, f"Listing the pins of {self.location}") from error

    def _put(self, spans: Iterator[bytes]) -> FileDigest:
        hasher = FileHasher()
        with PendingFile(self._incoming) as pending:
            for span in spans:
                hasher.update(span)
                pending.write(span)
            digest = hasher.finish()
            # Also when the address is taken: whatever stood there may have been damaged since.
            pending.commit(self._content / digest.cid)
        return digest

    def _spans(self, cid: str) -> Iterator[bytes]:
        path = self.path_of(cid)
        try:
            stream = open_regular(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._missing(cid) from error
        except IrregularFileError as error:
            raise VerificationError(
                f"{cid} in the store {self.location} is {error}",
                "A store keeps nothing but files; something else has put it there",
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
