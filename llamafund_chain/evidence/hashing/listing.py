"""The contents of a directory: its files' names and sizes in manifest order, and where their bytes are."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import check_relative_path, check_sorted_unique
from llamafund_chain.files import kind_of, storage_error


@dataclass(frozen=True)
class TreeListing:
    """Files of a directory, sorted by the bytes of their paths. A million of them take about 100 MB.

    Attributes:
        root: The directory, with symbolic links followed.
        names: Paths relative to it, in UTF-8.
        sizes: Bytes of each file.
        links: For files that are symbolic links, where they lead, by their number.
    """

    root: Path
    names: list[bytes] = field(repr=False)
    sizes: array[int] = field(repr=False)
    links: dict[int, str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        """Total bytes of all files."""
        return sum(self.sizes)

    def name(self, number: int) -> str:
        """A file's path relative to the root."""
        return self.names[number].decode("utf-8")

    def only(self, wanted: Sequence[int]) -> TreeListing:
        """Some of the files.

        Args:
            wanted: Their numbers, ascending.
        """
        return TreeListing(
            self.root,
            [self.names[number] for number in wanted],
            array("Q", (self.sizes[number] for number in wanted)),
            {place: self.links[number] for place, number in enumerate(wanted) if number in self.links},
        )

    def path(self, number: int) -> str:
        """Where a file's bytes are; never a symbolic link when it was listed."""
        return self.links.get(number) or f"{self.root}/{self.name(number)}"


def list_tree(root: Path, paths: Sequence[str] | None = None, *, allow_empty: bool = False) -> TreeListing:
    """List files below a directory.

    A symbolic link to a file inside the tree counts as another file with the same bytes.

    Args:
        root: The directory.
        paths: Files relative to it, in any order; `None` for all files below it.
        allow_empty: Whether there may be no file at all.

    Raises:
        UsageError: The root is not a directory, or there is no file. A path is unsafe, given twice or missing. Or
            something is neither a file nor a directory, or is a link to a directory or out of the tree.
        LlamafundError: A directory cannot be listed.
    """
    real_root = _real_root(root)
    if not real_root.is_dir():
        raise UsageError(f"{str(root)!r} is not a directory", remedy="Name the directory that contains the files")
    # Pairs of bytes sort like the paths in UTF-8, and take less space than text.
    found: list[tuple[bytes, int, str | None]] = []
    for name, size, link in _walk(real_root) if paths is None else _chosen(real_root, paths):
        try:
            check_relative_path(name)
        except ValueError as error:
            raise _unlistable(root, error) from error
        found.append((name.encode("utf-8"), size, link))
    if not found and not allow_empty:
        raise UsageError(
            f"{str(root)!r} contains no files",
            "An empty tree proves nothing",
            "Check that this is the right directory",
        )
    found.sort()
    if paths is not None:
        # Names that a file system lists are distinct anyway.
        try:
            check_sorted_unique([name.decode("utf-8") for name, _, _ in found])
        except ValueError as error:
            raise _unlistable(root, error) from error
    return TreeListing(
        real_root,
        [name for name, _, _ in found],
        array("Q", (size for _, size, _ in found)),
        {number: link for number, (_, _, link) in enumerate(found) if link is not None},
    )


def resolve_inside(root: Path, name: str) -> Path:
    """The path of a tree's file, with symbolic links followed.

    Args:
        root: The directory.
        name: A path as in manifests.

    Raises:
        UsageError: The path is unsafe, or the file is missing or outside the directory.
    """
    try:
        check_relative_path(name)
    except ValueError as error:
        raise UsageError(f"{name!r} cannot be a file of {str(root)!r}", str(error)) from error
    return _resolve(_real_root(root), name)


def _real_root(root: Path) -> Path:
    try:
        return root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"There is no directory {str(root)!r}", remedy="Check the path") from error


def _unlistable(root: Path, error: ValueError) -> UsageError:
    return UsageError(f"The files of {str(root)!r} cannot be listed in a manifest", str(error), "Rename or remove it")


def _resolve(real_root: Path, name: str) -> Path:
    try:
        real = (real_root / name).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        raise UsageError(
            f"There is no file {name!r} in {str(real_root)!r}", "It is missing, or a link that leads nowhere"
        ) from error
    if not real.is_relative_to(real_root):
        raise UsageError(
            f"{name!r} leads out of {str(real_root)!r}, to {str(real)!r}",
            "A link could publish a file that was never meant to be published",
            "Replace the link with a copy of the file",
        )
    return real


def _chosen(real_root: Path, paths: Sequence[str]) -> Iterator[tuple[str, int, str | None]]:
    # All paths are checked before any file is.
    for name in paths:
        try:
            check_relative_path(name)
        except ValueError as error:
            raise _unlistable(real_root, error) from error
    for name in paths:
        real = str(_resolve(real_root, name))
        try:
            status = os.lstat(real)
        except OSError as error:
            raise storage_error(error, f"Reading {real!r}") from error
        yield name, _regular_size(real, status), None if real == f"{real_root}/{name}" else real


def _walk(real_root: Path) -> Iterator[tuple[str, int, str | None]]:
    # Not recursive: directories may be nested deeper than calls.
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        directory = f"{real_root}/{prefix}"
        try:
            with os.scandir(directory) as children:
                for child in children:
                    name = prefix + child.name
                    if child.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    elif child.is_symlink():
                        yield name, *_linked(real_root, name, child.path)
                    else:
                        yield name, _regular_size(child.path, child.stat(follow_symlinks=False)), None
        except OSError as error:
            raise storage_error(error, f"Listing {directory.rstrip('/')!r}") from error


def _linked(real_root: Path, name: str, path: str) -> tuple[int, str]:
    if os.path.isdir(path):  # noqa: PTH112 - a Path for each of a million names is slow
        raise UsageError(
            f"{path!r} is a link to a directory",
            "It could lead out of the tree or around in circles",
            "Replace it with a copy of the directory",
        )
    real = str(_resolve(real_root, name))
    return _regular_size(real, os.lstat(real)), real


def _regular_size(path: str, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{path!r} is {kind_of(status.st_mode)}",
            "Only regular files have content to hash",
            "Replace it with a file",
        )
    return status.st_size
