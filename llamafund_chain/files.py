"""Reading files that must not change meanwhile, and writing files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError

SPAN = 4 * 1024 * 1024
"""Bytes read at a time; large enough that hashing, not the loop, sets the pace."""

_DISK_TROUBLE = frozenset(
    {
        *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.EACCES, errno.EPERM),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    }
)
"""What nobody's bytes can cause: it is the machine that fails."""


def read_limited(path: Path, limit: int) -> bytes:
    """Read a stranger's small file.

    Args:
        path: The file.
        limit: Most bytes that it may have.

    Raises:
        VerificationError: It is missing or no file, or is longer.
        LlamafundError: The machine cannot read it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        trouble = disk_trouble(error, f"Reading {path.name}")
        raise trouble or VerificationError(f"{path.name} cannot be read", error.strerror or str(error)) from error
    if len(data) > limit:
        raise VerificationError(f"{path.name} is longer than {limit} bytes")
    return data


def read_secret(path: Path, what: str, limit: int) -> str:
    """Read a small file with a secret, or a pipe.

    Args:
        path: The file.
        what: What it is, for messages, for example `passphrase file`.
        limit: Most bytes that it may have.

    Returns:
        Its text, without a byte order mark.

    Raises:
        UsageError: It cannot be read, other users can read it, it is longer, or it is not UTF-8. The message never
            contains what is in it.
    """
    name = f"The {what} {str(path)!r}"
    try:
        with path.open("rb") as file:
            _refuse_shared(path, name, os.fstat(file.fileno()).st_mode)
            data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read", error.strerror or str(error), "Check its path") from error
    if len(data) > limit:
        raise UsageError(f"{name} is longer than {limit} bytes", "It has more than a secret", "Check its path")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not UTF-8 text", remedy="Check its path") from None


def check_secret(path: Path, what: str) -> None:
    """Refuse a file with a secret that `read_secret` would refuse, as far as that shows without reading it.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        UsageError: There is no such file, or other users can read it.
    """
    name = f"The {what} {str(path)!r}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{name} cannot be read", error.strerror or str(error), "Check its path") from error
    _refuse_shared(path, name, mode)


def _refuse_shared(path: Path, name: str, mode: int) -> None:
    """Refuse a regular file with a secret that other users can read; a pipe is its maker's."""
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        raise UsageError(
            f"{name} can be read by other users (its mode is {stat.S_IMODE(mode):04o})",
            "Whoever has read it has the secret",
            f"Run: chmod 600 {shlex.quote(str(path))}",
        )


def storage_error(error: OSError, action: str) -> LlamafundError:
    """The error for a person to read about an operating system error.

    Args:
        error: The operating system's error.
        action: The failed action, for example `Writing /tmp/x`.
    """
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LlamafundError(f"{action} failed: the disk is full", reason, "Free some space and run the command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LlamafundError(f"{action} was not permitted", reason, "Check the permissions there")
    return LlamafundError(f"{action} failed", reason, "Check the path and the disk")


def disk_trouble(error: BaseException, action: str) -> LlamafundError | None:
    """The error to raise instead of blaming a file, where the machine could not read or write it.

    Args:
        error: What a library raised over a stranger's file.
        action: As in `storage_error`.

    Returns:
        `None` if the machine is not the cause.
    """
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
        return storage_error(error, action)
    return None


class IrregularFileError(OSError):
    """Something that is not a regular file; the message says what it is."""


def kind_of(mode: int) -> str:
    """The kind of something that is not a regular file, with its article, from its `st_mode`."""
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a socket" if stat.S_ISSOCK(mode) else "a device or pipe"


def open_descriptor(path: str | Path) -> tuple[int, os.stat_result]:
    """Open a regular file for reading, never anything else, and without ever waiting.

    Returns:
        The descriptor, which the caller closes, and the file's status.

    Raises:
        IrregularFileError: It is a symbolic link, a directory, a device, a pipe or a socket.
        OSError: It does not exist or cannot be opened.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait forever.
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
    """Open a regular file for reading, unbuffered; otherwise like `open_descriptor`.

    Raises:
        IrregularFileError: It is a symbolic link, a directory, a device, a pipe or a socket.
        OSError: It does not exist or cannot be opened.
    """
    return FileIO(open_descriptor(path)[0], "rb")


def read_error(path: str | Path, error: OSError) -> LlamafundError:
    """The error for a person to read about a file that cannot be opened or read."""
    shown = repr(str(path))
    if isinstance(error, FileNotFoundError):
        return UsageError(f"There is no file {shown}", remedy="Check the path")
    if isinstance(error, NotADirectoryError):
        return UsageError(f"There is no file {shown}", "A part of the path is not a directory", "Check the path")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"There is no file {shown[:80]}…", "The name is too long", "Check the path")
    if isinstance(error, IsADirectoryError):
        error = IrregularFileError(kind_of(stat.S_IFDIR))
    if str(error) == kind_of(stat.S_IFDIR):
        return directory_error(path)
    if isinstance(error, IrregularFileError):
        return UsageError(f"{shown} is {error}", "Only a regular file can be read there", "Name a regular file")
    return storage_error(error, f"Reading {shown}")


def directory_error(path: str | Path) -> UsageError:
    """The error for a person who names a directory where a file belongs.

    Args:
        path: The directory.
    """
    return UsageError(f"{str(path)!r} is a directory", "A file belongs there", "Name a file")


def changed_error(path: str | Path, before: int, read: int, after: int) -> LlamafundError:
    """The error for a person to read about a file that changed while it was read.

    Args:
        path: The file.
        before: Its size at the start, bytes.
        read: Bytes read.
        after: Its size at the end, bytes.
    """
    return LlamafundError(
        f"{str(path)!r} changed while it was read",
        f"It had {before} bytes at the start; {read} were read and it has {after} now",
        "Wait until nothing writes to it, then run the command again",
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
            # Too many bytes: a file that grows as fast as it is read would never end.
            if not span or total > before.st_size:
                break
            yield span
        after = os.fstat(stream.fileno())
    if total != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise changed_error(path, before.st_size, total, after.st_size)


class PendingFile:
    """A file that gets its name only when it is complete.

    A context manager: a file that is not committed by the end of the block is removed.

    Args:
        directory: Where it is written; must be on the file system of its final name. Created if missing.
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
        """Flush the bytes to disk and give the file its name.

        Args:
            final: The name; its directory is created if missing.
            replace: Whether to replace a file of that name. Otherwise that file is left alone and this fails.

        Raises:
            UsageError: There is a file of that name and `replace` is false.
            LlamafundError: The disk is full or fails, or `final` is a directory.
        """
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()
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
                # Only a hard link creates a name atomically and refuses an existing one.
                final.hardlink_to(self._path)
            _sync_directory(final.parent)
        except FileExistsError as error:
            raise UsageError(
                f"{str(final)!r} already exists", "It is never overwritten", "Choose another name"
            ) from error
        except OSError as error:
            raise storage_error(error, f"Writing {str(final)!r}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file, replacing one of that name. Afterwards it has all of `data`, or is unchanged.

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
