"""One read gives the SHA-256, the IPFS address and the content root, and hostile trees are refused."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unixfs_reference import unixfs_address

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.file_dag import FileDag, FileLeaves
from llamafund_chain.evidence.hashing import (
    FileHasher,
    TreeListing,
    hash_bytes,
    hash_file,
    hash_listing,
    hash_tree,
    list_tree,
    one_pass,
    raw_cid,
    resolve_inside,
    sha256_of_raw_cid,
)
from llamafund_chain.evidence.hashing.one_pass import Digests, OnePass, subtree_root
from llamafund_chain.evidence.merkle import CHUNK_SIZE, MerkleHasher
from llamafund_chain.files import SPAN

BLOCK = 256 * 1024


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
    assert hash_bytes(data).cid == unixfs_address(data, version=1, raw_leaves=True, block=BLOCK)


@settings(max_examples=30)
@given(st.lists(st.integers(min_value=0, max_value=200_000), max_size=6))
def test_the_digest_does_not_depend_on_how_the_bytes_arrive(sizes: list[int]) -> None:
    hasher = FileHasher()
    for size in sizes:
        hasher.update(b"z" * size)
    assert hasher.finish() == hash_bytes(b"z" * sum(sizes))


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
    totals: list[int] = []
    files = {"a": b"1" * (3 * SPAN - 5), "b": b"2", "c": b"", "d": b"3" * SPAN}
    tree = hash_tree(make_tree(tmp_path, files), progress=steps.append, total=totals.append)
    assert sum(steps) == tree.content.size == sum(map(len, files.values()))
    assert totals == [tree.content.size]
    assert len(steps) > 2


@pytest.mark.parametrize("jobs", [1, 2, 3, 7])
def test_any_number_of_cores_gives_the_digests_of_one_file_after_another(tmp_path: Path, jobs: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    edges = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, BLOCK, BLOCK + 1, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 5 * SPAN + 3]
    sizes = [*edges, *(source.randrange(3 * SPAN) for _ in range(6)), 0, 0]
    source.shuffle(sizes)
    root = make_tree(tmp_path, {f"{number:02}": source.randbytes(size) for number, size in enumerate(sizes)})
    tree = hash_tree(root, jobs=jobs)
    content = MerkleHasher()
    for file in tree.files:
        data = (root / file.path).read_bytes()
        content.update(data)
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.cid == hash_bytes(data).cid
    assert (tree.content.root, tree.content.size) == (content.root().hex(), sum(sizes))


@settings(max_examples=60)
@given(st.integers(1, 4 * BLOCK), st.lists(st.integers(1, 4 * BLOCK), max_size=12), st.integers())
def test_pieces_in_any_order_give_the_blocks_of_the_file(size: int, cuts: list[int], seed: int) -> None:
    order = random.Random(seed)
    data = order.randbytes(size)
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    pieces = [(start, data[start:end]) for start, end in pairwise(edges)]
    order.shuffle(pieces)
    leaves = FileLeaves(size)
    for offset, piece in pieces:
        leaves.add(offset, piece)
    assert leaves.dag() == FileDag.of(iter((data,)))


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=5 * CHUNK_SIZE))
def test_a_subtree_of_bytes_that_are_at_hand_has_the_root_of_the_stream(data: bytes) -> None:
    hasher = MerkleHasher()
    hasher.update(data)
    assert subtree_root(data) == hasher.root()


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 8, 255, 256])
def test_a_subtree_of_whole_chunks_has_the_root_of_the_stream(chunks: int) -> None:
    data = bytes(range(256)) * (chunks * CHUNK_SIZE // 256)
    hasher = MerkleHasher()
    hasher.update(data)
    assert subtree_root(data) == hasher.root()


def test_files_of_any_size_and_order_fill_the_spans_exactly(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(200):
        sizes = [source.choice([0, 0, 1, SPAN - 1, SPAN, SPAN + 1, 3 * SPAN]) for _ in range(source.randrange(1, 9))]
        names = [b"%d" % number for number in range(len(sizes))]
        digests = Digests(TreeListing(tmp_path, names, array("Q", sizes), {}))
        covered: dict[int, list[tuple[int, int]]] = {}
        for span in range(len(digests.roots)):
            pieces = list(digests.pieces(span))
            for number, offset, length in pieces:
                covered.setdefault(number, []).append((offset, length))
            assert sum(length for _, _, length in pieces) == min(SPAN, sum(sizes) - span * SPAN)
        for number, size in enumerate(sizes):
            place = 0
            for offset, length in covered[number]:
                assert offset == place
                place += length
            assert place == size
            assert size or covered[number] == [(0, 0)]


def test_an_empty_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only" / "directories").mkdir(parents=True)
    with pytest.raises(UsageError, match="contains no files"):
        hash_tree(tmp_path)
    with pytest.raises(UsageError, match="contains no files"):
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


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_tree_in_which_a_file_grows_meanwhile_is_refused(tmp_path: Path, jobs: int) -> None:
    root = make_tree(tmp_path, {"a": b"1" * (6 * SPAN)})

    def grow(count: int) -> None:
        with (root / "a").open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(LlamafundError, match=r"'.*/a' changed while it was read\. It had \d+ bytes at the start"):
        hash_tree(root, progress=grow, jobs=jobs)


def test_a_tree_in_which_a_file_shrinks_meanwhile_is_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"a": b"1" * (40 * SPAN)})
    with pytest.raises(LlamafundError, match="changed while it was read"):
        hash_tree(root, progress=lambda _: os.truncate(root / "a", 5), jobs=1)


def test_a_tree_in_which_a_file_is_rewritten_meanwhile_is_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"a": b"1" * (6 * SPAN)})

    def rewrite(count: int) -> None:
        with (root / "a").open("r+b") as stream:
            stream.write(b"other")

    with pytest.raises(LlamafundError, match="changed while it was read"):
        hash_tree(root, progress=rewrite)


def test_a_file_that_changed_between_listing_and_reading_is_refused(tmp_path: Path) -> None:
    listing = list_tree(make_tree(tmp_path, {"a": b"1", "b": b"2"}))
    (tmp_path / "b").write_bytes(b"longer")
    with pytest.raises(LlamafundError, match=r"'.*/b' changed while it was read"):
        hash_listing(listing)
    (tmp_path / "b").unlink()
    with pytest.raises(UsageError, match=r"There is no file '.*/b'"):
        hash_listing(listing)


def test_a_file_that_became_a_link_after_the_listing_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"2")
    root = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    listing = list_tree(root)
    (root / "b").unlink()
    (root / "b").symlink_to(secret)
    with pytest.raises(UsageError, match="is a symbolic link"):
        hash_listing(listing)


def test_a_socket_in_the_tree_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_tree(tmp_path, {"a": b"1"}))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(UsageError, match=r"'.*/socket' is a socket\. Only regular files have content"):
            hash_tree(tmp_path)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A directory that this process, without root's rights meanwhile, owns."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named(nobody: Path) -> None:
    make_tree(nobody, {"a": b"1", "sub/b": b"2"})
    (nobody / "sub" / "b").chmod(0)
    with pytest.raises(LlamafundError, match=r"Reading '.*/sub/b' was not permitted\. .*Check the permissions"):
        hash_tree(nobody)


def test_a_directory_that_may_not_be_listed_is_named(nobody: Path) -> None:
    make_tree(nobody, {"a": b"1", "sub/b": b"2"})
    (nobody / "sub").chmod(0)
    try:
        with pytest.raises(LlamafundError, match=r"Listing '.*/sub' was not permitted"):
            hash_tree(nobody)
    finally:
        (nobody / "sub").chmod(0o700)


def test_what_an_inspector_raises_ends_the_pass(tmp_path: Path) -> None:
    class Broken:
        def update(self, data: bytes, /) -> None:
            raise UsageError("seen enough")

        def finish(self) -> None:
            raise AssertionError

    root = make_tree(tmp_path, {"a": b"1" * (9 * SPAN), "b": b"2"})
    for jobs in (1, 4):
        with pytest.raises(UsageError, match="seen enough"):
            hash_tree(root, inspect=lambda _: Broken(), jobs=jobs)


def test_an_inspector_sees_each_file_in_order_and_once(tmp_path: Path) -> None:
    seen: dict[str, list[bytes]] = {}
    ended: list[str] = []

    class Copy:
        def __init__(self, name: str) -> None:
            self.name = name
            seen[name] = []

        def update(self, data: bytes, /) -> None:
            seen[self.name].append(data)

        def finish(self) -> None:
            ended.append(self.name)

    files = {"a": random.randbytes(5 * SPAN + 7), "b": b"", "c": random.randbytes(2 * SPAN), "d": b"4"}
    hash_tree(make_tree(tmp_path, files), inspect=Copy, jobs=3)
    assert {name: b"".join(pieces) for name, pieces in seen.items()} == files
    assert sorted(ended) == sorted(files)


def ended_since(before: set[threading.Thread]) -> bool:
    """Whether there are no other threads, after those that have nothing left to do have ended."""
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.001)
    return not set(threading.enumerate()) - before


def test_an_interruption_ends_all_threads(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"a": b"1" * (30 * SPAN)})
    before = set(threading.enumerate())
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)

    sent: list[int] = []

    def interrupt(count: int) -> None:
        # By whichever thread reports first: the main thread need not get anything to hash. Once, as one press is.
        if not sent:
            sent.append(count)
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            hash_tree(root, progress=interrupt, jobs=3)
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert ended_since(before)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_an_inspector_that_ends_the_program_ends_the_pass(tmp_path: Path, jobs: int) -> None:
    class Leaves:
        def update(self, data: bytes) -> None:
            raise SystemExit(3)

        def finish(self) -> None:
            raise AssertionError

    with pytest.raises(SystemExit):
        hash_tree(make_tree(tmp_path, {"a": b"1" * (5 * SPAN)}), jobs=jobs, inspect=lambda _: Leaves())


def test_interruptions_one_after_another_leave_no_thread_and_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(tmp_path, {"a": b"1" * (30 * SPAN)})
    before, presses, opened, open_ = set(threading.enumerate()), iter(range(3)), [], one_pass._open

    def note(path: str, size: int) -> tuple[int, os.stat_result]:
        number, status = open_(path, size)
        opened.append(number)
        return number, status

    monkeypatch.setattr(one_pass, "_open", note)

    class Slow:
        def update(self, data: bytes) -> None:
            for _ in presses:
                os.kill(os.getpid(), signal.SIGINT)
                threading.Event().wait(0.1)

        def finish(self) -> None:
            pass

    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            hash_tree(root, jobs=4, inspect=lambda _: Slow())
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert opened
    for number in opened:
        with suppress(OSError):
            assert not os.path.samestat(os.fstat(number), (root / "a").stat())
    assert ended_since(before)


@pytest.mark.parametrize("jobs", [1, 4, 16])
def test_memory_holds_few_spans_whatever_the_number_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    root, held, peak = make_tree(tmp_path, {f"{number:02}": b"" for number in range(24)}), set(), [0]
    for number in range(24):
        os.truncate(root / f"{number:02}", 4 * SPAN + 777)

    class Load(one_pass._Load):
        __slots__ = ("users_",)

        @property
        def users(self) -> int:
            return self.users_

        @users.setter
        def users(self, value: int) -> None:
            self.users_ = value
            (held.add if value else held.discard)(id(self))
            peak[0] = max(peak[0], len(held))

    class Slow:
        def update(self, data: bytes) -> None:
            threading.Event().wait(0.002)

        def finish(self) -> None:
            pass

    monkeypatch.setattr(one_pass, "_Load", Load)
    hash_tree(root, jobs=jobs, inspect=lambda _: Slow())
    assert not held
    assert 0 < peak[0] <= min(2 * jobs + 3, 40)


def test_an_interruption_waits_for_what_is_being_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    ended: list[int] = []

    def hash_on(_: object) -> None:
        place = len(begun)
        begun.append(place)
        threading.Event().wait(0.2)
        # The first one is waited for first, most likely by the time of the interruption, and takes longer.
        if place == 0:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.5)
        ended.append(place)

    monkeypatch.setattr(OnePass, "_work", hash_on)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            hash_tree(make_tree(tmp_path, {"a": b"1" * (30 * SPAN)}), jobs=2)
        assert sorted(ended) == begun
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_directories_nested_deeper_than_any_call_are_refused_by_their_length(tmp_path: Path) -> None:
    # 600 levels of one letter: more than the 1024 bytes that a path may have.
    deep = "/".join("d" * 600)
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="1024 are portable"):
        hash_tree(tmp_path)


def test_a_sparse_file_has_the_digests_of_its_zeros(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 5 * SPAN + 1)
    (file,) = hash_tree(tmp_path).files
    assert file.sha256 == hashlib.sha256(bytes(5 * SPAN + 1)).hexdigest()
    assert file.cid == hash_bytes(bytes(5 * SPAN + 1)).cid
