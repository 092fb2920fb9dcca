"""Hashes of files and trees: SHA-256, IPFS address and content root from one read of the bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aleph_cid import CidHasher

from llamafund_chain.errors import UsageError
from llamafund_chain.files import read_spans, storage_error
from llamafund_chain.manifests import Content, FileEntry, check_relative_path, check_sorted_unique
from llamafund_chain.merkle import MerkleHasher

_RAW_CID_PREFIX = b"\x01\x55\x12\x20"
"""CID version 1, codec raw, multihash SHA-2-256, 32 bytes."""

_HEX_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileDigest:
    """What identifies a file's bytes.

    Attributes:
        size: Bytes.
        sha256: 64 lower-case hexadecimal digits, as `sha256sum` prints them.
        cid: UnixFS CIDv1 with raw leaves and 256 KiB chunks, as `ipfs add --cid-version=1` prints it.
    """

    size: int
    sha256: str
    cid: str


@dataclass(frozen=True)
class TreeDigest:
    """What identifies a directory's files.

    Attributes:
        files: Sorted by the bytes of their paths.
        content: Merkle root and size of the files' bytes in that order.
    """

    files: tuple[FileEntry, ...]
    content: Content


class FileHasher:
    """Computes a `FileDigest` from a stream of bytes, however it is cut into updates."""

    def __init__(self) -> None:
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._cid = CidHasher.for_ipfs_v1_raw_leaves()

    def update(self, data: bytes) -> None:
        """Absorb the next bytes."""
        self._size += len(data)
        self._sha256.update(data)
        self._cid.update(data)

    def finish(self) -> FileDigest:
        """The digest of everything absorbed. The hasher can absorb nothing afterwards."""
        return FileDigest(size=self._size, sha256=self._sha256.hexdigest(), cid=self._cid.finalize())


def hash_bytes(data: bytes) -> FileDigest:
    """Digest of bytes in memory."""
    hasher = FileHasher()
    hasher.update(data)
    return hasher.finish()


def hash_file(path: Path) -> FileDigest:
    """Digest of a regular file.

    Raises:
        UsageError: It does not exist or is not a regular file.
        LlamafundError: It cannot be read, or changed while it was read.
    """
    hasher = FileHasher()
    for span in read_spans(path):
        hasher.update(span)
    return hasher.finish()


def hash_tree(
    root: Path, paths: Sequence[str] | None = None, *, progress: Callable[[int], None] | None = None
) -> TreeDigest:
    """Hash files below a directory, each in one read.

    A symbolic link to a file inside the tree counts as a file of its own with the same bytes.

    Args:
        root: The directory.
        paths: Files relative to it, in any order; all files below it when null.
        progress: Called with the number of bytes hashed since the call before.

    Raises:
        UsageError: The root is not a directory, there is no file, a path is unsafe, given twice or missing,
            or something is neither a file nor a directory or is a link to a directory or out of the tree.
        LlamafundError: A file cannot be read, or changed while it was read.
    """
    try:
        real_root = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"There is no directory {str(root)!r}", remedy="Check the path") from error
    if not real_root.is_dir():
        raise UsageError(f"{str(root)!r} is not a directory", remedy="Give the directory that holds the files")
    names = sorted(_walk(real_root) if paths is None else paths, key=_utf8)
    if not names:
        raise UsageError(
            f"{str(root)!r} holds no files",
            "An empty tree proves nothing",
            "Check that this is the right directory",
        )
    try:
        for name in names:
            check_relative_path(name)
        check_sorted_unique(names)
    except ValueError as error:
        raise UsageError(f"The files of {str(root)!r} cannot be listed in a manifest", str(error)) from error
    tree = MerkleHasher()
    entries: list[FileEntry] = []
    for name in names:
        hasher = FileHasher()
        for span in read_spans(_resolve(real_root, name)):
            hasher.update(span)
            tree.update(span)
            if progress is not None:
                progress(len(span))
        digest = hasher.finish()
        entries.append(FileEntry(path=name, size=digest.size, sha256=digest.sha256, cid=digest.cid))
    return TreeDigest(files=tuple(entries), content=Content(root=tree.root().hex(), size=tree.size))


def raw_cid(sha256: str) -> str:
    """The IPFS address of a file of one block (at most 256 KiB) with this SHA-256: CIDv1, codec raw.

    Raises:
        UsageError: It is not 64 lower-case hexadecimal digits.
    """
    if not _HEX_HASH.fullmatch(sha256):
        raise UsageError(f"{sha256[:80]!r} is not a SHA-256", "A hash is 64 lower-case hexadecimal digits without 0x")
    encoded = base64.b32encode(_RAW_CID_PREFIX + bytes.fromhex(sha256)).decode("ascii")
    return "b" + encoded.rstrip("=").lower()


def sha256_of_raw_cid(cid: str) -> str:
    """The SHA-256 in the IPFS address of a file of one block; the inverse of `raw_cid`.

    Raises:
        UsageError: It is not a CIDv1 of codec raw with SHA-2-256 in base32.
    """
    try:
        decoded = base64.b32decode(cid[1:].upper() + "=" * (-len(cid[1:]) % 8))
    except (binascii.Error, ValueError):
        decoded = b""
    sha256 = decoded[len(_RAW_CID_PREFIX) :].hex()
    # Encoding it again also refuses other letter cases and stray bits in the last digit.
    if len(sha256) != 64 or raw_cid(sha256) != cid:
        raise UsageError(
            f"{cid[:80]!r} is not the address of a single block",
            "Expected is a CIDv1 of codec raw with SHA-2-256, which starts with bafkrei",
        )
    return sha256


def resolve_inside(root: Path, name: str) -> Path:
    """The place of a file of a tree, with symbolic links followed.

    Args:
        root: The directory.
        name: A path as manifests have them.

    Raises:
        UsageError: The path is unsafe, or the file is missing or lies outside of the directory.
    """
    try:
        check_relative_path(name)
        real_root = root.resolve(strict=True)
    except ValueError as error:
        raise UsageError(f"{name!r} cannot be a file of {str(root)!r}", str(error)) from error
    except (OSError, RuntimeError) as error:
        raise UsageError(f"There is no directory {str(root)!r}", remedy="Check the path") from error
    return _resolve(real_root, name)


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
            "A link could publish a file that was never meant to be",
            "Replace the link by a copy of the file",
        )
    return real


def _utf8(name: str) -> bytes:
    # A name that is not valid Unicode must get as far as the check that refuses it.
    return name.encode("utf-8", "surrogatepass")


def _walk(directory: Path, prefix: str = "") -> Iterator[str]:
    try:
        children = list(os.scandir(directory))
    except OSError as error:
        raise storage_error(error, f"Listing {str(directory)!r}") from error
    for child in children:
        name = prefix + child.name
        if child.is_dir(follow_symlinks=False):
            yield from _walk(Path(child.path), f"{name}/")
        elif child.is_symlink() and Path(child.path).is_dir():
            raise UsageError(
                f"{child.path!r} is a link to a directory",
                "It could lead out of the tree or around in circles",
                "Replace it by a copy of the directory",
            )
        else:
            yield name
