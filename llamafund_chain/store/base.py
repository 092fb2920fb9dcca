"""What every store offers, and the verification that none can do without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import PendingFile

_CID = re.compile(r"b[a-z2-7]{58}")


class MissingContentError(LlamafundError):
    """A store does not have what it was asked for; another one may."""


class RefusedError(LlamafundError):
    """A server does not do what it was asked; it may do something else, and another one may do it."""


class Source(Protocol):
    """A place that hands out bytes by their IPFS address, after it has compared them with it."""

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        ...

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """Write bytes to a file that appears only after they were verified, replacing one of that name.

        Args:
            cid: Their address.
            destination: The file.
            size: How many there must be; not compared when `None`.
            sha256: Of all of them, 64 hexadecimal digits; not compared when `None`. Above one block the address is
                the hash of something else, and whoever wrote a manifest may have paired any two.

        Raises:
            UsageError: It is not an address of the kind that stores use.
            MissingContentError: There is nothing under it.
            VerificationError: The bytes have another address or hash or are not `size` many.
            LlamafundError: The file cannot be written.
        """
        ...

    def read(self, cid: str, *, limit: int) -> bytes:
        """Verified bytes in memory, at most `limit` of them.

        Raises:
            LlamafundError: As `fetch`.
            VerificationError: Or there are more than `limit`.
        """
        ...


@runtime_checkable
class Store(Source, Protocol):
    """A place that keeps bytes under their IPFS address.

    Addresses are those of `FileDigest.cid`. What a store hands out was checked against its address first,
    whatever the store says; only `stream` hands out bytes before it can know, and says so.
    """

    def put_file(self, path: Path) -> FileDigest:
        """Keep a regular file's bytes, replacing what stood under their address.

        Raises:
            UsageError: The file does not exist or is not a regular file.
            LlamafundError: It changed while it was read, or cannot be read or kept.
        """
        ...

    def put_bytes(self, data: bytes) -> FileDigest:
        """Keep bytes, replacing what stood under their address.

        Raises:
            LlamafundError: They cannot be kept.
        """
        ...

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """Hand out bytes piece by piece; **they may be used only after the iterator ended without an error**.

        Args:
            cid: Their address.
            size: How many there must be; not compared when `None`.

        Raises:
            UsageError: It is not an address of the kind that stores use.
            MissingContentError: The store has nothing under it.
            VerificationError: The bytes have another address or are not `size` many.
        """
        ...

    def has(self, cid: str) -> bool:
        """Whether there is something under the address; whether it is right only reading it can tell."""
        ...

    def pin(self, cid: str) -> None:
        """Ask the store to keep the content for good.

        Raises:
            MissingContentError: The store has nothing under the address.
        """
        ...

    def unpin(self, cid: str) -> None:
        """Take back `pin`; no error when there was none."""
        ...

    def pins(self) -> frozenset[str]:
        """All pinned addresses."""
        ...


def is_cid(text: str) -> bool:
    """Whether this could be an address of the kind that stores use."""
    return _CID.fullmatch(text) is not None


def check_cid(cid: str) -> None:
    """Refuse what is not an address of the kind that stores use.

    Raises:
        UsageError: It is not a CIDv1 with SHA-2-256 in base32.
    """
    if not is_cid(cid):
        raise UsageError(
            f"{cid[:80]!r} is not an address that a store uses",
            "Expected is a CIDv1 in base32: the letter b and 58 letters or digits",
        )


def verified(
    spans: Iterator[bytes], cid: str, location: str, *, size: int | None = None, sha256: str | None = None
) -> Iterator[bytes]:
    """Pass bytes on and raise at their end unless they are what they should be.

    Args:
        spans: The bytes as a store gives them.
        cid: The address that they must have.
        location: The store, for messages.
        size: How many there must be; not compared when `None`.
        sha256: Of all of them; not compared when `None`.

    Raises:
        VerificationError: The bytes have another address or hash or are not `size` many. Bytes beyond `size` are not
            passed on.
    """
    hasher = FileHasher()
    total = 0
    for span in spans:
        total += len(span)
        if size is not None and total > size:
            raise _wrong_size(cid, location, f"more than {size}", size)
        hasher.update(span)
        yield span
    digest = hasher.finish()
    if digest.cid != cid:
        raise VerificationError(
            f"The store {location} holds other bytes under {cid}: their address is {digest.cid}",
            "The file was replaced or damaged after it was published",
            "Do not use it; get it from another store or from whoever published it",
        )
    if size is not None and total != size:
        raise _wrong_size(cid, location, str(total), size)
    if sha256 is not None and digest.sha256 != sha256:
        raise wrong_pair(cid, digest.sha256, sha256)


def wrong_pair(cid: str, actual: str, expected: str) -> VerificationError:
    """An address and a SHA-256 that a manifest gives for one file, and that are of two."""
    return VerificationError(
        f"The file under {cid} has the SHA-256 {actual}, but the manifest says {expected}",
        "The manifest's address and hash name different bytes",
        "Do not sign or pay for it",
    )


def fetch_verified(spans: Iterator[bytes], destination: Path) -> None:
    """Write bytes to a file that appears only when `spans` has ended without an error.

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
            raise VerificationError(
                f"The store {location} has more than {limit} bytes under {cid}",
                "What is kept there must be shorter, so these bytes are something else",
            )
        parts.append(span)
    return b"".join(parts)


def _wrong_size(cid: str, location: str, actual: str, expected: int) -> VerificationError:
    return VerificationError(
        f"The store {location} holds {actual} bytes under {cid}",
        f"There must be {expected}",
        "Do not use them; get them from another store or from whoever published them",
    )
