"""Digests of files that were read before: a hint, never a proof.

A file counts as unchanged if its path, size, modification time, status change time, inode and device are the same. Root
can forge all of them, so whoever trusts nobody reads everything.

A program that changes a file through mapped memory (`mmap`, memory-mapped arrays) may leave all of them unchanged. The
times change with the first byte of a page, and then not again until the page is written back (by `msync`, or whenever
the system likes); on some file systems they never change. Let such programs exit or flush before you hash their files,
or use no cache.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from llamafund_chain.evidence.hashing.digests import BLOCK_SIZE
from llamafund_chain.evidence.hashing.one_pass import Digests
from llamafund_chain.files import kind_of

GRANULARITY_NS = 2_000_000_000
"""The coarsest time stamps of a file system (FAT). A file that changed more recently could change again unnoticed."""

PATIENCE = 2.0
"""Seconds to wait while another process writes to the same file."""

_APPLICATION = 0x4C464843
_VERSION = 1
_INTERVAL = 5.0
"""Seconds between two writes: how much work an interruption can lose."""

_TABLES = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE files (path BLOB PRIMARY KEY, identity BLOB, sha256 BLOB, cid TEXT, seal BLOB) WITHOUT ROWID;
CREATE TABLE spans (tree BLOB, number INTEGER, pieces BLOB, root BLOB, seal BLOB, PRIMARY KEY (tree, number))
    WITHOUT ROWID;
"""
_FIND = "SELECT identity, sha256, cid, seal FROM files WHERE path = ?"
_FIND_SPANS = "SELECT number, pieces, root, seal FROM spans WHERE tree = ? AND number BETWEEN 0 AND ? - 1"


class HashCache:
    """A SQLite file with digests of files.

    A cache that is damaged, belongs to another program, or can be written by others is not used and never replaced;
    `problem` says why. Several processes may use one cache at the same time.

    Args:
        path: The file. It is created when something is first kept, and only its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """Why it cannot be used; `None` if nothing is wrong."""
        self._found: list[tuple[int, bytes]] = []
        self._written = time.monotonic()
        self._recalled: set[int] = set()

    def recall(self, digests: Digests) -> None:
        """Fill in the digests of all unchanged files, and of the spans that consist of them."""
        self._recalled.clear()
        listing = digests.listing
        tree = os.fsencode(listing.root)
        try:
            if not self.path.exists() or not self.path.lstat().st_size:
                return
            with closing(self._open("ro")) as database:
                for number in range(len(listing)):
                    path = os.fsencode(listing.path(number))
                    row = database.execute(_FIND, (path,)).fetchone()
                    if row is not None and row[3] == _seal(path, *row[:3]) and _unchanged(path, row[0]):
                        digests.put(number, row[1], row[2])
                for number, pieces, root, seal in database.execute(_FIND_SPANS, (tree, len(digests.roots))):
                    if seal == _seal(tree, number, pieces, root) and pieces == _composition(digests, number):
                        digests.roots[number] = root
                        self._recalled.add(number)
        except (sqlite3.Error, OSError, _UnusableError) as error:
            self._give_up(error)

    def keeper(self, digests: Digests) -> Callable[[int, os.stat_result], None]:
        """The function to call when a file's digests are known, with its number and its status before it was read."""

        def keep(number: int, status: os.stat_result) -> None:
            if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < GRANULARITY_NS:
                return
            self._found.append((number, identity_of(status)))
            if time.monotonic() - self._written > _INTERVAL:
                self._write(digests)

        return keep

    def flush(self, digests: Digests) -> None:
        """Write what is new since the last flush, and the spans that consist of known files."""
        self._write(digests, spans=True)

    def _write(self, digests: Digests, *, spans: bool = False) -> None:
        found, self._found = self._found, []
        self._written = time.monotonic()
        roots = list(self._span_rows(digests)) if spans else []
        if self.problem is not None or not (found or roots):
            return
        try:
            self._create()
            with closing(self._open("rw")) as database, database:
                database.executemany(
                    "REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                    (_file_row(digests, number, identity) for number, identity in found),
                )
                database.executemany("REPLACE INTO spans VALUES (?, ?, ?, ?, ?)", roots)
        except (sqlite3.Error, OSError, _UnusableError) as error:
            self._give_up(error)

    def _span_rows(self, digests: Digests) -> Iterator[tuple[bytes, int, bytes, bytes, bytes]]:
        """Rows for the spans whose roots were not in the cache."""
        tree = os.fsencode(digests.listing.root)
        for number, root in enumerate(digests.roots):
            if root is not None and number not in self._recalled:
                pieces = _composition(digests, number)
                if pieces is not None:
                    yield tree, number, pieces, root, _seal(tree, number, pieces, root)

    def _create(self) -> None:
        """Create an empty file that nobody else can read, unless it exists."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))

    def _open(self, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
        status = self.path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _UnusableError(f"it is {kind_of(status.st_mode)}")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _UnusableError("others may write to it")
        database = sqlite3.connect(f"file:{quote(os.fsencode(self.path))}?mode={mode}", uri=True, timeout=PATIENCE)
        try:
            if mode == "rw" and status.st_size == 0:
                database.executescript(_TABLES)
            (application,), (version,) = (
                database.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
            )
            if (application, version) != (_APPLICATION, _VERSION):
                raise _UnusableError("it is not a cache of this version of llamafund")
        except BaseException:
            database.close()
            raise
        return database

    def _give_up(self, error: Exception) -> None:
        self.problem = f"The cache {str(self.path)!r} was not used: {error}"


class _UnusableError(Exception):
    """The file must not be used."""


def identity_of(status: os.stat_result) -> bytes:
    """What a file is known by again, except for its path."""
    return struct.pack("<QqqQQ", status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _unchanged(path: bytes, identity: bytes) -> bool:
    try:
        return identity_of(os.lstat(path)) == identity
    except OSError:
        return False


def _seal(*fields: bytes | int | str | None) -> bytes:
    """A checksum that exposes a row damaged on disk, but not a forged one."""
    return hashlib.blake2b(repr(fields).encode(), digest_size=8).digest()


def _file_row(digests: Digests, number: int, identity: bytes) -> tuple[bytes, bytes, bytes, str | None, bytes]:
    path = os.fsencode(digests.listing.path(number))
    sha256 = digests.sha256(number)
    cid = digests.cid(number) if digests.listing.sizes[number] > BLOCK_SIZE else None
    return path, identity, sha256, cid, _seal(path, identity, sha256, cid)


def _composition(digests: Digests, span: int) -> bytes | None:
    """Hash of everything that determines a span's bytes; `None` if a file's digest is not known."""
    hasher = hashlib.sha256()
    for number, offset, length in digests.pieces(span):
        if not digests.knows(number):
            return None
        hasher.update(digests.sha256(number) + struct.pack("<QQ", offset, length))
    return hasher.digest()
