"""A directory against a manifest: what is missing, there in addition, changed, or has another name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.evidence.hashing.cache import HashCache
from llamafund_chain.evidence.hashing.listing import list_tree
from llamafund_chain.evidence.hashing.tree import find_digests
from llamafund_chain.evidence.manifests import Content, FileEntry


@dataclass(frozen=True)
class ChangedFile:
    """A file with other bytes than the manifest says.

    Attributes:
        path: Relative to the directory.
        expected_size: Bytes that the manifest says.
        actual_size: Bytes that it has.
        expected_sha256: What the manifest says, 64 hexadecimal digits.
        actual_sha256: What it is; `None` when the sizes differ, and the file was therefore not read.
    """

    path: str
    expected_size: int
    actual_size: int
    expected_sha256: str
    actual_sha256: str | None


@dataclass(frozen=True)
class TreeComparison:
    """How a directory differs from a manifest.

    Attributes:
        missing: Paths of files that are in the manifest only.
        extra: Paths of files that are in the directory only.
        changed: Files whose bytes differ.
        renamed: Pairs of a missing path and another one that has its bytes; neither is among the other differences.
        contradictions: In what the manifest contradicts itself: addresses or a content root that are not those of
            bytes with the SHA-256 that it gives.
        files: Number of files that are as the manifest says.
        size: Bytes of these.
        cached: Bytes that were not read, because a cache knew what they are.
    """

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[ChangedFile, ...]
    renamed: tuple[tuple[str, str], ...]
    contradictions: tuple[str, ...]
    files: int
    size: int
    cached: int

    @property
    def matches(self) -> bool:
        """Whether nothing differs."""
        return not (self.missing or self.extra or self.changed or self.renamed or self.contradictions)

    @property
    def differences(self) -> int:
        """How many differences there are."""
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
) -> TreeComparison:
    """Compare all files below a directory with those of a manifest.

    Files that cannot be what the manifest says, by their sizes, are not read.

    Args:
        root: The directory.
        files: All that a manifest names.
        content: What it says of their bytes together; `None` where it says nothing, as a listing.
        progress: Called with the number of bytes hashed since the call before, from any thread, one call at a time.
        total: Called once, before the first byte is read, with the number of bytes that will be.
        jobs: Cores to use; all that this process may use when `None`.
        cache: Digests known from earlier times; `None` to read everything.

    Raises:
        UsageError: The root is not a directory, or something in it is neither a file nor a directory, or is a link to
            a directory or out of the tree, or has a name that no manifest can hold.
        LlamafundError: A file cannot be read, or changed while it was read.
    """
    expected = {entry.path: entry for entry in files}
    listing = list_tree(root, allow_empty=True)
    present = {listing.name(number): number for number in range(len(listing))}
    missing = [path for path in expected if path not in present]
    lost_sizes = {expected[path].size for path in missing}
    wanted = [
        number
        for path, number in present.items()
        if (listing.sizes[number] == expected[path].size if path in expected else listing.sizes[number] in lost_sizes)
    ]
    chosen = listing.only(wanted)
    digests = find_digests(chosen, progress=progress, total=total, jobs=jobs, cache=cache)
    found = {chosen.name(place): place for place in range(len(chosen))}

    changed: list[ChangedFile] = []
    contradictions: list[str] = []
    count = size = 0
    for path, entry in expected.items():
        if path not in present:
            continue
        place = found.get(path)
        actual = None if place is None else digests.sha256(place).hex()
        if place is None or actual != entry.sha256:
            changed.append(ChangedFile(path, entry.size, listing.sizes[present[path]], entry.sha256, actual))
            continue
        count += 1
        size += entry.size
        if digests.cid(place) != entry.cid:
            contradictions.append(f"the address of {path!r} is {digests.cid(place)}, not {entry.cid}")
    extra = [path for path in present if path not in expected]
    homeless: defaultdict[str, list[str]] = defaultdict(list)
    for path in reversed(extra):
        if path in found:
            homeless[digests.sha256(found[path]).hex()].append(path)
    renamed = [(path, homeless[expected[path].sha256].pop()) for path in missing if homeless[expected[path].sha256]]
    if content is not None and count == len(expected) and digests.root().hex() != content.root:
        contradictions.append(f"the content root is {digests.root().hex()}, not {content.root}")
    old, new = {pair[0] for pair in renamed}, {pair[1] for pair in renamed}
    return TreeComparison(
        missing=tuple(path for path in missing if path not in old),
        extra=tuple(path for path in extra if path not in new),
        changed=tuple(changed),
        renamed=tuple(renamed),
        contradictions=tuple(contradictions),
        files=count,
        size=size,
        cached=digests.cached,
    )
