"""The one UnixFS profile that evidence uses: CIDv1, raw leaves of 256 KiB, balanced, 174 links per node.

`ipfs add --cid-version=1` builds the same blocks. Addresses of files come from `hashing.FileHasher`. This module
handles the blocks between an address and its bytes, for CAR files and trustless gateways.

Sources: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.files import IrregularFileError, open_regular, storage_error
from llamafund_chain.store.base import check_cid

LEAF_SIZE = 256 * 1024
"""Bytes of a leaf; only the last one of a file may be shorter."""

FANOUT = 174
"""Links of a node; only the last node of a level may have fewer."""

MAX_BLOCK = 2 * 1024 * 1024
"""Bytes of the largest block that IPFS nodes exchange."""

_RAW = b"\x01\x55\x12\x20"
_DAG_PB = b"\x01\x70\x12\x20"
CID_LENGTH = 36
"""Bytes of a binary CIDv1 with codec raw or dag-pb and SHA-2-256."""

ReadAt = Callable[[int, int], bytes]
"""Returns bytes of a file, by offset and length."""


def cid_to_bytes(cid: str) -> bytes:
    """The binary form of an address that stores use.

    Raises:
        UsageError: It is not a CIDv1 with SHA-2-256 in base32, or its codec is neither raw nor dag-pb.
    """
    check_cid(cid)
    binary = base64.b32decode(cid[1:].upper() + "======")
    # This also refuses stray bits in the last letter, which would give one block two names.
    if not is_supported(binary) or cid_from_bytes(binary) != cid:
        check_cid(f"{cid} (codec {binary[1:2].hex()})")
    return binary


def cid_from_bytes(binary: bytes) -> str:
    """The text form (base32) of a binary CID."""
    return "b" + base64.b32encode(binary).decode("ascii").rstrip("=").lower()


def is_supported(binary: bytes) -> bool:
    """Whether a binary CID can be a block's of this profile: version 1, codec raw or dag-pb, SHA-2-256."""
    return len(binary) == CID_LENGTH and binary[:4] in (_RAW, _DAG_PB)


def is_leaf(binary: bytes) -> bool:
    """Whether a binary CID is that of a leaf, not of a node."""
    return binary[:4] == _RAW


def varint(value: int) -> bytes:
    """A number in seven bits a byte, the lowest first (unsigned LEB128)."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def matches(binary: bytes, block: bytes) -> bool:
    """Whether a block is the one that a binary CID names."""
    return hashlib.sha256(block).digest() == binary[4:]


def node_cid(block: bytes) -> bytes:
    """The binary CID of a node."""
    return _DAG_PB + hashlib.sha256(block).digest()


@contextmanager
def reading_at(path: Path) -> Iterator[ReadAt]:
    """Read a regular file at any offset.

    Raises:
        UsageError: It does not exist or is not a regular file.
        LlamafundError: It cannot be read.
    """
    try:
        stream = open_regular(path)
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {str(path)!r}", remedy="Check the path") from error
    except IrregularFileError as error:
        raise UsageError(f"{str(path)!r} is {error}", "Only regular files have content") from error
    except OSError as error:
        raise storage_error(error, f"Reading {str(path)!r}") from error

    def read_at(offset: int, length: int) -> bytes:
        try:
            return os.pread(stream.fileno(), length, offset)
        except OSError as error:
            raise storage_error(error, f"Reading {str(path)!r}") from error

    with stream:
        yield read_at


@dataclass(frozen=True, slots=True)
class Link:
    """What a node says about one of its children.

    Attributes:
        cid: Binary.
        size: Bytes of the file below it.
        total: Bytes of all blocks below it and its own (`Tsize`).
    """

    cid: bytes
    size: int
    total: int


def encode_node(links: Sequence[Link]) -> bytes:
    """The block of a file's inner node (dag-pb with UnixFS data of type file)."""
    block = bytearray()
    for link in links:
        body = b"\x0a" + varint(len(link.cid)) + link.cid + b"\x12\x00\x18" + varint(link.total)
        block += b"\x12" + varint(len(body)) + body
    data = b"\x08\x02\x18" + varint(sum(link.size for link in links))
    data += b"".join(b"\x20" + varint(link.size) for link in links)
    return bytes(block) + b"\x0a" + varint(len(data)) + data


