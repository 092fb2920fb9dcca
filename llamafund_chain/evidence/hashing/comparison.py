"""Compares a directory with a manifest: which files are missing, extra, changed or renamed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Literal

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing.cache import HashCache
from llamafund_chain.evidence.hashing.listing import list_tree
from llamafund_chain.evidence.hashing.one_pass import Digests
from llamafund_chain.evidence.hashing.tree import find_digests
from llamafund_chain.evidence.manifests import Content, FileEntry
from llamafund_chain.files import read_spans

_MAX_TEXT = 16 * 1024 * 1024
"""Bytes of the largest changed file whose line ends are looked at."""


@dataclass(frozen=True)
class ChangedFile:
    """A file with other bytes than the manifest says.

    Attributes:
        path: Relative to the directory.
        expected_size: Its size in the manifest, bytes.
        actual_size: Its real size, bytes.
        expected_sha256: Its hash in the manifest, 64 hexadecimal digits.
        actual_sha256: Its real hash; `None` if the sizes differ, because then the file was not read.
        line_ends: `CRLF` or `LF` if only its line ends differ and it has these; else `None`.
    """

    path: str
    expected_size: int
    actual_size: int
    expected_sha256: str
    actual_sha256: str | None
    line_ends: Literal["CRLF", "LF"] | None = None


@dataclass(frozen=True)
class TreeComparison:
    """How a directory differs from a manifest.

    Attributes:
        missing: Paths of files that are only in the manifest.
        extra: Paths of files that are only in the directory.
        changed: Files whose bytes differ.
        renamed: Pairs of a missing path and another one with its bytes; neither is among the other differences.
        contradictions: How the manifest contradicts itself: addresses or a content root that do not belong to the
            bytes with its SHA-256.
        files: Number of files that match the manifest.
        size: Total bytes of these.
        cached: Bytes that were not read, because a cache knew their digests.
        left_out: Number of files that were not compared, by what `LeavingOut` leaves them out as.
    """

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[ChangedFile, ...]
    renamed: tuple[tuple[str, str], ...]
    contradictions: tuple[str, ...]
    files: int
    size: int
    cached: int
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def matches(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.extra or self.changed or self.renamed or self.contradictions)

    @property
    def differences(self) -> int:
        """Number of differences."""
        lists = (self.missing, self.extra, self.changed, self.renamed, self.contradictions)
        return sum(map(len, lists))


def compare_tree(
    root: Path,
    files: Iterable[FileEntry],
    content: Content | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    total: Callable[[int], None] | None = None,
    jobs: int | None = None,
    cache: HashCache | None = None,
    hidden: bool = False,
    address: Callable[[Path], str] | None = None,
) -> TreeComparison:
    """Compare all files below a directory with those of a manifest.

    Files whose sizes cannot match the manifest are not read. What `publish` leaves out is no extra file; but what the
    manifest names is compared, wherever it is.

    Args:
        root: The directory.
        files: All files that a manifest names.
        content: The manifest's content root and size; `None` if it has none, like a listing.
        progress: Called with the number of bytes hashed since the previous call, from any thread, one call at a time.
        total: Called once, before the first byte is read, with the total number of bytes.
        jobs: Cores to use; `None` for all that this process may use.
        cache: Digests from earlier runs; `None` to read everything.
        hidden: Whether files on the named lists of `left_out` count too.
        address: Computes a file's address if the manifest has others than the usual ones.

    Raises:
        UsageError: The root is not a directory, or something in it is neither a file nor a directory, or is a link to
            a directory or out of the tree, or has a name that no manifest can contain.
        LlamafundError: A file cannot be read, or changed while it was read.
    """
    expected = {entry.path: entry for entry in files}
    listing = list_tree(root, allow_empty=True, hidden=hidden, keep=expected)
    sizes = {listing.name(number): size for number, size in enumerate(listing.sizes)}
    missing = [path for path in expected if path not in sizes]
    extra = [path for path in sizes if path not in expected]
    chosen = listing.only(list(_worth_reading(sizes, expected, missing)))
    digests = find_digests(chosen, progress=progress, total=total, jobs=jobs, cache=cache)
    seen = _Seen(digests, {chosen.name(place): place for place in range(len(chosen))}, root, address)

    same, changed = _judge(expected, sizes, seen)
    whole = content if len(same) == len(expected) else None
    renamed = _pair(missing, extra, expected, seen)
    old, new = {pair[0] for pair in renamed}, {pair[1] for pair in renamed}
    return TreeComparison(
        missing=tuple(path for path in missing if path not in old),
        extra=tuple(path for path in extra if path not in new),
        changed=tuple(_with_line_ends(listing.root, file) for file in changed),
        renamed=tuple(renamed),
        contradictions=tuple(_contradictions(same, whole, seen)),
        files=len(same),
        size=sum(entry.size for entry in same),
        cached=digests.cached,
        left_out=listing.left_out,
    )


@dataclass(frozen=True)
class _Seen:
    """The files that were read.

    Attributes:
        digests: Their digests.
        places: Their numbers in `digests`, by path.
        root: The directory that they are in.
        address: See `compare_tree`.
    """

    digests: Digests
    places: Mapping[str, int]
    root: Path
    address: Callable[[Path], str] | None

    def sha256(self, path: str) -> str | None:
        """64 hexadecimal digits; `None` if the file was not read."""
        place = self.places.get(path)
        return None if place is None else self.digests.sha256(place).hex()

    def cid(self, path: str) -> str:
        if self.address is not None:
            return self.address(self.root / path)
        return self.digests.cid(self.places[path])


def _worth_reading(
    sizes: Mapping[str, int], expected: Mapping[str, FileEntry], missing: Sequence[str]
) -> Iterator[int]:
    """Numbers of the files that may match the manifest, or may be a missing one under another name."""
    lost = {expected[path].size for path in missing}
    for number, (path, size) in enumerate(sizes.items()):
        if size == expected[path].size if path in expected else size in lost:
            yield number


def _judge(
    expected: Mapping[str, FileEntry], sizes: Mapping[str, int], seen: _Seen
) -> tuple[list[FileEntry], list[ChangedFile]]:
    """Of the files that exist, those that match the manifest, and the others."""
    same: list[FileEntry] = []
    changed: list[ChangedFile] = []
    for path, entry in expected.items():
        if path not in sizes:
            continue
        actual = seen.sha256(path)
        if actual == entry.sha256:
            same.append(entry)
        else:
            changed.append(ChangedFile(path, entry.size, sizes[path], entry.sha256, actual))
    return same, changed


def _pair(
    missing: Sequence[str], extra: Sequence[str], expected: Mapping[str, FileEntry], seen: _Seen
) -> list[tuple[str, str]]:
    """Pairs of a missing file and one that has its bytes under another name, both in order."""
    homeless: defaultdict[str | None, list[str]] = defaultdict(list)
    for path in reversed(extra):
        homeless[seen.sha256(path)].append(path)
    return [(path, homeless[expected[path].sha256].pop()) for path in missing if homeless[expected[path].sha256]]


def _contradictions(same: Iterable[FileEntry], content: Content | None, seen: _Seen) -> Iterator[str]:
    """How a manifest contradicts itself, as far as the matching files show.

    Args:
        same: The matching files.
        content: Its content root and size; `None` if it has none, or some file is missing.
        seen: The files that were read.
    """
    for entry in same:
        cid = seen.cid(entry.path)
        if cid != entry.cid:
            yield f"the address of {entry.path!r} is {cid}, not {entry.cid}"
    if content is not None:
        root = seen.digests.root().hex()
        if root != content.root:
            yield f"the content root is {root}, not {content.root}"


def _with_line_ends(root: Path, file: ChangedFile) -> ChangedFile:
    """The same file, with what its line ends are if nothing else differs: Git converts them on some machines."""
    if file.actual_size > _MAX_TEXT or file.expected_size > _MAX_TEXT or file.actual_size == file.expected_size:
        return file
    try:
        data = b"".join(read_spans((root / file.path).resolve()))
    except LlamafundError:
        return file
    bare = data.replace(b"\r\n", b"\n")
    if new_sha256(bare).hexdigest() == file.expected_sha256:
        return replace(file, line_ends="CRLF")
    if b"\r" not in data and new_sha256(data.replace(b"\n", b"\r\n")).hexdigest() == file.expected_sha256:
        return replace(file, line_ends="LF")
    return file
