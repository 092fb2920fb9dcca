"""Checks that a disk has room for the missing files and can hold their names, before anything is fetched."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import FileEntry, shown_path
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
    place = _nearest(directory)
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


def require_names(directory: Path, paths: Sequence[str]) -> None:
    """Refuse to begin if the disk takes two of the names for one, and the second file would replace the first.

    Disks of macOS and Windows do not tell `A` from `a`, and some not `é` as one character from `é` as two.

    Args:
        directory: For the files; it may not exist yet.
        paths: Of all files.

    Raises:
        LlamafundError: The disk takes two names for one, or cannot be examined.
    """
    twins = _twins(paths)
    if not twins:
        return
    place = _nearest(directory)
    try:
        with tempfile.TemporaryDirectory(prefix=".names-", dir=place) as probe:
            for one, other in twins:
                if _are_one(Path(probe), one, other):
                    raise LlamafundError(
                        f"The disk of {str(directory)!r} takes {shown_path(one)} and {shown_path(other)} for one name",
                        "The second file would replace the first; nothing was fetched",
                        "Fetch to a disk that tells letter case and Unicode forms apart, as those of Linux do",
                    )
    except OSError as error:
        raise storage_error(error, f"Writing into {str(place)!r}") from error


def _twins(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of paths, or of folders above them, that differ only in letter case or normal form."""
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    for path in paths:
        end = len(path)
        while end > 0:
            name = path[:end]
            groups[unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())][name] = None
            end = path.rfind("/", 0, end)
    return [pair for group in groups.values() for pair in zip(list(group), list(group)[1:], strict=False)]


def _are_one(probe: Path, one: str, other: str) -> bool:
    """Whether two paths lead to one file on the disk of an empty folder."""
    parts = zip(one.split("/"), other.split("/"), strict=True)
    return all(first == second or _is_one_name(probe, first, second) for first, second in parts)


def _is_one_name(probe: Path, first: str, second: str) -> bool:
    made = probe / first
    made.touch()
    try:
        return (probe / second).exists()
    finally:
        made.unlink()


def _nearest(directory: Path) -> Path:
    """The directory, or the first one above it that exists."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