def decode_node(block: bytes) -> tuple[Link, ...] | None:
    """The links of a file's inner node of this profile.

    Returns:
        `None` if the block is something else: a directory, another profile, another encoding, garbage. The size
        determines the shape of what is returned, so a few blocks cannot unfold to an endless file.
    """
    links = decode_links(block)
    return links if links is not None and is_balanced(links) else None


def decode_links(block: bytes) -> tuple[Link, ...] | None:
    """The links of a file's inner node, whatever its shape.

    Returns:
        `None` if the block is something else. What is returned encodes to exactly this block, so no two readers can
        see different files in it.
    """
    try:
        links = _decode(block)
    except (ValueError, IndexError):
        return None
    return links if encode_node(links) == block else None


def is_balanced(links: Sequence[Link]) -> bool:
    """Whether every child but the last is a full subtree of one height, and the last no larger."""
    if not 2 <= len(links) <= FANOUT:
        return False
    full = LEAF_SIZE
    while full < links[0].size:
        full *= FANOUT
    return all(link.size == full for link in links[:-1]) and 0 < links[-1].size <= full


@dataclass(frozen=True)
class FileDag:
    """The blocks of one file, without its bytes: 32 bytes per 256 KiB.

    Attributes:
        size: Bytes of the file.
        leaves: SHA-256 of each leaf, concatenated.
        levels: Links to the nodes above them, level by level; the last level is just the root. Empty for a file of
            one leaf.
    """

    size: int
    leaves: bytes
    levels: tuple[tuple[Link, ...], ...]

    @classmethod
    def of(cls, spans: Iterator[bytes]) -> FileDag:
        """Compute it from a file's bytes, however they are split."""
        digests = bytearray()
        size = 0
        rest = bytearray()
        for span in spans:
            size += len(span)
            rest += span
            whole = len(rest) - len(rest) % LEAF_SIZE
            view = memoryview(rest)
            for start in range(0, whole, LEAF_SIZE):
                digests += hashlib.sha256(view[start : start + LEAF_SIZE]).digest()
            view.release()
            del rest[:whole]
        if rest or not digests:
            digests += hashlib.sha256(rest).digest()
        return cls._above(size, bytes(digests))

    @classmethod
    def _above(cls, size: int, leaves: bytes) -> FileDag:
        count = len(leaves) // 32
        below: Sequence[Link] = _LeafLinks(size, leaves)
        levels: list[tuple[Link, ...]] = []
        while count > 1:
            level = []
            for start in range(0, count, FANOUT):
                children = [below[index] for index in range(start, min(start + FANOUT, count))]
                block = encode_node(children)
                level.append(
                    Link(
                        cid=node_cid(block),
                        size=sum(child.size for child in children),
                        total=len(block) + sum(child.total for child in children),
                    )
                )
            levels.append(tuple(level))
            below, count = level, len(level)
        return cls(size, leaves, tuple(levels))

    @property
    def root(self) -> bytes:
        """Binary CID of the whole file."""
        return self.levels[-1][0].cid if self.levels else _RAW + self.leaves

    @property
    def cid(self) -> str:
        """Address of the whole file."""
        return cid_from_bytes(self.root)

    @property
    def leaf_count(self) -> int:
        """Number of leaves; an empty file has one."""
        return len(self.leaves) // 32

    def leaf(self, index: int) -> Link:
        """The link to one leaf."""
        return _LeafLinks(self.size, self.leaves)[index]

    def node(self, level: int, index: int) -> bytes:
        """The block of one node; level 0 is right above the leaves."""
        below: Sequence[Link] = self.levels[level - 1] if level else _LeafLinks(self.size, self.leaves)
        last = len(self.levels[level - 1]) if level else self.leaf_count
        return encode_node([below[child] for child in range(index * FANOUT, min((index + 1) * FANOUT, last))])

    def blocks(self, read_at: ReadAt) -> Iterator[tuple[bytes, bytes]]:
        """All blocks with their binary CIDs, parents before children, in the order of the file's bytes.

        Args:
            read_at: Returns the file's bytes.

        Raises:
            VerificationError: The bytes have changed since this was computed.
        """
        if not self.levels:
            yield self._leaf_block(0, read_at)
            return
        yield from self._below(len(self.levels) - 1, 0, read_at)

    def subtree(self, index: int, read_at: ReadAt) -> Iterator[tuple[bytes, bytes]]:
        """The leaves below one node of level 0, and that node after them.

        Raises:
            VerificationError: The bytes have changed since this was computed.
        """
        for leaf in range(index * FANOUT, min((index + 1) * FANOUT, self.leaf_count)):
            yield self._leaf_block(leaf, read_at)
        yield self.levels[0][index].cid, self.node(0, index)

    def upper(self) -> Iterator[tuple[bytes, bytes]]:
        """All nodes, from the lowest level up."""
        for level, links in enumerate(self.levels):
            for index, link in enumerate(links):
                yield link.cid, self.node(level, index)

    def _below(self, level: int, index: int, read_at: ReadAt) -> Iterator[tuple[bytes, bytes]]:
        yield self.levels[level][index].cid, self.node(level, index)
        children = range(
            index * FANOUT, min((index + 1) * FANOUT, len(self.levels[level - 1]) if level else self.leaf_count)
        )
        for child in children:
            if level:
                yield from self._below(level - 1, child, read_at)
            else:
                yield self._leaf_block(child, read_at)

    def _leaf_block(self, index: int, read_at: ReadAt) -> tuple[bytes, bytes]:
        link = self.leaf(index)
        block = read_at(index * LEAF_SIZE, link.size)
        if not matches(link.cid, block):
            raise VerificationError(
                f"The bytes of {self.cid} changed at {index * LEAF_SIZE} while they were sent",
                "The file was written to, or the disk is failing",
                "Wait until nothing writes to it, then run the command again",
            )
        return link.cid, block


