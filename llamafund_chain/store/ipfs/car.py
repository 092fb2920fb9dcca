"""CAR files: a sequence of blocks, each with its address. Version 1 is written; versions 1 and 2 are read.

Sources: https://ipld.io/specs/transport/car/carv1/ and https://ipld.io/specs/transport/car/carv2/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.file_dag import varint
from llamafund_chain.store.base import BrokeOffError, OtherFormError
from llamafund_chain.store.ipfs.anycid import AnyCid, parse_cid

MAX_ROOTS = 100_000
"""Most roots of a CAR file."""

MAX_SECTION = 8 * 1024 * 1024
"""Bytes of the longest block with its address, as other readers of CAR files limit them too."""

_MAX_HEADER = 64 + 64 * MAX_ROOTS
_PIECE = 64 * 1024
_SECOND_VERSION = b"\xa1\x67version\x02"
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
    """A block of a CAR file.

    Attributes:
        cid: Binary; version 0 is written as version 1.
        offset: Where the block begins in the file, in bytes.
        block: Its bytes.
        address: The address, with its parts.
        verified: Whether the block matches its address. Otherwise this program does not know the hash function.
    """

    cid: bytes
    offset: int
    block: bytes
    address: AnyCid
    verified: bool


class MalformedError(VerificationError):
    """A CAR file is not well formed."""


class CarReader:
    """Reads an untrusted CAR file from a stream, with at most one block in memory.

    Args:
        read: Returns the file's bytes.
        source: Where they come from, for messages.

    Attributes:
        roots: The roots that the file names. Nothing proves them.

    Raises:
        BrokeOffError: It is cut short.
        MalformedError: It does not begin like a CAR file.
        OtherFormError: It is a CAR file of another version.
    """

    def __init__(self, read: Read, source: str) -> None:
        self._read = read
        self._source = source
        self._offset = 0
        self._end: int | None = None
        body = self._header()
        if body == _SECOND_VERSION:
            self._enter()
            body = self._header()
        self.roots = self._parse_header(body)

    def __iter__(self) -> Iterator[Frame]:
        """The blocks.

        Raises:
            BrokeOffError: The file is cut short.
            MalformedError: It is malformed.
            VerificationError: A block does not match its address.
        """
        while (length := self._varint(at_end=True)) is not None:
            if length == 0:
                self._require_zeros()
                return
            if length > MAX_SECTION:
                raise self._wrong(f"a block at {self._offset} would be {length} bytes long")
            start = self._offset
            section = self._exactly(length)
            parsed = parse_cid(section)
            if parsed is None:
                raise self._wrong(
                    f"the block at {start}, which would be {length} bytes long, has an address of another kind: "
                    f"{section[:8].hex()}"
                )
            address, place = parsed
            block = section[place:]
            verdict = address.judge(block)
            if verdict is False:
                raise VerificationError(
                    f"{self._source} is not a valid CAR file: the block at {start + place} does not match its address",
                    f"It is not the block {address.text}",
                    "Make or fetch it again, and do not use this one",
                )
            yield Frame(address.binary, start + place, block, address, verdict is True)

    def _header(self) -> bytes:
        length = self._varint(at_end=False)
        if length is None or not 0 < length <= _MAX_HEADER:
            raise self._wrong("its header is empty or too long")
        return self._exactly(length)

    def _enter(self) -> None:
        """Go to the first version's file inside one of the second version."""
        places = self._exactly(40)
        offset, size = (int.from_bytes(places[start : start + 8], "little") for start in (16, 24))
        if offset < self._offset or not size:
            raise self._wrong("its second header leads nowhere")
        while self._offset < offset:
            self._exactly(min(offset - self._offset, _PIECE))
        self._end = offset + size

    def _parse_header(self, body: bytes) -> tuple[AnyCid, ...]:
        try:
            header, place = _cbor(body, 0, 0)
        except (ValueError, IndexError):
            header, place = None, 0
        if not isinstance(header, dict) or place != len(body):
            raise self._wrong("its header is not that of a CAR file")
        if header.get("version") != 1:
            raise OtherFormError(
                f"{self._source} is a CAR file of version {str(header.get('version'))[:20]}",
                "Versions 1 and 2 are read here",
                "Ask for version 1",
            )
        roots = header.get("roots", [])
        if not isinstance(roots, list) or len(roots) > MAX_ROOTS or not all(isinstance(root, AnyCid) for root in roots):
            raise self._wrong("its header does not list roots")
        return tuple(roots)

    def _varint(self, *, at_end: bool) -> int | None:
        value = 0
        for shift in range(0, 35, 7):
            byte = self._take(1)
            if not byte:
                if at_end and shift == 0 and self._end in (None, self._offset):
                    return None
                raise self._cut(0)
            self._offset += 1
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                if byte[0] == 0 and shift:
                    raise self._wrong(f"a length at {self._offset} is not in its shortest form")
                return value
        raise self._wrong(f"a length at {self._offset} is too large")

    def _require_zeros(self) -> None:
        """Some writers mark the end with a length of zero, and fill the rest with zeros."""
        while piece := self._take(_PIECE):
            self._offset += len(piece)
            if piece.strip(b"\0"):
                raise self._wrong(f"it has more bytes after its end, before {self._offset}")

    def _take(self, amount: int) -> bytes:
        if self._end is not None:
            amount = min(amount, self._end - self._offset)
        return self._read(amount) if amount else b""

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        # Piece by piece: memory must not be reserved for a length that a stranger claims.
        while len(parts) < length:
            amount = min(length - len(parts), _PIECE)
            if self._end is not None:
                amount = min(amount, self._end - self._offset - len(parts))
            piece = self._read(amount) if amount else b""
            if not piece:
                raise self._cut(len(parts))
            parts += piece
        self._offset += length
        return bytes(parts)

    def _cut(self, more: int) -> BrokeOffError:
        return BrokeOffError(
            f"{self._source} is not a valid CAR file: it is cut short after {self._offset + more} bytes",
            "Its last block is not whole",
            "Make or fetch it again",
        )

    def _wrong(self, reason: str) -> MalformedError:
        return MalformedError(
            f"{self._source} is not a valid CAR file: {reason}", "", "Make or fetch it again, and do not use this one"
        )


