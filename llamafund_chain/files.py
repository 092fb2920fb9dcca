"""Reading files that must hold still, and writing files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError

SPAN = 4 * 1024 * 1024
"""Bytes read at a time; large enough that hashing, not the loop, sets the pace."""


def read_limited(path: Path, limit: int) -> bytes:
    """A stranger's small file.

    Args:
        path: The file.
        limit: Bytes that it may have.

    Raises:
        VerificationError: It cannot be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise VerificationError(f"{path.name} cannot be read", error.strerror or str(error)) from error
    if len(data) > limit:
        raise VerificationError(f"{path.name} is longer than {limit} bytes")
    return data


def storage_error(error: OSError, action: str) -> LlamafundError:
    """A message for a person about an operating system error.

    Args:
        error: What the operating system said.
        action: What was being done, for example `Writing /tmp/x`.
    """
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LlamafundError(f"{action} failed: the disk is full", reason, "Free some space and run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LlamafundError(f"{action} was not permitted", reason, "Check the permissions of that place")
    return LlamafundError(f"{action} failed", reason, "Check the path and the disk")


class IrregularFileError(OSError):
    """Something that is not a regular file; the message says what it is."""


def kind_of(mode: int) -> str:
    """What something that is not a regular file is, with its article, from its `st_mode`."""
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a socket" if stat.S_ISSOCK(mode) else "a device or pipe"


def open_descriptor(path: str | Path) -> tuple[int, os.stat_result]:
    """Open a regular file for reading and nothing else, not even for a moment's wait.

    Returns:
        The descriptor, which the caller closes, and the file's status.

    Raises:
        IrregularFileError: It is a symbolic link, a directory, a device, a pipe or a socket.
        OSError: It does not exist or cannot be opened.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IrregularFileError("a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise IrregularFileError("a socket") from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    raise IrregularFileError(kind_of(status.st_mode))


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading, unbuffered; otherwise as `open_descriptor`.

    Raises:
        IrregularFileError: It is a symbolic link, a directory, a device, a pipe or a socket.
        OSError: It does not exist or cannot be opened.
    """
    return FileIO(open_descriptor(path)[0], "rb")


def read_error(path: str | Path, error: OSError) -> LlamafundError:
    """A message for a person about a file that cannot be opened or read."""
    shown = repr(str(path))
    if isinstance(error, FileNotFoundError):
        return UsageError(f"There is no file {shown}", remedy="Check the path")
    if isinstance(error, NotADirectoryError):
        return UsageError(f"There is no file {shown}", "A part of the path is not a directory", "Check the path")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"There is no file {shown[:80]}…", "The name is too long for one", "Check the path")
    if isinstance(error, IsADirectoryError):
        error = IrregularFileError(kind_of(stat.S_IFDIR))
    if isinstance(error, IrregularFileError):
        return UsageError(f"{shown} is {error}", "Only a regular file can be read there", "Name a regular file")
    return storage_error(error, f"Reading {shown}")


def changed_error(path: str | Path, before: int, read: int, after: int) -> LlamafundError:
    """A message for a person about a file that did not hold still.

    Args:
        path: The file.
        before: Its bytes at the start.
        read: Bytes that were read.
        after: Its bytes at the end.
    """
    return LlamafundError(
        f"{str(path)!r} changed while it was read",
        f"It had {before} bytes at the start; {read} were read and it has {after} now",
        "Wait until whatever writes to it has finished, then run it again",
    )


def read_spans(path: Path) -> Iterator[bytes]:
    """The bytes of a regular file, at most `SPAN` at a time. A path that ends in a symbolic link is refused.

    Raises:
        UsageError: It does not exist, or is not a regular file.
        LlamafundError: It cannot be read, or changed while it was read.
    """
    try:
        stream = open_regular(path)
    except OSError as error:
        raise read_error(path, error) from error
    with stream:
        before = os.fstat(stream.fileno())
        total = 0
        while True:
            try:
                span = stream.read(SPAN)
            except OSError as error:
                raise read_error(path, error) from error
            total += len(span)
            # More than there was: a file that is appended to as fast as it is read would never end.
            if not span or total > before.st_size:
                break
            yield span
        after = os.fstat(stream.fileno())
    if total != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise changed_error(path, before.st_size, total, after.st_size)


class PendingFile:
    """A file being written that has no name anybody looks for until it is complete.

    Used as a context manager: what was not committed at the end of the block is removed.

    Args:
        directory: Where it is written; must be on the file system of its final name. Created when missing.
        mode: Permission bits before the process's umask.
    """

    def __init__(self, directory: Path, *, mode: int = 0o666) -> None:
        self._path = directory / f".{secrets.token_hex(12)}.part"
        self._committed = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
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

    def commit(self, final: Path, *, replace: bool = True) -> None:
        """Make the bytes durable and give the file its name.

        Args:
            final: The name; its directory is created when missing.
            replace: Whether a file of that name is replaced; else it is left as it is and this fails.

        Raises:
            UsageError: There is a file of that name and `replace` is false.
            LlamafundError: The disk is full or fails, or `final` is a directory.
        """
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()
            final.parent.mkdir(parents=True, exist_ok=True)
            if replace:
                # Renaming would take a device or a pipe away from whoever uses it.
                if final.exists() and not (final.is_file() or final.is_dir()):
                    raise UsageError(
                        f"{str(final)!r} is not a regular file", "It would be replaced by one", "Choose another name"
                    )
                self._path.replace(final)
                self._committed = True
            else:
                # A hard link is the one way to create a name atomically that refuses an existing one.
                final.hardlink_to(self._path)
            _sync_directory(final.parent)
        except FileExistsError as error:
            raise UsageError(
                f"{str(final)!r} exists already", "It is never overwritten", "Choose another name"
            ) from error
        except OSError as error:
            raise storage_error(error, f"Writing {str(final)!r}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file, replacing one of that name: it holds all of `data` or is as it was before.

    Raises:
        LlamafundError: The disk is full or fails, or `path` is a directory.
    """
    with PendingFile(path.parent) as pending:
        pending.write(data)
        pending.commit(path)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
