"""Archives as people have them: other chunks, other leaves, folders, other versions, and roots that are not there.

The archives are made here, from the specifications, with nothing of the code under test but the frame around them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from unixfs_reference import base58, field, leaf_cid, unixfs_address, varint

from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import LocalStore
from llamafund_chain.store.archive import import_car
from llamafund_chain.store.ipfs.anycid import parse_cid

Blocks = list[tuple[bytes, bytes]]
MIB = 1024 * 1024
DATA = os.urandom(2 * MIB + 77)


def cid_of(codec: int, block: bytes, version: int = 1) -> bytes:
    multihash = b"\x12\x20" + hashlib.sha256(block).digest()
    return multihash if version == 0 else b"\x01" + varint(codec) + multihash


def node(kind: int, links: Sequence[tuple[bytes, str, int]], data: bytes = b"", sizes: Sequence[int] = ()) -> bytes:
    """A dag-pb block with UnixFS data."""
    encoded = b"".join(field(2, field(1, cid) + field(2, name.encode()) + field(3, size)) for cid, name, size in links)
    unixfs = field(1, kind) + (field(2, data) if data else b"")
    if kind == 2:
        unixfs += field(3, len(data) + sum(sizes)) + b"".join(field(4, size) for size in sizes)
    return encoded + field(1, unixfs)


def file_blocks(data: bytes, *, chunk: int, raw: bool = True, version: int = 1) -> Blocks:
    """A file's blocks, the root last."""
    leaves: Blocks = []
    for start in range(0, len(data), chunk):
        piece = data[start : start + chunk]
        block = piece if raw else node(2, (), piece)
        leaves.append((cid_of(0x55 if raw else 0x70, block, version), block))
    if len(leaves) == 1:
        return leaves
    sizes = [len(data[start : start + chunk]) for start in range(0, len(data), chunk)]
    root = node(2, [(cid, "", len(block)) for cid, block in leaves], b"", sizes)
    return [*leaves, (cid_of(0x70, root, version), root)]


def header(roots: Sequence[bytes]) -> bytes:
    """The header as cbor, by hand: at most 23 roots."""
    links = b"".join(b"\xd8\x2a\x58" + bytes((len(root) + 1, 0)) + root for root in roots)
    body = b"\xa2\x65roots" + bytes((0x80 | len(roots),)) + links + b"\x67version\x01"
    return varint(len(body)) + body


def frames(blocks: Blocks) -> bytes:
    return b"".join(varint(len(cid) + len(block)) + cid + block for cid, block in blocks)


def archive(roots: Sequence[bytes], blocks: Blocks) -> bytes:
    return header(roots) + frames(blocks)


def second_version(inner: bytes) -> bytes:
    offset = 11 + 40 + 13
    places = bytes(16) + offset.to_bytes(8, "little") + len(inner).to_bytes(8, "little")
    return (
        b"\x0a\xa1\x67version\x02" + places + (offset + len(inner)).to_bytes(8, "little") + bytes(13) + inner + b"idx"
    )


def text_of(cid: bytes) -> str:
    found = parse_cid(cid)
    assert found is not None
    return found[0].text


def whole_file(**how: object) -> Callable[[], tuple[bytes, str]]:
    def make() -> tuple[bytes, str]:
        blocks = file_blocks(DATA, **how)  # type: ignore[arg-type]
        return archive([blocks[-1][0]], blocks), text_of(blocks[-1][0])

    return make


def in_second_version() -> tuple[bytes, str]:
    data, root = whole_file(chunk=256 * 1024)()
    return second_version(data), root


def with_an_end_mark() -> tuple[bytes, str]:
    data, root = whole_file(chunk=256 * 1024)()
    return data + bytes(100), root


def in_a_folder() -> tuple[bytes, str]:
    blocks = file_blocks(DATA, chunk=MIB)
    folder = node(1, [(blocks[-1][0], "weights.bin", len(DATA))])
    return archive([cid_of(0x70, folder)], [*blocks, (cid_of(0x70, folder), folder)]), text_of(cid_of(0x70, folder))


def in_a_sharded_folder() -> tuple[bytes, str]:
    blocks = file_blocks(DATA, chunk=MIB)
    inner = node(5, [(blocks[-1][0], "3Fweights.bin", len(DATA))], b"\x01")
    outer = node(5, [(cid_of(0x70, inner), "A1", len(inner))], b"\x01")
    root = cid_of(0x70, outer)
    return archive([root], [(root, outer), (cid_of(0x70, inner), inner), *blocks]), text_of(root)


SOUND = {
    "chunks of 1 MiB": whole_file(chunk=MIB),
    "leaves of dag-pb": whole_file(chunk=256 * 1024, raw=False),
    "addresses of version 0": whole_file(chunk=256 * 1024, raw=False, version=0),
    "version 2": in_second_version,
    "an end mark": with_an_end_mark,
    "a folder": in_a_folder,
    "a sharded folder": in_a_sharded_folder,
}


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_sound_archive_of_any_profile_is_kept_and_pinned(llamafund, tmp_path: Path, name: str) -> None:
    data, root = SOUND[name]()
    (tmp_path / "x.car").write_bytes(data)
    done = llamafund("store", "import", tmp_path / "x.car", "--store", tmp_path / "store", "--json")
    facts = json.loads(done.stdout)
    assert [(entry["cid"], entry["problem"]) for entry in facts["roots"]] == [(root, None)]
    # Listings may have addresses of chunks of 1 MiB; all others are kept under the usual address.
    large = name in ("chunks of 1 MiB", "a folder", "a sharded folder")
    cid = text_of(file_blocks(DATA, chunk=MIB)[-1][0]) if large else hash_bytes(DATA).cid
    assert facts["roots"][0]["files"] == facts["files"] == [cid]
    store = LocalStore(tmp_path / "store")
    assert store.pins() == {cid}
    assert store.read(cid, limit=len(DATA)) == DATA


