"""Reading small files with secrets, which only their owner may read."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from llamafund_chain.errors import UsageError


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
