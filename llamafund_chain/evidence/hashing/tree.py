"""Digests of a directory's files and the root of their content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llamafund_chain.evidence.hashing.cache import HashCache
from llamafund_chain.evidence.hashing.listing import TreeListing, list_tree
from llamafund_chain.evidence.hashing.one_pass import Digests, Inspect, OnePass
from llamafund_chain.evidence.manifests import Content, FileEntry
from llamafund_chain.files import SPAN

_WORTH_KEEPING = 4 * SPAN
"""Least bytes of a tree for which a cache saves time; fewer are read faster than the cache opens."""


@dataclass(frozen=True)
class TreeDigest:
    """What identifies a directory's files.

    Attributes:
        files: Sorted by the bytes of their paths.
        content: Merkle root and size of the files' bytes in that order.
        cached: Bytes that were not read, because a cache knew their digests.
    """

    files: tuple[FileEntry, ...]
    content: Content
    cached: int = field(default=0, compare=False)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hash_tree(
    root: Path,
    paths: Sequence[str] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
    inspect: Inspect | None = None,
) -> TreeDigest:
    """Hash files below a directory, each in one read.

    A symbolic link to a file inside the tree counts as another file with the same bytes.

    Args:
        root: The directory.
        paths: Files relative to it, in any order; `None` for all files below it.
        progress: Called with the number of bytes hashed since the previous call, from any thread, one call at a time.
        total: Called once, before the first byte is read, with the total number of bytes.
        jobs: Cores to use; `None` for all that this process may use.
        cache: Digests from earlier runs; new ones are added.
        inspect: Makes inspectors of the files' bytes.

    Raises:
        UsageError: The root is not a directory, or there is no file. A path is unsafe, given twice or missing. Or
            something is neither a file nor a directory, or is a link to a directory or out of the tree.
        LlamafundError: A file cannot be read, or changed while it was read.
    """
    listing = list_tree(root, paths)
    return hash_listing(listing, progress=progress, total=total, jobs=jobs, cache=cache, inspect=inspect)


def hash_listing(
    listing: TreeListing,
    *,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
    inspect: Inspect | None = None,
) -> TreeDigest:
    """Hash listed files; otherwise like `hash_tree`.

    Raises:
        LlamafundError: A file cannot be read, or changed since it was listed or while it was read.
    """
    digests = find_digests(listing, progress=progress, total=total, jobs=jobs, cache=cache, inspect=inspect)
    content = Content(root=digests.root().hex(), size=digests.starts[-1])
    return TreeDigest(files=tuple(entries(digests)), content=content, cached=digests.cached)


def find_digests(
    listing: TreeListing,
    *,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
    inspect: Inspect | None = None,
) -> Digests:
    """Hash listed files into a form of about 200 bytes per file; otherwise like `hash_tree`.

    Raises:
        LlamafundError: A file cannot be read, or changed since it was listed or while it was read.
    """
    digests = Digests(listing)
    if cache is not None and digests.starts[-1] < _WORTH_KEEPING:
        cache = None
    if cache is not None:
        cache.recall(digests)
    work = OnePass(
        digests,
        jobs=available_cores() if jobs is None else jobs,
        inspect=inspect,
        progress=progress,
        found=None if cache is None else cache.keeper(digests),
    )
    to_read = digests.starts[-1] if cache is None else work.size()
    digests.cached = digests.starts[-1] - to_read
    if total is not None:
        total(to_read)
    try:
        work.run()
    finally:
        # Also after an interruption or an error, so that results so far are not lost.
        if cache is not None:
            cache.flush(digests)
    return digests


def entries(digests: Digests) -> Iterator[FileEntry]:
    """A manifest's entries, one at a time."""
    listing = digests.listing
    for number, size in enumerate(listing.sizes):
        yield FileEntry(
            path=listing.name(number), size=size, sha256=digests.sha256(number).hex(), cid=digests.cid(number)
        )
