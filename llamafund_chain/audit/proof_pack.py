"""What an audit has proven its books with, as plain data: whoever has it can check them again without any node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

HashSource = Literal["given", "nodes", "node"]
"""Where a block's hash comes from: the auditor gave it, several nodes agree on it, or one node alone says so."""

HASH_WORDS: Mapping[HashSource, str] = {
    "given": "which was given",
    "nodes": "on which several nodes agree",
    "node": "taken from this one node",
}
"""The same in words that go on after the hash."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackedHeader(_Part):
    """A block's header.

    Attributes:
        hash: With 0x; Keccak-256 of `fields` in RLP, in the order of `llamafund_chain.chain.headers.HASHED`.
        fields: What the hash covers, by the names of JSON-RPC, hexadecimal with 0x.
        recomputed: Whether the hash follows from the fields; `False` on chains with fields that we do not know.
    """

    hash: str
    fields: dict[str, str]
    recomputed: bool


class PackedLog(_Part):
    """A log of the campaign, hexadecimal with 0x where it is not a number."""

    block: int
    block_hash: str
    index: int
    tx_hash: str
    topics: tuple[str, ...]
    data: str


class PackedAccount(_Part):
    """An account as the state root has it; `balance` in wei, in decimal digits."""

    address: str
    nonce: int
    balance: str
    storage_root: str
    code_hash: str


class PackedWord(_Part):
    """A word of the campaign's storage.

    Attributes:
        slot: 32 bytes, hexadecimal with 0x.
        value: 32 bytes, hexadecimal with 0x.
        what: What the contract keeps there, for example `ledger` or `pledge of 0x…`.
    """

    slot: str
    value: str
    what: str


class PackedReceipts(_Part):
    """All receipts of a block, each as `receiptsRoot` covers it, hexadecimal with 0x."""

    block: int
    receipts: tuple[str, ...]


class ProofPack(_Part):
    """Everything that proves an audit's books.

    Attributes:
        hash_from: Where the hash of `head` comes from.
        head: The block at which everything was read. All proofs start from its `stateRoot`.
        headers: The blocks of all logs, and of `receipts`.
        linked_from: With `--prove-logs` the first block from which every header up to `head` was hashed and linked.
        code: The campaign's code, hexadecimal with 0x.
        accounts: The campaign, its implementation and its factory.
        words: What the campaign stores, with zeros too.
        nodes: The nodes of the tries, in RLP, hexadecimal with 0x, each once. Each is found by its Keccak-256.
        logs: The logs that the audit has added up, in order.
        receipts: With `--prove-logs` the receipts of each block whose header allows a log of the campaign, the first
            32 MiB of them.
    """

    hash_from: HashSource
    head: PackedHeader
    headers: tuple[PackedHeader, ...] = ()
    linked_from: int | None = None
    code: str = "0x"
    accounts: tuple[PackedAccount, ...] = ()
    words: tuple[PackedWord, ...] = ()
    nodes: tuple[str, ...] = ()
    logs: tuple[PackedLog, ...] = ()
    receipts: tuple[PackedReceipts, ...] = ()
