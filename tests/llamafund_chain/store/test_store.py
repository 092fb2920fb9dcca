"""A store hands out nothing that is not what its address says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.errors import ExitCode, LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import LocalStore, MissingContentError, Store, open_store
from llamafund_chain.store.base import read_verified, verified

BLOCK = 256 * 1024
SIZES = [0, 1, BLOCK, BLOCK + 1, 5_000_000]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def damage(store: LocalStore, cid: str, data: bytes) -> None:
    """What a bad disk, or somebody with access to it, does: files in a store are read-only for everybody else."""
    store.path_of(cid).chmod(0o600)
    store.path_of(cid).write_bytes(data)


def everything_below(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_a_local_store_is_a_store(store: LocalStore) -> None:
    assert isinstance(store, Store)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_comes_back(store: LocalStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    source = tmp_path / "source"
    source.write_bytes(data)
    digest = store.put_file(source)
    assert digest == hash_bytes(data) == store.put_bytes(data)
    assert store.has(digest.cid)
    assert store.read(digest.cid, limit=size) == data
    assert b"".join(store.stream(digest.cid, size=size)) == data
    store.fetch(digest.cid, tmp_path / "out" / "copy", size=size)
    assert (tmp_path / "out" / "copy").read_bytes() == data


def test_putting_leaves_no_unfinished_files(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"data")
    store.pin(digest.cid)
    assert everything_below(tmp_path / "store") == {f"content/{digest.cid}", f"pins/{digest.cid}"}


@pytest.mark.parametrize("size", [1, BLOCK + 1])
def test_a_stored_file_that_was_replaced_under_its_address_is_refused(
    store: LocalStore, tmp_path: Path, size: int
) -> None:
    digest = store.put_bytes(b"a" * size)
    other = hash_bytes(b"b" * size).sha256
    damage(store, digest.cid, b"b" * size)
    with pytest.raises(VerificationError, match=f"{digest.cid}.*{other}") as caught:
        store.fetch(digest.cid, tmp_path / "out")
    assert caught.value.exit_code is ExitCode.VERIFICATION_FAILED
    assert everything_below(tmp_path) == {f"store/content/{digest.cid}"}
    with pytest.raises(VerificationError, match=other):
        store.read(digest.cid, limit=size)
    with pytest.raises(VerificationError, match=other):
        list(store.stream(digest.cid))


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=400), st.data())
def test_one_flipped_bit_is_enough_to_be_refused(data: bytes, choice: st.DataObject) -> None:
    position = choice.draw(st.integers(min_value=0, max_value=len(data) * 8 - 1))
    changed = bytearray(data)
    changed[position // 8] ^= 1 << position % 8
    cid = hash_bytes(data).cid
    with pytest.raises(VerificationError, match=cid):
        read_verified(verified(iter((bytes(changed),)), cid, "here"), cid, "here", limit=1000)


def test_a_truncated_file_is_refused(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"x" * 1000)
    damage(store, digest.cid, b"x" * 999)
    with pytest.raises(VerificationError):
        store.fetch(digest.cid, tmp_path / "out", size=1000)
    assert not (tmp_path / "out").exists()


def test_a_refused_fetch_leaves_an_earlier_file_alone(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"x")
    (tmp_path / "out").write_bytes(b"earlier")
    damage(store, digest.cid, b"y")
    with pytest.raises(VerificationError):
        store.fetch(digest.cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"earlier"


def test_putting_again_mends_what_was_damaged(store: LocalStore) -> None:
    digest = store.put_bytes(b"good")
    damage(store, digest.cid, b"evil")
    store.put_bytes(b"good")
    assert store.read(digest.cid, limit=4) == b"good"


@pytest.mark.parametrize("size", [3, 5])
def test_another_size_than_expected_is_refused(store: LocalStore, tmp_path: Path, size: int) -> None:
    digest = store.put_bytes(b"four")
    with pytest.raises(VerificationError, match=f"4 bytes, but the manifest says {size}"):
        store.fetch(digest.cid, tmp_path / "out", size=size)
    assert not (tmp_path / "out").exists()


def test_an_endless_answer_is_cut_off_at_the_expected_size() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    cid = hash_bytes(b"x").cid
    with pytest.raises(VerificationError, match="more than 5000"):
        list(verified(endless(), cid, "there", size=5000))
    with pytest.raises(VerificationError, match="more than 5000"):
        read_verified(endless(), cid, "there", limit=5000)
    assert taken == 12


def test_reading_more_than_the_limit_is_refused(store: LocalStore) -> None:
    digest = store.put_bytes(b"12345")
    assert store.read(digest.cid, limit=5) == b"12345"
    with pytest.raises(VerificationError, match="more than 4 bytes"):
        store.read(digest.cid, limit=4)


def test_missing_content_names_the_address_and_the_store(store: LocalStore, tmp_path: Path) -> None:
    cid = hash_bytes(b"never put").cid
    assert not store.has(cid)
    for action in (
        lambda: store.read(cid, limit=10),
        lambda: store.fetch(cid, tmp_path / "out"),
        lambda: list(store.stream(cid)),
        lambda: store.pin(cid),
    ):
        with pytest.raises(MissingContentError, match=cid) as caught:
            action()
        assert str(tmp_path / "store") in str(caught.value)
        assert caught.value.exit_code is ExitCode.ERROR
    assert everything_below(tmp_path) == set()


@pytest.mark.parametrize(
    "cid",
    ["", "../../etc/passwd", "b" + "/" * 58, "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "b" + "A" * 58, "."],
)
def test_what_is_no_address_never_becomes_a_path(store: LocalStore, tmp_path: Path, cid: str) -> None:
    for action in (
        lambda: store.read(cid, limit=10),
        lambda: store.fetch(cid, tmp_path / "out"),
        lambda: store.has(cid),
        lambda: store.pin(cid),
        lambda: store.unpin(cid),
        lambda: store.path_of(cid),
    ):
        with pytest.raises(UsageError, match="is not an address that stores use"):
            action()


def test_a_link_in_the_store_is_not_followed(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"secret")
    elsewhere = tmp_path / "elsewhere"
    store.path_of(digest.cid).rename(elsewhere)
    store.path_of(digest.cid).symlink_to(elsewhere)
    with pytest.raises(VerificationError, match="is a symbolic link"):
        store.read(digest.cid, limit=100)


def test_a_pipe_in_the_store_is_refused_and_not_waited_for(store: LocalStore) -> None:
    digest = store.put_bytes(b"data")
    store.path_of(digest.cid).unlink()
    os.mkfifo(store.path_of(digest.cid))
    assert not store.has(digest.cid)
    with pytest.raises(VerificationError, match="a device or pipe"):
        store.read(digest.cid, limit=100)


def test_pins_are_kept_by_the_directory(store: LocalStore, tmp_path: Path) -> None:
    first, second = store.put_bytes(b"1").cid, store.put_bytes(b"2").cid
    assert store.pins() == frozenset()
    store.pin(first)
    store.pin(first)
    store.pin(second)
    assert LocalStore(tmp_path / "store").pins() == {first, second}
    store.unpin(first)
    store.unpin(first)
    assert store.pins() == {second}


def test_a_file_that_cannot_be_read_is_not_stored(store: LocalStore, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError):
            store.put_file(path)
    assert everything_below(tmp_path) == set()


def test_many_writers_of_the_same_content_do_not_disturb_one_another(store: LocalStore) -> None:
    data = b"z" * 100_000
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: store.put_bytes(data), range(32)))
    (digest,) = digests
    assert store.read(digest.cid, limit=len(data)) == data


def test_nothing_is_written_before_something_is_put(tmp_path: Path) -> None:
    store = open_store(tmp_path / "new")
    assert not store.has(hash_bytes(b"x").cid)
    assert store.pins() == frozenset()
    assert not (tmp_path / "new").exists()


def test_a_store_is_opened_by_its_directory(tmp_path: Path) -> None:
    digest = open_store(str(tmp_path / "store")).put_bytes(b"x")
    assert open_store(tmp_path / "store").read(digest.cid, limit=1) == b"x"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:5001",
        "ipfs://gateway",
        "s3://bucket",
        "",
        "  ",
        "car:x.car",
        "hf:a/b",
        "mirror:https://a.b",
        "kubo:",
        "gateway: ",
        "KUBO:http://127.0.0.1:5001",
    ],
)
def test_a_kind_of_store_that_is_not_known_is_refused(location: str) -> None:
    with pytest.raises(UsageError, match="Name a directory"):
        open_store(location)


def test_a_directory_whose_name_looks_like_another_kind_is_written_with_a_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = open_store("./kubo:http").put_bytes(b"x")
    assert (tmp_path / "kubo:http" / "content" / digest.cid).read_bytes() == b"x"


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        open_store(tmp_path / "file")


def test_a_store_that_turns_into_a_file_fails_with_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LlamafundError, match="file"):
        LocalStore(tmp_path / "file").put_bytes(b"x")
