"""The content root: an RFC 9162 Merkle tree with SHA-256 over 16 KiB chunks.

Leaves are `SHA-256(0x00 ‖ chunk)`, inner nodes `SHA-256(0x01 ‖ left ‖ right)`. A tree of n leaves is split
at the largest power of two below n, so a node is complete as soon as its last leaf is known and one pass
needs no more than one pending node for each level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

CHUNK_SIZE = 16 * 1024
"""Bytes in each chunk but the last, which may be shorter."""

BLOCK_CHUNKS = 1024
"""Chunks of a block, whose root an `Outline` keeps; a power of two, so that a block is a subtree."""

BLOCK_SIZE = BLOCK_CHUNKS * CHUNK_SIZE
"""Bytes of each block but the last, which may be shorter."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of no bytes at all, as RFC 9162 defines it."""

Bytes: TypeAlias = bytes | bytearray | memoryview

_LEAF_PREFIX = b"\x00"
_NODE_PREFIX = b"\x01"


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

    Memory is one node for each level of the tree.
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
            last: Hash of one more leaf that counts for this root only.
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
    """Computes the content root of a stream of bytes, however it is cut into updates.

    Memory does not grow with the number of bytes, but for one node for each level of the tree.
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
        size: Of the content, bytes.
        index: Of the chunk, from 0.

    Raises:
        IndexError: There is no such chunk.
    """
    _check_index(size, index)
    return min(CHUNK_SIZE, size - index * CHUNK_SIZE)


@dataclass(frozen=True)
class ChunkProof:
    """A chunk with what shows its place in the content.

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
            size: Of the content, bytes.
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
    """The upper levels of a content's tree, which all proofs share: 32 bytes for each 16 MiB.

    With it a later proof needs only the block of the content that holds the chunk, not the whole content.

    Attributes:
        size: Of the content, bytes.
        blocks: Roots (32 bytes each) of the subtrees over `BLOCK_CHUNKS` chunks, the last of which may be smaller.
    """

    size: int
    blocks: tuple[bytes, ...] = field(repr=False)

    def root(self) -> bytes:
        """The content root (32 bytes)."""
        return _levels(self.blocks)[-1][0] if self.blocks else EMPTY_ROOT

    def blocks_of(self, indices: Collection[int]) -> frozenset[int]:
        """Numbers of the blocks that hold chunks; block n is the `BLOCK_SIZE` bytes from n times `BLOCK_SIZE` on.

        Args:
            indices: Of the chunks.

        Raises:
            IndexError: There is no such chunk.
        """
        return frozenset(_by_block(self.size, indices))

    def prove(self, pieces: Iterable[tuple[int, Bytes]], indices: Collection[int]) -> dict[int, ChunkProof]:
        """Make inclusion proofs from the blocks that hold the chunks.

        Args:
            pieces: Bytes of the content in rising order, each with the place of its first byte. Those of
                `blocks_of` must be there; others are passed over.
            indices: Of the wanted chunks.

        Raises:
            IndexError: There is no such chunk.
            ValueError: A block is not whole, or is not the one that this was made of.
        """
        wanted = _by_block(self.size, indices)
        found = {number: _prove_block(data, wanted[number]) for number, data in _blocks(pieces, self.size, wanted)}
        for number in wanted:
            if number not in found or found[number][0] != self.blocks[number]:
                raise ValueError(f"block {number} of the content is missing or another one")
        return self._complete(found)

    def _complete(self, found: Mapping[int, tuple[bytes, dict[int, ChunkProof]]]) -> dict[int, ChunkProof]:
        """Lead proofs on from their blocks' roots to the content's."""
        levels = _levels(self.blocks)
        return {
            index: replace(proof, path=(*proof.path, *_path(levels, number)))
            for number, (_, proofs) in found.items()
            for index, proof in proofs.items()
        }


def prove_chunks(spans: Iterable[Bytes], size: int, indices: Collection[int]) -> tuple[Outline, dict[int, ChunkProof]]:
    """Make inclusion proofs from one pass over a content.

    Each chunk is hashed once, however many are wanted. Memory holds one block, the wanted chunks with their proofs,
    and the outline, whatever the content's size.

    Args:
        spans: The content's bytes, however they are cut.
        size: Of the content, bytes.
        indices: Of the wanted chunks.

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
    """Chunks by the block that holds them."""
    found: dict[int, list[int]] = {}
    for index in indices:
        _check_index(size, index)
        found.setdefault(index // BLOCK_CHUNKS, []).append(index)
    return found


def _blocks(
    pieces: Iterable[tuple[int, Bytes]], size: int, wanted: Container[int] | None = None
) -> Iterator[tuple[int, bytearray]]:
    """Whole blocks with their numbers, all or the wanted ones; each may be used until the next is asked for."""
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
    """A block's root, and the proofs of chunks up to it."""
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
    """A tree's nodes from the given ones up to the root; the odd one at a level's end moves up as it is."""
    levels = [nodes]
    while len(nodes) > 1:
        above = [node_hash(nodes[place], nodes[place + 1]) for place in range(0, len(nodes) - 1, 2)]
        nodes = [*above, nodes[-1]] if len(nodes) % 2 else above
        levels.append(nodes)
    return levels


def _path(levels: Sequence[Sequence[bytes]], place: int) -> Iterator[bytes]:
    """The hashes beside a node's way to the root, lowest first."""
    for nodes in levels:
        if (sibling := place ^ 1) < len(nodes):
            yield nodes[sibling]
        place >>= 1


def _check_index(size: int, index: int) -> None:
    if not 0 <= index < chunk_count(size):
        raise IndexError(f"there is no chunk {index} in {size} bytes")
