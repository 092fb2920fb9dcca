"""The content root agrees with RFC 9162, however the bytes arrive."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from llamafund_chain.evidence.merkle import (
    BLOCK_CHUNKS,
    BLOCK_SIZE,
    CHUNK_SIZE,
    EMPTY_ROOT,
    ChunkProof,
    MerkleHasher,
    Outline,
    RootBuilder,
    chunk_count,
    chunk_length,
    leaf_hash,
    node_hash,
    prove_chunks,
)

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


@settings(max_examples=50)
@given(st.lists(st.integers(min_value=0, max_value=3 * CHUNK_SIZE), max_size=8), st.randoms(use_true_random=False))
def test_the_root_does_not_depend_on_how_the_bytes_arrive(sizes: list[int], source: random.Random) -> None:
    pieces = [bytes([source.randrange(256)]) * size for size in sizes]
    hasher = MerkleHasher()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.root() == content_root(b"".join(pieces))
    assert hasher.size == sum(sizes)


def test_a_chunk_that_is_completed_by_the_last_bytes_is_the_last_chunk() -> None:
    hasher = MerkleHasher()
    for part in (bytes(CHUNK_SIZE - 1), b"\0"):
        hasher.update(part)
    leaf = leaf_hash(bytes(CHUNK_SIZE))
    assert hasher.root() == leaf
    hasher.update(b"\1")
    assert hasher.root() == node_hash(leaf, leaf_hash(b"\1"))


def test_a_path_beyond_the_root_proves_nothing() -> None:
    above = node_hash(b"a" * 32, leaf_hash(b"data"))
    assert not ChunkProof(0, b"data", (b"a" * 32,)).proves(above, 4)
    assert ChunkProof(0, b"data", ()).proves(leaf_hash(b"data"), 4)


def test_no_chunk_comes_before_the_first_one() -> None:
    with pytest.raises(IndexError, match="no chunk -1"):
        chunk_length(4, -1)


def test_neither_bytes_nor_hashes_stand_in_a_message() -> None:
    assert len(repr(ChunkProof(0, bytes(999), (bytes(32),) * 9))) < 99
    assert len(repr(Outline(1, (bytes(32),) * 9))) < 99


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


def _content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 64, 100])
def test_pymerkle_agrees_with_root_and_proofs(count: int) -> None:
    """A second judge that knows nothing of this project."""
    data = _content(max(count * CHUNK_SIZE - 5, 0))
    chunks = [data[start : start + CHUNK_SIZE] for start in range(0, len(data), CHUNK_SIZE)]
    judge = InmemoryTree(algorithm="sha256")
    for chunk in chunks:
        judge.append_entry(chunk)
    hasher = MerkleHasher()
    hasher.update(data)
    assert hasher.root() == judge.get_root()
    for index in {0, count // 2, count - 1} & set(range(count)):
        _, proofs = prove_chunks(iter((data,)), len(data), [index])
        theirs = judge.prove_inclusion(index + 1).serialize()["path"]
        leaf = leaf_hash(chunks[index]).hex()
        assert sorted(node.hex() for node in proofs[index].path) == sorted(set(theirs) - {leaf})
        assert proofs[index].proves(judge.get_root(), len(data))


@pytest.mark.parametrize(
    "size", [1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE, 8 * CHUNK_SIZE, 11 * CHUNK_SIZE + 5]
)
def test_every_chunk_is_proved_for_its_own_place_only(size: int) -> None:
    data = _content(size)
    count = chunk_count(size)
    outline, proofs = prove_chunks([data[:100], data[100:]], size, range(count))
    root = outline.root()
    assert root == content_root(data)
    for index, proof in proofs.items():
        assert proof.data == data[index * CHUNK_SIZE :][:CHUNK_SIZE]
        assert proof.proves(root, size)
        for other in set(range(count + 1)) - {index}:
            assert not replace(proof, index=other).proves(root, size)


def test_a_proof_that_is_not_exact_proves_nothing() -> None:
    size = 5 * CHUNK_SIZE + 7
    outline, proofs = prove_chunks([_content(size)], size, [1, 5])
    root = outline.root()
    proof, last = proofs[1], proofs[5]
    for wrong in (
        replace(proof, data=proof.data[:-1]),
        replace(proof, data=proof.data[:-1] + b"\0"),
        replace(proof, path=(*proof.path, root)),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=proof.path[::-1]),
        replace(proof, index=-1),
        replace(last, data=last.data + bytes(CHUNK_SIZE - 7)),
        ChunkProof(0, b"", ()),
    ):
        assert not wrong.proves(root, size)
    assert not proof.proves(content_root(b"other"), size)


def test_the_reference_trees_have_the_proofs_of_the_reference_tests() -> None:
    # PATH(0, D[8]) of the reference tests of the Certificate Transparency implementations.
    expected = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    first = RootBuilder()
    first.append(leaf_hash(LEAVES[1]))
    second, third = RootBuilder(), RootBuilder()
    for leaf in LEAVES[2:4]:
        second.append(leaf_hash(leaf))
    for leaf in LEAVES[4:8]:
        third.append(leaf_hash(leaf))
    assert [builder.root().hex() for builder in (first, second, third)] == expected


def test_a_chunk_beyond_the_end_has_neither_length_nor_proof() -> None:
    for call in (
        lambda: chunk_length(CHUNK_SIZE, 1),
        lambda: chunk_length(0, 0),
        lambda: prove_chunks([b"x"], 1, [1]),
    ):
        with pytest.raises(IndexError):
            call()


def test_a_content_of_another_size_is_not_proved() -> None:
    with pytest.raises(ValueError, match="2 bytes, not 1"):
        prove_chunks([b"xy"], 1, [0])


@settings(max_examples=60)
@given(st.integers(1, 40 * CHUNK_SIZE), st.integers(0, 39), st.integers(1, 3 * CHUNK_SIZE))
def test_proofs_do_not_depend_on_how_the_bytes_arrive(size: int, index: int, step: int) -> None:
    data = bytes(size)
    index = min(index, chunk_count(size) - 1)
    spans = (data[start : start + step] for start in range(0, size, step))
    outline, proofs = prove_chunks(spans, size, [index])
    assert proofs[index].proves(outline.root(), size)
    assert outline.root() == content_root(data)


@pytest.mark.parametrize(
    "size", [BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE, 5 * BLOCK_SIZE - CHUNK_SIZE - 3]
)
def test_proofs_across_blocks_lead_to_the_root_of_the_whole(size: int) -> None:
    data = _content(size)
    last = chunk_count(size) - 1
    wanted = {0, 1, last, last // 2, min(BLOCK_CHUNKS, last), min(BLOCK_CHUNKS - 1, last)}
    outline, proofs = prove_chunks([data], size, wanted)
    assert outline.root() == content_root(data)
    for index in wanted:
        assert proofs[index].proves(outline.root(), size)


def test_an_outline_proves_from_the_blocks_that_hold_the_chunks() -> None:
    size = 3 * BLOCK_SIZE + 5
    data = _content(size)
    whole, _ = prove_chunks([data], size, [])
    wanted = [BLOCK_CHUNKS, 2 * BLOCK_CHUNKS - 1, 3 * BLOCK_CHUNKS]
    assert whole.blocks_of(wanted) == {1, 3}
    start, step = BLOCK_SIZE - 1_000, 3 * CHUNK_SIZE + 7
    pieces = [(place, data[place : place + step]) for place in range(start, size, step)]
    proofs = whole.prove(pieces, wanted)
    assert proofs == prove_chunks([data], size, wanted)[1]


def test_an_outline_proves_nothing_from_other_or_missing_bytes() -> None:
    size = 2 * BLOCK_SIZE
    data = bytearray(_content(size))
    outline, _ = prove_chunks([data], size, [])
    for pieces in ([], [(0, data[:-1])], [(BLOCK_SIZE + 1, data[BLOCK_SIZE + 1 :])]):
        with pytest.raises(ValueError, match="block 1"):
            outline.prove(pieces, [BLOCK_CHUNKS])
    data[-1] ^= 1
    with pytest.raises(ValueError, match="block 1"):
        outline.prove([(0, data)], [BLOCK_CHUNKS])
    with pytest.raises(IndexError):
        outline.prove([(0, data)], [2 * BLOCK_CHUNKS])


def test_the_outline_of_nothing_has_the_root_of_the_empty_tree() -> None:
    assert prove_chunks([], 0, []) == (Outline(0, ()), {})
    assert Outline(0, ()).root() == EMPTY_ROOT


def test_each_chunk_is_hashed_once_however_many_are_challenged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A challenge that made a pass over the content dearer would let a griefer outpace whoever answers."""
    from llamafund_chain.evidence import merkle

    size = 64 * CHUNK_SIZE
    hashed = {"leaf_hash": 0, "node_hash": 0}

    def counted(name: str):
        function = getattr(merkle, name)

        def count(*arguments: bytes) -> bytes:
            hashed[name] += 1
            return function(*arguments)

        return count

    for name in hashed:
        monkeypatch.setattr(merkle, name, counted(name))
    _, proofs = prove_chunks([bytes(size)], size, range(64))
    assert len(proofs) == 64
    assert hashed == {"leaf_hash": 64, "node_hash": 63}
