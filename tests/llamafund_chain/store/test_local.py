"""A directory as a store: killed writers, garbage, hard links, and several processes at once."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes, hash_file
from llamafund_chain.store import LocalStore, MissingContentError

KILLS = 12
WRITER = """
import sys
from pathlib import Path
from llamafund_chain.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
print("ready", flush=True)
for path in sorted(Path(sys.argv[2]).iterdir()):
    store.pin(store.put_file(path).cid)
    print(path.name, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_writer_killed_at_any_moment_leaves_nothing_wrong_and_the_next_one_goes_on(
    store: LocalStore, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number:02}").write_bytes(chance.randbytes(chance.randrange(3_000_000)))
    killed = acknowledged = 0
    while killed < KILLS:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, store.location, str(source)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        timer = threading.Timer(chance.uniform(0, 0.25), writer.kill)
        timer.start()
        done = writer.stdout.read().split()
        timer.cancel()
        killed += writer.wait() < 0
        acknowledged = max(acknowledged, len(done))
        for name in store.contents():
            assert hash_file(store.path_of(name)).cid == name
        # What a writer was told to be kept is kept, whatever happened to it afterwards.
        for name in done:
            assert hash_file(source / name).cid in store.pins()
        assert store.pins() <= store.contents()
    collected = store.gc(grace=0)
    assert set(store.contents()) == set(store.pins())
    assert not list((tmp_path / "store" / "incoming").iterdir())
    print("killed", killed, "acknowledged", acknowledged, "unfinished", collected.unfinished)
    for path in source.iterdir():
        store.pin(store.put_file(path).cid)
    assert store.pins() == {hash_file(path).cid for path in source.iterdir()}


def test_stored_files_are_read_only(store: LocalStore) -> None:
    assert store.path_of(store.put_bytes(b"x").cid).stat().st_mode & 0o222 == 0


def test_garbage_is_removed_and_pins_are_not(store: LocalStore, tmp_path: Path) -> None:
    kept, lost = store.put_bytes(b"kept").cid, store.put_bytes(b"lost").cid
    store.pin(kept)
    (tmp_path / "store" / "incoming" / ".dead.part").write_bytes(b"123")
    done = store.gc(grace=0)
    assert done.removed == (lost,)
    assert (done.freed, done.unfinished, done.spared) == (7, 1, 0)
    assert store.contents() == {kept} == store.pins()
    assert store.gc(grace=0).removed == ()


def test_garbage_that_is_young_is_spared(store: LocalStore) -> None:
    cid = store.put_bytes(b"about to be pinned").cid
    assert store.gc().spared == 1
    store.pin(cid)
    store.gc(grace=0)
    assert store.has(cid)


def test_an_empty_store_has_no_garbage(store: LocalStore, tmp_path: Path) -> None:
    assert store.gc(grace=0).removed == ()
    assert not (tmp_path / "store").exists()


def test_garbage_is_not_collected_while_somebody_writes(store: LocalStore, tmp_path: Path) -> None:
    cid = store.put_bytes(b"old").cid
    (tmp_path / "file").write_bytes(b"new")
    descriptor = os.open(tmp_path / "store" / "incoming", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with pytest.raises(LlamafundError, match="is being written to"):
            store.gc(grace=0)
        assert store.has(cid)
        store.put_file(tmp_path / "file")
    finally:
        os.close(descriptor)
    assert set(store.gc(grace=0).removed) == {cid, hash_bytes(b"new").cid}


def test_collecting_beside_writers_never_removes_what_they_pinned(store: LocalStore) -> None:
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            try:
                store.gc(grace=0)
            except LlamafundError as error:
                assert "is being written to" in str(error)  # noqa: PT017 - the only one that there may be

    def write(number: int) -> str | None:
        cid = store.put_bytes(number.to_bytes(4, "big") * 1000).cid
        try:
            store.pin(cid)
        except MissingContentError:
            # With no grace at all it may be gone between the two; pinning then says so.
            return None
        return cid

    with ThreadPoolExecutor(5) as pool:
        collecting = pool.submit(collect)
        pinned = {cid for cid in pool.map(write, range(300)) if cid is not None}
        stop.set()
        collecting.result()
    assert pinned
    assert store.pins() == pinned
    for cid in pinned:
        assert hash_file(store.path_of(cid)).cid == cid


def test_files_are_linked_when_asked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 300_000)
    store = LocalStore(tmp_path / "store", link=True)
    digest = store.put_file(source)
    assert store.path_of(digest.cid).samefile(source)
    assert store.put_file(source) == digest
    store.fetch(digest.cid, tmp_path / "out", size=300_000, sha256=digest.sha256)
    store.fetch(digest.cid, tmp_path / "out")
    assert (tmp_path / "out").samefile(source)
    assert source.stat().st_nlink == 3
    assert list((tmp_path / "store" / "incoming").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source", "store"]


def test_files_are_copied_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "source").write_bytes(b"x")
    store = LocalStore(tmp_path / "store", link=True)
    digest = store.put_file(tmp_path / "source")
    store.fetch(digest.cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"x"
    assert not store.path_of(digest.cid).samefile(tmp_path / "source")
    assert (tmp_path / "source").stat().st_mode & 0o200


def test_a_linked_file_that_was_written_to_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"good")
    store = LocalStore(tmp_path / "store", link=True)
    cid = store.put_file(tmp_path / "source").cid
    (tmp_path / "source").chmod(0o600)
    (tmp_path / "source").write_bytes(b"evil")
    with pytest.raises(VerificationError):
        store.fetch(cid, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["symlink", "directory", "pipe", "absent"])
def test_only_files_are_linked(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "symlink":
        (tmp_path / "secret").write_bytes(b"secret")
        path.symlink_to(tmp_path / "secret")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError):
        LocalStore(tmp_path / "store", link=True).put_file(path)
    assert LocalStore(tmp_path / "store").contents() == frozenset()
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_an_address_and_a_hash_of_two_files_are_refused(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"x" * 300_000)
    for one in (store, LocalStore(tmp_path / "store", link=True)):
        with pytest.raises(VerificationError, match="name different bytes"):
            one.fetch(digest.cid, tmp_path / "out", sha256="0" * 64)
        assert not (tmp_path / "out").exists()


def test_strange_files_in_the_store_are_no_pins_and_no_garbage(store: LocalStore, tmp_path: Path) -> None:
    store.pin(store.put_bytes(b"x").cid)
    for place in ("pins", "content"):
        (tmp_path / "store" / place / "README").write_text("mine")
    assert len(store.pins()) == 1
    store.gc(grace=0)
    assert (tmp_path / "store" / "content" / "README").exists()
