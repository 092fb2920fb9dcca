"""What an answer to a challenge really costs today, data fee included, and the least bond to propose for it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from llamafund_chain.campaign.terms import MIN_BOND
from llamafund_chain.chain import abi
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.data_fees import DataFees, DataFeeUnknownError
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.evidence.merkle import CHUNK_SIZE

EXECUTION_GAS = 80_000
"""Gas that an answer takes beside its transaction and its call data: hashing, the bond's payment, storage."""

TRANSACTION_GAS = 21_000

_PATH = 26
"""Hashes of the path in content of 1 TiB. Each one more or less changes the cost by a fifth of a percent."""

_NOBODY = "0x000000000000000000000000000000000000dEaD"
"""Has no code anywhere, so that a transaction to it costs nothing but its call data."""


@dataclass(frozen=True)
class AnswerCost:
    """What the answer with a whole chunk costs now.

    Attributes:
        gas: Units of gas, with those that a rollup charges for its data.
        price: Wei for each unit.
        data_fee: Wei that a rollup charges for its data beside the gas.
        base_fee: Wei of the price that blocks burn.
    """

    gas: int
    price: int
    data_fee: int
    base_fee: int

    @property
    def wei(self) -> int:
        """All of it, in wei."""
        return self.gas * self.price + self.data_fee

    @property
    def proposed_bond(self) -> int:
        """Half as much more than it costs, rounded up to three digits, in wei. Fees rise and fall."""
        return three_digits(max(MIN_BOND, -(-3 * self.wei // 2)))


def answer_cost(connection: Connection) -> AnswerCost:
    """Ask a chain what an answer costs now.

    The chain says what its call data costs, by an estimate (EIP-2028, EIP-7623 and its successors, Arbitrum's extra
    gas), and what its data costs beside that (see `data_fees`). The rest is execution, which costs the same everywhere.

    Raises:
        DataFeeUnknownError: It could not be told, because the fee contract or the estimate cannot be read.
        NodeUnreachableError: No node answers.
    """
    call = longest_answer()
    try:
        reads, fees = connection.cost_reads(_NOBODY, call), DataFees(connection)
        answers = connection.request_many([*reads, *fees.reads()])
        estimate, price, base_fee = connection.cost_in(answers[: len(reads)])
        fees.recognise(answers[len(reads) :])
        (data,) = fees.of([call], estimate)
    except RpcError as error:
        raise DataFeeUnknownError("What an answer costs could not be told", str(error), error.remedy) from error
    executed = TRANSACTION_GAS + calldata_gas(call.data) + EXECUTION_GAS
    return AnswerCost(max(estimate - data.gas, executed) + data.gas, price, data.wei, base_fee)


def told_cost(connection: Connection) -> AnswerCost | DataFeeUnknownError:
    """What an answer costs now, or why that could not be told.

    Raises:
        NodeUnreachableError: No node answers.
    """
    try:
        return answer_cost(connection)
    except DataFeeUnknownError as unknown:
        return unknown


def three_digits(amount: int) -> int:
    """An amount rounded up to three digits, to be read by people."""
    step = int(10 ** max(0, len(str(amount)) - 3))
    return -(-amount // step) * step


def calldata_gas(data: bytes) -> int:
    """Gas of call data as EIP-2028 counts it: 16 for each byte, 4 if it is zero."""
    return 16 * len(data) - 12 * data.count(0)


@cache
def longest_answer() -> Call:
    """A call like an answer's, to nobody. Weights cannot be compressed, and neither can this."""
    some = random.Random(0)
    data = abi.contract("Campaign").encode(
        "answer",
        some.randbytes(32),
        CHUNK_SIZE << _PATH,
        1 << (_PATH - 1),
        some.randbytes(CHUNK_SIZE),
        [some.randbytes(32) for _ in range(_PATH)],
    )
    return Call(_NOBODY, data)
