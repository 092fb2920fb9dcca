"""Hashes of tables, kept beside the files that the tables were mapped from.

A table is known again by where its values lie: which files are mapped there, at which places in them. A file counts as
unchanged by the rule of `llamafund_chain.evidence.hashing.cache`. What is only in memory counts by its bytes, and a
table that is nowhere else has nothing kept. Only Linux says what is mapped where; elsewhere nothing is kept either.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing.cache import GRANULARITY_NS, identity_of
from llamafund_chain.evidence.hashing.left_out import SAMPLES_FILE
from llamafund_chain.files import open_descriptor, write_file

_MAPS = Path("/proc/self/maps")
_MOST_ENTRIES = 64
_MOST_BYTES = 64 * 1024
_VERSION = b"llamafund samples 1\0"
"""Another way to hash samples needs another text here."""


def kept_hash(tables: Sequence[Any], hash_anew: Callable[[], str]) -> str:
    """The hash of Arrow tables: the one kept beside their files if these are unchanged, else a new one.

    Args:
        tables: All that decides the hash.
        hash_anew: Computes it.
    """
    known = _known_by(tables)
    if known is None:
        return hash_anew()
    entries = _read(known.place)
    if entries is None:
        return hash_anew()
    if known.key in entries:
        return entries[known.key]
    found = hash_anew()
    if _known_by(tables) == known:
        _write(known.place, {**entries, known.key: found})
    return found


@dataclass(frozen=True)
class _Known:
    """What tables are known by, and the file that their hash is kept in."""

    key: str
    place: Path


@dataclass(frozen=True)
class _Region:
    """A part of this process's memory that shows a file, and cannot be written to."""

    start: int
    end: int
    offset: int
    inode: str
    path: str


def _known_by(tables: Sequence[Any]) -> _Known | None:
    """What the tables are known by; `None` if no file holds them, or one of their files may just have changed."""
    import pyarrow as pa  # type: ignore[import-untyped]

    held: list[pickle.PickleBuffer] = []
    form = pickle.dumps(tables, protocol=5, buffer_callback=held.append)
    buffers = [pa.py_buffer(each) for each in held]
    regions = _regions()
    starts = [region.start for region in regions]
    places: list[_Region | None] = []
    for buffer in buffers:
        number = bisect_right(starts, buffer.address) - 1
        inside = number >= 0 and buffer.size and buffer.address + buffer.size <= regions[number].end
        places.append(regions[number] if inside else None)
    files = list(dict.fromkeys((place.path, place.inode) for place in places if place is not None))
    if not files:
        return None
    hasher = hashlib.sha256(_VERSION + hashlib.sha256(form).digest())
    for path, inode in files:
        try:
            status = os.lstat(path)
        except OSError:
            return None
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < GRANULARITY_NS:
            return None
        hasher.update(repr((path, inode, identity_of(status))).encode())
    for buffer, place in zip(buffers, places, strict=True):
        if place is None:
            hasher.update(hashlib.sha256(buffer).digest())
        else:
            hasher.update(repr((place.path, place.offset + buffer.address - place.start, buffer.size)).encode())
    return _Known(hasher.hexdigest(), Path(files[0][0]).parent / SAMPLES_FILE)


def _regions() -> list[_Region]:
    """All parts of memory that show files which still have their names, by address."""
    try:
        lines = _MAPS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return list(_file_regions(lines))


def _file_regions(lines: Sequence[str]) -> Iterator[_Region]:
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/") and not fields[5].endswith(" (deleted)"):
            span, mode, offset, device, inode, path = fields
            if "w" not in mode:
                start, _, end = span.partition("-")
                yield _Region(int(start, 16), int(end, 16), int(offset, 16), f"{device} {inode}", path)


def _read(place: Path) -> dict[str, str] | None:
    """What is kept in a file, without what was damaged; `None` if others could write it, or it is no file."""
    try:
        descriptor, status = open_descriptor(place)
    except FileNotFoundError:
        return {}
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return None
        text = file.read(_MOST_BYTES)
    try:
        rows = json.loads(text)
        return {key: found for key, found, seal in rows if seal == _seal(key, found)}
    except (ValueError, TypeError):
        return {}


def _write(place: Path, entries: dict[str, str]) -> None:
    """Keep the newest entries; without a word if the folder takes none, because all can be computed again."""
    rows = [(key, found, _seal(key, found)) for key, found in list(entries.items())[-_MOST_ENTRIES:]]
    with contextlib.suppress(LlamafundError, OSError):
        write_file(place, (json.dumps(rows, indent=1) + "\n").encode(), mode=0o600)


def _seal(key: str, found: str) -> str:
    """A checksum that exposes a row damaged on disk, but not a forged one."""
    return hashlib.sha256(f"{key} {found}".encode()).hexdigest()[:16]
