"""The blocks of a file in IPFS: which there are, and the addresses they have, for the profiles of `evidence.profiles`.

`ipfs add` builds the same blocks: CIDv1, raw leaves, a balanced tree of nodes above them.

Sources: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import base58

from llamafund_chain.errors import WrongAnswerError
from llamafund_chain.evidence.profiles import USUAL, Profile

RAW = b"\x01\x55\x12\x20"
DAG_PB = b"\x01\x70\x12\x20"
"""What a binary CIDv1 with SHA-2-256 begins with, of a leaf and of a node."""

ReadAt = Callable[[int, int], bytes]
"""Returns bytes of a file, by offset and length."""


def cid_from_bytes(binary: bytes) -> str:
    """The text form (base32) of a binary CID."""
    return "b" + base64.b32encode(binary).decode("ascii").rstrip("=").lower()


def block_cid_v0(data: bytes) -> str:
    """The address (CIDv0) of a file of one block by the settings that compilers use: `ipfs add` without options.

    Args:
        data: At most 256 KiB, and not empty.
    """
    assert 0 < len(data) <= USUAL.leaf_size
    file = b"\x08\x02\x12" + varint(len(data)) + data + b"\x18" + varint(len(data))
    block = b"\x0a" + varint(len(file)) + file
    return base58.b58encode(b"\x12\x20" + hashlib.sha256(block).digest()).decode("ascii")


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
    return DAG_PB + hashlib.sha256(block).digest()


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


@dataclass(frozen=True)
class FileDag:
    """The blocks of one file, without its bytes: 32 bytes per leaf.

    Attributes:
        size: Bytes of the file.
        leaves: SHA-256 of each leaf, concatenated.
        levels: Links to the nodes above them, level by level; the last level is just the root. Empty for a file of
            one leaf.
        profile: How the file is cut.
    """

    size: int
    leaves: bytes
    levels: tuple[tuple[Link, ...], ...]
    profile: Profile = USUAL

    @classmethod
    def of(cls, spans: Iterator[bytes], profile: Profile = USUAL) -> FileDag:
        """Compute it from a file's bytes, however they are split."""
        hasher = FileDagHasher(profile)
        for span in spans:
            hasher.update(span)
        return hasher.dag()

    @classmethod
    def above(cls, size: int, leaves: bytes, profile: Profile = USUAL) -> FileDag:
        """Build the nodes above the leaves.

        Args:
            size: Bytes of the file.
            leaves: SHA-256 of each leaf, concatenated.
            profile: How the file is cut.
        """
        count, fanout = len(leaves) // 32, profile.fanout
        below: Sequence[Link] = _LeafLinks(size, leaves, profile.leaf_size)
        levels: list[tuple[Link, ...]] = []
        while count > 1:
            level = []
            for start in range(0, count, fanout):
                children = [below[index] for index in range(start, min(start + fanout, count))]
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
        return cls(size, leaves, tuple(levels), profile)

    @property
    def root(self) -> bytes:
        """Binary CID of the whole file."""
        return self.levels[-1][0].cid if self.levels else RAW + self.leaves

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
        return self._leaf_links()[index]

    def _leaf_links(self) -> _LeafLinks:
        return _LeafLinks(self.size, self.leaves, self.profile.leaf_size)

    def node(self, level: int, index: int) -> bytes:
        """The block of one node; level 0 is right above the leaves."""
        below: Sequence[Link] = self.levels[level - 1] if level else self._leaf_links()
        return encode_node([below[child] for child in self._children(level, index)])

    def _children(self, level: int, index: int) -> range:
        last = len(self.levels[level - 1]) if level else self.leaf_count
        fanout = self.profile.fanout
        return range(index * fanout, min((index + 1) * fanout, last))

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
        for leaf in self._children(0, index):
            yield self._leaf_block(leaf, read_at)
        yield self.levels[0][index].cid, self.node(0, index)

    def upper(self) -> Iterator[tuple[bytes, bytes]]:
        """All nodes, from the lowest level up."""
        for level, links in enumerate(self.levels):
            for index, link in enumerate(links):
                yield link.cid, self.node(level, index)

    def _below(self, level: int, index: int, read_at: ReadAt) -> Iterator[tuple[bytes, bytes]]:
        yield self.levels[level][index].cid, self.node(level, index)
        for child in self._children(level, index):
            if level:
                yield from self._below(level - 1, child, read_at)
            else:
                yield self._leaf_block(child, read_at)

    def _leaf_block(self, index: int, read_at: ReadAt) -> tuple[bytes, bytes]:
        link = self.leaf(index)
        offset = index * self.profile.leaf_size
        block = read_at(offset, link.size)
        if not matches(link.cid, block):
            raise WrongAnswerError(
                f"The bytes of {self.cid} changed at {offset} while they were sent",
                "The file was written to, or the disk is failing",
                "Wait until nothing writes to it, then run the command again",
            )
        return link.cid, block


