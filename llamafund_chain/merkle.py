"""The content root: an RFC 9162 Merkle tree with SHA-256 over 16 KiB chunks.

Leaves are `SHA-256(0x00 ‖ chunk)`, inner nodes `SHA-256(0x01 ‖ left ‖ right)`. A tree of n leaves is split
at the largest power of two below n, so a node is complete as soon as its last leaf is known and one pass
needs no more than one pending node for each level.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

CHUNK_SIZE = 16 * 1024
"""Bytes in each chunk but the last, which may be shorter."""

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
