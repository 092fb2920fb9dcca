"""One pass over a tree: each byte is read once and goes into three digests, on all cores.

The content (the bytes of all files in order) is split into spans of 4 MiB at fixed offsets. A span is a complete
subtree of the content's Merkle tree, whichever files its bytes come from, so spans can be hashed in any order, and so
can the leaves of a file's IPFS address. A file's SHA-256 needs its bytes in order. So a file in several spans has a
strand for it, which takes the file's pieces in order, while other cores work on other strands and spans.

hashlib releases the interpreter lock while it hashes, so threads are enough. A thread prefers the spans that it has
read itself: they are in the cache of its core.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Protocol

from llamafund_chain.evidence.file_dag import FileDag, FileLeaves
from llamafund_chain.evidence.hashing.digests import BLOCK_SIZE, raw_cid
from llamafund_chain.evidence.hashing.listing import TreeListing
from llamafund_chain.evidence.merkle import CHUNK_SIZE, LEAF, NODE, MerkleHasher, RootBuilder
from llamafund_chain.files import SPAN, changed_error, open_descriptor, read_error

_MAX_WAITING = 40
"""Most spans in memory: 160 MiB, whatever the number of cores."""

_POLL = 0.01
"""Seconds between looks at whether interrupted workers have ended."""

_CORES_PER_FILE = 3
"""Cores that one file can keep busy: one hashes its bytes in order, and that limits the others."""


class Inspector(Protocol):
    """Sees one file's bytes as they pass by. Files are inspected in several threads, each file in order."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> None:
        """The file has ended."""
        ...


Inspect = Callable[[str], Inspector]
"""Makes the inspector for the file with this path."""


_Task = Callable[[], None]


