"""Digests of one file: SHA-256 and IPFS address."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.file_dag import RAW, FileDagHasher, cid_from_bytes
from llamafund_chain.evidence.profiles import USUAL
from llamafund_chain.files import read_spans

BLOCK_SIZE = USUAL.leaf_size
"""Bytes of a UnixFS block. The address of a file of one block contains its SHA-256."""

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


class FileHasher:
    """Computes a `FileDigest` from a stream of bytes, however it is split into updates."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._dag = FileDagHasher()

    def update(self, data: bytes) -> None:
        """Absorb the next bytes."""
        self._sha256.update(data)
        self._dag.update(data)

    def finish(self) -> FileDigest:
        """The digest of everything absorbed so far; more may be absorbed afterwards."""
        dag = self._dag.dag()
        return FileDigest(size=dag.size, sha256=self._sha256.hexdigest(), cid=dag.cid)


def hash_bytes(data: bytes) -> FileDigest:
    """Digest of bytes in memory."""
    if len(data) <= BLOCK_SIZE:
        # The address of one block contains its SHA-256, so that is computed only once.
        sha256 = hashlib.sha256(data).hexdigest()
        return FileDigest(size=len(data), sha256=sha256, cid=raw_cid(sha256))
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


def raw_cid(sha256: str) -> str:
    """The IPFS address of a file of one block (at most 256 KiB) with this SHA-256: CIDv1, codec raw.

    Raises:
        UsageError: It is not 64 lower-case hexadecimal digits.
    """
    if not _HEX_HASH.fullmatch(sha256):
        raise UsageError(f"{sha256[:80]!r} is not a SHA-256", "A hash is 64 lower-case hexadecimal digits without 0x")
    return cid_from_bytes(RAW + bytes.fromhex(sha256))


def sha256_of_raw_cid(cid: str) -> str:
    """The SHA-256 in the IPFS address of a file of one block; the inverse of `raw_cid`.

    Raises:
        UsageError: It is not a CIDv1 of codec raw with SHA-2-256 in base32.
    """
    try:
        decoded = base64.b32decode(cid[1:].upper() + "=" * (-len(cid[1:]) % 8))
    except (binascii.Error, ValueError):
        decoded = b""
    sha256 = decoded[len(RAW) :].hex()
    # Encoding it again also refuses other letter cases and stray bits in the last digit.
    if len(sha256) != 64 or raw_cid(sha256) != cid:
        raise UsageError(
            f"{cid[:80]!r} is not the address of a single block",
            "It must be a CIDv1 of codec raw with SHA-2-256, which starts with bafkrei",
        )
    return sha256
