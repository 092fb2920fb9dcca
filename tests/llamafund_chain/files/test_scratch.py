"""Folders for a short time: removed when their process ends, and swept when it was killed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError
from llamafund_chain.files.scratch import PREFIX, ScratchFolder, sweep

HOLDER = """
import sys
from pathlib import Path
from llamafund_chain.files.scratch import ScratchFolder
with ScratchFolder("held", Path(sys.argv[1])) as folder:
    (folder / "big").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def test_a_scratch_folder_is_gone_after_the_block(tmp_path: Path) -> None:
    with ScratchFolder("test", tmp_path) as folder:
        (folder / "file").write_bytes(b"x")
        assert folder.name.startswith(f"{PREFIX}test-")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    living, kept = hold(tmp_path)
    dead, left = hold(tmp_path)
    dead.kill()
    dead.communicate()
    try:
        assert left.is_dir()
        with ScratchFolder("next", tmp_path) as own:
            assert sorted(tmp_path.iterdir()) == sorted([kept, own])
            assert sweep(tmp_path) == 0
            assert (kept / "big").exists()
    finally:
        living.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_is_about_to_sweep_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its creation and its lock it looks like a dead process's."""
    make, held = tempfile.mkdtemp, []

    def make_and_lock(*args: str, **options: object) -> str:
        folder = make(*args, **options)
        if not held:
            held.append(os.open(folder, os.O_RDONLY))
            fcntl.flock(held[0], fcntl.LOCK_EX)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lock)
    with ScratchFolder("test", tmp_path) as folder:
        os.close(held[0])
        assert sweep(tmp_path) == 1
        assert list(tmp_path.iterdir()) == [folder]


def test_other_folders_and_links_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(other)
    (tmp_path / f"{PREFIX}file").write_bytes(b"x")
    assert sweep(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_place_where_none_can_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlamafundError, match="absent"):
        ScratchFolder("test", tmp_path / "absent")
