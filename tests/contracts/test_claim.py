"""Collecting what was released."""

from __future__ import annotations

import pytest
from world import ETHER, FAILED, ZERO, Campaign, World, refused


def test_a_released_tranche_is_shared_and_collected(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    before = world.balance(world.elsewhere)

    receipt = active.claim(0, world.elsewhere)
    active.claim(1)

    assert world.balance(world.elsewhere) - before == 2 * ETHER * 70 // 100
    assert active.read("claimed", 1) == 2 * ETHER * 30 // 100
    assert active.held == 8 * ETHER
    assert active.events("Claimed", receipt) == [
        {"payee": 0, "recipient": world.elsewhere, "amount": 2 * ETHER * 70 // 100}
    ]


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_tranche_is_released_as_soon_as_its_window_is_over(world: World, active: Campaign, seconds: int) -> None:
    active.attested(1)
    moment = active.window_end + seconds
    if seconds < 0:
        with refused("Campaign_NothingToClaim"):
            active.claim(0, at=moment)
        world.warp(moment)
        assert active.read("released") == active.read("claimable", 0) == 0
        return
    world.warp(moment)
    assert active.read("released") == 2 * ETHER
    assert active.read("claimable", 0) == 2 * ETHER * 70 // 100
    active.claim(0)


def test_nothing_is_collected_twice(active: Campaign) -> None:
    active.attested(1).window_passed()
    active.claim(0)
    with refused("Campaign_NothingToClaim"):
        active.claim(0)
    assert active.read("claimable", 0) == 0


def test_a_payee_that_waits_collects_everything_at_once(world: World, active: Campaign) -> None:
    active.attested(3).window_passed()
    active.claim(1)
    active.claim(0)
    assert active.read("claimed", 0) == 7 * ETHER
    assert active.read("claimed", 1) == 3 * ETHER
    assert active.held == 0


def test_only_the_payee_collects(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    for caller in (world.verifier, world.researcher, world.stranger):
        with refused("Campaign_NotPayee", caller, 0):
            active.claim(0, by=caller)
    for payee in (2, 2**256 - 1):
        with refused("Campaign_NotPayee", world.stranger, payee):
            active.claim(payee, by=world.stranger)
        with refused("Campaign_NotPayee", world.stranger, payee):
            active.read("claimable", payee)


def test_money_goes_to_somebody_else_than_the_campaign(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    for recipient in (ZERO, active.address):
        with refused("Campaign_BadRecipient", recipient):
            active.claim(0, recipient)


def test_one_account_may_be_several_payees(world: World) -> None:
    campaign = world.open(payees=[(world.compute, 4_000), (world.compute, 6_000)]).funded().activated()
    campaign.attested(1).window_passed()
    campaign.claim(0)
    campaign.claim(1)
    assert (campaign.read("claimed", 0), campaign.read("claimed", 1)) == (8 * ETHER // 10, 12 * ETHER // 10)


def test_what_was_released_stays_collectable_after_failure(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    active.overdue()
    assert active.status == FAILED
    active.claim(0)
    active.refund(world.backer0)
    active.claim(1)
    assert active.read("claimed", 0) + active.read("claimed", 1) == 2 * ETHER


@pytest.mark.parametrize("pledged", [1, 2, 3, 7, 9_999, 10_001, 123_456_789])
def test_shares_sum_to_the_pool_to_the_last_unit(world: World, pledged: int) -> None:
    payees = [(world.compute, 3_333), (world.verifier, 3_334), (world.elsewhere, 3_333)]
    campaign = world.open(goal=pledged, cap=pledged, payees=payees)
    campaign.pledge(world.backer0, pledged)
    campaign.activated()
    for _ in range(3):
        campaign.attested(1).window_passed()
        for payee in range(3):
            if campaign.read("claimable", payee):
                campaign.claim(payee)
        assert sum(campaign.read("claimed", payee) for payee in range(3)) == campaign.read("released")
    assert campaign.held == 0
