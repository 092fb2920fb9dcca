"""Files that are read must hold still; files that are written appear complete or not at all."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.files import (
    SPAN,
    PendingFile,
    machine_trouble,
    read_limited,
    read_spans,
    storage_error,
    sync,
    write_file,
)


def test_a_long_file_is_read_in_spans(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"x" * (SPAN + 3))
    assert [len(span) for span in read_spans(path)] == [SPAN, 3]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (SPAN + 1))
    spans = read_spans(path)
    next(spans)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(LlamafundError, match="changed while it was read"):
        list(spans)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (SPAN + 1))
    spans = read_spans(path)
    next(spans)
    os.truncate(path, 5)
    with pytest.raises(LlamafundError, match="changed while it was read"):
        list(spans)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*absent"):
        list(read_spans(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "There is no file 'absent'. Check the path."),
        ("file/x", "There is no file 'file/x'. A part of the path is not a directory. Check the path."),
        ("x" * 300, f"There is no file '{'x' * 79}…. The name is too long. Check the path."),
        (".", "'.' is a directory. A file belongs there. Name a file."),
        ("link", "'link' is a symbolic link. Only a regular file can be read there. Name a regular file."),
        ("loop", "'loop' is a symbolic link. Only a regular file can be read there. Name a regular file."),
    ],
)
def test_what_is_no_file_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError) as refused:
        list(read_spans(Path(name)))
    assert str(refused.value) == said


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="a device or pipe"):
        list(read_spans(tmp_path / "pipe"))


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(UsageError, match="is a socket"):
            list(read_spans(Path("socket")))


def test_a_directory_and_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is a directory"):
        list(read_spans(tmp_path))
    with pytest.raises(UsageError, match="is a symbolic link"):
        list(read_spans(tmp_path / "link"))


def test_a_pending_file_has_its_name_only_after_commit(tmp_path: Path) -> None:
    final = tmp_path / "sub" / "final"
    with PendingFile(tmp_path) as pending:
        pending.write(b"one")
        pending.write(b"two")
        assert not final.exists()
        pending.commit(final)
    assert final.read_bytes() == b"onetwo"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["final", "sub"]


def test_a_pending_file_that_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    with PendingFile(tmp_path) as pending:
        pending.write(b"half")
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_commit_that_must_not_replace_leaves_the_other_file_alone(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.write_bytes(b"precious")
    with PendingFile(tmp_path) as pending:
        pending.write(b"other")
        with pytest.raises(UsageError, match="already exists"):
            pending.commit(final, replace=False)
    assert final.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [final]


def test_a_file_that_is_replaced_has_the_new_bytes_only(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"a longer first version")
    write_file(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert len(list(tmp_path.iterdir())) == 1


def test_writing_over_a_directory_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(LlamafundError, match="taken"):
        write_file(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_writing_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LlamafundError, match="file"):
        write_file(tmp_path / "file" / "below", b"data")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_called_a_full_disk() -> None:
    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as stream:
        stream.write(b"x")
    message = str(storage_error(caught.value, "Writing 'weights'"))
    assert message.startswith("Writing 'weights' failed: the disk is full.")


def test_a_place_that_may_not_be_written_is_called_so() -> None:
    message = str(storage_error(PermissionError(errno.EACCES, "Permission denied"), "Writing '/x'"))
    assert message == "Writing '/x' was not permitted. Permission denied. Check the permissions there."


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_failing_disk_stand_in_blames_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(LlamafundError) as caught:
        read_limited(tmp_path / "terms.json", 100)
    assert not isinstance(caught.value, VerificationError)
    assert str(caught.value).startswith("Reading terms.json")


def test_what_a_strangers_file_can_cause_is_no_trouble_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="cannot be read"):
        read_limited(tmp_path / "missing", 100)
    for error in (ValueError("bad"), OSError("not a model"), IsADirectoryError(errno.EISDIR, "Is a directory")):
        assert machine_trouble(error, "Reading x") is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_a_new_name_is_given_on_disks_without_hard_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with PendingFile(tmp_path) as pending:
        pending.write(b"one")
        pending.commit(tmp_path / "final", replace=False)
    with PendingFile(tmp_path) as pending:
        pending.write(b"two")
        with pytest.raises(UsageError, match="already exists"):
            pending.commit(tmp_path / "final", replace=False)
    assert (tmp_path / "final").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


@pytest.mark.parametrize("supported", [True, False])
def test_on_macos_the_disk_flushes_its_own_memory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    calls: list[str] = []

    def full(descriptor: int, command: int) -> None:
        assert command == 51
        calls.append("full")
        if not supported:
            raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr("llamafund_chain.files.writing.sys.platform", "darwin")
    monkeypatch.setattr("llamafund_chain.files.writing.fcntl.F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr("llamafund_chain.files.writing.fcntl.fcntl", full)
    monkeypatch.setattr("llamafund_chain.files.writing.os.fsync", lambda _: calls.append("fsync"))
    with (tmp_path / "file").open("wb") as file:
        sync(file.fileno())
    assert calls == (["full"] if supported else ["full", "fsync"])
