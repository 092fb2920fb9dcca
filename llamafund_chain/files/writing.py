"""Writing files that appear complete or not at all, and stay after a crash."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from llamafund_chain.errors import UsageError
from llamafund_chain.files.reading import open_descriptor, storage_error

_UNFINISHED = re.compile(r"\.[0-9a-f]{24}\.part|\.b[a-z2-7]{58}(\.again)?\.partial")

NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)
"""Why a hard link cannot be made where a file could: memory sticks (FAT, exFAT) and some network disks have none."""

_MANY = 16
"""Files from which on flushing the whole disk is faster than flushing each."""

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_RENAME_EXCL = 4
"""`renamex_np`'s flag on macOS for what is `RENAME_NOREPLACE` on Linux."""


def unfinished_name() -> str:
    """A new name for a file that is being written; `is_unfinished` knows it."""
    return f".{secrets.token_hex(12)}.part"


def is_unfinished(name: str) -> bool:
    """Whether a file name is reserved for files that are not complete: `.HEX.part`, and `.CID.partial` while fetching.

    No manifest of ours names such a file, and fetching into a folder removes those that nobody writes to any more.
    """
    return name.startswith(".") and _UNFINISHED.fullmatch(name) is not None


def is_abandoned(path: Path) -> bool:
    """Whether nobody writes to an unfinished file any more: its writer would hold its lock.

    Returns:
        False also if the disk has no locks, and nobody can tell.
    """
    try:
        descriptor, _ = open_descriptor(path)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


class PendingFile:
    """A file that gets its name only when it is complete.

    A context manager: a file that is not committed by the end of the block is removed. Until then this process holds
    a lock on it, by which `is_abandoned` tells it from the file of a killed process.

    Args:
        directory: Where it is written; must be on the file system of its final name. Created if missing.
        mode: Permission bits before the process's umask.
    """

    def __init__(self, directory: Path, *, mode: int = 0o666) -> None:
        self._committed = False
        try:
            try:
                self._path, descriptor = _create_locked(directory, mode)
            except FileNotFoundError:
                directory.mkdir(parents=True, exist_ok=True)
                self._path, descriptor = _create_locked(directory, mode)
        except OSError as error:
            raise storage_error(error, f"Writing into {str(directory)!r}") from error
        self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        if not self._committed:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            LlamafundError: The disk is full or fails.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[self._stream.write(view) :]
        except OSError as error:
            raise storage_error(error, f"Writing into {str(self._path.parent)!r}") from error

    def leave(self) -> Path:
        """Close the file and leave it under its unfinished name, for a batch that flushes many files at once.

        The caller now renames or removes it. Its bytes may not be on the disk yet.
        """
        self._stream.close()
        self._committed = True
        return self._path

    def commit(self, final: Path, *, replace: bool = True) -> None:
        """Flush the bytes to disk and give the file its name.

        Args:
            final: The name; its directory is created if missing.
            replace: Whether to replace a file of that name. Otherwise that file is left alone and this fails.

        Raises:
            UsageError: There is a file of that name and `replace` is false.
            LlamafundError: The disk is full or fails, or `final` is a directory.
        """
        try:
            sync(self._stream.fileno())
            final.parent.mkdir(parents=True, exist_ok=True)
            if replace:
                # Renaming would take a device or a pipe away from its users.
                if final.exists() and not (final.is_file() or final.is_dir()):
                    raise UsageError(
                        f"{str(final)!r} is not a regular file", "It would be replaced by one", "Choose another name"
                    )
                self._path.replace(final)
                self._committed = True
            else:
                self._committed = _name_new(self._path, final)
            sync_directory(final.parent)
            self._stream.close()
        except FileExistsError as error:
            raise UsageError(
                f"{str(final)!r} already exists", "It is never overwritten", "Choose another name"
            ) from error
        except OSError as error:
            raise storage_error(error, f"Writing {str(final)!r}") from error


def _create_locked(directory: Path, mode: int) -> tuple[Path, int]:
    """Create an unfinished file and hold its lock, if the disk has locks."""
    while True:
        path = directory / unfinished_name()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever tidied up before it was locked may have removed it.
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)


def _name_new(path: Path, final: Path) -> bool:
    """Give a file a name that no other file has, in one step. Returns whether its old name is gone.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be done.
    """
    try:
        final.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        # Disks without hard links can still rename without replacing.
        _rename_new(path, final)
        return True
    return False


def _rename_new(path: Path, final: Path) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(path), os.fsencode(final)
    if sys.platform == "darwin":
        failed = library.renamex_np(old, new, _RENAME_EXCL)
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    else:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(final))


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a whole file, replacing one of that name. Afterwards it has all of `data`, or is unchanged.

    Args:
        path: Its name.
        data: All that it has afterwards.
        mode: Permission bits before the process's umask.

    Raises:
        LlamafundError: The disk is full or fails, or `path` is a directory.
    """
    with PendingFile(path.parent, mode=mode) as pending:
        pending.write(data)
        pending.commit(path)


def sync(descriptor: int) -> None:
    """Wait until a file's bytes are on the disk, and not only in the memory of the computer or of the disk.

    Raises:
        OSError: The disk fails.
    """
    if sys.platform == "darwin":
        # There, fsync leaves the bytes in the disk's own memory.
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                raise
        else:
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk.

    Raises:
        OSError: The disk fails.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Sequence[Path], descriptor: int) -> None:
    """Wait until the bytes of many files are on the disk; much faster than one after another.

    Args:
        paths: The files, on one disk.
        descriptor: A folder of that disk, opened before the files were written: the system tells it of every failure
            to write since.

    Raises:
        OSError: The disk fails.
    """
    if len(paths) >= _MANY and _has_syncfs():
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return
    for number, path in enumerate(paths, 1):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # On macOS, flushing the disk's memory once after the last file flushes all.
            if number == len(paths):
                sync(file)
            else:
                os.fsync(file)
        finally:
            os.close(file)


@cache
def _has_syncfs() -> bool:
    """Whether this is a Linux whose `syncfs` reports errors, as it does from 5.8 on."""
    if not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "syncfs"):
        return False
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= (5, 8)
