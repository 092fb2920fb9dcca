"""The contents of a directory: its files' names and sizes in manifest order, and where their bytes are."""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing.left_out import LeavingOut, left_out_text
from llamafund_chain.evidence.manifests import check_relative_path, check_sorted_unique
from llamafund_chain.files import is_unfinished, kind_of, storage_error

_HUB_FOLDER = re.compile(r"(models|datasets|spaces)--.+")
"""A repository's folder in the cache of Hugging Face Hub."""


@dataclass(frozen=True)
class TreeListing:
    """Files of a directory, sorted by the bytes of their paths. A million of them take about 100 MB.

    Attributes:
        root: The directory, with symbolic links followed.
        names: Paths relative to it, in UTF-8.
        sizes: Bytes of each file.
        links: For files that are symbolic links, where they lead, by their number.
        left_out: Number of files that stayed behind, by what they are left out as.
    """

    root: Path
    names: list[bytes] = field(repr=False)
    sizes: array[int] = field(repr=False)
    links: dict[int, str] = field(repr=False)
    left_out: Counter[str] = field(default_factory=Counter, repr=False)

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
            self.left_out,
        )

    def path(self, number: int) -> str:
        """Where a file's bytes are; never a symbolic link when it was listed."""
        return self.links.get(number) or f"{self.root}/{self.name(number)}"


def list_tree(
    root: Path,
    paths: Sequence[str] | None = None,
    *,
    allow_empty: bool = False,
    hidden: bool = False,
    keep: Iterable[str] = (),
) -> TreeListing:
    """List files below a directory, without those that `LeavingOut` leaves out.

    A symbolic link to a file inside the tree counts as another file with the same bytes. So does a link from a
    snapshot in the cache of Hugging Face Hub into the `blobs/` of the same repository.

    Args:
        root: The directory.
        paths: Files relative to it, in any order; `None` for all files below it.
        allow_empty: Whether there may be no file at all.
        hidden: Whether to list also what is on the named lists of `left_out`.
        keep: Paths of files that are listed even if they would be left out.

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
    leaving = LeavingOut() if paths is not None else LeavingOut.of(real_root, named=not hidden, keep=keep)
    if paths is None:
        _refuse_hub_folder(root, real_root)
    for name, size, link in _walk(real_root, leaving) if paths is None else _chosen(real_root, paths):
        try:
            check_relative_path(name)
        except ValueError as error:
            raise _unlistable(root, error) from error
        found.append((name.encode("utf-8"), size, link))
    if not found and not allow_empty:
        raise UsageError(
            f"{str(root)!r} contains no files",
            left_out_text(leaving.counts) or "An empty tree proves nothing",
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
        leaving.counts,
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
    if not real.is_relative_to(real_root) and not _is_blob(real_root, real):
        raise UsageError(
            f"{name!r} leads out of {str(real_root)!r}, to {str(real)!r}",
            "A link could publish a file that was never meant to be published",
            "Replace the link with a copy of the file",
        )
    return real


def _is_blob(snapshot: Path, real: Path) -> bool:
    """Whether a file is a blob of the repository that a folder is a snapshot of, in the cache of Hugging Face Hub."""
    repository = snapshot.parent.parent
    return (
        snapshot.parent.name == "snapshots"
        and _HUB_FOLDER.fullmatch(repository.name) is not None
        and real.parent == repository / "blobs"
    )


def _refuse_hub_folder(root: Path, real_root: Path) -> None:
    """Refuse a repository's folder in the cache of Hugging Face Hub: it has every file twice, and other revisions."""
    if _HUB_FOLDER.fullmatch(real_root.name) is None:
        return
    snapshots = real_root / "snapshots"
    if not (real_root / "blobs").is_dir() or not snapshots.is_dir():
        return
    names = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    raise UsageError(
        f"{str(root)!r} is the cache of a repository, not its files",
        "It has the files of every revision under their hashes",
        f"Name a revision's folder: {str(root / 'snapshots' / (names[0] if names else 'REVISION'))!r}",
    )


def _chosen(real_root: Path, paths: Sequence[str]) -> Iterator[tuple[str, int, str | None]]:
    # All paths are checked before any file is.
    for name in paths:
        try:
            check_relative_path(name)
            if is_unfinished(name.rpartition("/")[2]):
                raise ValueError(f"{name!r} is the name of an unfinished file")
        except ValueError as error:
            raise _unlistable(real_root, error) from error
    for name in paths:
        real = str(_resolve(real_root, name))
        try:
            status = os.lstat(real)
        except OSError as error:
            raise storage_error(error, f"Reading {real!r}") from error
        yield name, _regular_size(real, status), None if real == f"{real_root}/{name}" else real


def _walk(real_root: Path, leaving: LeavingOut) -> Iterator[tuple[str, int, str | None]]:
    # Not recursive: directories may be nested deeper than calls. With each, what its files are left out as.
    waiting: list[tuple[str, str | None]] = [("", None)]
    while waiting:
        prefix, inherited = waiting.pop()
        directory = f"{real_root}/{prefix}"
        try:
            with os.scandir(directory) as children:
                for child in children:
                    name = prefix + child.name
                    folder = child.is_dir(follow_symlinks=False)
                    reason = inherited or leaving.reason(name, child.name, folder=folder)
                    if folder:
                        if reason is None or leaving.holds_wanted(name):
                            waiting.append((f"{name}/", reason))
                        else:
                            leaving.count_below(child.path, reason)
                    elif reason is not None and not leaving.wants(name):
                        leaving.counts[reason] += 1
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
