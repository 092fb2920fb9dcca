"""Addresses (CIDs) and nodes of every kind that IPFS tools write, to read other people's archives.

Evidence uses one kind only; see `unixfs`. Everything else is read where its bytes can be verified, and otherwise called
what it is. Sources: https://github.com/multiformats/cid, https://github.com/multiformats/multicodec,
https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import base58

RAW = 0x55
DAG_PB = 0x70
SHA2_256 = 0x12
IDENTITY = 0x00

_CODECS: Mapping[int, str] = {
    RAW: "raw",
    DAG_PB: "dag-pb",
    0x71: "dag-cbor",
    0x72: "libp2p-key",
    0x78: "git",
    0x0129: "dag-json",
    0x0200: "json",
    0x51: "cbor",
    0x85: "dag-jose",
}
_HASHES: Mapping[int, str] = {
    IDENTITY: "identity",
    0x11: "sha1",
    SHA2_256: "sha2-256",
    0x13: "sha2-512",
    0x14: "sha3-512",
    0x16: "sha3-256",
    0x1B: "keccak-256",
    0x1E: "blake3",
    0xB220: "blake2b-256",
    0xB240: "blake2b-512",
}
# Not sha1: two blocks can have one such hash.
_COMPUTE: Mapping[int, Any] = {
    SHA2_256: hashlib.sha256,
    0x13: hashlib.sha512,
    0x14: hashlib.sha3_512,
    0x16: hashlib.sha3_256,
    0xB220: partial(hashlib.blake2b, digest_size=32),
    0xB240: hashlib.blake2b,
}
_MAX_DIGEST = 128


@dataclass(frozen=True, slots=True)
class AnyCid:
    """A CID of any version, codec and hash function.

    Attributes:
        binary: As archives have it. Version 0 is written as version 1, so that one block has one name.
        codec: What its block is, by the multicodec table.
        function: The hash function, by the same table.
        digest: The hash.
        version: 0 or 1.
    """

    binary: bytes
    codec: int
    function: int
    digest: bytes
    version: int

    @property
    def text(self) -> str:
        """As people write it: base58 for version 0, base32 otherwise."""
        if self.version == 0:
            return base58.b58encode(self.binary[2:]).decode("ascii")
        return "b" + base64.b32encode(self.binary).decode("ascii").rstrip("=").lower()

    @property
    def codec_name(self) -> str:
        """The codec's name, or its number."""
        return _CODECS.get(self.codec, f"codec 0x{self.codec:x}")

    @property
    def function_name(self) -> str:
        """The hash function's name, or its number."""
        return _HASHES.get(self.function, f"hash function 0x{self.function:x}")

    def judge(self, block: bytes) -> bool | None:
        """Whether a block is the one that this names; `None` if the hash function is not known here."""
        if self.function == IDENTITY:
            return block == self.digest
        compute = _COMPUTE.get(self.function)
        return None if compute is None else bool(compute(block).digest() == self.digest)


def parse_cid(data: bytes) -> tuple[AnyCid, int] | None:
    """The CID at the beginning of some bytes, and its length there; `None` if they do not begin with one."""
    try:
        if data[:2] == b"\x12\x20" and len(data) >= 34:
            return AnyCid(b"\x01\x70" + data[:34], DAG_PB, SHA2_256, data[2:34], 0), 34
        version, place = read_varint(data, 0)
        codec, place = read_varint(data, place)
        function, place = read_varint(data, place)
        length, place = read_varint(data, place)
    except (ValueError, IndexError):
        return None
    end = place + length
    if version != 1 or length > _MAX_DIGEST or end > len(data):
        return None
    return AnyCid(data[:end], codec, function, data[place:end], 1), end


