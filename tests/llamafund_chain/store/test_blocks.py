"""A directory keeps files whole; their blocks are given one by one, each as its address says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.file_dag import FileDag, cid_from_bytes, matches
from llamafund_chain.evidence.hashing import hash_bytes, raw_cid
from llamafund_chain.store import LocalStore
from llamafund_chain.store.base import MissingContentError
from llamafund_chain.store.blocks import Blocks
from llamafund_chain.store.ipfs.unixfs import FANOUT, LEAF_SIZE, cid_to_bytes, decode_node, is_leaf
from llamafund_chain.store.sources import Sources


def walked(blocks: Blocks, cid: str) -> bytes:
    """A file's bytes, from the address of its root down, with nothing believed."""
    block = blocks.read(cid)
    binary = cid_to_bytes(cid)
    assert matches(binary, block)
    if is_leaf(binary):
        return block
    links = decode_node(block)
    assert links is not None
    return b"".join(walked(blocks, cid_from_bytes(link.cid)) for link in links)


@pytest.mark.parametrize("size", [0, 1, LEAF_SIZE, LEAF_SIZE + 1, 3 * LEAF_SIZE, LEAF_SIZE * (FANOUT + 1) + 7])
def test_a_file_is_walked_from_its_address_to_its_last_byte(tmp_path: Path, size: int) -> None:
    store = LocalStore(tmp_path / "store")
    # Only the ends differ, so that many blocks are the same.
    data = b"begin"[:size] + bytes(max(size - 8, 0)) + b"end"[: max(size - 5, 0)]
    cid = store.put_bytes(data).cid

    assert walked(Blocks(Sources([store]), 1 << 20), cid) == data


def test_what_is_not_there_is_missing_and_other_bytes_are_never_given(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    data = os.urandom(LEAF_SIZE * 2)
    cid = store.put_bytes(data).cid
    blocks = Blocks(store, 1 << 20)
    leaf = raw_cid(hash_bytes(data[:LEAF_SIZE]).sha256)

    # A leaf of a larger file is found after its root.
    with pytest.raises(MissingContentError):
        blocks.read(leaf)
    blocks.read(cid)
    assert blocks.read(leaf) == data[:LEAF_SIZE]
    for other in (cid_from_bytes(b"\x01\x70\x12\x20" + bytes(32)), raw_cid("00" * 32)):
        with pytest.raises(MissingContentError):
            blocks.read(other)
    with pytest.raises(UsageError):
        blocks.read(cid[:-1] + "7")
    # A file that was damaged has none of its blocks, neither when it is known nor when it is new.
    path = store.path_of(cid)
    path.chmod(0o644)
    path.write_bytes(b"x" + data[1:])
    for known in (blocks, Blocks(store, 1 << 20)):
        with pytest.raises(MissingContentError):
            known.read(leaf)
    with pytest.raises(MissingContentError):
        Blocks(store, 1 << 20).read(cid)


def test_a_large_file_that_is_being_read_holds_up_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    large, small = store.put_bytes(bytes(LEAF_SIZE + 1)).cid, store.put_bytes(b"small").cid
    blocks = Blocks(store, 1 << 20)
    make = FileDag.of
    got: list[bytes] = []

    def slow(spans: Iterator[bytes]) -> FileDag:
        other = threading.Thread(target=lambda: got.append(blocks.read(small)), daemon=True)
        other.start()
        other.join(60)
        return make(spans)

    monkeypatch.setattr(FileDag, "of", slow)
    blocks.read(large)
    assert got == [b"small"]


def test_a_block_over_the_limit_is_refused(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    cid = store.put_bytes(bytes(2000)).cid

    with pytest.raises(LlamafundError):
        Blocks(store, 1000).read(cid)
