"""UnixFS addresses of files as the specifications say, in a few lines and with nothing of ours or of aleph-cid's.

dag-pb: https://ipld.io/specs/codecs/dag-pb/spec/. UnixFS and its balanced layout: https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

MAX_LINKS = 174
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_FILE = 2


@dataclass(frozen=True)
class Node:
    """A block as its parent sees it."""

    cid: bytes
    tree_size: int
    file_size: int


def unixfs_address(data: bytes, *, version: int, raw_leaves: bool, block: int) -> str:
    """What `ipfs add` prints for these import settings, with 174 links a node."""

    def address(codec: int, encoded: bytes) -> bytes:
        multihash = b"\x12\x20" + hashlib.sha256(encoded).digest()
        return multihash if version == 0 else b"\x01" + varint(codec) + multihash

    def leaf(piece: bytes) -> Node:
        if raw_leaves:
            return Node(address(0x55, piece), len(piece), len(piece))
        content = field(2, piece) if piece else b""
        encoded = field(1, field(1, _FILE) + content + field(3, len(piece)))
        return Node(address(0x70, encoded), len(encoded), len(piece))

    def parent(children: list[Node]) -> Node:
        links = b"".join(field(2, field(1, c.cid) + field(2, b"") + field(3, c.tree_size)) for c in children)
        size = sum(child.file_size for child in children)
        unixfs = field(1, _FILE) + field(3, size) + b"".join(field(4, child.file_size) for child in children)
        encoded = links + field(1, unixfs)
        return Node(address(0x70, encoded), len(encoded) + sum(child.tree_size for child in children), size)

    level = [leaf(data[start : start + block]) for start in range(0, len(data), block)] or [leaf(b"")]
    while len(level) > 1:
        level = [parent(level[start : start + MAX_LINKS]) for start in range(0, len(level), MAX_LINKS)]
    return base58(level[0].cid) if version == 0 else "b" + base64.b32encode(level[0].cid).decode().rstrip("=").lower()


def leaf_cid(block: bytes) -> bytes:
    """The binary CID of bytes that are a block of their own."""
    return b"\x01\x55\x12\x20" + hashlib.sha256(block).digest()


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | int) -> bytes:
    """A protobuf field: an integer, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return digits
