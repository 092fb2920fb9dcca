"""The content root: an RFC 9162 Merkle tree with SHA-256 over 16 KiB chunks.

Leaves are `SHA-256(0x00 ‖ chunk)`, inner nodes `SHA-256(0x01 ‖ left ‖ right)`. A tree of n leaves is split at the
largest power of two below n. So a node is complete as soon as its last leaf is known, and one pass needs only one
pending node per level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

CHUNK_SIZE = 16 * 1024
"""Bytes of each chunk; the last may be shorter."""

BLOCK_CHUNKS = 1024
"""Chunks per block. A power of two, so that a block is a subtree, whose root an `Outline` keeps."""

BLOCK_SIZE = BLOCK_CHUNKS * CHUNK_SIZE
"""Bytes of each block; the last may be shorter."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of empty content, as RFC 9162 defines it."""

Bytes: TypeAlias = bytes | bytearray | memoryview

_LEAF_PREFIX = b"\x00"
_NODE_PREFIX = b"\x01"

LEAF = hashlib.sha256(_LEAF_PREFIX)
NODE = hashlib.sha256(_NODE_PREFIX)
"""Hashers that have only the prefix of a leaf or an inner node: to copy, which takes less time than making new ones."""


def leaf_hash(chunk: Bytes) -> bytes:
    """Hash of one chunk (32 bytes)."""
    digest = hashlib.sha256(_LEAF_PREFIX)
    digest.update(chunk)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (32 bytes) over its two children."""
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()


class RootBuilder:
    """Computes the root of a list of leaves that come one after another.

    It keeps one node per level of the tree in memory.
    """

    def __init__(self) -> None:
        # Roots of complete subtrees, largest first, each with its number of leaves.
        self._subtrees: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        leaves, node = 1, leaf
        while self._subtrees and self._subtrees[-1][0] == leaves:
            _, left = self._subtrees.pop()
            leaves, node = 2 * leaves, node_hash(left, node)
        self._subtrees.append((leaves, node))

    def root(self, last: bytes | None = None) -> bytes:
        """The root (32 bytes) of all leaves so far.

        Args:
            last: Hash of one more leaf, which counts only for this root.
        """
        nodes = [node for _, node in self._subtrees]
        if last is not None:
            nodes.append(last)
        if not nodes:
            return EMPTY_ROOT
        root = nodes.pop()
        while nodes:
            root = node_hash(nodes.pop(), root)
        return root


class MerkleHasher:
    """Computes the content root of a stream of bytes, however it is split into updates.

    It keeps one node per level of the tree in memory, however many bytes there are.
    """

    def __init__(self) -> None:
        # The start of the current chunk, hashed so far; never full between updates.
        self._leaf = hashlib.sha256(_LEAF_PREFIX)
        self._filled = 0
        self._size = 0
        self._tree = RootBuilder()

    @property
    def size(self) -> int:
        """Bytes absorbed so far."""
        return self._size

    def update(self, data: Bytes) -> None:
        """Absorb the next bytes."""
        view = memoryview(data).cast("B")
        offset, length = 0, len(view)
        self._size += length
        if self._filled:
            offset = min(CHUNK_SIZE - self._filled, length)
            self._leaf.update(view[:offset])
            self._filled += offset
            if self._filled == CHUNK_SIZE:
                self._tree.append(self._leaf.digest())
                self._leaf = hashlib.sha256(_LEAF_PREFIX)
                self._filled = 0
        while length - offset >= CHUNK_SIZE:
            self._tree.append(leaf_hash(view[offset : offset + CHUNK_SIZE]))
            offset += CHUNK_SIZE
        if offset < length:
            self._leaf.update(view[offset:])
            self._filled = length - offset

    def root(self) -> bytes:
        """The root (32 bytes) over everything absorbed so far; more may be absorbed afterwards."""
        return self._tree.root(self._leaf.digest() if self._filled else None)


def chunk_count(size: int) -> int:
    """Number of chunks of a content.

    Args:
        size: Bytes.
    """
    return -(-size // CHUNK_SIZE)


def chunk_length(size: int, index: int) -> int:
    """Bytes of one chunk of a content.

    Args:
        size: Bytes of the content.
        index: Number of the chunk, from 0.

    Raises:
        IndexError: There is no such chunk.
    """
    _check_index(size, index)
    return min(CHUNK_SIZE, size - index * CHUNK_SIZE)


@dataclass(frozen=True)
class ChunkProof:
    """A chunk and the proof of its place in the content.

    Attributes:
        index: From 0.
        data: The chunk's bytes.
        path: RFC 9162 inclusion proof, from the chunk's sibling upwards, 32 bytes each.
    """

    index: int
    data: bytes = field(repr=False)
    path: tuple[bytes, ...] = field(repr=False)

    def proves(self, root: bytes, size: int) -> bool:
        """Whether this is the chunk at its index in the content (RFC 9162, section 2.1.3.2).

        Args:
            root: Content root, 32 bytes.
            size: Bytes of the content.
        """
        count = chunk_count(size)
        if not 0 <= self.index < count or len(self.data) != chunk_length(size, self.index):
            return False
        position, last = self.index, count - 1
        node = leaf_hash(self.data)
        for sibling in self.path:
            if last == 0:
                return False
            if position & 1 or position == last:
                node = node_hash(sibling, node)
                while not position & 1 and position:
                    position, last = position >> 1, last >> 1
            else:
                node = node_hash(node, sibling)
            position, last = position >> 1, last >> 1
        return last == 0 and node == root


@dataclass(frozen=True)
class Outline:
    """The upper levels of a content's tree, which all proofs share: 32 bytes per 16 MiB.

    With an outline, a later proof needs only the chunk's block, not the whole content.

    Attributes:
        size: Bytes of the content.
        blocks: Roots (32 bytes each) of the subtrees over `BLOCK_CHUNKS` chunks; the last may be smaller.
    """

    size: int
    blocks: tuple[bytes, ...] = field(repr=False)

    def root(self) -> bytes:
        """The content root (32 bytes)."""
        return _levels(self.blocks)[-1][0] if self.blocks else EMPTY_ROOT

    def blocks_of(self, indices: Collection[int]) -> frozenset[int]:
        """Numbers of the blocks that contain these chunks. Block n starts at byte n times `BLOCK_SIZE`.

        Args:
            indices: Numbers of the chunks.

        Raises:
            IndexError: There is no such chunk.
        """
        return frozenset(_by_block(self.size, indices))

    def prove(self, pieces: Iterable[tuple[int, Bytes]], indices: Collection[int]) -> dict[int, ChunkProof]:
        """Make inclusion proofs from the blocks that contain the chunks.

        Args:
            pieces: Bytes of the content in ascending order, each with the offset of its first byte. The blocks of
                `blocks_of` must be there; others are skipped.
            indices: Numbers of the chunks to prove.

        Raises:
            IndexError: There is no such chunk.
            ValueError: A block is incomplete, or has changed since this outline was made.
        """
        wanted = _by_block(self.size, indices)
        found = {number: _prove_block(data, wanted[number]) for number, data in _blocks(pieces, self.size, wanted)}
        for number in wanted:
            if number not in found or found[number][0] != self.blocks[number]:
                raise ValueError(f"block {number} of the content is missing or another one")
        return self._complete(found)

    def _complete(self, found: Mapping[int, tuple[bytes, dict[int, ChunkProof]]]) -> dict[int, ChunkProof]:
        """Extend proofs from their blocks' roots to the content's root."""
        levels = _levels(self.blocks)
        return {
            index: replace(proof, path=(*proof.path, *_path(levels, number)))
            for number, (_, proofs) in found.items()
            for index, proof in proofs.items()
        }


def prove_chunks(spans: Iterable[Bytes], size: int, indices: Collection[int]) -> tuple[Outline, dict[int, ChunkProof]]:
    """Make inclusion proofs from one pass over a content.

    Each chunk is hashed once, however many proofs are made. Memory holds one block, the proven chunks with their
    proofs, and the outline, whatever the content's size.

    Args:
        spans: The content's bytes, however they are split.
        size: Bytes of the content.
        indices: Numbers of the chunks to prove.

    Returns:
        The content's outline, and the proofs by index.

    Raises:
        IndexError: There is no such chunk.
        ValueError: The content has another size.
    """
    wanted = _by_block(size, indices)
    total = 0

    def pieces() -> Iterator[tuple[int, Bytes]]:
        nonlocal total
        for span in spans:
            yield total, span
            total += len(span)

    roots: list[bytes] = []
    found: dict[int, tuple[bytes, dict[int, ChunkProof]]] = {}
    for number, data in _blocks(pieces(), size):
        proven = _prove_block(data, wanted.get(number, ()))
        roots.append(proven[0])
        if number in wanted:
            found[number] = proven
    if total != size:
        raise ValueError(f"the content has {total} bytes, not {size}")
    outline = Outline(size, tuple(roots))
    return outline, outline._complete(found)


def _by_block(size: int, indices: Collection[int]) -> dict[int, list[int]]:
    """Chunks by the block that contains them."""
    found: dict[int, list[int]] = {}
    for index in indices:
        _check_index(size, index)
        found.setdefault(index // BLOCK_CHUNKS, []).append(index)
    return found


def _blocks(
    pieces: Iterable[tuple[int, Bytes]], size: int, wanted: Container[int] | None = None
) -> Iterator[tuple[int, bytearray]]:
    """Whole blocks with their numbers, all or only some. Each is valid until the next one is requested."""
    block = bytearray()
    for offset, span in pieces:
        view, place = memoryview(span).cast("B"), offset
        while view and place < size:
            number, within = divmod(place, BLOCK_SIZE)
            part = view[: min(BLOCK_SIZE - within, size - place)]
            if wanted is None or number in wanted:
                if within == 0:
                    block.clear()
                if within == len(block):
                    block += part
                    if len(block) == min(BLOCK_SIZE, size - number * BLOCK_SIZE):
                        yield number, block
            place += len(part)
            view = view[len(part) :]


def _prove_block(data: bytearray, indices: Iterable[int]) -> tuple[bytes, dict[int, ChunkProof]]:
    """A block's root, and the proofs of chunks up to that root."""
    with memoryview(data) as view:
        starts = range(0, len(view), CHUNK_SIZE)
        levels = _levels([leaf_hash(view[start : start + CHUNK_SIZE]) for start in starts])
        proofs: dict[int, ChunkProof] = {}
        for index in indices:
            place = index % BLOCK_CHUNKS
            chunk = bytes(view[place * CHUNK_SIZE : (place + 1) * CHUNK_SIZE])
            proofs[index] = ChunkProof(index, chunk, tuple(_path(levels, place)))
    return levels[-1][0], proofs


def _levels(nodes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """A tree's nodes from the given ones up to the root. An odd node at the end of a level moves up unchanged."""
    levels = [nodes]
    while len(nodes) > 1:
        above = [node_hash(nodes[place], nodes[place + 1]) for place in range(0, len(nodes) - 1, 2)]
        nodes = [*above, nodes[-1]] if len(nodes) % 2 else above
        levels.append(nodes)
    return levels


def _path(levels: Sequence[Sequence[bytes]], place: int) -> Iterator[bytes]:
    """The hashes beside a node's path to the root, lowest first."""
    for nodes in levels:
        if (sibling := place ^ 1) < len(nodes):
            yield nodes[sibling]
        place >>= 1


def _check_index(size: int, index: int) -> None:
    if not 0 <= index < chunk_count(size):
        raise IndexError(f"there is no chunk {index} in {size} bytes")
