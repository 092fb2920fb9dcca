"""Many challenges at once: each costs more the more are open, and the queue is answered oldest first as ever."""

from __future__ import annotations

import pytest
from content import Uniform
from world import ACTIVE, COMPLETED, ETHER, FAILED, Campaign, World, refused

from llamafund_chain.campaign.client import DOUBLING, price_of_challenge

CONTENT = Uniform(11)
QUEUE_SLOT = 7
"""Where the contract keeps the numbers of the oldest challenge without an answer and of the next one."""
LARGEST_BOND = 2**96 - 1


@pytest.fixture
def attested(world: World) -> Campaign:
    """Its least bond is above an answer's cost at any base fee that the chain has here."""
    campaign = world.open(minBond=ETHER // 10).funded().activated()
    campaign.attest_content(CONTENT)
    return campaign


def _queue_of(campaign: Campaign, length: int) -> None:
    """Put the length of the queue where the contract keeps it: the price depends on nothing else of it."""
    word = length << 128
    campaign.world.rpc("anvil_setStorageAt", campaign.address, f"0x{QUEUE_SLOT:064x}", f"0x{word:064x}")


@pytest.mark.parametrize(
    ("length", "factor"), [(0, 512), (1, 513), (511, 1_023), (512, 1_024), (513, 1_026), (1_024, 2_048)]
)
def test_the_price_doubles_with_every_512_open_challenges_in_a_straight_line(
    attested: Campaign, length: int, factor: int
) -> None:
    base = attested.terms["minBond"]
    _queue_of(attested, length)
    price = attested.read("requiredBond")
    assert price == base * factor // 512
    assert price == price_of_challenge(base, length)
    with refused("Campaign_BondTooSmall", price, price - 1):
        attested.challenge(CONTENT, 0, bond=price - 1)
    attested.challenge(CONTENT, 0, bond=price)
    assert attested.read("openChallenges") == length + 1
    assert attested.read("requiredBond") >= price


def test_the_price_follows_the_base_fee_where_that_is_higher(world: World, attested: Campaign) -> None:
    _queue_of(attested, 3 * DOUBLING)
    fee = 1_000 * 10**9
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee))
    world.warp(world.now() + 1)
    assert attested.read("requiredBond") == 1_250_000 * fee * 8


def test_threat_a_flood_ends_at_the_largest_bond_and_holds_more_than_there_is(world: World) -> None:
    """Even at the least bond, fewer than 30 000 challenges cost more than all ether: a day of slow answers."""
    campaign = world.open(minBond=10**12).funded().activated()
    campaign.attest_content(CONTENT)
    for length in (512, 5_120, 17_280, 29_183):
        _queue_of(campaign, length)
        world.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
        world.warp(world.now() + 1)
        assert campaign.read("requiredBond") == price_of_challenge(10**12, length)
    assert sum(price_of_challenge(10**12, ahead) for ahead in range(17_280)) > 10**7 * ETHER
    _queue_of(campaign, 57 * DOUBLING)
    world.rpc("anvil_setBalance", world.backer0, hex(2**97))
    call = campaign.functions.challenge(CONTENT.root, CONTENT.size, 0)
    with refused("Campaign_BondTooSmall", 10**12 << 57, LARGEST_BOND):
        world.send(call, world.backer0, value=LARGEST_BOND, base_fee=0)
    assert LARGEST_BOND < 10**12 << 57


def test_threat_a_flood_is_answered_oldest_first_and_pays_for_it(world: World, attested: Campaign) -> None:
    before = world.balance(world.stranger)
    bonds = 0
    for chunk in range(20):
        bonds += attested.read("requiredBond")
        attested.challenge(CONTENT, chunk)
    assert bonds > 20 * attested.terms["minBond"]
    for chunk in range(20):
        attested.answer(CONTENT, chunk)
    assert world.balance(world.stranger) > before
    assert attested.read("requiredBond") == attested.terms["minBond"]
    assert attested.status == ACTIVE


def test_threat_crowding_an_honest_challenger_out_locks_512_times_what_it_raises_the_price_by(
    world: World, attested: Campaign
) -> None:
    """The researcher is no backer: whoever fills the queue for it locks its own money, and silence still fails it."""
    base, locked = attested.terms["minBond"], 0
    for chunk in range(1, 31):
        locked += attested.read("requiredBond")
        attested.challenge(CONTENT, chunk, by=world.backer1)
        assert attested.read("requiredBond") - base <= locked // 512 + 1
    attested.challenge(CONTENT, 0, by=world.backer0)
    for chunk in range(1, 31):
        attested.answer(CONTENT, chunk)
    # Nobody has the chunk that the honest challenger named.
    world.warp(attested.answer_by)
    assert attested.status == FAILED
    before = world.balance(world.elsewhere)
    attested.return_bond(0, world.elsewhere)
    assert world.balance(world.elsewhere) - before > base


def test_threat_challenges_one_by_one_each_pay_for_their_answer(world: World, attested: Campaign) -> None:
    base_fee = 20 * 10**9
    before = world.balance(world.stranger)
    for chunk in range(5):
        bond = attested.terms["minBond"]
        call = attested.functions.challenge(CONTENT.root, CONTENT.size, chunk)
        world.send(call, world.backer1, value=bond, base_fee=base_fee)
        answer = attested.functions.answer(CONTENT.root, CONTENT.size, chunk, CONTENT.chunk(chunk), CONTENT.path(chunk))
        world.send(answer, world.stranger, base_fee=base_fee)
        assert world.balance(world.stranger) > before
        before = world.balance(world.stranger)
    attested.window_passed()
    assert attested.read("released") == 2 * ETHER


def test_threat_front_running_the_price_takes_52_challenges_to_outbid_a_tenth_more(
    world: World, attested: Campaign
) -> None:
    offered = attested.read("requiredBond") * 11 // 10
    for chunk in range(1, 52):
        attested.challenge(CONTENT, chunk, by=world.backer1)
    before = world.devnet.snapshot()
    attested.challenge(CONTENT, 0, bond=offered)
    world.devnet.revert(before)
    attested.challenge(CONTENT, 52, by=world.backer1)
    with refused("Campaign_BondTooSmall", attested.read("requiredBond"), offered):
        attested.challenge(CONTENT, 0, bond=offered)


def test_a_long_queue_changes_neither_order_nor_deadlines_nor_refunds(world: World, attested: Campaign) -> None:
    for chunk in range(40):
        attested.challenge(CONTENT, chunk, at=world.now() + 60)
    first = attested.answer_by
    for chunk in range(20):
        attested.answer(CONTENT, chunk)
    assert attested.answer_by == first + 20 * 60
    with refused("Campaign_NotNextChallenge", 20, 21):
        attested.answer(CONTENT, 21)
    world.warp(attested.answer_by - 1)
    assert attested.status == ACTIVE
    world.warp(attested.answer_by)
    assert attested.status == FAILED
    for chunk in range(20, 40):
        before = world.balance(world.elsewhere)
        attested.return_bond(chunk, world.elsewhere)
        assert world.balance(world.elsewhere) - before == price_of_challenge(attested.terms["minBond"], chunk)
    attested.refund(world.backer0)
    attested.refund(world.backer1)
    assert world.balance(attested.address) == 0


def test_a_flood_that_is_answered_completes_the_campaign(attested: Campaign) -> None:
    attested.attested(1)
    attested.attest_content(CONTENT)
    for chunk in range(5):
        attested.challenge(CONTENT, chunk)
    for chunk in range(5):
        attested.answer(CONTENT, chunk)
    attested.window_passed()
    assert attested.status == COMPLETED
