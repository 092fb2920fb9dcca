"""Unfinished files have reserved names: no hash takes them in, and the next fetch removes the abandoned ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import FileEntry
from llamafund_chain.files import PendingFile, is_abandoned, is_unfinished
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_files
from llamafund_chain.store.disk_space import require_names

ABANDONED = (f".{'0' * 24}.part", f".b{'a' * 58}.partial")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def entries(store: LocalStore, **files: bytes) -> list[FileEntry]:
    found = []
    for name, data in files.items():
        digest = store.put_bytes(data)
        found.append(FileEntry(path=name, size=digest.size, sha256=digest.sha256, cid=digest.cid))
    return found


def test_a_pending_file_has_a_reserved_name_and_is_not_abandoned_while_its_writer_lives(tmp_path: Path) -> None:
    with PendingFile(tmp_path) as pending:
        pending.write(b"half")
        (path,) = tmp_path.iterdir()
        assert is_unfinished(path.name)
        assert not is_abandoned(path)
    for name in ABANDONED:
        (tmp_path / name).write_bytes(b"half")
        assert is_unfinished(name)
        assert is_abandoned(tmp_path / name)


def test_what_killed_processes_left_is_removed_by_the_next_fetch_into_the_folder(
    store: LocalStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ABANDONED:
        (out / name).write_bytes(b"half")
    (out / "mine.part").write_bytes(b"mine")
    with PendingFile(out) as living:
        living.write(b"somebody else's")
        fetch_files(store, entries(store, a=b"a"), out)
        assert sorted(path.name for path in out.iterdir() if not is_unfinished(path.name)) == ["a", "mine.part"]
        assert len(list(out.iterdir())) == 3
        living.commit(out / "b")
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "mine.part"]


def test_a_half_file_is_never_evidence(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    whole = hash_tree(tmp_path)
    for name in ABANDONED:
        (tmp_path / name).write_bytes(b"half")
    assert hash_tree(tmp_path) == whole


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_fetch_whose_files_vanish_meanwhile_is_no_success(store: LocalStore, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    files = entries(store, a=b"aa", b=b"bb")
    done: list[int] = []

    def vanish(size: int) -> None:
        if not done:
            shutil.rmtree(out) if what == "folder" else (out / "a").unlink()
        done.append(size)

    with pytest.raises(LlamafundError, match="'a' vanished while"):
        fetch_files(store, files, out, progress=vanish)
    assert fetch_files(store, files, out).present == 1


def test_a_disk_that_takes_two_names_for_one_is_refused_before_anything_is_written(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = entries(store, A=b"1", a=b"2")

    def folding(path: Path) -> bool:
        return any(other.name.lower() == path.name.lower() for other in path.parent.iterdir())

    monkeypatch.setattr(Path, "exists", folding)
    with pytest.raises(LlamafundError, match="takes A and a for one name"):
        fetch_files(store, files, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    monkeypatch.undo()
    assert fetch_files(store, files, tmp_path / "out").fetched == 2


def test_names_are_compared_by_their_folders_and_by_normal_form_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_names(tmp_path, ["A/x", "a/y", "\u00e9t\u00e9", "e\u0301te\u0301"])
    monkeypatch.setattr(Path, "exists", lambda path: path.name in ("e\u0301te\u0301", "") or path == tmp_path)
    with pytest.raises(LlamafundError, match=r"\u00e9t\u00e9 and .*for one name"):
        require_names(tmp_path, ["\u00e9t\u00e9", "e\u0301te\u0301"])
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "a" or path == tmp_path)
    with pytest.raises(LlamafundError, match="takes A and a for one name"):
        require_names(tmp_path, ["A/x", "a/y"])
