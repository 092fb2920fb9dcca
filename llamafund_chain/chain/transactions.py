"""Transactions: their calls, their fees and their receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.errors import NotFinalError

RECEIPT_TIMEOUT = 300.0
"""Seconds to wait until a transaction is included."""

# Answers of geth, reth, erigon, nethermind, besu and anvil to eth_sendRawTransaction. There is no standard code.
_KNOWN = ("already known", "alreadyknown", "known transaction", "already imported")
_UNDERPRICED = ("underpriced", "replacementnotallowed", "replacement not allowed", "feetoolow")
_NONCE_USED = ("nonce too low", "nonce is too low", "oldnonce", "nonce too distant in past")
_POOR = ("insufficient funds", "insufficientfunds", "insufficient balance", "upfront cost exceeds", "enough funds")
_TOO_CHEAP = (
    "max fee per gas less than block base fee",
    "maxfeepergas",
    "fee cap less than",
    "gas price below",
    "gasprice less than",
    "gaspricetoolow",
    "gas price is less than",
    "tip cap",
    "below configured minimum",
    "mingasprice",
)
_CROWDED = (
    "in-flight transaction limit",
    "inflight transaction limit",
    "txpool is full",
    "pool is full",
    "pool full",
    "exceeds the maximum number of pending",
    "too many pending",
    "sender is throttled",
    "account limit",
    "nonce too high",
    "nonce gap",
    "noncegap",
    "nonce too distant in future",
)


@dataclass(frozen=True)
class Call:
    """A call of a contract: its address and the call data."""

    to: str
    data: bytes


@dataclass(frozen=True)
class Log:
    """One event log, as the node returns it.

    Attributes:
        index: Position in its block.
        tx_hash: 64 hexadecimal digits.
        block_hash: Hash of its block, 64 hexadecimal digits; empty if the node does not say.
    """

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int
    tx_hash: str
    block_hash: str = ""


@dataclass(frozen=True)
class Receipt:
    """The outcome of a transaction.

    Attributes:
        tx_hash: 64 hexadecimal digits.
        block: Number of the block that includes it.
        gas_used: Gas.
        fee: Wei paid in all: for the gas, and for the data where a rollup charges that apart.
        data_fee: Wei of it for publishing the data, as rollups report it (`l1Fee` on the OP stack and Scroll,
            `gasUsedForL1` on Arbitrum); 0 on chains where data costs nothing but gas.
        logs: In order.
        block_hash: Hash of that block, 64 hexadecimal digits; empty if the node does not say.
        succeeded: Whether it did what it was to do; otherwise it reverted, and only its fee was spent.
    """

    tx_hash: str
    block: int
    gas_used: int
    fee: int
    data_fee: int
    logs: tuple[Log, ...]
    block_hash: str = ""
    succeeded: bool = True


@dataclass(frozen=True)
class Transaction:
    """A transaction that a block includes, as the node returns it.

    Attributes:
        tx_hash: 64 hexadecimal digits.
        block_hash: Hash of the block, 64 hexadecimal digits.
        sender: Address in lower case.
        recipient: Address in lower case; empty if it creates a contract.
        value: Wei.
        data: The call data.
    """

    tx_hash: str
    block_hash: str
    sender: str
    recipient: str
    value: int
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a transaction that a block includes.

    Attributes:
        tx_hash: 64 hexadecimal digits.
        block_hash: Hash of the block, 64 hexadecimal digits.
        succeeded: Whether it did what it was to do; otherwise it reverted.
        logs: In order.
    """

    tx_hash: str
    block_hash: str
    succeeded: bool
    logs: tuple[Log, ...]


@dataclass(frozen=True)
class Fees:
    """What a transaction offers per unit of gas.

    Attributes:
        highest: Wei in all: `maxFeePerGas` of EIP-1559, or `gasPrice` before it.
        tip: Wei of it for the block's proposer, `maxPriorityFeePerGas`; `None` before EIP-1559.
    """

    highest: int
    tip: int | None

    def fields(self) -> dict[str, int]:
        """The fees as a transaction's fields."""
        if self.tip is None:
            return {"gasPrice": self.highest}
        return {"maxFeePerGas": self.highest, "maxPriorityFeePerGas": self.tip}

    def raised(self) -> Fees:
        """An eighth more of both. Every node accepts that for a replacement; most require a tenth."""
        return Fees(_eighth_more(self.highest), None if self.tip is None else _eighth_more(self.tip))

    def at_least(self, other: Fees) -> Fees:
        """The higher value of each part."""
        tip = self.tip if other.tip is None or self.tip is None else max(self.tip, other.tip)
        return Fees(max(self.highest, other.highest), tip)

    def at_most(self, highest: int) -> Fees:
        """The same, capped at a highest price (wei)."""
        return Fees(min(self.highest, highest), None if self.tip is None else min(self.tip, highest))


