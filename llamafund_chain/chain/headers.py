"""Block headers, checked by their own hash: it is Keccak-256 of the header's fields in RLP (Yellow Paper, 4.4).

So whoever knows a block's hash needs to trust nobody about its time, its state root or its parent. Some chains have
fields of their own in their headers. Where those keep a hash from being recomputed, that is not the node's fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from llamafund_chain.errors import NodeUnreachableError

MAX_EXTRA_BYTES = 1 << 12
"""Bytes of the longest `extraData` that is read. Clique's checkpoints list all signers there; Ethereum allows 32."""

_MOST_OTHERS = 32
"""Fields of a header that we do not know and keep all the same."""

_FIXED: Mapping[str, int] = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "mixHash": 32,
    "nonce": 8,
    "withdrawalsRoot": 32,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
    "blockAccessListHash": 32,
}
"""Bytes of the fields that always have the same length."""

_FIRST = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
"""The fields of every header, in the order in which they are hashed."""

_LATER = (
    "baseFeePerGas",  # London, EIP-1559
    "withdrawalsRoot",  # Shanghai, EIP-4895
    "blobGasUsed",  # Cancun, EIP-4844
    "excessBlobGas",
    "parentBeaconBlockRoot",  # EIP-4788
    "requestsHash",  # Prague, EIP-7685
)
"""The fields that upgrades have added at the end, in order. A header has those of its time."""

_COMING = (
    "blockAccessListHash",  # EIP-7928
    "slotNumber",  # EIP-7843
)
"""Fields of the upgrade to come, whose order may change before it comes: a hash that does not fit accuses nobody."""

HASHED = (*_FIRST, *_LATER, *_COMING)
"""All fields of a header that its hash covers."""

_BESIDE = frozenset(
    {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals", "author", "sealFields", "blockNumber"}
)
"""What nodes add to a header that is not part of it."""

Check = Literal["recomputed", "different", "unknown"]
"""Whether a header's hash follows from its fields, or does not, or has fields that we do not know how to hash."""


@dataclass(frozen=True)
class Header:
    """A block's header.

    Attributes:
        number: Of the block.
        hash: 64 hexadecimal digits, as the node said.
        parent: Hash of the block before, 64 hexadecimal digits.
        timestamp: Unix seconds.
        state_root: Root of the state after the block, 32 bytes; `None` if the node does not say.
        receipts_root: Root of the block's receipts, 32 bytes; `None` if the node does not say.
        bloom: The filter of all logs of the block, 2048 bits; all of them if the node does not say.
        randomness: The field `mixHash`, 64 hexadecimal digits; empty if the node does not say.
        check: Whether the hash follows from the fields.
        fields: The fields that the hash covers, as the node gave them; and those that it may cover, where they keep it
            from being recomputed.
    """

    number: int
    hash: str
    parent: str
    timestamp: int
    state_root: bytes | None = field(repr=False)
    receipts_root: bytes | None = field(repr=False)
    bloom: int = field(repr=False)
    randomness: str = field(repr=False)
    check: Check
    fields: Mapping[str, str] = field(repr=False)

    def may_hold(self, *items: bytes) -> bool:
        """Whether the block may hold a log with all these: addresses of 20 bytes, topics of 32.

        `False` only if there is no such log, or the header is wrong.
        """
        return all(self.bloom & bits == bits for bits in map(bloom_bits, items))


def bloom_bits(item: bytes) -> int:
    """The bits that an address or topic sets in a bloom filter (Yellow Paper, 4.3.1)."""
    from eth_utils import keccak

    digest, bits = keccak(item), 0
    for place in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
    return bits


def read_header(raw: Any, shown: str) -> Header:
    """A header in a node's answer, with its hash recomputed.

    Args:
        raw: The answer to `eth_getBlockByNumber` or `eth_getBlockByHash`.
        shown: The node, for messages.

    Raises:
        NodeUnreachableError: It is no header.
    """
    if not isinstance(raw, Mapping):
        raise nonsense(shown, "no header")
    fields = {name: raw[name] for name in HASHED if raw.get(name) is not None}
    values: dict[str, bytes] = {}
    for name, value in fields.items():
        values[name] = _value(name, value, shown)
    for name in ("number", "timestamp", "parentHash"):
        if name not in values:
            raise nonsense(shown, f"a header without {name}")
    said = _data(raw.get("hash"), "hash", shown, 32)
    state, receipts = values.get("stateRoot"), values.get("receiptsRoot")
    check = _check(values, said, frozenset(raw))
    if check == "unknown":
        fields |= _others(raw)
    return Header(
        number=int.from_bytes(values["number"], "big"),
        hash=said.hex(),
        parent=values["parentHash"].hex(),
        timestamp=int.from_bytes(values["timestamp"], "big"),
        state_root=state,
        receipts_root=receipts,
        bloom=int.from_bytes(values.get("logsBloom", b"\xff" * 256), "big"),
        randomness=values["mixHash"].hex() if "mixHash" in values else "",
        check=check,
        fields=fields,
    )


def _check(values: Mapping[str, bytes], said: bytes, names: frozenset[str]) -> Check:
    import rlp
    from eth_utils import keccak

    whole = all(name in values for name in _FIRST)
    if whole:
        listed = [values[name] for name in HASHED if name in values]
        if keccak(rlp.encode(listed)) == said:
            return "recomputed"
    # A field that we do not know may be part of the hash, and so may one that is missing.
    return "different" if whole and names <= _BESIDE | frozenset((*_FIRST, *_LATER)) else "unknown"


def _others(raw: Mapping[Any, Any]) -> dict[str, str]:
    """The fields of a header that we do not know, as far as they are short."""
    known = _BESIDE | frozenset(HASHED)
    found = {str(name)[:100]: value for name, value in raw.items() if name not in known and isinstance(value, str)}
    return {name: found[name][:MAX_EXTRA_BYTES] for name in sorted(found)[:_MOST_OTHERS]}


def _value(name: str, value: Any, shown: str) -> bytes:
    """A field as it is hashed: numbers without zeros in front."""
    if name in _FIXED:
        return _data(value, name, shown, _FIXED[name])
    if name == "extraData":
        return _data(value, name, shown, None)
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 66:
        raise nonsense(shown, f"a header whose {name} is no number")
    try:
        number = int(value, 16)
    except ValueError:
        raise nonsense(shown, f"a header whose {name} is no number") from None
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _data(value: Any, name: str, shown: str, size: int | None) -> bytes:
    if isinstance(value, str) and value.startswith("0x") and len(value) <= 2 + 2 * (size or MAX_EXTRA_BYTES):
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            data = None
        if data is not None and (size is None or len(data) == size):
            return data
    raise nonsense(shown, f"a header whose {name} has another form")


def nonsense(shown: str, what: str) -> NodeUnreachableError:
    """The error that a node answered with something else than a header."""
    return NodeUnreachableError(
        f"The node at {shown} answered with {what}",
        "Such an answer is not used",
        "Name another node with --rpc",
    )


def broken_link(headers: Sequence[Header]) -> tuple[Header, Header] | None:
    """The first block, with the one that follows it, whose hash is not the one that the next one names as its parent.

    Args:
        headers: In the order of their numbers; where some are left out between two, nothing is compared.
    """
    for before, after in pairwise(headers):
        if after.number == before.number + 1 and after.parent != before.hash:
            return before, after
    return None
