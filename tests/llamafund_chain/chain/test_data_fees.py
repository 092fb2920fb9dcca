"""What a rollup charges for data, read from mocks of its fee contracts at their real addresses."""

from __future__ import annotations

import random

import pytest

from llamafund_chain.chain.data_fees import (
    ARBITRUM_GAS_INFO,
    ARBITRUM_NODE,
    OP_STACK_ORACLE,
    DataFee,
    DataFees,
    DataFeeUnknownError,
    Rollup,
)
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import NodeUnreachableError

GWEI = 10**9
ETHER = 10**18
SOMEBODY = "0x" + "00" * 18 + "dEaD"
ANSWER = Call(SOMEBODY, random.Random(1).randbytes(17_500))
SHORT = Call(SOMEBODY, b"\x01" * 36)


def test_a_chain_without_fee_contracts_charges_for_data_by_gas_alone(devnet) -> None:
    fees = DataFees(devnet.connection)
    assert fees.rollup is Rollup.NONE
    assert fees.of([ANSWER, SHORT], 10**6) == [DataFee(0, 0), DataFee(0, 0)]


def test_the_op_stack_charges_wei_beside_the_gas(devnet, rollup) -> None:
    """Fjord's formula, with Base's scalars, 8 gwei of base fee and 1 gwei of blob fee on Ethereum."""
    rollup.op_stack()
    fees = DataFees(devnet.connection)
    (fee,) = fees.of([ANSWER], 10**6)
    size = 17_500 + 120
    compressed = size + size // 32 + 68
    scaled = 16 * 2_269 * 8 * GWEI + 1_055_762 * GWEI
    assert (fees.rollup, fee.gas) == (Rollup.OP_STACK, 0)
    assert fee.wei == (836_500 * compressed - 42_585_600) * scaled // 10**12


def test_the_operators_fee_of_the_op_stack_is_added(devnet, rollup) -> None:
    rollup.op_stack()
    (before,) = DataFees(devnet.connection).of([ANSWER], 700_000)
    rollup.put("MockGasPriceOracle", OP_STACK_ORACLE, setOperator=(2_000_000, 77))
    (after,) = DataFees(devnet.connection).of([ANSWER], 700_000)
    assert after.wei - before.wei == 700_000 * 2 + 77


def test_an_oracle_that_knows_no_operators_fee_still_says_what_data_costs(devnet, rollup) -> None:
    rollup.fjord(10 * GWEI)
    long, short = DataFees(devnet.connection).of([ANSWER, SHORT], 10**6)
    assert long.wei - short.wei == (17_500 - 36) * 10 * GWEI


def test_scroll_charges_by_its_own_oracle(devnet, rollup) -> None:
    rollup.scroll(10 * GWEI)
    fees = DataFees(devnet.connection)
    assert fees.of([ANSWER], 10**6) == [DataFee((17_500 + 120) * 10 * GWEI, 0)]
    assert fees.rollup is Rollup.SCROLL


def test_arbitrum_charges_units_of_gas(devnet, rollup) -> None:
    rollup.arbitrum(l1_price=15 * 10**7, l2_price=10**7)
    fees = DataFees(devnet.connection)
    assert fees.of([ANSWER, SHORT], 10**6) == [DataFee(0, 17_500 * 16 * 15), DataFee(0, 36 * 16 * 15)]
    assert fees.rollup is Rollup.ARBITRUM


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (OP_STACK_ORACLE, "0x00"),  # returns nothing
        (OP_STACK_ORACLE, "0xfe"),  # fails
        (OP_STACK_ORACLE, "0x60ff60005260206000fd"),  # reverts with data
        (OP_STACK_ORACLE, "0x60001960005260206000f3"),  # returns the largest number
        (ARBITRUM_GAS_INFO, "0xfe"),  # nobody answers at the address of the NodeInterface
    ],
)
def test_a_fee_contract_that_cannot_be_read_could_not_be_told(devnet, rollup, address: str, code: str) -> None:
    rollup.put_code(address, code)
    with pytest.raises(DataFeeUnknownError, match="could not be told"):
        DataFees(devnet.connection).of([ANSWER], 10**6)


def test_a_node_interface_that_answers_a_short_number_could_not_be_told(devnet, rollup) -> None:
    rollup.arbitrum()
    rollup.put_code(ARBITRUM_NODE, "0x602a60005260206000f3")
    with pytest.raises(DataFeeUnknownError, match="32 bytes"):
        DataFees(devnet.connection).of([ANSWER], 10**6)


def test_a_node_that_hides_code_could_not_be_told(devnet, node) -> None:
    def hide(method: str, params: tuple[object, ...], forward):
        if method == "eth_getCode":
            raise RpcError(method, -32000, "missing trie node", None)
        return forward()

    node(hide)
    with pytest.raises(DataFeeUnknownError):
        DataFees(devnet.connection).of([ANSWER], 10**6)


def test_a_node_that_is_gone_is_unreachable_and_not_a_riddle(devnet, node, rollup) -> None:
    rollup.op_stack()

    def gone(method: str, params: tuple[object, ...], forward):
        raise NodeUnreachableError("gone")

    node(gone)
    with pytest.raises(NodeUnreachableError):
        DataFees(devnet.connection).of([ANSWER], 10**6)
    node(lambda method, params, forward: forward())


# ------------------------------------------------------------------- receipts


def pledge_with(stage, node, **more: str | None):
    """A pledge on a rollup whose receipts have these fields more: the receipt, and what the gas cost in wei."""
    stage.open()
    backer = stage.backers[0]
    before = stage.devnet.connection.balance(backer.address)

    def add(method: str, params: tuple[object, ...], forward):
        answer = forward()
        return {**answer, **more} if method == "eth_getTransactionReceipt" and answer else answer

    node(add)
    try:
        receipt = stage.client.pledge(backer, ETHER)
    finally:
        node(lambda method, params, forward: forward())
    return receipt, before - ETHER - stage.devnet.connection.balance(backer.address)


def test_a_receipt_of_the_op_stack_adds_the_data_fee_to_what_was_paid(stage, node) -> None:
    receipt, gas_fee = pledge_with(stage, node, l1Fee=hex(12_345), l1GasUsed="0x640")
    assert (receipt.data_fee, receipt.fee) == (12_345, gas_fee + 12_345)


def test_a_receipt_of_arbitrum_shows_the_data_fee_within_what_was_paid(stage, node) -> None:
    receipt, gas_fee = pledge_with(stage, node, gasUsedForL1=hex(1_000))
    assert (receipt.data_fee, receipt.fee) == (1_000 * gas_fee // receipt.gas_used, gas_fee)


@pytest.mark.parametrize("more", [{}, {"l1Fee": None}])
def test_a_receipt_without_a_data_fee_shows_none(stage, node, more: dict[str, str | None]) -> None:
    receipt, gas_fee = pledge_with(stage, node, **more)
    assert (receipt.data_fee, receipt.fee) == (0, gas_fee)


def test_a_data_fee_that_is_no_number_is_not_believed(stage, node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamafund_chain.chain.sending.LATE_SECONDS", 0.2)
    with pytest.raises(NodeUnreachableError, match="the data fee"):
        pledge_with(stage, node, l1Fee="a lot")
