"""What rollups charge for publishing a transaction's data, as their own fee contracts say.

On most chains data costs only gas, which `eth_estimateGas` counts. Two kinds of rollup charge for it in other ways:

- The OP stack and Scroll charge wei beside the gas. A predeployed contract computes them, `getL1Fee(bytes)`. The OP
  stack may add an operator's fee (`getOperatorFee(uint256)`, since Isthmus).
- Arbitrum charges extra units of gas. Its node computes them, `gasEstimateL1Component` of the virtual contract
  NodeInterface; `eth_estimateGas` includes them.

Sources: https://specs.optimism.io/protocol/predeploys.html, https://docs.scroll.io/en/developers/transaction-fees-on-scroll,
https://docs.arbitrum.io/build-decentralized-apps/nodeinterface/reference
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from llamafund_chain.chain.abi import Interface
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, VerificationError

OP_STACK_ORACLE = "0x420000000000000000000000000000000000000F"
"""`GasPriceOracle` of the OP stack."""

SCROLL_ORACLE = "0x5300000000000000000000000000000000000002"
"""`L1GasPriceOracle` of Scroll."""

ARBITRUM_GAS_INFO = "0x000000000000000000000000000000000000006C"
"""`ArbGasInfo`, which is on every Arbitrum chain. It only shows that the chain is one."""

ARBITRUM_NODE = "0x00000000000000000000000000000000000000C8"
"""`NodeInterface`, which answers calls but has no code."""

_INTERFACE = Interface(
    [
        {
            "type": "function",
            "name": name,
            "inputs": [{"type": kind} for kind in inputs],
            "outputs": [{"type": kind} for kind in outputs],
        }
        for name, inputs, outputs in (
            ("getL1Fee", ("bytes",), ("uint256",)),
            ("getOperatorFee", ("uint256",), ("uint256",)),
            ("gasEstimateL1Component", ("address", "bool", "bytes"), ("uint64", "uint256", "uint256")),
        )
    ]
)

_ENVELOPE = b"".join(hashlib.sha256(bytes([part])).digest() for part in range(4))[:120]
"""At least as long as everything in a signed transaction but its call data, and as hard to compress. The OP stack's
contract adds 68 bytes for the signature itself: those 60 or so too many are less than half a percent of an answer."""

_MOST_WEI = 2**96
"""No fee is that high: an answer of a fee contract above this is not believed."""


class Rollup(Enum):
    """The ways in which chains charge for data."""

    NONE = "only by gas"
    OP_STACK = "OP stack"
    SCROLL = "Scroll"
    ARBITRUM = "Arbitrum"


@dataclass(frozen=True)
class DataFee:
    """What the data of one transaction costs. On most chains, and for an empty one, both are 0.

    Attributes:
        wei: Wei charged beside the gas.
        gas: Units of gas, which an estimate of the transaction's gas includes.
    """

    wei: int
    gas: int


class DataFeeUnknownError(LlamafundError):
    """The chain charges for data apart from execution, but what it charges cannot be read."""


_ORACLES = {Rollup.OP_STACK: OP_STACK_ORACLE, Rollup.SCROLL: SCROLL_ORACLE, Rollup.ARBITRUM: ARBITRUM_GAS_INFO}


class DataFees:
    """What one chain charges for data.

    Args:
        connection: The chain.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rollup: Rollup | None = None

    @property
    def rollup(self) -> Rollup:
        """How the chain charges: it is recognised by the contracts that compute the fees. Looked up once.

        Raises:
            DataFeeUnknownError: The node does not say whether they exist.
        """
        if self._rollup is None:
            self.recognise(self._connection.request_many(self.reads()))
        assert self._rollup is not None
        return self._rollup

    @staticmethod
    def reads() -> list[tuple[str, tuple[Any, ...]]]:
        """The requests whose answers `recognise` takes, for callers that have more to ask at once."""
        return [("eth_getCode", (address, "latest")) for address in _ORACLES.values()]

    def recognise(self, codes: Sequence[Any]) -> None:
        """Recognise how the chain charges.

        Args:
            codes: The answers to `reads`.

        Raises:
            DataFeeUnknownError: The node does not say whether the contracts exist.
        """
        if any(not isinstance(code, str) or not code.startswith("0x") for code in codes):
            raise DataFeeUnknownError(
                "The node does not say whether the chain has a contract for data fees",
                "It did not answer eth_getCode with code",
                "Try again, or name another node with --rpc",
            )
        there = [kind for kind, code in zip(_ORACLES, codes, strict=True) if code != "0x"]
        self._rollup = there[0] if there else Rollup.NONE

    def of(self, calls: Sequence[Call], gas: int) -> list[DataFee]:
        """What the data of transactions costs now.

        Args:
            calls: What they call.
            gas: Units of gas that each takes, for the operator's fee.

        Raises:
            DataFeeUnknownError: The fee contract cannot be read.
            NodeUnreachableError: No node answered.
        """
        if self.rollup is Rollup.NONE or not calls:
            return [DataFee(0, 0) for _ in calls]
        if self.rollup is Rollup.ARBITRUM:
            asked = [
                Call(ARBITRUM_NODE, _INTERFACE.encode("gasEstimateL1Component", call.to, False, call.data))
                for call in calls
            ]
            return [DataFee(0, units) for units in self._numbers("gasEstimateL1Component", asked)]
        oracle = OP_STACK_ORACLE if self.rollup is Rollup.OP_STACK else SCROLL_ORACLE
        asked = [Call(oracle, _INTERFACE.encode("getL1Fee", _ENVELOPE + call.data)) for call in calls]
        operator = self._operator_fee(gas)
        return [DataFee(fee + operator, 0) for fee in self._numbers("getL1Fee", asked)]

    def _operator_fee(self, gas: int) -> int:
        """The operator's fee in wei; 0 where the contract does not know one."""
        if self.rollup is not Rollup.OP_STACK:
            return 0
        call = Call(OP_STACK_ORACLE, _INTERFACE.encode("getOperatorFee", gas))
        (answer,) = self._connection.call_many([call])
        if isinstance(answer, ContractRefusedError):
            # Before Isthmus the contract reverts, because it has no such function.
            return 0
        return _number("getOperatorFee", answer)

    def _numbers(self, function: str, calls: Sequence[Call]) -> list[int]:
        return [_number(function, answer) for answer in self._connection.call_many(calls)]


def _number(function: str, answer: bytes | LlamafundError) -> int:
    """The first number that a fee contract returned."""
    remedy = "Try again, or name another node with --rpc"
    if isinstance(answer, LlamafundError):
        raise DataFeeUnknownError(f"The chain's data fee could not be told: {function} failed", str(answer), remedy)
    try:
        value = int(_INTERFACE.decode_output(function, answer)[0])
    except VerificationError as error:
        what = f"The chain's data fee could not be told: {function} returned {len(answer)} bytes"
        raise DataFeeUnknownError(what, "They are not a number", remedy) from error
    if value >= _MOST_WEI:
        what = f"The chain's data fee could not be told: {function} returned a number beyond reason"
        raise DataFeeUnknownError(what, f"It is {value}", remedy)
    return value
