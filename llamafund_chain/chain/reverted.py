"""A call that reverted: the contract's reason, as far as all contracts state it in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from llamafund_chain.errors import TransactionRevertedError
from llamafund_chain.text import printable

_STRING_ERROR = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
_LONGEST_DATA = 65_536


class ContractRefusedError(TransactionRevertedError):
    """The contract refused, or would have: then a command foresaw it and sent nothing. Nothing moved.

    Attributes:
        name: The custom error's name; empty if the contract gave another reason.
        values: The custom error's values.
        fee: Wei that the reverted transaction cost in all; 0 if none was sent.
        data_fee: Wei of it for publishing the data, as in `Receipt`.
    """

    def __init__(
        self,
        what: str,
        why: str = "",
        remedy: str = "",
        *,
        name: str = "",
        values: Mapping[str, Any] = MappingProxyType({}),
        fee: int = 0,
        data_fee: int = 0,
    ):
        super().__init__(what, why, remedy)
        self.name = name
        self.values = values
        self.fee = fee
        self.data_fee = data_fee


@dataclass(frozen=True)
class Reading:
    """How to read an error's values.

    Attributes:
        now: Unix seconds of the chain's clock.
        money: Writes an amount of the campaign's asset, given in its smallest unit.
        chain_id: EIP-155 number, which determines the coin's name.
    """

    now: int
    money: Callable[[int], str]
    chain_id: int


def smallest_units(amount: int) -> str:
    """Write an amount of an unknown asset."""
    return f"{amount} (smallest unit)"


class Explain(Protocol):
    """Explains a revert."""

    def __call__(self, data: bytes, reading: Reading, *, message: str) -> ContractRefusedError:
        """See `explain`."""


def explain(data: bytes, reading: Reading, *, message: str = "") -> ContractRefusedError:  # noqa: ARG001 - as `Explain`
    """The error to raise for the revert of an unknown contract.

    Args:
        data: Untrusted revert data.
        reading: How to read values.
        message: The node's message, used if the data says nothing.
    """
    data = data[:_LONGEST_DATA]
    reason = _reason(data)
    if reason is None and message and not data:
        reason = f"The node says: {printable(message, 300)}"
    elif reason is None:
        reason = f"It gave the reason 0x{data[:68].hex()}" if data else "It gave no reason"
    return ContractRefusedError("The contract refused", reason, "Nothing was sent")


def _reason(data: bytes) -> str | None:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        if data[:4] == _STRING_ERROR:
            return f"It says: {printable(decode(['string'], data[4:])[0], 300)}"
        if data[:4] == _PANIC:
            return f"It failed with panic code {decode(['uint256'], data[4:])[0]:#x}"
    except (DecodingError, OverflowError, ValueError):
        return None
    return None
