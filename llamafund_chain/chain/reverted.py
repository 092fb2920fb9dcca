"""A call that reverted: the contract's reason, as far as all contracts state it in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from llamafund_chain.errors import TransactionRevertedError
from llamafund_chain.text import printable

_STRING_ERROR = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
_LONGEST_DATA = 65_536
_DEEPEST = 3
_REVERT_CODES = (3, -32015)
_NAMES = ("data", "result", "return", "originalError")
_HEXADECIMAL = re.compile(r"(?:reverted\s+)?(?:0x)?([0-9a-f]*)", re.IGNORECASE)
_IN_WORDS = re.compile(r"(?:reverted|return data:|custom error)\s+0x([0-9a-f]{8,})", re.IGNORECASE)


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


def revert_data(code: int, message: str, data: Any) -> bytes | None:
    """What a contract returned when it reverted, from a node's error.

    geth, Erigon, Besu, Arbitrum and ganache 7 put it into the error's data. Nethermind has "Reverted 0x…" there, or in
    its message only. Hardhat has an object with `data`, or says it in its message. ganache 6 has an object by the
    transaction's hash with `return`. A wallet between may put the whole error into `originalError`.

    Args:
        code: The JSON-RPC code.
        message: The error's words.
        data: What came with them; anything.

    Returns:
        `None` if the error is no revert; empty if the contract said nothing, or the node does not say what.
    """
    found = _bytes_in(data, 0)
    if found is None:
        match = _IN_WORDS.search(message[:_LONGEST_DATA])
        found = bytes.fromhex(match[1]) if match is not None and len(match[1]) % 2 == 0 else None
    words = f"{message} {data if isinstance(data, str) else ''}".lower()
    if found is None and code not in _REVERT_CODES and "revert" not in words:
        return None
    # An error of another kind may have data, too.
    if found is not None and code not in _REVERT_CODES and "revert" not in words and len(found) % 32 != 4:
        return None
    return found or b""


def _bytes_in(data: Any, depth: int) -> bytes | None:
    """The bytes in an error's data, wherever a node puts them; `None` if there are none."""
    if isinstance(data, str):
        match = _HEXADECIMAL.fullmatch(data.strip()[: 2 * _LONGEST_DATA])
        return bytes.fromhex(match[1]) if match is not None and len(match[1]) % 2 == 0 else None
    if not isinstance(data, Mapping) or depth == _DEEPEST:
        return None
    inside = [data[name] for name in _NAMES if name in data]
    # ganache 6 names it after the transaction.
    inside += [value for name, value in data.items() if isinstance(value, Mapping) and name not in _NAMES]
    return next((found for value in inside if (found := _bytes_in(value, depth + 1)) is not None), None)


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