class _LeafLinks(Sequence[Link]):
    """Links to leaves, created on access: this keeps 32 bytes per leaf, not an object."""

    def __init__(self, size: int, leaves: bytes) -> None:
        self._size = size
        self._leaves = leaves

    def __len__(self) -> int:
        return len(self._leaves) // 32

    def __getitem__(self, index: int) -> Link:  # type: ignore[override]
        size = min(LEAF_SIZE, self._size - index * LEAF_SIZE)
        return Link(cid=_RAW + self._leaves[index * 32 : index * 32 + 32], size=size, total=size)


def _read_varint(block: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        byte = block[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number is longer than 63 bits")


def _expect(block: bytes, place: int, tag: bytes) -> int:
    if block[place : place + len(tag)] != tag:
        raise ValueError("unexpected field")
    return place + len(tag)


def _decode(block: bytes) -> tuple[Link, ...]:
    children: list[tuple[bytes, int]] = []
    place = 0
    while block[place : place + 1] == b"\x12":
        length, place = _read_varint(block, place + 1)
        end = place + length
        place = _expect(block, place, b"\x0a" + bytes((CID_LENGTH,)))
        cid = block[place : place + CID_LENGTH]
        total, place = _read_varint(block, _expect(block, place + CID_LENGTH, b"\x12\x00\x18"))
        if place != end or not is_supported(cid):
            raise ValueError("a link is of another kind")
        children.append((cid, total))
    length, place = _read_varint(block, _expect(block, place, b"\x0a"))
    if place + length != len(block) or not children:
        raise ValueError("no data, or bytes after it")
    _, place = _read_varint(block, _expect(block, place, b"\x08\x02\x18"))
    links = []
    for cid, total in children:
        size, place = _read_varint(block, _expect(block, place, b"\x20"))
        links.append(Link(cid, size, total))
    return tuple(links)
