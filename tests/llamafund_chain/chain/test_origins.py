"""First payments, on a real chain: found by bisection, however long the chain is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from eth_account import Account
from faulty_node import FaultyNode

from llamafund_chain.campaign.client import connect
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.origins import MOST_ACCOUNTS, origins_of

ETHER = 10**18


def account(number: int):
    return Account.from_key(number.to_bytes(32, "big"))


@pytest.fixture
def pay(devnet: Devnet) -> Callable[..., int]:
    """Sends coins in a block of their own; the block's number."""

    def run(sender, recipient: str, value: int = ETHER) -> int:
        connection = devnet.connection
        fields = {
            "to": recipient,
            "value": value,
            "nonce": connection.nonce(sender.address),
            "gas": 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 1,
            "chainId": connection.chain_id,
        }
        raw = sender.sign_transaction(fields).raw_transaction.hex().removeprefix("0x")
        connection.request("eth_sendRawTransaction", f"0x{raw}")
        connection.request("evm_mine")
        return next(
            number
            for number in range(connection.block().number, 0, -1)
            if connection.request("eth_getBlockByNumber", hex(number), False)["transactions"]
        )

    return run


def head(devnet: Devnet) -> int:
    return devnet.connection.block().number


def test_a_payment_is_found_in_a_long_chain_in_few_requests(devnet, pay) -> None:
    rich, keys = account(81), [account(number).address for number in range(82, 87)]
    devnet.fund(rich.address, 100 * ETHER)
    devnet.connection.request("anvil_mine", hex(300))
    blocks = [pay(rich, key) for key in keys]
    devnet.connection.request("anvil_mine", hex(300))
    with FaultyNode(devnet.rpc_url) as node:
        found = origins_of(connect(node.url), keys, head(devnet), hops=1)
        assert node.count <= 16, node.methods
    assert [found.paid[key].block for key in keys] == blocks
    assert {one.sender for one in found.paid.values()} == {rich.address}


def test_spending_everything_later_hides_no_first_payment(devnet, pay) -> None:
    rich, spender = account(81), account(82)
    devnet.fund(rich.address, 100 * ETHER)
    block = pay(rich, spender.address)
    devnet.connection.request("anvil_mine", hex(20))
    pay(spender, account(83).address, ETHER // 2)
    devnet.connection.request("anvil_setBalance", spender.address, "0x0")
    devnet.connection.request("anvil_mine", hex(20))
    pay(rich, spender.address)
    found = origins_of(devnet.connection, [spender.address], head(devnet))
    assert found.paid[spender.address].block == block


def test_payers_are_followed_as_far_back_as_asked(devnet, pay) -> None:
    chain = [account(number) for number in range(81, 86)]
    devnet.fund(chain[0].address, 100 * ETHER)
    for place, (one, other) in enumerate(pairwise(chain)):
        pay(one, other.address, (50 - 10 * place) * ETHER)
    found = origins_of(devnet.connection, [chain[-1].address], head(devnet), hops=2)
    assert [one.sender for one in found.back_from(chain[-1].address)] == [chain[3].address, chain[2].address]
    assert found.hops == 2


def test_who_never_held_a_coin_was_never_paid(devnet) -> None:
    stranger = account(99).address
    found = origins_of(devnet.connection, [stranger], head(devnet))
    assert found.unpaid == {stranger}
    assert not found.paid
    assert not found.untold


def test_two_that_pay_each_other_end_the_search(devnet, pay) -> None:
    one, other = account(81), account(82)
    devnet.fund(one.address, 100 * ETHER)
    pay(one, other.address)
    pay(other, one.address, ETHER // 4)
    found = origins_of(devnet.connection, [other.address], head(devnet))
    assert [payment.sender for payment in found.back_from(other.address)] == [one.address]
    assert "from inside a contract, or as a reward" in found.untold[one.address]


def test_a_crowd_is_looked_at_in_part_and_that_is_said(devnet) -> None:
    crowd = [account(number).address for number in range(200, 203 + MOST_ACCOUNTS)]
    found = origins_of(devnet.connection, crowd, head(devnet))
    assert len(found.unpaid) == MOST_ACCOUNTS
    assert len(found.untold) == 3
    assert all("more than" in why for why in found.untold.values())