class FileDagHasher:
    """Computes a `FileDag` from a stream of bytes, however it is split into updates.

    Args:
        profile: How the file is cut.
    """

    def __init__(self, profile: Profile = USUAL) -> None:
        self._profile = profile
        self._size = 0
        self._leaves = bytearray()
        # The start of the current leaf, hashed so far; never full between updates.
        self._leaf = hashlib.sha256()
        self._filled = 0

    def update(self, data: bytes) -> None:
        """Absorb the next bytes."""
        leaf_size = self._profile.leaf_size
        self._size += len(data)
        with memoryview(data) as view:
            offset = 0
            if self._filled:
                offset = min(leaf_size - self._filled, len(view))
                self._leaf.update(view[:offset])
                self._filled += offset
                if self._filled == leaf_size:
                    self._leaves += self._leaf.digest()
                    self._leaf, self._filled = hashlib.sha256(), 0
            while len(view) - offset >= leaf_size:
                self._leaves += hashlib.sha256(view[offset : offset + leaf_size]).digest()
                offset += leaf_size
            if offset < len(view):
                self._leaf.update(view[offset:])
                self._filled = len(view) - offset

    def dag(self) -> FileDag:
        """The blocks over everything absorbed so far; more may be absorbed afterwards."""
        last = self._leaf.digest() if self._filled or not self._leaves else b""
        return FileDag.above(self._size, bytes(self._leaves + last), self._profile)


class FileLeaves:
    """Hashes a file's leaves from its pieces, which may come in any order and from several threads.

    Args:
        size: Bytes of the file; at least one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._leaves = bytearray(32 * -(-size // USUAL.leaf_size))
        # Parts of leaves that lie in several pieces, by leaf and by their place in it.
        self._parts: dict[int, dict[int, bytes]] = {}
        self._lock = threading.Lock()

    def add(self, offset: int, piece: bytes) -> None:
        """Take a piece that starts so many bytes into the file. None may overlap another."""
        leaf_size = USUAL.leaf_size
        index, within = divmod(offset, leaf_size)
        with memoryview(piece) as view:
            place = 0
            if within:
                place = min(leaf_size - within, len(view))
                self._add_part(index, within, view[:place])
                index += 1
            # As little as possible between two hashes: there, other threads wait for the interpreter lock.
            whole = [
                hashlib.sha256(view[start : start + leaf_size]).digest()
                for start in range(place, len(view) - leaf_size + 1, leaf_size)
            ]
            self._put(index, b"".join(whole))
            place += len(whole) * leaf_size
            if place < len(view):
                self._add_part(index + len(whole), 0, view[place:])

    def dag(self) -> FileDag:
        """The blocks, once all pieces were added."""
        return FileDag.above(self._size, bytes(self._leaves))

    def _length(self, index: int) -> int:
        return min(USUAL.leaf_size, self._size - index * USUAL.leaf_size)

    def _add_part(self, index: int, within: int, view: memoryview) -> None:
        if not within and len(view) == self._length(index):
            self._put(index, hashlib.sha256(view).digest())
            return
        part = bytes(view)
        with self._lock:
            parts = self._parts.setdefault(index, {})
            parts[within] = part
            if sum(map(len, parts.values())) < self._length(index):
                return
            del self._parts[index]
        leaf = hashlib.sha256()
        for _, data in sorted(parts.items()):
            leaf.update(data)
        self._put(index, leaf.digest())

    def _put(self, index: int, digest: bytes) -> None:
        self._leaves[32 * index : 32 * index + len(digest)] = digest


class _LeafLinks(Sequence[Link]):
    """Links to leaves, created on access: this keeps 32 bytes per leaf, not an object."""

    def __init__(self, size: int, leaves: bytes, leaf_size: int) -> None:
        self._size = size
        self._leaves = leaves
        self._leaf_size = leaf_size

    def __len__(self) -> int:
        return len(self._leaves) // 32

    def __getitem__(self, index: int) -> Link:  # type: ignore[override]
        size = min(self._leaf_size, self._size - index * self._leaf_size)
        return Link(cid=RAW + self._leaves[index * 32 : index * 32 + 32], size=size, total=size)
