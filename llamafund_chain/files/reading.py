"""Reading files that must not change meanwhile, and what went wrong in words."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

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

_ALLOCATION = ("[enforce fail at alloc_cpu.cpp", "CUDA out of memory")
"""How torch's errors about memory begin."""


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
        trouble = machine_trouble(error, f"Reading {path.name}")
        raise trouble or VerificationError(f"{path.name} cannot be read", error.strerror or str(error)) from error
    if len(data) > limit:
        raise VerificationError(f"{path.name} is longer than {limit} bytes")
    return data


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


def machine_trouble(error: BaseException, action: str) -> LlamafundError | None:
    """The error to raise instead of blaming a file, where this machine's disk or memory may be the cause.

    Nothing tells a file that asks for too much memory from a machine that has too little.

    Args:
        error: What a library raised over a stranger's file.
        action: As in `storage_error`.

    Returns:
        `None` if the machine is not the cause.
    """
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
        return storage_error(error, action)
    seen: BaseException | None = error
    while seen is not None:
        # Extensions in C raise a SystemError if they run out of it. Only the beginning of torch's texts is torch's own:
        # further on are names from the file.
        by_torch = type(seen).__name__ == "OutOfMemoryError" or str(seen).startswith(_ALLOCATION)
        if isinstance(seen, (MemoryError, SystemError)) or (isinstance(seen, RuntimeError) and by_torch):
            return LlamafundError(f"{action} failed: there was not enough memory", remedy="Free some, and try again")
        seen = seen.__cause__ or seen.__context__
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


def read_text(path: Path, most: int) -> str:
    """The text of a file that somebody wrote.

    Args:
        path: Text in UTF-8, for example Markdown.
        most: Most bytes.

    Raises:
        UsageError: There is no such regular file, it is longer, or it is not text.
        LlamafundError: It cannot be read.
    """
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > most:
            raise UsageError(f"{str(path)!r} is longer than {most} bytes", "A text of this kind may not be that long")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not text", "It is not UTF-8", "Save it as UTF-8") from error


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
