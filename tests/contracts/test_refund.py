"""Getting money back from a failed campaign."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from world import (
    ACTIVE,
    COMPLETED,
    ETHER,
    FAILED,
    FUNDING,
    ZERO,
    Campaign,
    RevertedError,
    World,
    data_of,
    refused,
)

ACCEPT, REFUSE, BURN_GAS, RETURN_BOMB, REENTER = range(5)


def test_below_the_goal_everybody_gets_everything_back(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 6 * ETHER)
    campaign.pledge(world.backer1, 3 * ETHER)
    world.warp(campaign.terms["fundingDeadline"])
    before = world.balance(world.backer0)

    receipt = campaign.refund(world.backer0, by=world.stranger)

    assert world.balance(world.backer0) - before == 6 * ETHER
    assert campaign.events("Refunded", receipt) == [
        {"backer": world.backer0, "recipient": world.backer0, "amount": 6 * ETHER}
    ]
    campaign.refund(world.backer1, by=world.stranger)
    assert campaign.held == 0


def test_a_failed_campaign_refunds_what_was_not_released(world: World, active: Campaign) -> None:
    active.attested(2).window_passed()
    active.overdue()

    assert active.read("refundable", world.backer0) == 3 * ETHER
    assert active.read("refundable", world.backer1) == 2 * ETHER
    active.refund(world.backer0)
    assert active.read("refundable", world.backer0) == 0
    active.refund(world.backer1)
    assert active.held == active.read("released") == 5 * ETHER


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_refunds_open_at_the_funding_deadline(world: World, campaign: Campaign, seconds: int) -> None:
    campaign.pledge(world.backer0, ETHER)
    moment = campaign.terms["fundingDeadline"] + seconds
    if seconds < 0:
        with refused("Campaign_WrongStatus", FUNDING):
            campaign.refund(world.backer0, at=moment)
        return
    campaign.refund(world.backer0, at=moment)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_refunds_open_when_a_milestone_is_overdue(world: World, active: Campaign, seconds: int) -> None:
    moment = active.read("deadlineOf", 0) + seconds
    if seconds < 0:
        with refused("Campaign_WrongStatus", ACTIVE):
            active.refund(world.backer0, at=moment)
        return
    active.refund(world.backer0, at=moment)


def test_a_refund_is_paid_once(world: World, active: Campaign) -> None:
    active.overdue()
    active.refund(world.backer0)
    for attempt in (active.functions.collectRefund(world.backer0), active.functions.refundTo(world.elsewhere)):
        with refused("Campaign_NothingToRefund", world.backer0):
            world.send(attempt, world.backer0)


def test_strangers_have_nothing_to_refund(world: World, active: Campaign) -> None:
    active.overdue()
    with refused("Campaign_NothingToRefund", world.stranger):
        active.refund(world.stranger)
    with refused("Campaign_NothingToRefund", world.stranger):
        active.refund_to(world.stranger, world.elsewhere)


def test_a_backer_chooses_where_its_refund_goes(world: World, active: Campaign) -> None:
    active.overdue()
    before = world.balance(world.elsewhere)
    active.refund_to(world.backer0, world.elsewhere)
    assert world.balance(world.elsewhere) - before == 6 * ETHER
    for recipient in (ZERO, active.address):
        with refused("Campaign_BadRecipient", recipient):
            active.refund_to(world.backer1, recipient)


def test_a_campaign_that_completed_refunds_nobody(world: World, active: Campaign) -> None:
    active.attested(3).window_passed()
    assert active.read("refundable", world.backer0) == 0
    with refused("Campaign_WrongStatus", COMPLETED):
        active.refund(world.backer0)


def test_a_share_too_small_for_a_unit_is_refused_and_stays(world: World) -> None:
    campaign = world.open(goal=10_001, cap=10_001)
    campaign.pledge(world.backer0, 10_000)
    campaign.pledge(world.backer1, 1)
    campaign.activated().attested(1).window_passed()
    campaign.overdue()
    with refused("Campaign_NothingToRefund", world.backer1):
        campaign.refund(world.backer1)
    assert campaign.read("pledgeOf", world.backer1) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_threat_the_order_of_refunds_makes_no_difference(world: World, order: tuple[int, ...]) -> None:
    rng = random.Random(7)
    pledges = [rng.randint(1, 10**9) for _ in range(3)]
    backers = [world.backer0, world.backer1, world.backer2]
    total = sum(pledges)
    campaign = world.open(goal=total, cap=total)
    for backer, amount in zip(backers, pledges, strict=True):
        campaign.pledge(backer, amount)
    campaign.activated().attested(1).window_passed()
    campaign.overdue()
    pool = total - campaign.read("released")

    for index in order:
        expected = pledges[index] * pool // total
        assert campaign.read("refundable", backers[index]) == expected
        receipt = campaign.refund(backers[index])
        assert campaign.events("Refunded", receipt)[0]["amount"] == expected

    assert 0 <= campaign.held - campaign.read("released") < 3


def test_claims_between_refunds_make_no_difference(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    active.overdue()
    active.refund(world.backer0)
    active.claim(0)
    assert active.read("refundable", world.backer1) == 4 * ETHER * 8 // 10
    active.claim(1)
    active.refund(world.backer1)
    assert active.held == 0


# ---------------------------------------------------- contracts on the other side


def _puppet_backer(world: World) -> tuple[Campaign, Any]:
    """A failed campaign with a contract and backer 1 as its backers, 6 and 3 ether."""
    campaign = world.open()
    puppet = world.deploy("Puppet")
    campaign.pledge(puppet.address, 6 * ETHER, payer=world.backer0)
    campaign.pledge(world.backer1, 3 * ETHER)
    world.warp(campaign.terms["fundingDeadline"])
    return campaign, puppet


@pytest.mark.parametrize("mood", [REFUSE, BURN_GAS, RETURN_BOMB])
def test_threat_a_backer_that_cannot_be_paid_holds_up_nobody(world: World, mood: int) -> None:
    campaign, puppet = _puppet_backer(world)
    world.send(puppet.functions.setMood(mood), world.stranger)

    # Whatever the receiver does, the push fails as a whole and its money stays where it was.
    with pytest.raises(RevertedError):
        world.send(campaign.functions.collectRefund(puppet.address), world.stranger, gas=2_000_000)
    assert campaign.read("refundable", puppet.address) == 6 * ETHER

    campaign.refund(world.backer1, by=world.stranger)
    data = data_of(campaign.functions.refundTo(world.elsewhere))
    before = world.balance(world.elsewhere)
    world.send(puppet.functions.execute(campaign.address, 0, data), world.stranger)
    assert world.balance(world.elsewhere) - before == 6 * ETHER
    assert campaign.held == 0


def test_threat_a_backer_that_reenters_gets_its_refund_once(world: World) -> None:
    campaign, puppet = _puppet_backer(world)
    for attempt in (campaign.functions.collectRefund(puppet.address), campaign.functions.refundTo(puppet.address)):
        data = data_of(attempt)
        before = world.devnet.snapshot()
        world.send(puppet.functions.setReentry(campaign.address, data), world.stranger)
        campaign.refund(puppet.address, by=world.stranger)
        assert not puppet.functions.reentered().call()
        assert puppet.functions.answer().call() == bytes(world.w3.keccak(text="ReentrancyGuardReentrantCall()")[:4])
        assert world.balance(puppet.address) == 6 * ETHER
        assert campaign.held == 3 * ETHER
        world.devnet.revert(before)


def test_a_pledge_in_the_middle_of_a_payout_counts_like_any_other(world: World, campaign: Campaign) -> None:
    puppet = world.deploy("Puppet")
    campaign.pledge(world.backer0, 6 * ETHER)
    data = data_of(campaign.functions.pledgeCoin(puppet.address))
    world.send(puppet.functions.setReentry(campaign.address, data), world.stranger)

    campaign.unpledge(world.backer0, ETHER, puppet.address)

    # It sent nothing along, so it pledged nothing; the books balance either way.
    assert puppet.functions.answer().call() == bytes(world.w3.keccak(text="Campaign_ZeroAmount()")[:4])
    assert campaign.held == campaign.ledger["pledged"] == 5 * ETHER


def test_a_payee_that_refuses_money_names_another_recipient(world: World) -> None:
    puppet = world.deploy("Puppet")
    campaign = world.open(payees=[(puppet.address, 7_000), (world.verifier, 3_000)]).funded().activated()
    campaign.attested(1).window_passed()
    world.send(puppet.functions.setMood(REFUSE), world.stranger)

    def claim_to(recipient: str) -> None:
        data = data_of(campaign.functions.claim(0, recipient))
        world.send(puppet.functions.execute(campaign.address, 0, data), world.stranger)

    with refused("PuppetRefuses"):
        claim_to(puppet.address)
    campaign.claim(1)
    claim_to(world.elsewhere)
    assert campaign.read("claimed", 0) == 2 * ETHER * 7 // 10


def test_failure_is_final(world: World, active: Campaign) -> None:
    active.overdue()
    active.refund(world.backer0)
    assert active.status == FAILED
    with refused("Campaign_WrongStatus", FAILED):
        active.attest(at=world.now() + 1)
    with refused("Campaign_WrongStatus", FAILED):
        active.extend(1)