def _cbor(data: bytes, place: int, depth: int) -> tuple[object, int]:
    """One item of the part of DAG-CBOR that headers use, and the place after it.

    Raises:
        ValueError: It is something else.
        IndexError: The bytes end before it does.
    """
    kind, count, place = _cbor_head(data, place)
    if depth > 4:
        raise ValueError("nested too deep")
    if kind == 0:
        return count, place
    if kind in (2, 3):
        if place + count > len(data):
            raise IndexError
        piece = data[place : place + count]
        return (piece if kind == 2 else piece.decode("utf-8")), place + count
    if kind == 4:
        items = []
        for _ in range(count):
            item, place = _cbor(data, place, depth + 1)
            items.append(item)
        return items, place
    if kind == 5:
        entries: dict[object, object] = {}
        for _ in range(count):
            key, place = _cbor(data, place, depth + 1)
            if not isinstance(key, str) or key in entries:
                raise ValueError("a key twice, or no text")
            entries[key], place = _cbor(data, place, depth + 1)
        return entries, place
    value, place = _cbor(data, place, depth + 1)
    found = (
        parse_cid(value[1:]) if kind == 6 and count == 42 and isinstance(value, bytes) and value[:1] == b"\0" else None
    )
    if found is None or found[1] != len(value) - 1:  # type: ignore[arg-type]
        raise ValueError("not a link")
    return found[0], place


def _cbor_head(data: bytes, place: int) -> tuple[int, int, int]:
    kind, short = data[place] >> 5, data[place] & 31
    place += 1
    if short < 24:
        return kind, short, place
    if short > 27:
        raise ValueError("of indefinite length")
    width = 1 << short - 24
    if place + width > len(data):
        raise IndexError
    return kind, int.from_bytes(data[place : place + width], "big"), place + width


def _cbor_length(count: int) -> bytes:
    if count < 24:
        return bytes((0x80 | count,))
    for first, width in ((0x98, 1), (0x99, 2), (0x9A, 4)):
        if count < 1 << 8 * width:
            return bytes((first,)) + count.to_bytes(width, "big")
    raise ValueError("more roots than a CAR file has")