@pytest.mark.parametrize(("raw", "version"), [(True, 1), (False, 1), (False, 0)])
def test_the_archives_made_here_have_the_addresses_of_the_specification(raw: bool, version: int) -> None:
    blocks = file_blocks(DATA, chunk=256 * 1024, raw=raw, version=version)
    expected = unixfs_address(DATA, version=version, raw_leaves=raw, block=256 * 1024)
    assert text_of(blocks[-1][0]) == expected
    assert version or expected == base58(blocks[-1][0])


def cut_after_the_header() -> bytes:
    return header([leaf_cid(b"one"), leaf_cid(b"two"), leaf_cid(b"three")])


def one_of_two_roots() -> bytes:
    return archive([leaf_cid(b"one"), leaf_cid(b"two")], [(leaf_cid(b"one"), b"one")])


def without_a_chunk() -> bytes:
    blocks = file_blocks(DATA, chunk=MIB)
    return archive([blocks[-1][0]], blocks[1:])


def folder_without_a_file() -> bytes:
    folder = node(1, [(leaf_cid(b"one"), "a", 3), (leaf_cid(b"two"), "b", 3)])
    return archive([cid_of(0x70, folder)], [(cid_of(0x70, folder), folder), (leaf_cid(b"one"), b"one")])


@pytest.mark.parametrize("make", [cut_after_the_header, one_of_two_roots, without_a_chunk, folder_without_a_file])
def test_a_root_that_is_not_all_there_is_no_success(llamafund, tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "x.car").write_bytes(make())
    done = llamafund("store", "import", tmp_path / "x.car", "--store", tmp_path / "store")
    assert done.code == 3, done.stderr
    assert "is not in the archive" in done.stderr
    assert "NOT complete" in done.stdout


def test_a_root_that_the_store_has_already_is_pinned_though_the_archive_lacks_it(llamafund, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    cid = store.put_bytes(b"one").cid
    (tmp_path / "x.car").write_bytes(header([leaf_cid(b"one")]))
    assert llamafund("store", "import", tmp_path / "x.car", "--store", tmp_path / "store").code == 0
    assert store.pins() == {cid}


def data_of_another_codec() -> tuple[bytes, str]:
    block = b"\xa1\x61a\x01"
    cid = cid_of(0x71, block)
    return archive([cid], [(cid, block)]), "block of dag-cbor"


def a_symbolic_link() -> tuple[bytes, str]:
    block = node(4, (), b"elsewhere")
    return archive([cid_of(0x70, block)], [(cid_of(0x70, block), block)]), "symbolic link"


def hashes_that_nobody_here_computes() -> tuple[bytes, str]:
    cid = b"\x01\x55\x1e\x20" + bytes(32)
    return archive([cid], [(cid, b"whatever")]), "blake3"


def no_roots_and_no_files() -> tuple[bytes, str]:
    return header([]), "names no roots"


def another_version() -> tuple[bytes, str]:
    return b"\x0a\xa1\x67version\x03", "version 3"


@pytest.mark.parametrize(
    "make",
    [
        data_of_another_codec,
        a_symbolic_link,
        hashes_that_nobody_here_computes,
        no_roots_and_no_files,
        another_version,
    ],
)
def test_what_no_store_keeps_is_called_what_it_is_and_not_accused(
    llamafund, tmp_path: Path, make: Callable[[], tuple[bytes, str]]
) -> None:
    data, words = make()
    (tmp_path / "x.car").write_bytes(data)
    done = llamafund("store", "import", tmp_path / "x.car", "--store", tmp_path / "store")
    assert done.code == 1, done.stderr
    assert words in done.stderr
    assert "cut" not in done.stderr
    assert "not a valid" not in done.stderr
    assert LocalStore(tmp_path / "store").contents() == frozenset()


def test_bytes_inside_an_address_are_a_file(tmp_path: Path) -> None:
    identity = b"\x01\x55\x00\x05hello"
    folder = node(1, [(identity, "greeting", 5)])
    root = cid_of(0x70, folder)
    (tmp_path / "x.car").write_bytes(archive([root, identity], [(root, folder)]))
    store = LocalStore(tmp_path / "store")
    done = import_car(tmp_path / "x.car", store)
    assert done.files == (hash_bytes(b"hello").cid,)
    assert done.lacking == ()


def test_few_blocks_that_unfold_to_endlessly_many_are_given_up(tmp_path: Path) -> None:
    blocks, size = [(leaf_cid(b"x"), b"x")], 1
    for _ in range(3):
        above = node(2, [(blocks[-1][0], "", 1)] * 100, b"", [size] * 100)
        size *= 100
        blocks.append((cid_of(0x70, above), above))
    (tmp_path / "x.car").write_bytes(archive([blocks[-1][0]], blocks))
    done = import_car(tmp_path / "x.car", LocalStore(tmp_path / "store"))
    assert "too many pieces" in done.lacking[0].problem
    assert not done.lacking[0].absent
