"""What every store offers, and the verification that every store needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from llamafund_chain.errors import (
    LlamafundError,
    NodeUnreachableError,
    UsageError,
    VerificationError,
    WrongAnswerError,
)
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import PendingFile

_CID = re.compile(r"b[a-z2-7]{58}")


class MissingContentError(LlamafundError):
    """A store does not have the requested content; another one may."""


class BrokeOffError(NodeUnreachableError):
    """Something ends before it is whole, or a server has no time for it now. What came before may be right.

    Attributes:
        wait: Seconds after which the server wants to be asked again; `None` if it did not say.
    """

    wait: float | None = None


class OtherFormError(LlamafundError):
    """Something has another form than what was asked for, or than evidence has. It may be sound; nobody has lied."""


class RefusedError(LlamafundError):
    """A server refuses a request; it may accept another one, and another server may accept this one."""


class Source(Protocol):
    """A place that returns bytes by their IPFS address, after comparing them with it."""

    @property
    def location(self) -> str:
        """Its location, for messages."""
        ...

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """Write bytes to a file, which gets its name only after they are verified. An existing file is replaced.

        Args:
            cid: Their address.
            destination: The file.
            size: The expected number of bytes; `None` accepts any.
            sha256: The file's SHA-256, 64 hexadecimal digits; `None` accepts any. For more than one block the address
                is the hash of something else, and a manifest may pair any address with any hash.

        Raises:
            UsageError: `cid` is not an address that stores use.
            MissingContentError: There is nothing under it.
            VerificationError: The bytes have another address, hash or size.
            LlamafundError: The file cannot be written.
        """
        ...

    def read(self, cid: str, *, limit: int) -> bytes:
        """Verified bytes in memory, at most `limit` of them.

        Raises:
            LlamafundError: As `fetch`.
            VerificationError: There are more than `limit`, or as `fetch`.
        """
        ...


@runtime_checkable
class Store(Source, Protocol):
    """A place that keeps bytes under their IPFS address.

    Addresses are those of `FileDigest.cid`. Bytes are compared with their address before a store returns them. The
    one exception is `stream`, which returns bytes before it can know, and says so.
    """

    def put_file(self, path: Path) -> FileDigest:
        """Keep a regular file's bytes, replacing any bytes under their address.

        Raises:
            UsageError: The file does not exist or is not a regular file.
            LlamafundError: It changed while it was read, or cannot be read or stored.
        """
        ...

    def put_bytes(self, data: bytes) -> FileDigest:
        """Keep bytes, replacing any bytes under their address.

        Raises:
            LlamafundError: They cannot be stored.
        """
        ...

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """Return bytes piece by piece. Use them **only after the iterator has ended without an error**.

        Args:
            cid: Their address.
            size: The expected number of bytes; `None` accepts any.

        Raises:
            UsageError: `cid` is not an address that stores use.
            MissingContentError: The store has nothing under it.
            VerificationError: The bytes have another address or another size.
        """
        ...

    def has(self, cid: str) -> bool:
        """Whether there is something under the address. Only reading it shows whether it is right."""
        ...

    def pin(self, cid: str) -> None:
        """Ask the store to keep the content.

        Raises:
            MissingContentError: The store has nothing under the address.
        """
        ...

    def unpin(self, cid: str) -> None:
        """Undo `pin`. It is no error if there was none."""
        ...

    def pins(self) -> frozenset[str]:
        """All pinned addresses."""
        ...


@contextmanager
def called(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors call content what a person calls it, not by the address that stores use.

    Args:
        names: By address: a file's path in quotes, or a manifest's SHA-256.
    """
    try:
        yield
    except LlamafundError as error:
        for cid, name in names.items():
            error.what, error.why = error.what.replace(cid, name), error.why.replace(cid, name)
        raise


def is_cid(text: str) -> bool:
    """Whether this has the form of an address that stores use."""
    return _CID.fullmatch(text) is not None


def check_cid(cid: str) -> None:
    """Refuse anything that is not an address that stores use.

    Raises:
        UsageError: It is not a CIDv1 with SHA-2-256 in base32.
    """
    if not is_cid(cid):
        raise UsageError(
            f"{cid[:80]!r} is not an address that stores use",
            "It must be a CIDv1 in base32: the letter b and 58 letters or digits",
        )


def verified(
    spans: Iterator[bytes],
    cid: str,
    location: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
    to_the_end: bool = False,
    other: Callable[[FileDigest], bool] | None = None,
) -> Iterator[bytes]:
    """Pass bytes on, and raise at their end if they are wrong.

    Args:
        spans: The bytes that a store returns.
        cid: The address that they must have.
        location: The store, for messages.
        size: The expected number of bytes; `None` accepts any.
        sha256: The expected SHA-256; `None` accepts any.
        to_the_end: Whether bytes beyond `size` are read, because they surely end. Only with them does the address tell
            a damaged store from a manifest with a wrong size.
        other: Judges whether bytes with another digest have the address all the same; see `under_other_profile`.

    Raises:
        WrongAnswerError: The bytes have another address.
        VerificationError: They have the address, but another hash or size. Bytes beyond `size` are not passed on.
    """
    hasher = FileHasher()
    total = 0
    for span in spans:
        total += len(span)
        if size is None or total <= size:
            hasher.update(span)
            yield span
        elif to_the_end:
            hasher.update(span)
        else:
            raise WrongAnswerError(
                f"The store {location} has more than {size} bytes under {cid}",
                "The content must be shorter, so these bytes are something else",
                "Get it from another store or from whoever published it",
            )
    digest = hasher.finish()
    if digest.cid != cid and not (other is not None and other(digest)):
        raise WrongAnswerError(
            f"The store {location} has other bytes under {cid}",
            f"Their SHA-256 is {digest.sha256}: the file was replaced or damaged after it was published",
            "Do not use it. Get it from another store or from whoever published it",
        )
    if size is not None and total != size:
        raise wrong_size(cid, total, size)
    if sha256 is not None and digest.sha256 != sha256:
        raise wrong_pair(cid, digest.sha256, sha256)


def wrong_pair(cid: str, actual: str, expected: str) -> VerificationError:
    """The error for a manifest that pairs one file's address with another file's SHA-256."""
    return VerificationError(
        f"{cid} has the SHA-256 {actual}, but the manifest says {expected}",
        "The manifest's address and hash name different bytes",
        "Do not sign or pay for it",
    )


def fetch_verified(spans: Iterator[bytes], destination: Path) -> None:
    """Write bytes to a file that gets its name only after `spans` has ended without an error.

    Raises:
        LlamafundError: Whatever `spans` raises, or the file cannot be written.
    """
    with PendingFile(destination.parent) as pending:
        for span in spans:
            pending.write(span)
        pending.commit(destination)


def read_verified(spans: Iterator[bytes], cid: str, location: str, *, limit: int) -> bytes:
    """Collect bytes in memory, at most `limit` of them.

    Raises:
        VerificationError: There are more than `limit`.
        LlamafundError: Whatever `spans` raises.
    """
    parts: list[bytes] = []
    total = 0
    for span in spans:
        total += len(span)
        if total > limit:
            raise WrongAnswerError(
                f"The store {location} has more than {limit} bytes under {cid}",
                "The content must be shorter, so these bytes are something else",
            )
        parts.append(span)
    return b"".join(parts)


def wrong_size(cid: str, actual: int, expected: int) -> VerificationError:
    """The error for a manifest that pairs one file's address with another file's size, in bytes."""
    return VerificationError(
        f"{cid} has {actual} bytes, but the manifest says {expected}",
        "The manifest's address and size are of different bytes",
        "Do not sign or pay for it",
    )