def read_varint(block: bytes, place: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most 63 bits, in its shortest form, and the place after it.

    Raises:
        ValueError: It is longer, or not in its shortest form.
        IndexError: The bytes end before it does.
    """
    value = 0
    for shift in range(0, 63, 7):
        byte = block[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise ValueError("a number is not in its shortest form")
            return value, place
    raise ValueError("a number is longer than 63 bits")


Kind = Literal["file", "directory", "sharded directory", "symbolic link", "metadata"]
_KINDS: Mapping[int, Kind] = {
    0: "file",
    1: "directory",
    2: "file",
    3: "metadata",
    4: "symbolic link",
    5: "sharded directory",
}


@dataclass(frozen=True, slots=True)
class Child:
    """A link of a node.

    Attributes:
        cid: What it leads to.
        size: Bytes of the file below it, for a file's node; 0 in a directory.
    """

    cid: AnyCid
    size: int


@dataclass(frozen=True, slots=True)
class UnixfsNode:
    """A node of a file or directory, whatever its profile.

    Attributes:
        kind: What it is.
        data: Bytes of the file that come before those of its children.
        children: In order.
    """

    kind: Kind
    data: bytes
    children: tuple[Child, ...]

    @property
    def size(self) -> int:
        """Bytes of the file that it says it is."""
        return len(self.data) + sum(child.size for child in self.children)


def decode_unixfs(block: bytes) -> UnixfsNode | None:
    """The UnixFS node in a dag-pb block; `None` if it is something else, or two readers could read it differently."""
    try:
        return _decode(block)
    except (ValueError, IndexError):
        return None


def _decode(block: bytes) -> UnixfsNode:
    links: list[AnyCid] = []
    data: bytes | None = None
    for number, value in _fields(block):
        # Some writers put the data before the links.
        if number == 2 and isinstance(value, bytes):
            links.append(_linked(value))
        elif number == 1 and isinstance(value, bytes) and data is None:
            data = value
        else:
            raise ValueError("an unknown field, or one that comes twice")
    if data is None:
        raise ValueError("no data")
    single: dict[int, int | bytes] = {}
    sizes: list[int] = []
    for number, value in _fields(data):
        if number == 4:
            sizes.extend(_numbers(value))
        elif number in single or number not in (1, 2, 3, 5, 6, 7, 8):
            raise ValueError("an unknown field, or one that comes twice")
        else:
            single[number] = value
    kind = _KINDS.get(single[1]) if isinstance(single.get(1), int) else None  # type: ignore[arg-type]
    content = single.get(2, b"")
    if kind is None or not isinstance(content, bytes):
        raise ValueError("not UnixFS")
    if kind != "file":
        return UnixfsNode(kind, b"", tuple(Child(cid, 0) for cid in links))
    if len(sizes) != len(links) or single.get(3, len(content) + sum(sizes)) != len(content) + sum(sizes):
        raise ValueError("sizes that do not add up")
    return UnixfsNode(kind, content, tuple(Child(cid, size) for cid, size in zip(links, sizes, strict=True)))


def _linked(link: bytes) -> AnyCid:
    fields = dict(_fields(link))
    value = fields.get(1)
    found = parse_cid(value) if isinstance(value, bytes) else None
    if found is None or found[1] != len(value) or not fields.keys() <= {1, 2, 3}:  # type: ignore[arg-type]
        raise ValueError("a link without an address")
    return found[0]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: numbers, and bytes with their length."""
    place = 0
    while place < len(message):
        key, place = read_varint(message, place)
        if key & 7 == 0:
            value, place = read_varint(message, place)
            yield key >> 3, value
        elif key & 7 == 2:
            length, place = read_varint(message, place)
            if place + length > len(message):
                raise ValueError("cut short")
            yield key >> 3, message[place : place + length]
            place += length
        elif key & 7 == 5 and place + 4 <= len(message):
            yield key >> 3, message[place : place + 4]
            place += 4
        else:
            raise ValueError("an unknown kind of field")


def _numbers(value: int | bytes) -> Iterator[int]:
    """A repeated number: one by one, or packed."""
    if isinstance(value, int):
        yield value
        return
    place = 0
    while place < len(value):
        number, place = read_varint(value, place)
        yield number
