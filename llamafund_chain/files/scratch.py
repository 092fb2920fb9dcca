"""Folders for a short time, which do not outlive their process for long even if it is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType

from llamafund_chain.errors import LlamafundError

PREFIX = "llamafund-scratch-"
"""How the names of these folders begin. Nothing else may have such a name."""


class ScratchFolder:
    """A folder that is removed at the end of the block.

    A process that is killed leaves its folder behind. So each process holds a lock on its folder, and removes those
    that nobody holds before it makes its own.

    Args:
        purpose: A word for its name.
        parent: Where to make it; `None` for the system's folder for temporary files.

    Raises:
        LlamafundError: It cannot be made.
    """

    def __init__(self, purpose: str, parent: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if parent is None else parent
        sweep(place)
        try:
            self.path, self._descriptor = _create(purpose, place)
        except OSError as error:
            raise LlamafundError(
                f"No temporary folder can be made in {str(place)!r}",
                error.strerror or str(error),
                "Free some space there, or set TMPDIR to another folder",
            ) from error

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it. What cannot be removed now is removed by the next process that makes one."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def sweep(parent: Path) -> int:
    """Remove the scratch folders of dead processes.

    Args:
        parent: Where they are.

    Returns:
        Number of folders removed.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for folder in list(parent.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):
                removed += _remove_if_dead(folder)
    return removed


def _remove_if_dead(folder: Path) -> bool:
    """Remove a folder of this user that no process holds.

    Raises:
        OSError: A process holds it, or the disk has no locks and nobody can tell.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
    return True


def _create(purpose: str, place: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=place))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        taken = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except OSError:
            pass  # The disk has no locks, so nobody removes anything there.
        # Another process may have removed it before it was locked, or be about to.
        if not taken and path.exists():
            return path, descriptor
        os.close(descriptor)
