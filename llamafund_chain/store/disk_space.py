"""Checks that a disk has room for the missing files, before anything is fetched."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import FileEntry
from llamafund_chain.files import storage_error
from llamafund_chain.store.http.resume import partial_path


def require_room(directory: Path, files: Iterable[FileEntry]) -> None:
    """Refuse to begin if there is no room for the files.

    A file of the right size counts as present, and of a partly fetched file only the rest is missing. A file that
    will be replaced takes up its space until the new one is complete.

    Args:
        directory: For the files; it may not exist yet.
        files: In the order in which they will be fetched.

    Raises:
        LlamafundError: The disk has too little room for the missing files, or cannot be examined.
    """
    taken = most = 0
    for entry in files:
        target = directory / entry.path
        before = _status(target)
        if before is not None and before.st_size == entry.size:
            continue
        partial = _status(partial_path(target.parent, entry.cid))
        taken += entry.size - (0 if partial is None else min(partial.st_size, entry.size))
        most = max(most, taken)
        if before is not None and before.st_nlink == 1:
            taken -= before.st_size
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise storage_error(error, f"Looking at {str(place)!r}") from error
    if most > free:
        raise LlamafundError(
            f"{str(directory)!r} has no room for the missing files: {most} bytes are needed",
            f"Its disk has {free} bytes left; nothing was fetched",
            f"Free {most - free} bytes, or fetch to another disk. Files that exist are not fetched again",
        )


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
