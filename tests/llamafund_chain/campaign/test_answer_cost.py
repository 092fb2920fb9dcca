"""What an answer costs today, against answers that are really given."""

from __future__ import annotations

import pytest

from llamafund_chain.campaign.answer_cost import AnswerCost, answer_cost, longest_answer
from llamafund_chain.campaign.challenges import Prover
from llamafund_chain.campaign.terms import MIN_BOND
from llamafund_chain.chain.data_fees import DataFees, DataFeeUnknownError
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.node_errors import RpcError

ETHER = 10**18
GWEI = 10**9


def test_the_cost_is_that_of_an_answer_that_is_really_given(large) -> None:
    attestation = large.client.latest_attestation()
    (proof,) = Prover([large.run.store]).prove(attestation, [20]).values()
    large.client.challenge(large.backers[0], attestation, 20, ETHER)
    cost = answer_cost(large.devnet.connection)
    receipt = large.client.answer(large.backers[1], attestation, proof)
    assert receipt.gas_used < cost.gas < 1.15 * receipt.gas_used
    assert receipt.fee < cost.wei < 1.5 * receipt.fee
    assert cost.data_fee == receipt.data_fee == 0


@pytest.mark.parametrize("hardfork", ["cancun", "prague"])
def test_the_chain_says_what_its_call_data_costs(hardfork: str) -> None:
    """Prague charges 40 for each byte of call data if execution takes less (EIP-7623)."""
    with Devnet(hardfork=hardfork, deploy=False) as chain:
        cost = answer_cost(chain.connection)
    floor = 21_000 + 40 * (16_384 + 32 * 26)
    assert (cost.gas > floor) == (hardfork == "prague")
    assert cost.gas < 1.03 * floor


def test_on_the_op_stack_data_costs_more_than_execution(devnet, rollup) -> None:
    alone = answer_cost(devnet.connection)
    rollup.op_stack(l1_base_fee=8 * GWEI, blob_base_fee=GWEI)
    cost = answer_cost(devnet.connection)
    assert cost.gas == alone.gas
    (fee,) = DataFees(devnet.connection).of([longest_answer()], cost.gas)
    assert cost.data_fee == fee.wei > 0
    cheap = AnswerCost(cost.gas, 10**6, cost.data_fee, 10**6)
    assert cheap.data_fee > 0.9 * cheap.wei


def test_on_arbitrum_the_data_takes_gas(devnet, rollup) -> None:
    alone = answer_cost(devnet.connection)
    rollup.arbitrum(l1_price=15 * 10**7, l2_price=10**7)
    cost = answer_cost(devnet.connection)
    assert cost.data_fee == 0
    assert 4_000_000 < cost.gas - alone.gas < 4_400_000


def test_what_cannot_be_read_could_not_be_told(devnet, rollup, node) -> None:
    rollup.unreadable()
    with pytest.raises(DataFeeUnknownError, match="could not be told"):
        answer_cost(devnet.connection)

    def refuse(method: str, params: tuple[object, ...], forward):
        if method == "eth_estimateGas":
            raise RpcError(method, -32000, "no", None)
        return forward()

    node(refuse)
    with pytest.raises(DataFeeUnknownError, match="could not be told"):
        answer_cost(devnet.connection)


@pytest.mark.parametrize(
    ("wei", "bond"),
    [
        (1, MIN_BOND),
        (10**12, 15 * 10**11),
        (1_001 * GWEI, 1_510 * GWEI),
        (123_456_789 * GWEI, 186_000_000 * GWEI),
        (666 * GWEI + 1, 1_000 * GWEI),
    ],
)
def test_the_proposed_bond_is_half_as_much_more_rounded_up_to_three_digits(wei: int, bond: int) -> None:
    assert AnswerCost(gas=1, price=wei, data_fee=0, base_fee=0).proposed_bond == bond
