"""What commands that hash files share: their options and their progress bar."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from llamafund_chain.cli.options import FilePath, WholeNumber
from llamafund_chain.cli.output import note, shows_progress
from llamafund_chain.evidence.hashing import HashCache, TreeListing, left_out_text
from llamafund_chain.evidence.manifests import look_alikes, shown_path
from llamafund_chain.store import LocalStore, open_store
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress


F = TypeVar("F", bound=Callable[..., Any])

_CACHE_NAME = "hashes.sqlite"
_TWINS_SHOWN = 20
_PATIENCE = 1.0
"""Seconds before anything is shown."""


def jobs_option(command: F) -> F:
    """`--jobs`, parameter `jobs`: a number of cores or `None`."""
    return click.option(
        "--jobs",
        type=WholeNumber(min=1),
        metavar="N",
        default=None,
        show_default="all",
        help="Number of cores to hash with.",
    )(command)


def cache_option(command: F) -> F:
    """`--cache`, parameter `cache`: a path or `None`."""
    return click.option(
        "--cache",
        type=FilePath(),
        metavar="FILE",
        default=None,
        help="File that keeps digests for the next run. Files whose times and sizes have not changed since are not "
        "read again. A program that changes memory-mapped files (mmap) may leave their times unchanged: let it exit "
        "or flush (msync) first, or use no cache.",
    )(command)


def no_cache_option(command: F) -> F:
    """`--no-cache`, parameter `no_cache`: true or false."""
    return click.option(
        "--no-cache",
        is_flag=True,
        help="Hash every byte, whatever was hashed before. For files that root changes or that are memory-mapped.",
    )(command)


def include_hidden_option(command: F) -> F:
    """`--include-hidden`, parameter `include_hidden`: true or false."""
    return click.option(
        "--include-hidden",
        is_flag=True,
        help="Take in what other programs keep in the folder for themselves: .git, .hg, .svn, .cache/huggingface, "
        ".ipynb_checkpoints, __pycache__, __MACOSX, .DS_Store, Thumbs.db, desktop.ini, .llamafund-samples.json "
        "and ._*.",
    )(command)


def allow_secrets_option(command: F) -> F:
    """`--allow-secrets`, parameter `allow_secrets`: true or false."""
    return click.option(
        "--allow-secrets",
        is_flag=True,
        help="Publish files even if they look like secrets: .env, key files, tokens with well-known beginnings.",
    )(command)


def tell_left_out(counts: Counter[str]) -> None:
    """Report what was left out of a folder, if anything."""
    if text := left_out_text(counts):
        note(f"note: {text}")


def tell_look_alikes(listing: TreeListing) -> None:
    """Report names that differ only in how they are written, and that some disks cannot hold side by side."""
    for group in look_alikes(listing.name(number) for number in range(len(listing))):
        names = ", ".join(map(shown_path, group[:_TWINS_SHOWN]))
        note(
            f"note: {len(group)} files differ only in letter case, Unicode form or look, and disks of macOS and "
            f"Windows hold one of them: {names}"
        )


def store_cache(store: str) -> Path | None:
    """Where a store keeps its cache of hashes; `None` if the store is not a directory."""
    return Path(store) / _CACHE_NAME if isinstance(open_store(store), LocalStore) else None


def tell_problem(cache: HashCache | None) -> None:
    """Report what is wrong with a cache, if anything."""
    if cache is not None and cache.problem is not None:
        note(f"note: {cache.problem}. So everything was hashed")


def tell_cached(cache: HashCache | None, cached: int, size: int) -> None:
    """Report how many bytes were not read, or what is wrong with the cache."""
    tell_problem(cache)
    if cache is not None and cached:
        note(
            f"note: {cached} of {size} bytes were not read: their files have not changed since they were hashed, says "
            f"the cache {str(cache.path)!r}"
        )


class HashingProgress:
    """The progress of hashing, with throughput and time left. Shown on standard error after a second, if a terminal.

    A context manager; it clears the progress bar at the end of the block.

    Args:
        description: What is in progress.
    """

    def __init__(self, description: str) -> None:
        self._description = description
        self._total: int | None = None
        self._done = 0
        self._start = time.monotonic()
        self._shown: Progress | None = None
        # Asked here: the threads that hash do not know the command.
        self._wanted = shows_progress()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def total(self, size: int) -> None:
        """Set the number of bytes that will be read."""
        self._total = size

    def advance(self, count: int) -> None:
        """Count bytes. Call it from one thread at a time."""
        self._done += count
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=self._done)
        elif self._wanted and time.monotonic() - self._start > _PATIENCE:
            self._shown = self._show()

    def _show(self) -> Progress:
        # Imported here: most hashing is over before anything is shown.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        shown.add_task(printable(self._description, 60), total=self._total, completed=self._done)
        shown.start()
        return shown
