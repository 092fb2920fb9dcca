"""CAR files, version 1: a sequence of blocks, each with its address.

Source: https://ipld.io/specs/transport/car/carv1/, the CARv1 specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from llamafund_chain.errors import VerificationError
from llamafund_chain.store.ipfs.unixfs import CID_LENGTH, MAX_BLOCK, is_supported, matches, varint

MAX_ROOTS = 100_000
"""Most roots of a CAR file."""

_MAX_HEADER = 64 + 64 * MAX_ROOTS
_PIECE = 64 * 1024
_ROOTS = b"\x65roots"
_VERSION = b"\x67version"
# A CID in CBOR: tag 42, a byte string of 37 bytes, and the multibase prefix "binary".
_LINK = b"\xd8\x2a\x58\x25\x00"

Read = Callable[[int], bytes]
"""Returns at most the given number of bytes; empty at the end."""


def header(roots: Sequence[bytes]) -> bytes:
    """The header of a CAR file with these roots (binary CIDs)."""
    body = b"\xa2" + _ROOTS + _cbor_length(len(roots))
    body += b"".join(_LINK + root for root in roots) + _VERSION + b"\x01"
    return varint(len(body)) + body


def frame(cid: bytes, block: bytes) -> bytes:
    """One block of a CAR file."""
    return varint(len(cid) + len(block)) + cid + block


def write(roots: Sequence[bytes], blocks: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """The bytes of a CAR file, piece by piece.

    Args:
        roots: Binary CIDs.
        blocks: Binary CIDs and blocks.
    """
    yield header(roots)
    for cid, block in blocks:
        yield frame(cid, block)


@dataclass(frozen=True, slots=True)
class Frame:
    """A block of a CAR file, which matches its address.

    Attributes:
        cid: Binary.
        offset: Where the block begins in the file, in bytes.
        block: Its bytes.
    """

    cid: bytes
    offset: int
    block: bytes


class CarReader:
    """Reads an untrusted CAR file from a stream, with at most one block in memory.

    Args:
        read: Returns the file's bytes.
        source: Where they come from, for messages.

    Attributes:
        roots: Binary CIDs of the roots that the file names. Nothing proves them.

    Raises:
        VerificationError: It does not begin like a CAR file of version 1.
    """

    def __init__(self, read: Read, source: str) -> None:
        self._read = read
        self._source = source
        self._offset = 0
        length = self._varint(at_end=False)
        if length is None or not 0 < length <= _MAX_HEADER:
            raise self._wrong("its header is empty or too long")
        self.roots = self._parse_header(self._exactly(length))

    def __iter__(self) -> Iterator[Frame]:
        """The blocks.

        Raises:
            VerificationError: The file is cut short or malformed, has a block of a kind that evidence does not use,
                or a block that does not match its address.
        """
        while (length := self._varint(at_end=True)) is not None:
            if not CID_LENGTH <= length <= CID_LENGTH + MAX_BLOCK:
                raise self._wrong(f"a block at {self._offset} would be {length} bytes long")
            cid = self._exactly(CID_LENGTH)
            if not is_supported(cid):
                raise self._wrong(
                    f"the block at {self._offset - CID_LENGTH} has an address of another kind: {cid.hex()}"
                )
            offset = self._offset
            block = self._exactly(length - CID_LENGTH)
            if not matches(cid, block):
                raise self._wrong(f"the block at {offset} does not match its address")
            yield Frame(cid, offset, block)

    def _parse_header(self, body: bytes) -> tuple[bytes, ...]:
        # DAG-CBOR has one encoding: a map of the two keys, the shorter one first.
        start = b"\xa2" + _ROOTS
        end = _VERSION + b"\x01"
        if body.startswith(b"\xa1" + _VERSION + b"\x02"):
            raise self._wrong("it is version 2, but only version 1 is supported")
        links = body[len(start) : -len(end)]
        step = len(_LINK) + CID_LENGTH
        count = max(len(links) // step, 0)
        prefix = _cbor_length(count)
        roots = tuple(
            links[place + len(_LINK) : place + step] for place in range(len(prefix), len(links) - step + 1, step)
        )
        if len(roots) > MAX_ROOTS or not all(is_supported(root) for root in roots) or _body(roots) != body:
            raise self._wrong("its header is not that of a CAR file of version 1 with addresses that evidence uses")
        return roots

    def _varint(self, *, at_end: bool) -> int | None:
        value = 0
        for shift in range(0, 35, 7):
            byte = self._read(1)
            if not byte:
                if at_end and shift == 0:
                    return None
                raise self._wrong(f"it is cut short after {self._offset} bytes")
            self._offset += 1
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                if byte[0] == 0 and shift:
                    raise self._wrong(f"a length at {self._offset} is not in its shortest form")
                return value
        raise self._wrong(f"a length at {self._offset} is too large")

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        # Piece by piece: memory must not be reserved for a length that a stranger claims.
        while len(parts) < length:
            piece = self._read(min(length - len(parts), _PIECE))
            if not piece:
                raise self._wrong(f"it is cut short after {self._offset + len(parts)} bytes")
            parts += piece
        self._offset += length
        return bytes(parts)

    def _wrong(self, reason: str) -> VerificationError:
        return VerificationError(
            f"{self._source} is not a valid CAR file: {reason}", "", "Make or fetch it again, and do not use this one"
        )


def _body(roots: Sequence[bytes]) -> bytes:
    whole = header(roots)
    place = 0
    while whole[place] >= 0x80:
        place += 1
    return whole[place + 1 :]


def _cbor_length(count: int) -> bytes:
    if count < 24:
        return bytes((0x80 | count,))
    for first, width in ((0x98, 1), (0x99, 2), (0x9A, 4)):
        if count < 1 << 8 * width:
            return bytes((first,)) + count.to_bytes(width, "big")
    raise ValueError("more roots than a CAR file has")
