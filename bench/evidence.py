"""Hashing: how near the three digests come to what the processor can do, in one run on the same bytes.

SHA-256 per file, IPFS address and content root are three SHA-256 passes over the same bytes, so the limit is three
times the time of one in memory. For two cores it is measured in the same run: two threads that each hash half of the
bytes, because on some processors two cores together are not twice as fast as one. The bounds are 1 / 0.88 of these
limits, reading included. Values are the best of several turns: what else the machine does can only add to them. The
files are in the page cache.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from aleph_cid import CidHasher

from bench.harness import Reference, Row
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import (
    HashCache,
    available_cores,
    hash_listing,
    hash_tree,
    list_tree,
    refuse_suspects,
)
from llamafund_chain.evidence.hashing.cache import GRANULARITY_NS
from llamafund_chain.store.publishing import list_directory, publish

T = TypeVar("T")

DEFAULT_SIZES = ("256MiB", "1GiB")
"""Fit a laptop; `--size 1GiB,8GiB` measures what the bounds are about."""

SHARE_OF_LIMIT = 0.88
"""Of the limit that must be reached."""

WARM_BOUND = 1.0
"""Seconds in which a tree that has not changed is checked, whatever its size."""

MANY_FILES = 100_000

MANY_BOUND = 72.4
"""Seconds for them: a tenth of what they took when each was flushed four times by itself."""

_ROOT = Path(__file__).resolve().parents[1]
_SPAN = 4 * 1024 * 1024
_TURNS = range(2, 9)
"""How often each is timed: the fewer, the larger."""

_BYTES = 2 * 1024**3
"""Hashed in all turns together, as near as that allows."""

_ONE = "SHA-256 in memory, one core"
_TWO = "SHA-256 in memory, two threads on two cores"
_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_STANDARDS = _ROOT / ".venv" / "standards" / "bin" / "python"
_MODEL_SIGNING = """
import json, sys, time
from pathlib import Path
from model_signing import hashing
start = time.perf_counter()
hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False).hash(Path(sys.argv[1]))
print(json.dumps(time.perf_counter() - start))
"""


def parse_sizes(text: str | None) -> list[int]:
    """Bytes from `1GiB,8GiB`; the default sizes when `None`.

    Raises:
        UsageError: It is something else, or less than a MiB.
    """
    return [_parse_size(word) for word in (DEFAULT_SIZES if text is None else text.split(","))]


def _parse_size(word: str) -> int:
    number, unit = word.strip()[:-3], word.strip()[-3:]
    size = int(number) * _UNITS[unit] if number.isascii() and number.isdigit() and unit in _UNITS else 0
    if size < _UNITS["MiB"]:
        raise UsageError(f"{word!r} is not a size", remedy="Give sizes from 1MiB on, for example 1GiB,8GiB")
    return size


def run(size: str | None = None) -> Iterator[Row]:
    """Measure each size, and many small files.

    Args:
        size: As `parse_sizes` takes it. With it, small files are not measured.

    Raises:
        UsageError: The size is none, or the disk has no room for the files.
    """
    for each in parse_sizes(size):
        yield from _measure(each)
    if size is None:
        yield from many_files(MANY_FILES)


def many_files(count: int) -> Iterator[Row]:
    """Measure publishing a tree of small files to a directory, and `git add` of the same tree.

    Both read every file, hash it and write it into a store of its own, on the same disk. Git flushes none of them to
    the disk; publishing flushes all.

    Args:
        count: Number of files, of some 500 bytes, a thousand to a folder.

    Raises:
        LlamafundError: The files cannot be published.
    """
    with tempfile.TemporaryDirectory(dir=_build(), prefix="bench-evidence-") as name:
        tree, git, store = (Path(name) / word for word in ("tree", "git", "store"))
        for number in range(count):
            folder = tree / f"{number // 1000:04}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"{number:07}.txt").write_bytes(f"document {number} ".encode() * 30)
        label = f"{count} small files"
        reference = None
        if shutil.which("git") is not None:
            _run(("git", "init", "--quiet", str(git)))
            command = ("git", f"--git-dir={git / '.git'}", f"--work-tree={tree}", "add", ".")
            reference = Reference("git add", _timed(_run, command)())
            yield Row(f"{label}: git add", reference.value, "s", reference)
        seconds = _timed(partial(_publish, tree), str(store))()
        yield Row(f"{label}: hash and publish to a directory", seconds, "s", reference, MANY_BOUND * count / MANY_FILES)


def _publish(tree: Path, location: str) -> None:
    listing = list_tree(tree)
    refuse_suspects(listing)
    files = hash_listing(listing).files
    published = publish(tree, list_directory(files), files, [location])
    for outcome in published.outcomes:
        if outcome.problem is not None:
            raise outcome.problem


@dataclass(frozen=True)
class _Contest:
    """Something to be timed.

    Attributes:
        name: What it is.
        cores: It may use so many.
        seconds: Does it once and returns how long that took.
        share: Of the limit on these cores that it must reach; `None` when it need not.
        limit: Name of the contest that measures the limit, one pass over the same bytes on the same cores.
    """

    name: str
    cores: int
    seconds: Callable[[], float]
    share: float | None = None
    limit: str = _ONE


def _measure(size: int) -> Iterator[Row]:
    label = next(f"{size // unit} {name}" for name, unit in reversed(_UNITS.items()) if size >= unit)
    with _tree(size) as (root, file):
        contests = list(_contests(size, root, file))
        best = dict.fromkeys((contest.name for contest in contests), math.inf)
        # In turns, so that what else the machine does meanwhile meets all of them.
        for _ in range(min(max(_BYTES // size, _TURNS[0]), _TURNS[-1])):
            for contest in contests:
                with _cores(contest.cores):
                    best[contest.name] = min(best[contest.name], contest.seconds())
        for contest in contests:
            reference = Reference(contest.limit, best[contest.limit])
            bound = None if contest.share is None else 3 * reference.value / contest.share
            yield Row(f"{label}: {contest.name}", best[contest.name], "s", reference, bound)
        reference = Reference(_ONE, best[_ONE])
        yield Row(f"{label}: unchanged tree, warm cache", _warm(root), "s", reference, WARM_BOUND)
    for absent in _absent():
        yield Row(f"{label}: {absent}", 0.0, "s")


def _contests(size: int, root: Path, file: Path) -> Iterator[_Contest]:
    cores = available_cores()
    yield _Contest(_ONE, 1, _timed(_in_memory, size))
    if cores > 1:
        yield _Contest(_TWO, 2, _timed(_in_two_threads, size))
    yield _Contest("plain read of the file", 1, _timed(_read, file))
    yield _Contest("aleph-cid alone, one core", 1, _timed(_address, file))
    openssl = shutil.which("openssl")
    if openssl is not None:
        yield _Contest("openssl dgst -sha256", 1, _timed(_run, (openssl, "dgst", "-sha256", str(file))))
    if _STANDARDS.exists():
        command = (str(_STANDARDS), "-c", _MODEL_SIGNING, str(root))
        yield _Contest("model-signing, SHA-256 of the files", 1, lambda: float(json.loads(_run(command))))
    yield _Contest("three digests, one core", 1, _timed(hash_tree, root), SHARE_OF_LIMIT)
    if cores > 1:
        yield _Contest("three digests, two cores", 2, _timed(hash_tree, root), SHARE_OF_LIMIT, _TWO)
    if cores > 2:
        yield _Contest(f"three digests, all {cores} cores", cores, _timed(hash_tree, root))


def _absent() -> Iterator[str]:
    if shutil.which("openssl") is None:
        yield "openssl dgst -sha256 is absent: there is no openssl on the path"
    if not _STANDARDS.exists():
        yield "model-signing is absent: there is no environment .venv/standards with it"


def _build() -> Path:
    folder = _ROOT / "build"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _tree(size: int) -> Iterator[tuple[Path, Path]]:
    """A directory with one file of bytes that do not repeat, removed afterwards."""
    folder = _build()
    free = shutil.disk_usage(folder).free
    if free < size + _UNITS["GiB"]:
        raise UsageError(
            f"{folder} has {free} bytes left", f"The files take {size}, and a GiB must stay", "Give a smaller --size"
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-evidence-") as name:
        root = Path(name) / "tree"
        root.mkdir()
        file = root / "weights.safetensors"
        block = _block()
        with file.open("wb") as stream:
            for number in range(-(-size // _SPAN)):
                data = number.to_bytes(8, "big") + block[8:]
                stream.write(data[: size - number * _SPAN])
        yield root, file


@contextmanager
def _cores(count: int) -> Iterator[None]:
    """Run on so many cores only, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _timed(action: Callable[[T], object], argument: T) -> Callable[[], float]:
    def seconds() -> float:
        gc.collect()
        start = time.perf_counter()
        action(argument)
        return time.perf_counter() - start

    return seconds


def _in_memory(size: int) -> None:
    data = _block()
    hasher = hashlib.sha256()
    for start in range(0, size, len(data)):
        hasher.update(data[: size - start])


def _in_two_threads(size: int) -> None:
    halves = [threading.Thread(target=_in_memory, args=(half,)) for half in (size // 2, size - size // 2)]
    for half in halves:
        half.start()
    for half in halves:
        half.join()


@cache
def _block() -> bytes:
    return secrets.token_bytes(_SPAN)


def _read(file: Path) -> None:
    buffer = bytearray(_SPAN)
    with file.open("rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass


def _address(file: Path) -> None:
    hasher = CidHasher.for_ipfs_v1_raw_leaves()
    with file.open("rb", buffering=0) as stream:
        while data := stream.read(_SPAN):
            hasher.update(data)
    hasher.finalize()


def _warm(root: Path) -> float:
    place = root.parent / "hashes.sqlite"
    # A file that was written a moment ago is not kept in a cache.
    time.sleep(GRANULARITY_NS / 1e9)
    hash_tree(root, cache=HashCache(place))
    return min(_timed(lambda tree: hash_tree(tree, cache=HashCache(place)), root)() for _ in range(_TURNS[0]))


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
