"""The content root agrees with RFC 9162, however the bytes arrive."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.merkle import CHUNK_SIZE, EMPTY_ROOT, MerkleHasher, RootBuilder, leaf_hash, node_hash

# Inputs and roots of the reference tests of the Certificate Transparency implementations.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def root_by_definition(leaves: Sequence[bytes]) -> bytes:
    """Section 2.1.1 of RFC 9162, word for word and therefore recursive."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def content_root(data: bytes) -> bytes:
    hasher = MerkleHasher()
    hasher.update(data)
    return hasher.root()


@pytest.mark.parametrize("count", range(len(ROOTS)))
def test_the_published_vectors_hold(count: int) -> None:
    builder = RootBuilder()
    for leaf in LEAVES[:count]:
        builder.append(leaf_hash(leaf))
    assert builder.root().hex() == ROOTS[count]
    assert root_by_definition(LEAVES[:count]).hex() == ROOTS[count]


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=300))
def test_any_number_of_leaves_gives_the_root_of_the_definition(count: int) -> None:
    leaves = [bytes([index % 256]) * (index % 5) for index in range(count)]
    builder = RootBuilder()
    for leaf in leaves:
        builder.append(leaf_hash(leaf))
    assert builder.root() == root_by_definition(leaves)


@pytest.mark.parametrize(
    "size",
    [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE - 1, 5 * CHUNK_SIZE, 100_001],
)
def test_bytes_are_cut_into_chunks_of_16_kib_of_which_only_the_last_is_shorter(size: int) -> None:
    data = random.Random(size).randbytes(size)
    chunks = [data[start : start + 16_384] for start in range(0, size, 16_384)]
    assert content_root(data) == root_by_definition(chunks)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(min_value=0, max_value=3 * CHUNK_SIZE), max_size=8), st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_how_the_bytes_arrive(sizes: list[int], source: random.Random) -> None:
    pieces = [bytes([source.randrange(256)]) * size for size in sizes]
    hasher = MerkleHasher()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.root() == content_root(b"".join(pieces))
    assert hasher.size == sum(sizes)


def test_asking_for_the_root_changes_nothing() -> None:
    hasher = MerkleHasher()
    hasher.update(b"a" * (CHUNK_SIZE + 7))
    first = hasher.root()
    assert hasher.root() == first
    hasher.update(b"b")
    assert hasher.root() == content_root(b"a" * (CHUNK_SIZE + 7) + b"b")


def test_mutable_buffers_are_read_when_they_are_given() -> None:
    buffer = bytearray(b"x" * (CHUNK_SIZE + 10))
    hasher = MerkleHasher()
    hasher.update(memoryview(buffer))
    buffer[:] = b"y" * len(buffer)
    assert hasher.root() == content_root(b"x" * (CHUNK_SIZE + 10))


def test_no_bytes_have_the_root_of_the_empty_tree() -> None:
    assert content_root(b"") == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_an_inner_node_cannot_be_passed_off_as_a_chunk() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
