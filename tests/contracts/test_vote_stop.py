"""The backers' stop vote."""

from __future__ import annotations

import pytest
from world import ACTIVE, COMPLETED, ETHER, FAILED, FUNDING, Campaign, World, refused


def test_half_of_the_pledges_stop_the_campaign(world: World) -> None:
    campaign = world.open()
    for backer, amount in ((world.backer0, 4), (world.backer1, 1), (world.backer2, 5)):
        campaign.pledge(backer, amount * ETHER)
    campaign.activated()

    receipt = campaign.vote(world.backer0)
    assert campaign.status == ACTIVE
    assert campaign.read("stopSupport") == 4 * ETHER
    assert campaign.read("hasVotedStop", world.backer0)
    assert campaign.events("Stopped", receipt) == []
    receipt = campaign.vote(world.backer1)

    assert campaign.status == FAILED
    assert campaign.ledger["stopped"]
    assert campaign.events("StopVoted", receipt) == [
        {"backer": world.backer1, "support": True, "weight": ETHER, "totalSupport": 5 * ETHER}
    ]
    assert campaign.events("Stopped", receipt) == [{"totalSupport": 5 * ETHER}]
    assert campaign.read("refundable", world.backer2) == 5 * ETHER


def test_one_unit_less_than_the_threshold_stops_nothing(world: World) -> None:
    campaign = world.open(stopBps=3_300, goal=10_000, cap=10_000)
    for backer, amount in ((world.backer0, 3_299), (world.backer1, 1), (world.backer2, 6_700)):
        campaign.pledge(backer, amount)
    campaign.activated()
    campaign.vote(world.backer0)
    assert campaign.status == ACTIVE
    campaign.vote(world.backer1)
    assert campaign.status == FAILED


def test_a_vote_can_be_retracted(world: World, active: Campaign) -> None:
    active.vote(world.backer1)
    receipt = active.vote(world.backer1, False)
    assert active.read("stopSupport") == 0
    assert not active.read("hasVotedStop", world.backer1)
    assert active.events("StopVoted", receipt)[0]["support"] is False
    active.vote(world.backer1)
    assert active.read("stopSupport") == 4 * ETHER
    assert active.read("pledgeOf", world.backer1) == 4 * ETHER


def test_a_vote_is_counted_once(world: World, active: Campaign) -> None:
    with refused("Campaign_VoteUnchanged", False):
        active.vote(world.backer1, False)
    active.vote(world.backer1)
    with refused("Campaign_VoteUnchanged", True):
        active.vote(world.backer1)


def test_only_backers_vote(world: World, active: Campaign) -> None:
    for caller in (world.stranger, world.researcher):
        with refused("Campaign_NotBacker", caller):
            active.vote(caller)


def test_threat_a_researcher_outvotes_backers_only_with_its_own_money_at_stake(world: World) -> None:
    campaign = world.open(stopBps=5_000)
    campaign.pledge(world.backer0, 9 * ETHER)
    campaign.pledge(world.researcher, 9 * ETHER + 1)
    campaign.activated()
    campaign.vote(world.backer0)
    assert campaign.status == ACTIVE
    # Its money is locked like everybody's, and lost to the payees like everybody's.
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.unpledge(world.researcher, 1)
    campaign.overdue()
    campaign.refund(world.backer0)
    assert campaign.read("refundable", world.researcher) == 9 * ETHER + 1


def test_threat_backers_cannot_take_the_money_back_after_delivery(world: World, active: Campaign) -> None:
    active.vote(world.backer1)
    active.attested(3)
    for backer, support in ((world.backer0, True), (world.backer1, False)):
        with refused("Campaign_VotingClosed"):
            active.vote(backer, support)
    active.window_passed()
    with refused("Campaign_WrongStatus", COMPLETED):
        active.vote(world.backer0)
    active.claim(0)
    assert active.read("claimed", 0) == 7 * ETHER


def test_voting_is_for_active_campaigns(world: World, campaign: Campaign) -> None:
    campaign.funded()
    with refused("Campaign_WrongStatus", FUNDING):
        campaign.vote(world.backer0)
    campaign.activated().stopped()
    with refused("Campaign_WrongStatus", FAILED):
        campaign.vote(world.backer1)
    with refused("Campaign_WrongStatus", FAILED):
        campaign.vote(world.backer0, False)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_stop_inside_a_window_withholds_that_tranche_for_good(world: World, active: Campaign, seconds: int) -> None:
    active.attested(1)
    end = active.window_end
    active.vote(world.backer0, at=end + seconds)
    expected = 0 if seconds < 0 else 2 * ETHER
    assert active.read("released") == expected
    world.warp(end + 1_000_000_000)
    assert active.status == FAILED
    assert active.read("released") == expected
    assert active.read("refundable", world.backer0) == 6 * (10 * ETHER - expected) // 10


def test_a_stop_between_milestones_leaves_the_released_tranches_released(world: World, active: Campaign) -> None:
    active.attested(2).window_passed()
    active.stopped()
    assert active.read("released") == 5 * ETHER
    active.claim(0)
    active.refund(world.backer0)
    active.refund(world.backer1)
    active.claim(1)
    assert active.held == 0
