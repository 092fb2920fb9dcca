"""Blocks of files that come from elsewhere, in CAR files and from trustless gateways: what they are, what they link to.

`evidence.file_dag` makes the blocks of our own files. Those are the ones that are read here.

Sources: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.file_dag import DAG_PB, RAW, FileDag, Link, ReadAt, cid_from_bytes, encode_node
from llamafund_chain.evidence.hashing import FileDigest, raw_cid
from llamafund_chain.evidence.profiles import PROFILES, USUAL, V1_2025, Profile
from llamafund_chain.files import IrregularFileError, open_regular, storage_error
from llamafund_chain.store.base import check_cid
from llamafund_chain.store.ipfs.anycid import read_varint

LEAF_SIZE = USUAL.leaf_size
FANOUT = USUAL.fanout

MAX_BLOCK = 2 * 1024 * 1024
"""Bytes of the largest block that IPFS nodes exchange."""

CID_LENGTH = 36
"""Bytes of a binary CIDv1 with codec raw or dag-pb and SHA-2-256."""


def cid_to_bytes(cid: str) -> bytes:
    """The binary form of an address that stores use.

    Raises:
        UsageError: It is not a CIDv1 with SHA-2-256 in base32, or its codec is neither raw nor dag-pb.
    """
    check_cid(cid)
    binary = base64.b32decode(cid[1:].upper() + "======")
    # This also refuses stray bits in the last letter, which would give one block two names.
    if not is_supported(binary) or cid_from_bytes(binary) != cid:
        check_cid(f"{cid} (codec {binary[1:2].hex()})")
    return binary


def is_supported(binary: bytes) -> bool:
    """Whether a binary CID can be a block's of this profile: version 1, codec raw or dag-pb, SHA-2-256."""
    return len(binary) == CID_LENGTH and binary[:4] in (RAW, DAG_PB)


def is_leaf(binary: bytes) -> bool:
    """Whether a binary CID is that of a leaf, not of a node."""
    return binary[:4] == RAW


@contextmanager
def reading_at(path: Path) -> Iterator[ReadAt]:
    """Read a regular file at any offset.

    Raises:
        UsageError: It does not exist or is not a regular file.
        LlamafundError: It cannot be read.
    """
    try:
        stream = open_regular(path)
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {str(path)!r}", remedy="Check the path") from error
    except IrregularFileError as error:
        raise UsageError(f"{str(path)!r} is {error}", "Only regular files have content") from error
    except OSError as error:
        raise storage_error(error, f"Reading {str(path)!r}") from error

    def read_at(offset: int, length: int) -> bytes:
        try:
            return os.pread(stream.fileno(), length, offset)
        except OSError as error:
            raise storage_error(error, f"Reading {str(path)!r}") from error

    with stream:
        yield read_at


def decode_node(block: bytes) -> tuple[Link, ...] | None:
    """The links of a file's inner node of one of the profiles.

    Returns:
        `None` if the block is something else: a directory, other chunks, another encoding, garbage. The size
        determines the shape of what is returned, so a few blocks cannot unfold to an endless file.
    """
    links = decode_links(block)
    return links if links is not None and any(is_balanced(links, profile) for profile in PROFILES) else None


def decode_links(block: bytes) -> tuple[Link, ...] | None:
    """The links of a file's inner node, whatever its shape.

    Returns:
        `None` if the block is something else. What is returned encodes to exactly this block, so no two readers can
        see different files in it.
    """
    try:
        links = _decode(block)
    except (ValueError, IndexError):
        return None
    return links if encode_node(links) == block else None


def is_balanced(links: Sequence[Link], profile: Profile = USUAL) -> bool:
    """Whether every child but the last is a full subtree of one height, and the last no larger."""
    if not 2 <= len(links) <= profile.fanout:
        return False
    full = profile.leaf_size
    while full < links[0].size:
        full *= profile.fanout
    return all(link.size == full for link in links[:-1]) and 0 < links[-1].size <= full


def under_other_profile(cid: str, again: Callable[[], Iterator[bytes]]) -> Callable[[FileDigest], bool]:
    """Judges whether bytes without the usual address have this one by another profile.

    Args:
        cid: The address.
        again: Returns the bytes once more; only asked for if their digest does not decide it.

    Returns:
        Takes the digest of the bytes.
    """

    def judge(digest: FileDigest) -> bool:
        if digest.size <= V1_2025.leaf_size:
            return digest.size > USUAL.leaf_size and cid == raw_cid(digest.sha256)
        hasher = hashlib.sha256()

        def spans() -> Iterator[bytes]:
            for span in again():
                hasher.update(span)
                yield span

        dag = FileDag.of(spans(), V1_2025)
        return dag.cid == cid and hasher.hexdigest() == digest.sha256

    return judge


def _expect(block: bytes, place: int, tag: bytes) -> int:
    if block[place : place + len(tag)] != tag:
        raise ValueError("unexpected field")
    return place + len(tag)


def _decode(block: bytes) -> tuple[Link, ...]:
    children: list[tuple[bytes, int]] = []
    place = 0
    while block[place : place + 1] == b"\x12":
        length, place = read_varint(block, place + 1)
        end = place + length
        place = _expect(block, place, b"\x0a" + bytes((CID_LENGTH,)))
        cid = block[place : place + CID_LENGTH]
        total, place = read_varint(block, _expect(block, place + CID_LENGTH, b"\x12\x00\x18"))
        if place != end or not is_supported(cid):
            raise ValueError("a link is of another kind")
        children.append((cid, total))
    length, place = read_varint(block, _expect(block, place, b"\x0a"))
    if place + length != len(block) or not children:
        raise ValueError("no data, or bytes after it")
    _, place = read_varint(block, _expect(block, place, b"\x08\x02\x18"))
    links = []
    for cid, total in children:
        size, place = read_varint(block, _expect(block, place, b"\x20"))
        links.append(Link(cid, size, total))
    return tuple(links)