class Digests:
    """The results of a pass. Some may be known in advance from a cache.

    Args:
        listing: The files.
    """

    def __init__(self, listing: TreeListing) -> None:
        self.listing = listing
        self.starts = array("Q", accumulate(listing.sizes, initial=0))
        """Where each file starts in the content, and at the end the content's size."""
        self.roots: list[bytes | None] = [None] * max(1, -(-self.starts[-1] // SPAN))
        """Merkle roots of the content's spans."""
        self.cached = 0
        """Bytes that need not be read."""
        self._sha256 = bytearray(32 * len(listing))
        self._known = bytearray(len(listing))
        self._cids: dict[int, str] = {}

    def put(self, number: int, sha256: bytes, cid: str | None) -> None:
        """Record a file's digests. The address may be omitted if it follows from the SHA-256."""
        self._sha256[32 * number : 32 * number + 32] = sha256
        if self.listing.sizes[number] > BLOCK_SIZE:
            assert cid is not None
            self._cids[number] = cid
        self._known[number] = True

    def knows(self, number: int) -> bool:
        """Whether a file's digests are known."""
        return bool(self._known[number])

    def sha256(self, number: int) -> bytes:
        """A file's SHA-256 (32 bytes)."""
        return bytes(self._sha256[32 * number : 32 * number + 32])

    def cid(self, number: int) -> str:
        """A file's IPFS address."""
        return self._cids.get(number) or raw_cid(self.sha256(number).hex())

    def pieces(self, span: int) -> Iterator[tuple[int, int, int]]:
        """The pieces of a span: file number, offset in the file, and bytes. Empty files have a piece too."""
        sizes, starts = self.listing.sizes, self.starts
        begin, end = span * SPAN, (span + 1) * SPAN
        last = span == len(self.roots) - 1
        number = max(0, bisect_right(starts, begin, hi=len(sizes)) - 1)
        # Empty files that start at the same offset come before it.
        while number > 0 and starts[number - 1] == begin:
            number -= 1
        while number < len(sizes) and (starts[number] < end or last):
            offset = max(0, begin - starts[number])
            length = min(sizes[number], end - starts[number]) - offset
            if length > 0 or sizes[number] == 0:
                yield number, offset, length
            number += 1

    def root(self) -> bytes:
        """The content root (32 bytes), once all spans' roots are known."""
        tree = RootBuilder()
        if not self.starts[-1]:
            return tree.root()
        *full, last = self.roots
        for node in full:
            assert node is not None
            tree.append(node)
        return tree.root(last)


def subtree_root(data: bytes) -> bytes:
    """Merkle root (32 bytes) of at least one byte in memory; faster than a `MerkleHasher`."""
    nodes = []
    with memoryview(data) as view:
        for start in range(0, len(view), CHUNK_SIZE):
            # A copy of a hasher is made in less time than a new one.
            hasher = LEAF.copy()
            hasher.update(view[start : start + CHUNK_SIZE])
            nodes.append(hasher.digest())
    while len(nodes) > 1:
        level = []
        for place in range(0, len(nodes) - 1, 2):
            hasher = NODE.copy()
            hasher.update(nodes[place] + nodes[place + 1])
            level.append(hasher.digest())
        if len(nodes) % 2:
            level.append(nodes[-1])
        nodes = level
    return nodes[0]


class _Load:
    """A span in memory: the lane that it counts for, the thread that read it, and how many still need it."""

    __slots__ = ("lane", "reader", "size", "users")

    def __init__(self, lane: _Lane) -> None:
        self.lane = lane
        self.reader = threading.get_ident()
        self.size = 0
        self.users = 1


class _Lane:
    """Reads spans in order. Several lanes read different files, so that one file's strands do not hold up the rest."""

    def __init__(self, spans: Iterator[int]) -> None:
        self.spans = spans
        self.loads = 0


class _Strand:
    """Takes a file's pieces in order, one at a time, in whatever order they arrive."""

    def __init__(self, absorb: Callable[[bytes], None]) -> None:
        self.absorb = absorb
        self.offset = 0
        self.waiting: dict[int, tuple[bytes, _Load]] = {}
        self.busy = False


class _LongFile:
    """A file in several spans, open while it is read.

    Args:
        path: Where it is.
        size: Bytes when it was listed.
        pieces: How many of its pieces will be read.
        hashed: Whether to compute its digests.
        inspector: Takes its bytes, or `None`.
    """

    def __init__(self, path: str, size: int, pieces: int, *, hashed: bool, inspector: Inspector | None) -> None:
        self.strands: list[_Strand] = []
        self.sha256 = hashlib.sha256() if hashed else None
        self.leaves = FileLeaves(size) if hashed else None
        self.inspector = inspector
        for taker in (self.sha256, inspector):
            if taker is not None:
                self.strands.append(_Strand(taker.update))
        self.left = pieces * (1 + len(self.strands))
        """Reads and updates still to come."""
        self._path = path
        self._size = size
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._before: os.stat_result | None = None

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            if self._descriptor is None:
                self._descriptor, self._before = _open(self._path, self._size)
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return _read(self._descriptor, self._path, offset, length, self._size)

    def end(self) -> os.stat_result:
        """Close it after its last piece. Returns its status before the first."""
        assert self._descriptor is not None
        assert self._before is not None
        after = os.fstat(self._descriptor)
        self.close()
        _hold_still(self._path, self._before, after)
        return self._before

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class OnePass:
    """Reads the files whose digests are not known yet, and computes the digests.

    Args:
        digests: Where results go; known ones are not computed again.
        jobs: Number of threads; one is the calling thread itself.
        inspect: Makes inspectors. With it every file is read, even if its digests are known.
        progress: Called with the number of bytes done since the previous call, from any thread, one call at a time.
        found: Called when a file's digests are computed, with its number and its status before it was read; from any
            thread, one call at a time.
    """

    def __init__(
        self,
        digests: Digests,
        *,
        jobs: int,
        inspect: Inspect | None = None,
        progress: Callable[[int], None] | None = None,
        found: Callable[[int, os.stat_result], None] | None = None,
    ) -> None:
        self._digests = digests
        self._inspect = inspect
        self._progress = progress
        self._found = found
        self._reporting = threading.Lock()
        # Of the workers; the calling thread only reads them.
        self._counting, self._begun, self._ended = threading.Lock(), 0, 0
        self._jobs = max(1, min(jobs, len(digests.roots) * _CORES_PER_FILE)) if len(digests.roots) > 1 else 1
        # A subtree's chunks are short: threads that all hash some spend their time on handing each other the
        # interpreter lock.
        self._subtrees = threading.Semaphore(max(1, self._jobs // 2))
        # Everything below is used only with the lock held.
        self._wake = threading.Condition()
        self._ready: deque[tuple[int, _Task]] = deque()
        self._unfinished = 0
        self._loads = 0
        self._long: dict[int, _LongFile] = {}
        self._error: BaseException | None = None
        # One more than these may be read: see `_next_read`.
        self._window = min(2 * self._jobs + 2, _MAX_WAITING - 1)
        self._runs = self._cut_into_runs()
        self._lanes: list[_Lane] = []
        for _ in range(-(-self._jobs // _CORES_PER_FILE)):
            self._open_lane()

    def size(self) -> int:
        """Bytes that will be read."""
        return sum(
            sum(length for number, _, length in self._digests.pieces(span) if self._is_read(span, number))
            for span in range(len(self._digests.roots))
        )

    def run(self) -> None:
        """Run the pass.

        Raises:
            LlamafundError: A file cannot be read, or changed since it was listed or while it was read.
            Exception: Whatever an inspector or a callback raises.
        """
        # The calling thread only waits: an interruption inside a lock's code could leave the lock held for ever.
        number = self._jobs if self._jobs > 1 else 0
        workers = [threading.Thread(target=self._work_beside, daemon=True) for _ in range(number)]
        try:
            for worker in workers:
                worker.start()
            if not workers:
                self._work()
            for worker in workers:
                worker.join()
        except BaseException as error:
            self._error = error
            raise
        finally:
            # Not `join`: before Python 3.13 an interrupted one takes its thread for ended. A thread that hashes while
            # the program ends makes it crash. One that an interruption found starting ends at once.
            self._await_workers()
            for file in self._long.values():
                file.close()
        if self._error is not None:
            raise self._error

    def _await_workers(self) -> None:
        while self._ended < self._begun:
            try:
                time.sleep(_POLL)
            except BaseException as error:  # noqa: BLE001 - one more interruption; it is raised when all have ended
                self._error = error

    def _is_read(self, span: int, number: int) -> bool:
        return self._inspect is not None or self._digests.roots[span] is None or not self._digests.knows(number)

    def _cut_into_runs(self) -> Iterator[range]:
        """Runs of spans, split where a file begins that is in many of them."""
        starts, sizes = self._digests.starts, self._digests.listing.sizes
        first = 0
        if self._jobs > _CORES_PER_FILE:
            for start, size in zip(starts, sizes, strict=False):
                if size >= 4 * SPAN and start // SPAN > first:
                    yield range(first, start // SPAN)
                    first = start // SPAN
        yield range(first, len(self._digests.roots))

    def _open_lane(self) -> None:
        spans = next(self._runs, None)
        if spans is not None:
            self._lanes.append(_Lane(iter(spans)))

    # ------------------------------------------------------------------------------------------------ what comes next

    def _work_beside(self) -> None:
        with self._counting:
            self._begun += 1
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits for all
            self._fail(error)
        finally:
            with self._counting:
                self._ended += 1

    def _work(self) -> None:
        while (task := self._take()) is not None:
            task()
            with self._wake:
                self._unfinished -= 1

    def _fail(self, error: BaseException) -> None:
        with self._wake:
            self._error = self._error or error
            self._wake.notify_all()

    def _take(self) -> _Task | None:
        """The next task; `None` if everything is done or something failed."""
        thread = threading.get_ident()
        with self._wake:
            while self._error is None:
                task = self._next_ready(thread) or self._next_read() or self._next_ready()
                if task is not None:
                    return task
                if not self._unfinished and not self._lanes:
                    self._wake.notify_all()
                    return None
                self._wake.wait()
            self._wake.notify_all()
            return None

    def _next_ready(self, reader: int | None = None) -> _Task | None:
        """The next strand that has work, of a span that this thread has read or of any."""
        for place, (read_by, task) in enumerate(self._ready):
            if reader in (None, read_by):
                del self._ready[place]
                return task
        return None

    def _next_read(self) -> _Task | None:
        while self._lanes:
            lane = min(self._lanes, key=lambda lane: lane.loads)
            if lane.loads >= max(2, self._window // len(self._lanes)):
                return None
            # Only the earliest lane may go beyond: others' loads may wait for the start of a file that it must read.
            if self._loads >= self._window and (lane is not self._lanes[0] or lane.loads):
                return None
            span = next(lane.spans, None)
            if span is None:
                self._lanes.remove(lane)
                self._open_lane()
            elif any(self._is_read(span, number) for number, _, _ in self._digests.pieces(span)):
                lane.loads += 1
                self._loads += 1
                self._unfinished += 1
                return partial(self._read_span, span, _Load(lane))
        return None

    # ------------------------------------------------------------------------------------------------------ the work

    def _read_span(self, span: int, load: _Load) -> None:
        digests = self._digests
        tree = MerkleHasher() if digests.roots[span] is None else None
        whole: bytes | None = None
        for number, offset, length in digests.pieces(span):
            if not self._is_read(span, number):
                continue
            load.size += length
            if length == digests.listing.sizes[number]:
                data = self._read_whole(number)
            else:
                data = self._read_piece(number, offset, length, load)
                whole = data if length == SPAN else None
            if tree is not None and whole is None:
                tree.update(data)
        if tree is not None and whole is not None:
            with self._subtrees:
                digests.roots[span] = subtree_root(whole)
        elif tree is not None:
            digests.roots[span] = tree.root()
        self._release(load)

    def _release(self, load: _Load) -> None:
        with self._wake:
            load.users -= 1
            if load.users:
                return
            load.lane.loads -= 1
            self._loads -= 1
            self._wake.notify()
        if self._progress is not None:
            with self._reporting:
                self._progress(load.size)

    def _note(self, number: int, sha256: bytes, cid: str | None, status: os.stat_result) -> None:
        self._digests.put(number, sha256, cid)
        if self._found is not None:
            with self._reporting:
                self._found(number, status)

    def _read_whole(self, number: int) -> bytes:
        listing = self._digests.listing
        path, size = listing.path(number), listing.sizes[number]
        descriptor, before = _open(path, size)
        try:
            data = _read(descriptor, path, 0, size, size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        _hold_still(path, before, after)
        if not self._digests.knows(number):
            cid = FileDag.of(iter((data,))).cid if size > BLOCK_SIZE else None
            self._note(number, hashlib.sha256(data).digest(), cid, before)
        if self._inspect is not None:
            inspector = self._inspect(listing.name(number))
            inspector.update(data)
            inspector.finish()
        return data

    def _read_piece(self, number: int, offset: int, length: int, load: _Load) -> bytes:
        with self._wake:
            file = self._long.get(number) or self._long_file(number)
        data = file.read(offset, length)
        with self._wake:
            for strand in file.strands:
                load.users += 1
                strand.waiting[offset] = (data, load)
                self._advance(number, file, strand)
        if file.leaves is not None:
            file.leaves.add(offset, data)
        self._count(number, file)
        return data

    def _long_file(self, number: int) -> _LongFile:
        digests = self._digests
        first = digests.starts[number] // SPAN
        end = -(-digests.starts[number + 1] // SPAN)
        file = _LongFile(
            digests.listing.path(number),
            digests.listing.sizes[number],
            sum(self._is_read(span, number) for span in range(first, end)),
            hashed=not digests.knows(number),
            inspector=None if self._inspect is None else self._inspect(digests.listing.name(number)),
        )
        self._long[number] = file
        return file

    def _advance(self, number: int, file: _LongFile, strand: _Strand) -> None:
        if not strand.busy and strand.offset in strand.waiting:
            strand.busy = True
            data, load = strand.waiting.pop(strand.offset)
            self._ready.append((load.reader, partial(self._absorb, number, file, strand, data, load)))
            self._unfinished += 1
            self._wake.notify()

    def _absorb(self, number: int, file: _LongFile, strand: _Strand, data: bytes, load: _Load) -> None:
        strand.absorb(data)
        with self._wake:
            strand.offset += len(data)
            strand.busy = False
            self._advance(number, file, strand)
        self._release(load)
        self._count(number, file)

    def _count(self, number: int, file: _LongFile) -> None:
        """Another read or update of a file is done. After the last one it is closed and its digests are known."""
        with self._wake:
            file.left -= 1
            if file.left:
                return
            del self._long[number]
        status = file.end()
        if file.sha256 is not None and file.leaves is not None:
            self._note(number, file.sha256.digest(), file.leaves.dag().cid, status)
        if file.inspector is not None:
            file.inspector.finish()


def _open(path: str, size: int) -> tuple[int, os.stat_result]:
    try:
        descriptor, status = open_descriptor(path)
    except OSError as error:
        raise read_error(path, error) from error
    if status.st_size != size:
        os.close(descriptor)
        raise changed_error(path, size, 0, status.st_size)
    return descriptor, status


def _read(descriptor: int, path: str, offset: int, length: int, size: int) -> bytes:
    """Bytes of an open file; a file that is too short is an error."""
    try:
        data = os.pread(descriptor, length, offset)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                raise changed_error(path, size, offset + len(data), os.fstat(descriptor).st_size)
            data += more
    except OSError as error:
        raise read_error(path, error) from error
    return data


def _hold_still(path: str, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise changed_error(path, before.st_size, before.st_size, after.st_size)
