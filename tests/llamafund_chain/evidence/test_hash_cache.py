"""The cache of digests is a hint: right when nothing changed, silent about what did, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing import HashCache, TreeDigest, hash_tree
from llamafund_chain.evidence.hashing.cache import GRANULARITY_NS
from llamafund_chain.files import SPAN

LONG_AGO = time.time_ns() + 10 * GRANULARITY_NS


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is far enough ahead for files that were just written to count as settled."""
    monkeypatch.setattr("llamafund_chain.evidence.hashing.cache.time.time_ns", lambda: time.monotonic_ns() + LONG_AGO)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_bytes(b"a" * (3 * SPAN + 5))
    (root / "b").write_bytes(b"b" * 1000)
    (root / "sub" / "c").write_bytes(b"c" * (2 * SPAN))
    (root / "sub" / "empty").write_bytes(b"")
    (root / "link").symlink_to("b")
    return root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "hashes.sqlite"


def hashed(tree: Path, place: Path) -> tuple[TreeDigest, HashCache]:
    cache = HashCache(place)
    return hash_tree(tree, cache=cache, jobs=2), cache


def fill(tree: Path, place: Path) -> TreeDigest:
    digest, cache = hashed(tree, place)
    assert (digest.cached, cache.problem) == (0, None)
    assert place.exists()
    return digest