@dataclass(frozen=True)
class SignedTransaction:
    """A transaction that can be sent, with everything that its receipt needs.

    Attributes:
        tx_hash: 64 hexadecimal digits.
        raw: The bytes to send.
        sender: Checksummed address.
        transaction: What it calls.
        value: Wei that it sends.
        nonce: Its number among the sender's transactions.
        gas: Gas limit.
        fees: Wei per unit of gas.
    """

    tx_hash: str
    raw: bytes = field(repr=False)
    sender: str
    transaction: Call = field(repr=False)
    value: int
    nonce: int
    gas: int
    fees: Fees

    def fields(self, chain_id: int) -> dict[str, Any]:
        """What is signed, as `eth_account` names it.

        Args:
            chain_id: EIP-155 number.
        """
        return {
            "chainId": chain_id,
            "nonce": self.nonce,
            "gas": self.gas,
            "to": self.transaction.to,
            "value": self.value,
            "data": self.transaction.data,
            **self.fees.fields(),
        }

    @property
    def highest_cost(self) -> int:
        """Most wei that it can cost its sender."""
        return self.value + self.gas * self.fees.highest


class SendRefusedError(RpcError):
    """A node's words for why it does not take a transaction, in a sentence.

    Args:
        error: The node's answer.
        what: What that means.
        remedy: What to do.
    """

    def __init__(self, error: RpcError, what: str = "", remedy: str = "") -> None:
        super().__init__("eth_sendRawTransaction", error.code, error.message, error.data)
        self.what = what or self.what
        self.remedy = remedy or self.remedy


class UnderpricedError(SendRefusedError):
    """Another transaction with this nonce is pending, and this one does not pay enough to replace it."""


class NonceUsedError(SendRefusedError):
    """Another transaction with this nonce was included."""


def refusal_of(error: RpcError) -> SendRefusedError | None:
    """The meaning of a node's refusal to take a transaction; `None` if it has that transaction already.

    Args:
        error: Its response to `eth_sendRawTransaction`.
    """
    words = error.message.lower().replace("_", " ")
    if any(phrase in words for phrase in _KNOWN):
        return None
    if any(phrase in words for phrase in _UNDERPRICED) and "replac" in words:
        return UnderpricedError(
            error,
            "Another transaction with the same number waits, and this one does not pay enough to replace it",
            "See `llamafund tx list`. Wait for the other one, or make it faster with `llamafund tx speed-up`",
        )
    if any(phrase in words for phrase in _NONCE_USED):
        return NonceUsedError(
            error,
            "Another transaction has used this one's number",
            "See `llamafund tx list`. Another program may send from the same account; repeat the command",
        )
    if any(phrase in words for phrase in _POOR):
        return SendRefusedError(
            error, "The account cannot pay for the transaction", "Fund that account, or use another wallet"
        )
    if any(phrase in words for phrase in _CROWDED):
        return SendRefusedError(
            error,
            "The node takes no more transactions of this account now",
            "Wait until those that wait are included: see `llamafund tx list`",
        )
    if any(phrase in words for phrase in _TOO_CHEAP):
        return SendRefusedError(
            error, "The transaction offers too low a fee", "Repeat the command with --fee fast, or without --max-fee"
        )
    kind = UnderpricedError if any(phrase in words for phrase in _UNDERPRICED) else SendRefusedError
    return kind(error)


def not_included(hashes: Sequence[str]) -> NotFinalError:
    """The error for transactions that are still not in a block after `RECEIPT_TIMEOUT` seconds.

    Args:
        hashes: 64 hexadecimal digits each; empty if another process sent them.
    """
    listed = ", ".join(f"0x{tx_hash}" for tx_hash in hashes) or "of another process"
    return NotFinalError(
        f"Transaction {listed} was sent {RECEIPT_TIMEOUT:.0f} seconds ago and is not included yet",
        "The chain may be busy, or the node may have lost its connection to it",
        "Wait for it with `llamafund tx wait`, or offer more with `llamafund tx speed-up`. Do not pay twice",
    )


def _eighth_more(price: int) -> int:
    return price + price // 8 + 1
