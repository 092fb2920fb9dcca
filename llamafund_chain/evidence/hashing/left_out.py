"""What stays behind when a folder is taken in: other programs' files, the folder's own wishes, unfinished files.

One rule for everything that takes a folder in: `publish`, `dataset build`, `verify` and the trainer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_chain.files import is_unfinished, open_regular, read_error
from llamafund_chain.text import counted

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".llamafundignore"
"""A file in the folder with patterns, in the syntax of `.gitignore`, of files to leave out. It is left out itself."""

_MAX_IGNORE_BYTES = 256 * 1024

FOLDERS = frozenset({".git", ".hg", ".svn", ".ipynb_checkpoints", "__pycache__", "__MACOSX"})
"""Folders left out, at any depth: history with its credentials, copies and caches that programs make for themselves."""

NESTED_FOLDERS = frozenset({".cache/huggingface"})
"""The same for folders that are known only by two names."""

SAMPLES_FILE = ".llamafund-samples.json"
"""The file beside a table in which the trainer keeps the hash of its samples."""

FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", SAMPLES_FILE})
"""Files left out, at any depth: what macOS and Windows keep about how a folder is shown, and the trainer's hashes."""

PREFIX = "._"
"""How files begin in which macOS keeps what another disk cannot hold."""

UNFINISHED = "unfinished files"
"""What files are counted under that were never completed."""

Skip = Callable[[str, bool], str | None]
"""Takes a path and whether it is a folder; returns what it is left out as, `None` to take it in."""


@dataclass(frozen=True)
class LeavingOut:
    """Which files of a folder are left out, and how many there were.

    Attributes:
        named: Whether to leave out what is on the named lists.
        patterns: From the folder's `.llamafundignore`.
        keep: Paths of files that are taken in whatever the lists say, because a manifest names them.
        counts: Filled in by the walk: number of files by what they are left out as.
    """

    named: bool = True
    patterns: GitIgnoreSpec | None = None
    keep: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    _kept_folders: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: Path, *, named: bool = True, keep: Iterable[str] = ()) -> LeavingOut:
        """The rule for a folder.

        Args:
            root: The folder.
            named: Whether to leave out what is on the named lists.
            keep: As the attribute. If it has the folder's `.llamafundignore`, a stranger may have written it to hide
                files, and it is not followed.

        Raises:
            UsageError: The `.llamafundignore` is no file with patterns.
            LlamafundError: It cannot be read.
        """
        kept = frozenset(keep)
        folders = frozenset(name[:end] for name in kept for end in _slashes(name))
        patterns = None if IGNORE_FILE in kept else _read_patterns(root / IGNORE_FILE)
        return cls(named, patterns, kept, _kept_folders=folders)

    def reason(self, path: str, name: str, *, folder: bool) -> str | None:
        """What a file or folder is left out as; `None` if it is taken in.

        Args:
            path: Relative to the root.
            name: Its last part.
            folder: Whether it is a folder.
        """
        if is_unfinished(name):
            return UNFINISHED
        if self.named:
            if folder:
                if name in FOLDERS:
                    return f"{name}/"
                if name == "huggingface" and path.endswith(tuple(NESTED_FOLDERS)):
                    return f"{path}/" if path in NESTED_FOLDERS else ".cache/huggingface/"
            elif name in FILES:
                return name
            elif name.startswith(PREFIX):
                return f"{PREFIX}*"
        if path == IGNORE_FILE:
            return IGNORE_FILE
        if self.patterns is not None and self.patterns.match_file(f"{path}/" if folder else path):
            return f"matches in {IGNORE_FILE}"
        return None

    def wants(self, path: str) -> bool:
        """Whether a file that is left out is taken in all the same."""
        return path in self.keep and not is_unfinished(path.rpartition("/")[2])

    def holds_wanted(self, path: str) -> bool:
        """Whether a folder that is left out has files that are taken in all the same."""
        return path in self._kept_folders

    def count_below(self, directory: str, reason: str) -> None:
        """Count the files below a folder that is left out whole. What cannot be listed is not counted."""
        self.counts[reason] += sum(len(files) for _, _, files in os.walk(directory))


def left_out_text(counts: Counter[str], *, option: str = "--include-hidden") -> str:
    """What was left out, for a person; empty if nothing was.

    Args:
        counts: From `LeavingOut.counts`.
        option: The option that takes in what is on the named lists.
    """
    if not counts:
        return ""
    parts = ", ".join(f"{number} × {reason}" for reason, number in sorted(counts.items()))
    named = any(_is_named(reason) for reason in counts)
    return f"{counted(sum(counts.values()), 'file')} left out: {parts}" + (
        f". {option} takes in what other programs keep there" if named else ""
    )


def _is_named(reason: str) -> bool:
    return reason != UNFINISHED and IGNORE_FILE not in reason


def _slashes(path: str) -> Iterator[int]:
    place = path.find("/")
    while place != -1:
        yield place
        place = path.find("/", place + 1)


def _read_patterns(path: Path) -> GitIgnoreSpec | None:
    if not os.path.lexists(path):
        return None
    try:
        with open_regular(path) as stream:
            data = stream.read(_MAX_IGNORE_BYTES + 1)
    except OSError as error:
        raise read_error(path, error) from error
    # Imported here: few folders have such a file.
    from pathspec import GitIgnoreSpec

    try:
        if len(data) > _MAX_IGNORE_BYTES:
            raise ValueError(f"it is longer than {_MAX_IGNORE_BYTES} bytes")
        return GitIgnoreSpec.from_lines(data.decode("utf-8-sig").splitlines())
    except ValueError as error:
        raise UsageError(
            f"{str(path)!r} has no patterns that can be followed",
            str(error),
            "Write it like a .gitignore, in UTF-8",
        ) from error