@pytest.mark.usefixtures("later")
def test_a_tree_that_has_not_changed_is_not_read_again(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fill(tree, place)

    def refuse(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("llamafund_chain.evidence.hashing.one_pass.open_descriptor", refuse)
    second, cache = hashed(tree, place)
    assert second == first == hash_tree_again(tree, monkeypatch)
    assert (second.cached, cache.problem) == (second.content.size, None)


def hash_tree_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> TreeDigest:
    monkeypatch.undo()
    return hash_tree(tree)


def change_bytes(path: Path) -> None:
    path.write_bytes(b"A" * path.stat().st_size)


def change_size(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def replace(path: Path) -> None:
    # Another inode, with the size and times of the old one.
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"A" * status.st_size)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def change_and_hide_it(path: Path) -> None:
    # The time of modification can be set back; the time of status change cannot.
    status = path.stat()
    path.write_bytes(b"A" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("name", ["a", "b", "sub/c"])
@pytest.mark.parametrize("change", [change_bytes, change_size, replace, change_and_hide_it])
def test_a_file_that_changed_is_read_again(tree: Path, place: Path, name: str, change: Callable[[Path], None]) -> None:
    fill(tree, place)
    change(tree / name)
    digest, cache = hashed(tree, place)
    assert digest == hash_tree(tree)
    assert digest.cached < digest.content.size
    assert cache.problem is None


@pytest.mark.usefixtures("later")
def test_only_what_a_change_touches_is_read_again(tree: Path, place: Path) -> None:
    fill(tree, place)
    change_bytes(tree / "sub" / "c")
    digest, _ = hashed(tree, place)
    # Spans 0 to 2 are of the file `a` alone.
    assert digest.cached >= 3 * SPAN


@pytest.mark.usefixtures("later")
def test_a_renamed_file_and_one_more_are_read_and_the_rest_is_known(tree: Path, place: Path) -> None:
    fill(tree, place)
    (tree / "sub" / "c").rename(tree / "sub" / "renamed")
    (tree / "new").write_bytes(b"new")
    digest, _ = hashed(tree, place)
    assert digest == hash_tree(tree)
    assert digest.cached >= 3 * SPAN
    again, _ = hashed(tree, place)
    assert again.cached == again.content.size


@pytest.mark.usefixtures("later")
def test_part_of_a_tree_is_known_from_the_whole(tree: Path, place: Path) -> None:
    fill(tree, place)
    cache = HashCache(place)
    part = hash_tree(tree, ["a", "sub/c"], cache=cache)
    assert part == hash_tree(tree, ["a", "sub/c"])
    assert part.cached > 0


def test_a_file_that_was_written_a_moment_ago_is_not_kept(tree: Path, place: Path) -> None:
    # It could be written once more within the granularity of its time stamps.
    hashed(tree, place)
    digest, _ = hashed(tree, place)
    assert digest == hash_tree(tree)
    assert digest.cached == 0


@pytest.mark.usefixtures("later")
def test_what_was_hashed_before_an_interruption_is_known_afterwards(tree: Path, place: Path) -> None:
    (tree / "z").write_bytes(b"z" * (40 * SPAN))
    done = 0

    def interrupt(count: int) -> None:
        nonlocal done
        done += count
        if done > 12 * SPAN:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_tree(tree, cache=HashCache(place), jobs=1, progress=interrupt)
    digest, _ = hashed(tree, place)
    assert digest == hash_tree(tree)
    assert 3 * SPAN <= digest.cached < 40 * SPAN


@pytest.mark.usefixtures("later")
def test_a_tree_that_is_read_faster_than_a_cache_is_opened_gets_none(tmp_path: Path, place: Path) -> None:
    root = tmp_path / "small"
    root.mkdir()
    (root / "a").write_bytes(b"a")
    hashed(root, place)
    assert not place.parent.exists()


def test_only_its_owner_can_read_the_cache(tree: Path, place: Path, later: None) -> None:
    fill(tree, place)
    assert place.stat().st_mode & 0o777 == 0o600


def damage_rows(place: Path) -> None:
    with sqlite3.connect(place) as database:
        database.execute("UPDATE files SET sha256 = zeroblob(32)")
        database.execute("UPDATE spans SET root = zeroblob(32)")
    database.close()


def other_types(place: Path) -> None:
    with sqlite3.connect(place) as database:
        database.execute("UPDATE files SET sha256 = 'text', identity = 7")
        database.execute("UPDATE spans SET root = NULL, pieces = 1.5")
    database.close()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", [damage_rows, other_types])
def test_damaged_rows_are_passed_over(tree: Path, place: Path, damage: Callable[[Path], None]) -> None:
    first = fill(tree, place)
    damage(place)
    digest, cache = hashed(tree, place)
    assert digest == first
    assert (digest.cached, cache.problem) == (0, None)


def overwrite(place: Path) -> None:
    place.write_bytes(b"precious notes " * 1000)


def truncate(place: Path) -> None:
    os.truncate(place, place.stat().st_size // 2)


def scramble(place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    place.write_bytes(data)


def other_program(place: Path) -> None:
    place.unlink()
    with sqlite3.connect(place) as database:
        database.execute("CREATE TABLE files (path BLOB)")
    database.close()


def other_version(place: Path) -> None:
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def everybody_writes(place: Path) -> None:
    place.chmod(0o666)


def link_elsewhere(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (overwrite, "not a database"),
        (truncate, "malformed"),
        (scramble, ""),
        (other_program, "not a cache of this version"),
        (other_version, "not a cache of this version"),
        (everybody_writes, "others may write to it"),
        (link_elsewhere, "a symbolic link"),
    ],
)
def test_a_damaged_or_foreign_cache_is_not_used_and_left_as_it_is(
    tree: Path, place: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    first = fill(tree, place)
    spoil(place)
    before = place.read_bytes()
    digest, cache = hashed(tree, place)
    assert digest == first
    assert digest.cached == 0
    assert cache.problem is not None
    assert str(place) in cache.problem
    assert reason in cache.problem
    assert place.read_bytes() == before


@pytest.mark.usefixtures("later")
def test_a_cache_that_cannot_be_written_is_no_obstacle(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    digest, cache = hashed(tree, tmp_path / "file" / "cache")
    assert digest == hash_tree(tree)
    assert cache.problem is not None


@pytest.mark.usefixtures("later")
def test_a_cache_that_another_process_is_writing_to_is_no_obstacle(
    tree: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tree, place)
    (tree / "new").write_bytes(b"new")
    monkeypatch.setattr("llamafund_chain.evidence.hashing.cache.PATIENCE", 0.01)
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        digest, cache = hashed(tree, place)
    finally:
        other.close()
    assert digest == hash_tree(tree)
    assert cache.problem is not None
    assert "locked" in cache.problem


@pytest.mark.usefixtures("later")
def test_files_are_inspected_even_when_their_digests_are_known(tree: Path, place: Path) -> None:
    first = fill(tree, place)
    sizes: dict[str, int] = {}

    class Size:
        def __init__(self, name: str) -> None:
            self.name = name
            sizes[name] = 0

        def update(self, data: bytes, /) -> None:
            sizes[self.name] += len(data)

        def finish(self) -> None:
            pass

    digest = hash_tree(tree, cache=HashCache(place), inspect=Size)
    assert digest == first
    assert sizes == {file.path: file.size for file in digest.files}
