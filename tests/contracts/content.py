"""Content to challenge chunks of, with the inclusion proofs that RFC 9162 defines, written as it defines them."""

from __future__ import annotations

import hashlib
import random
from typing import Protocol

CHUNK = 16_384


class Content(Protocol):
    """Attested bytes, or what is known of them."""

    @property
    def root(self) -> bytes: ...

    @property
    def size(self) -> int: ...

    def chunk(self, index: int) -> bytes: ...

    def path(self, index: int) -> list[bytes]: ...


class Bytes:
    """Content that is here in full."""

    def __init__(self, size: int, seed: int = 7) -> None:
        data = random.Random(seed).randbytes(size)
        self._chunks = [data[at : at + CHUNK] for at in range(0, size, CHUNK)]
        self.size = size
        self.root = _tree_hash(self._chunks)

    def chunk(self, index: int) -> bytes:
        return self._chunks[index]

    def path(self, index: int) -> list[bytes]:
        return _path(index, self._chunks)


class Uniform:
    """Content of `2 ** levels` chunks that are all the same: a tree of one hash a level."""

    def __init__(self, levels: int, seed: int = 7) -> None:
        self._data = random.Random(seed).randbytes(CHUNK)
        self._hashes = [_leaf(self._data)]
        for _ in range(levels):
            self._hashes.append(_node(self._hashes[-1], self._hashes[-1]))
        self.size = CHUNK << levels
        self.root = self._hashes[-1]

    def chunk(self, index: int) -> bytes:
        return self._data

    def path(self, index: int) -> list[bytes]:
        return self._hashes[:-1]


class OneKnownChunk:
    """Content of any size of which one chunk and its path are known: the rest of the tree is random hashes."""

    def __init__(self, size: int, index: int, seed: int = 7) -> None:
        rng = random.Random(seed)
        count = -(-size // CHUNK)
        self._index = index
        self._data = rng.randbytes(size - index * CHUNK if index == count - 1 else CHUNK)
        self.size = size
        self._path: list[bytes] = []
        self.root = self._climb(index, count, rng)

    def _climb(self, index: int, count: int, rng: random.Random) -> bytes:
        """Root of a subtree of `count` leaves around the known one, section 2.1.1, noting the siblings."""
        if count == 1:
            return _leaf(self._data)
        split = 1 << (count - 1).bit_length() - 1
        sibling = rng.randbytes(32)
        if index < split:
            node = _node(self._climb(index, split, rng), sibling)
        else:
            node = _node(sibling, self._climb(index - split, count - split, rng))
        self._path.append(sibling)
        return node

    def chunk(self, index: int) -> bytes:
        assert index == self._index
        return self._data

    def path(self, index: int) -> list[bytes]:
        assert index == self._index
        return self._path


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _tree_hash(chunks: list[bytes]) -> bytes:
    """MTH of section 2.1.1."""
    if len(chunks) == 1:
        return _leaf(chunks[0])
    split = 1 << (len(chunks) - 1).bit_length() - 1
    return _node(_tree_hash(chunks[:split]), _tree_hash(chunks[split:]))


def _path(index: int, chunks: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(chunks) == 1:
        return []
    split = 1 << (len(chunks) - 1).bit_length() - 1
    if index < split:
        return [*_path(index, chunks[:split]), _tree_hash(chunks[split:])]
    return [*_path(index - split, chunks[split:]), _tree_hash(chunks[:split])]
