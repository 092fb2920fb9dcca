"""A directory as a store: killed writers, garbage, hard links, and several processes at once."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes, hash_file
from llamafund_chain.store import LocalStore, MissingContentError
from llamafund_chain.store.kinds import local

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
            store.gc(grace=0, wait=0.1)
        assert store.has(cid)
        store.put_file(tmp_path / "file")
    finally:
        os.close(descriptor)
    assert set(store.gc(grace=0).removed) == {cid, hash_bytes(b"new").cid}


def test_collecting_beside_writers_never_removes_what_they_pinned(store: LocalStore) -> None:
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            store.gc(grace=0)

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


OWNER = "a" * 64
OTHER = "b" * 64
BATCH_WRITER = """
import sys
from pathlib import Path
from llamafund_chain.store import LocalStore
from llamafund_chain.store.kinds import local
local.BATCH_FILES = 7
store = LocalStore(Path(sys.argv[1]))
print("ready", flush=True)
with store.batch("a" * 64) as batch:
    for path in sorted(Path(sys.argv[2]).iterdir()):
        batch.put_file(path)
        if not batch._waiting:
            print(path.name, flush=True)
"""


def test_a_batch_killed_at_ten_random_moments_loses_nothing_that_was_flushed(store: LocalStore, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(60):
        (source / f"{number:02}").write_bytes(chance.randbytes(chance.choice([0, 10, 3000, 700_000])) + bytes([number]))
    killed = 0
    while killed < 10:
        writer = subprocess.Popen(
            [sys.executable, "-c", BATCH_WRITER, store.location, str(source)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        timer = threading.Timer(chance.uniform(0, 0.1), writer.kill)
        timer.start()
        told = writer.stdout.read().split()
        timer.cancel()
        killed += writer.wait() < 0
        for name in store.contents():
            assert hash_file(store.path_of(name)).cid == name
        pinned = store.owners().get(OWNER, frozenset())
        for name in sorted(path.name for path in source.iterdir())[: 0 if not told else int(told[-1]) + 1]:
            assert hash_file(source / name).cid in pinned
        assert pinned <= store.contents()
    store.gc(grace=0)
    assert store.contents() == store.pins()
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_batch_flushes_bytes_before_names_and_names_before_pins(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    honest = {name: getattr(local, name) for name in ("sync_all", "sync_directory", "sync")}
    for name, function in honest.items():
        monkeypatch.setattr(
            local, name, lambda *given, name=name, function=function: (calls.append(name), function(*given))[1]
        )
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: (calls.append("rename"), replace(path, to))[1])
    with store.batch(OWNER) as batch:
        for number in range(20):
            batch.put_bytes(b"%d" % number)
        assert calls == []
        assert store.pins() == store.contents() == frozenset()
    # However many files: one flush of the bytes, one of the names, one of the pins, and once one of their folder.
    assert calls == ["sync_all", *["rename"] * 20, "sync_directory", "sync", "sync_directory"]
    assert store.pins() == store.contents()
    assert len(store.pins()) == 20


def test_a_batch_that_ends_with_an_error_leaves_nothing_half_done(store: LocalStore, tmp_path: Path) -> None:
    def fail() -> None:
        with store.batch(OWNER) as batch:
            batch.put_bytes(b"one")
            raise LlamafundError("stop")

    with pytest.raises(LlamafundError, match="stop"):
        fail()
    assert store.contents() == frozenset()
    assert list((tmp_path / "store" / "incoming").iterdir()) == []
    store.gc(wait=0)


def test_a_torn_line_of_pins_is_no_pin_and_spoils_no_other(store: LocalStore, tmp_path: Path) -> None:
    with store.batch(OWNER) as batch:
        first = batch.put_bytes(b"first").cid
    with (tmp_path / "store" / "pins" / OWNER).open("ab") as file:
        file.write(first[:20].encode())
    with store.batch(OWNER) as batch:
        second = batch.put_bytes(b"second").cid
    assert store.owners() == {OWNER: {first, second}}


def test_content_stays_as_long_as_one_owner_pins_it(store: LocalStore) -> None:
    cids = set()
    for owner in (OWNER, OTHER):
        with store.batch(owner) as batch:
            cids.add(batch.put_bytes(b"shared").cid)
    (cid,) = cids
    store.pin(cid)
    for give_up in (lambda: store.unpin(cid), lambda: store.release(OWNER)):
        give_up()
        assert cid in store.pins()
        assert store.gc(grace=0).removed == ()
    assert store.release(OTHER)
    assert not store.release(OTHER)
    assert store.gc(grace=0).removed == (cid,)


def test_a_release_in_the_middle_of_publishing_the_same_manifest_loses_none_of_its_pins(store: LocalStore) -> None:
    with store.batch(OWNER) as batch:
        old = batch.put_bytes(b"published before").cid
    with store.batch(OWNER) as batch:
        first = batch.put_bytes(b"first").cid
        batch.keep(old)
        batch.flush()
        assert store.release(OWNER)
        second = batch.put_bytes(b"second").cid
    assert store.owners() == {OWNER: {old, first, second}}
    assert store.gc(grace=0).removed == ()


def test_pins_are_never_written_into_a_file_that_was_just_released(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.batch(OWNER) as batch:
        first = batch.put_bytes(b"first").cid
    lock, released = LocalStore._lock, []

    def release_first(self: LocalStore, descriptor: int, how: int) -> bool:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and not released:
            # Between opening and locking, as another process would.
            released.append(True)
            (self._pins / OWNER).unlink()
        return lock(self, descriptor, how)

    monkeypatch.setattr(LocalStore, "_lock", release_first)
    with store._writing():
        store._add_pins(OWNER, [first])
    assert released
    assert store.owners() == {OWNER: {first}}


def test_nothing_is_made_by_releasing_in_a_store_that_is_not_there(tmp_path: Path) -> None:
    assert not LocalStore(tmp_path / "none").release(OWNER)
    assert list(tmp_path.iterdir()) == []


def test_gc_waits_for_a_writer_and_new_writers_wait_for_gc(store: LocalStore) -> None:
    store.put_bytes(b"old")
    entered, leave = threading.Event(), threading.Event()

    def spans():
        yield b"slow"
        entered.set()
        leave.wait(20)

    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(store._put, spans())
        entered.wait(20)
        collecting = pool.submit(store.gc, grace=0, wait=20)
        assert not collecting.done()
        leave.set()
        assert set(collecting.result().removed) >= {hash_bytes(b"old").cid}
        assert writing.result().cid == hash_bytes(b"slow").cid


def test_gc_gets_its_turn_among_writers_that_never_all_rest(store: LocalStore) -> None:
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            with store._writing():
                stop.wait(0.005)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            for _ in range(3):
                store.gc(grace=0, wait=20)
        finally:
            stop.set()
        for writer in writers:
            writer.result()


def test_a_stray_folder_is_reported_and_fatal_to_nothing(store: LocalStore, tmp_path: Path) -> None:
    cid = store.put_bytes(b"x").cid
    folder = hash_bytes(b"not here").cid
    for place in ("incoming/backup", f"content/{folder}", "pins/old"):
        (tmp_path / "store" / place).mkdir(parents=True)
    done = store.gc(grace=0)
    assert done.removed == (cid,)
    assert sorted(done.strays) == ["content/" + folder, "incoming/backup", "pins/old"]
    assert store.check().strays == done.strays


def test_a_disk_without_locks_is_refused_before_anything_is_written(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("llamafund_chain.store.kinds.local.fcntl.flock", refuse)
    for write in (lambda: store.put_bytes(b"x"), lambda: store.batch(OWNER).put_bytes(b"x"), store.gc):
        with pytest.raises(LlamafundError, match=r"has no file locks.*Nothing was written"):
            write()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        (tmp_path / "store").mkdir(exist_ok=True)


@pytest.mark.parametrize("owner", ["", "../x", "A" * 64, "a" * 63])
def test_pins_belong_to_hashes_and_to_no_other_path(store: LocalStore, owner: str) -> None:
    for act in (store.batch, store.release):
        with pytest.raises(UsageError, match="is not a SHA-256"):
            act(owner)
