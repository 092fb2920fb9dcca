"""One read gives the SHA-256, the IPFS address and the content root, and hostile trees are refused."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.hashing import (
    FileHasher,
    hash_bytes,
    hash_file,
    hash_tree,
    raw_cid,
    resolve_inside,
    sha256_of_raw_cid,
)
from llamafund_chain.merkle import MerkleHasher

BLOCK = 256 * 1024


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def unixfs_cid(data: bytes) -> str:
    """The address by the UnixFS and dag-pb specifications, for files of 2 to 174 blocks."""
    blocks = [data[start : start + BLOCK] for start in range(0, len(data), BLOCK)]
    links = b"".join(
        field(2, field(1, b"\x01\x55\x12\x20" + hashlib.sha256(block).digest()) + field(2, b"") + field(3, len(block)))
        for block in blocks
    )
    description = field(1, 2) + field(3, len(data)) + b"".join(field(4, len(block)) for block in blocks)
    node = links + field(1, description)
    address = b"\x01\x70\x12\x20" + hashlib.sha256(node).digest()
    return "b" + base64.b32encode(address).decode().rstrip("=").lower()


def test_the_published_address_of_hello_world_holds() -> None:
    digest = hash_bytes(b"hello world")
    assert digest.size == 11
    assert digest.sha256 == "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    assert digest.cid == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.parametrize("size", [0, 1, 1000, BLOCK - 1, BLOCK])
def test_a_file_of_one_block_has_its_sha256_as_its_address(size: int) -> None:
    digest = hash_bytes(b"q" * size)
    assert digest.cid == raw_cid(digest.sha256)
    assert digest.sha256 == hashlib.sha256(b"q" * size).hexdigest()


@pytest.mark.parametrize("size", [BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 17, 174 * BLOCK])
def test_a_longer_file_has_the_address_of_the_specification(size: int) -> None:
    data = (b"0123456789abcde" * (size // 15 + 1))[:size]
    assert hash_bytes(data).cid == unixfs_cid(data)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(min_value=0, max_value=200_000), max_size=6))
def test_the_digest_does_not_depend_on_how_the_bytes_arrive(sizes: list[int]) -> None:
    hasher = FileHasher()
    for size in sizes:
        hasher.update(b"z" * size)
    assert hasher.finish() == hash_bytes(b"z" * sum(sizes))


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_raw_address_and_its_hash_determine_each_other(digest: bytes) -> None:
    cid = raw_cid(digest.hex())
    assert cid.startswith("bafkrei")
    assert sha256_of_raw_cid(cid) == digest.hex()


@pytest.mark.parametrize("text", ["", "0x" + "a" * 64, "A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])
def test_what_is_not_a_hash_has_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not a SHA-256"):
        raw_cid(text)


def test_other_addresses_have_no_hash_in_them() -> None:
    good = raw_cid("ab" * 32)
    last = "abcdefghijklmnopqrstuvwxyz234567"["abcdefghijklmnopqrstuvwxyz234567".index(good[-1]) + 1]
    longer = hash_bytes(b"x" * (BLOCK + 1)).cid
    wrong = ["", "b", "é", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", good.upper(), "z" + good[1:], good[:-1]]
    for cid in [*wrong, good + "a", good[:-1] + last, good[:-1] + "\n", longer]:
        with pytest.raises(UsageError, match="is not the address of a single block"):
            sha256_of_raw_cid(cid)


def make_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert hash_file(path) == hash_bytes(b"abc" * 100_000)


def test_a_tree_lists_its_files_by_the_bytes_of_their_paths(tmp_path: Path) -> None:
    # As text "é" sorts before "z" in some languages, and "a-b" before "a/b" in others; bytes decide.
    names = ["z", "é", "a/b", "a-b", "a.b", "B", "a0/x", "\U0001f999"]
    tree = hash_tree(make_tree(tmp_path, {name: name.encode() for name in names}))
    assert [entry.path for entry in tree.files] == sorted(names, key=lambda name: name.encode())


def test_the_content_is_the_files_bytes_one_after_another(tmp_path: Path) -> None:
    files = {"a": b"1" * 10_000, "b/c": b"", "d": b"2" * 40_000}
    tree = hash_tree(make_tree(tmp_path, files))
    expected = MerkleHasher()
    expected.update(b"".join(files.values()))
    assert tree.content.root == expected.root().hex()
    assert tree.content.size == 50_000
    assert tree.files[0].sha256 == hashlib.sha256(files["a"]).hexdigest()


def test_chosen_files_are_hashed_in_manifest_order_whatever_the_order_given(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    assert hash_tree(tmp_path, ["c", "a"]) == hash_tree(tmp_path, ["a", "c"])
    assert [entry.path for entry in hash_tree(tmp_path, ["c", "a"]).files] == ["a", "c"]


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    steps: list[int] = []
    tree = hash_tree(make_tree(tmp_path, {"a": b"1" * 5_000_000, "b": b"2"}), progress=steps.append)
    assert sum(steps) == tree.content.size == 5_000_001
    assert len(steps) > 2


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only" / "directories").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds no files"):
        hash_tree(tmp_path)
    with pytest.raises(UsageError, match="holds no files"):
        hash_tree(tmp_path, [])


def test_a_link_that_leaves_the_tree_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    root = make_tree(tmp_path / "tree", {"a": b"1"})
    (root / "b").symlink_to(secret)
    with pytest.raises(UsageError, match="leads out of"):
        hash_tree(root)


def test_a_linked_directory_is_refused_even_when_a_path_below_it_is_asked_for(tmp_path: Path) -> None:
    outside = make_tree(tmp_path / "outside", {"file": b"secret"})
    root = make_tree(tmp_path / "tree", {"a": b"1"})
    (root / "sub").symlink_to(outside)
    with pytest.raises(UsageError, match="link to a directory"):
        hash_tree(root)
    with pytest.raises(UsageError, match="leads out of"):
        hash_tree(root, ["sub/file"])


def test_links_in_circles_are_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", {"a": b"1"})
    (root / "up").symlink_to(root)
    with pytest.raises(UsageError, match="link to a directory"):
        hash_tree(root)
    (root / "up").unlink()
    (root / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="leads nowhere"):
        hash_tree(root)


def test_a_link_inside_the_tree_counts_as_a_file_with_the_same_bytes(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"blobs/1": b"weights"})
    (root / "model").symlink_to("blobs/1")
    first, second = hash_tree(root).files
    assert (first.path, second.path) == ("blobs/1", "model")
    assert (first.size, first.sha256, first.cid) == (second.size, second.sha256, second.cid)


def test_a_pipe_in_the_tree_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b"1"})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe"):
        hash_tree(tmp_path)


def test_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"x")
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    with pytest.raises(UsageError, match="not valid Unicode"):
        hash_tree(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "a//b", "./a", "", "a\\b", "\ud800"])
def test_an_unsafe_path_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    root = make_tree(tmp_path / "tree", {"a": b"1"})
    with pytest.raises(UsageError):
        hash_tree(root, [name])
    with pytest.raises(UsageError):
        resolve_inside(root, name)


def test_a_path_given_twice_is_refused(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b"1"})
    with pytest.raises(UsageError, match="sorted and distinct"):
        hash_tree(tmp_path, ["a", "a"])


def test_a_missing_file_or_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file 'absent'"):
        hash_tree(tmp_path, ["absent"])
    with pytest.raises(UsageError, match=r"There is no directory .*absent"):
        hash_tree(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is not a directory"):
        hash_tree(tmp_path / "file")


def test_a_tree_in_which_a_file_grows_meanwhile_is_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"a": b"1" * 100})

    def grow(count: int) -> None:
        with (root / "a").open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(LlamafundError, match="changed while it was read"):
        hash_tree(root, progress=grow)
