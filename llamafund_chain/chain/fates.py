"""What became of a transaction, as far as a node knows: asked by its hash, and by its number among its sender's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.journal import Entry
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.transactions import Receipt
from llamafund_chain.errors import NodeError, NotFinalError

Kind = Literal["included", "reverted", "pending", "missing", "replaced"]
"""`pending`: the node has it, but no block does. `missing`: the node does not know it, and its number is still free.
`replaced`: the node does not know it, and another transaction has used its number."""


@dataclass(frozen=True)
class Fate:
    """What became of a transaction.

    Attributes:
        kind: See `Kind`.
        receipt: Its receipt, if a block includes it.
        by: Hash of the transaction that used its number, 64 hexadecimal digits; empty if none was found. If that one
            does the same, it counts as this one, and the kind is `pending` until its receipt is read.
        settled: `finalized`, `safe` or `latest`: how settled its block is; empty without a block.
    """

    kind: Kind
    receipt: Receipt | None = None
    by: str = ""
    settled: Literal["finalized", "safe", "latest", ""] = ""

    @property
    def words(self) -> str:
        """The fate as the rest of a sentence about the transaction."""
        if self.receipt is not None:
            final = {"finalized": ", which is final", "safe": ", which is safe"}.get(self.settled, "")
            reverted = " and reverted: only its fee was spent" if self.kind == "reverted" else ""
            return f"is in block {self.receipt.block}{final}{reverted}"
        if self.kind == "included":
            return "is in a block, but the node does not show its receipt"
        if self.kind == "pending" and self.by:
            return f"is in a block as transaction 0x{self.by}, which does the same under the same number"
        if self.kind == "pending":
            return "waits in the node's pool"
        if self.kind == "missing":
            return "is not known to the node: it never arrived, or was dropped"
        by = f"transaction 0x{self.by}" if self.by else "another transaction, which the node does not show,"
        return f"will never be included: {by} has used its number"


def fate_of(outbox: Outbox, entry: Entry) -> Fate:
    """What became of a transaction of the journal.

    Raises:
        NodeUnreachableError: No node answers, or with something that makes no sense.
    """
    connection = outbox.connection
    raw: Any = None
    found: Any = None
    if entry.tx_hash:
        raw, found, count = connection.request_many(
            [
                ("eth_getTransactionReceipt", (f"0x{entry.tx_hash}",)),
                ("eth_getTransactionByHash", (f"0x{entry.tx_hash}",)),
                ("eth_getTransactionCount", (entry.sender, "latest")),
            ]
        )
    else:
        (count,) = connection.request_many([("eth_getTransactionCount", (entry.sender, "latest"))])
    receipt = None if isinstance(raw, RpcError) else outbox.receipt_in(raw, entry.signed)
    if receipt is not None:
        return Fate("included" if receipt.succeeded else "reverted", receipt)
    if isinstance(found, Mapping):
        return Fate("pending")
    if isinstance(count, RpcError):
        raise count
    if connection.quantity(count, "eth_getTransactionCount") <= entry.nonce:
        return Fate("missing")
    return _used(outbox, entry)


def settled(connection: Connection, fate: Fate) -> Fate:
    """The same fate, with how settled its block is; as it was if the node does not say."""
    if fate.receipt is None:
        return fate
    for name in ("finalized", "safe"):
        try:
            block = connection.block("finalized" if name == "finalized" else "safe")
        except (NodeError, NotFinalError):
            continue
        if block.number >= fate.receipt.block:
            return Fate(fate.kind, fate.receipt, fate.by, "finalized" if name == "finalized" else "safe")
    return Fate(fate.kind, fate.receipt, fate.by, "latest")


def _used(outbox: Outbox, entry: Entry) -> Fate:
    """The fate of a transaction whose number was used: by itself, though its receipt is late, or by another one."""
    found = _user_of(outbox.connection, entry)
    if found is None:
        return Fate("replaced")
    tx_hash = str(found.get("hash", "")).removeprefix("0x").lower()
    if tx_hash == entry.tx_hash:
        return Fate("pending")
    return Fate("pending" if _is_ours(found, entry) else "replaced", by=tx_hash)


def _is_ours(found: Mapping[str, Any], entry: Entry) -> bool:
    """Whether a transaction does the same: a signer may send it itself, or another wallet may make it faster."""
    data = str(found.get("input", found.get("data", "0x"))).removeprefix("0x").lower()
    value = str(found.get("value", "")).lower()
    return str(found.get("to", "")).lower() == entry.to.lower() and data == entry.data and value == hex(entry.value)


def _user_of(connection: Connection, entry: Entry) -> Mapping[str, Any] | None:
    """The included transaction with a sender and a number; `None` if the node does not show it."""
    try:
        low, high = entry.head, connection.block().number
        while low < high:
            middle = (low + high) // 2
            if connection.nonce(entry.sender, middle) > entry.nonce:
                high = middle
            else:
                low = middle + 1
        block = connection.request("eth_getBlockByNumber", hex(high), True)
    except NodeError:
        return None
    listed = block.get("transactions") if isinstance(block, Mapping) else None
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, Mapping) or str(one.get("from", "")).lower() != entry.sender.lower():
            continue
        try:
            if connection.quantity(one.get("nonce"), "a transaction's number") == entry.nonce:
                return one
        except NodeError:
            continue
    return None
