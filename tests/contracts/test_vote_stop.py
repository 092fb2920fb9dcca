"""The backers' stop vote."""

from __future__ import annotations

import pytest
from world import ACTIVE, COMPLETED, DAY, ETHER, FAILED, FUNDING, NO_MINIMUM, WEIGHTS, Campaign, World, refused


@pytest.fixture
def voting(active: Campaign) -> Campaign:
    """An active campaign, at the first second at which votes are taken."""
    return active.votes_open()


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_votes_are_taken_from_a_day_after_activation(world: World, campaign: Campaign, seconds: int) -> None:
    campaign.funded()
    assert campaign.votes_from == 0
    campaign.activate()
    opens = world.now() + DAY
    assert campaign.votes_from == opens
    with refused("Campaign_VotingNotOpen", opens):
        campaign.vote(world.backer0)

    if seconds < 0:
        with refused("Campaign_VotingNotOpen", opens):
            campaign.vote(world.backer0, at=opens + seconds)
        assert campaign.read("stopSupport") == 0
    else:
        campaign.vote(world.backer0, at=opens + seconds)
        assert (campaign.status, campaign.read("stopSupport")) == (FAILED, 6 * ETHER)
    assert campaign.votes_from == opens


def test_no_attestation_and_no_extension_changes_when_votes_are_taken(world: World, active: Campaign) -> None:
    opens = active.votes_from
    active.attested(1)
    active.extend(DAY)
    assert active.votes_from == opens
    with refused("Campaign_VotingNotOpen", opens):
        active.vote(world.backer0, at=opens - 1)
    active.vote(world.backer0, at=opens)
    # Before anything was paid: a window is longer than votes wait.
    assert (active.status, active.read("released")) == (FAILED, 0)


def test_before_votes_are_taken_everybody_is_told_when(world: World, active: Campaign) -> None:
    for caller, support in ((world.stranger, True), (world.backer1, True), (world.backer1, False)):
        with refused("Campaign_VotingNotOpen", active.votes_from):
            active.vote(caller, support)


def test_weights_attested_on_the_first_day_close_voting_before_it_opened(world: World) -> None:
    """All that a lying quorum needs in a campaign of one milestone; `docs/security.md` says so."""
    milestones = [(WEIGHTS, 10_000, world.now() + 60 * DAY, NO_MINIMUM)]
    campaign = world.open(milestones=milestones).funded().activated().attested(1)
    for moment in (campaign.votes_from - 1, campaign.votes_from):
        with refused("Campaign_VotingClosed"):
            campaign.vote(world.backer0, at=moment)


def test_whoever_holds_the_share_that_stops_can_stop_at_the_price_of_a_day(world: World) -> None:
    """What nothing prevents: own money, half of the pool, locked from its pledge until votes are taken."""
    campaign = world.open().funded()
    campaign.pledge(world.backer2, 10 * ETHER)
    campaign.activated()
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.unpledge(world.backer2, 1)
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.refund(world.backer2, at=campaign.votes_from - 1)
    campaign.vote(world.backer2, at=campaign.votes_from)
    assert campaign.status == FAILED
    assert campaign.read("refundable", world.backer2) == 10 * ETHER


def test_half_of_the_pledges_stop_the_campaign(world: World) -> None:
    campaign = world.open()
    for backer, amount in ((world.backer0, 4), (world.backer1, 1), (world.backer2, 5)):
        campaign.pledge(backer, amount * ETHER)
    campaign.activated().votes_open()

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
    campaign.activated().votes_open()
    campaign.vote(world.backer0)
    assert campaign.status == ACTIVE
    campaign.vote(world.backer1)
    assert campaign.status == FAILED


def test_a_vote_can_be_retracted(world: World, voting: Campaign) -> None:
    voting.vote(world.backer1)
    receipt = voting.vote(world.backer1, False)
    assert voting.read("stopSupport") == 0
    assert not voting.read("hasVotedStop", world.backer1)
    assert voting.events("StopVoted", receipt)[0]["support"] is False
    voting.vote(world.backer1)
    assert voting.read("stopSupport") == 4 * ETHER
    assert voting.read("pledgeOf", world.backer1) == 4 * ETHER


def test_a_vote_is_counted_once(world: World, voting: Campaign) -> None:
    with refused("Campaign_VoteUnchanged", False):
        voting.vote(world.backer1, False)
    voting.vote(world.backer1)
    with refused("Campaign_VoteUnchanged", True):
        voting.vote(world.backer1)


def test_only_backers_vote(world: World, voting: Campaign) -> None:
    for caller in (world.stranger, world.researcher):
        with refused("Campaign_NotBacker", caller):
            voting.vote(caller)


def test_threat_a_researcher_outvotes_backers_only_with_its_own_money_at_stake(world: World) -> None:
    campaign = world.open(stopBps=5_000)
    campaign.pledge(world.backer0, 9 * ETHER)
    campaign.pledge(world.researcher, 9 * ETHER + 1)
    campaign.activated().votes_open()
    campaign.vote(world.backer0)
    assert campaign.status == ACTIVE
    # Its money is locked like everybody's, and lost to the payees like everybody's.
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.unpledge(world.researcher, 1)
    campaign.overdue()
    campaign.refund(world.backer0)
    assert campaign.read("refundable", world.researcher) == 9 * ETHER + 1


def test_threat_backers_cannot_take_the_money_back_after_delivery(world: World, voting: Campaign) -> None:
    voting.vote(world.backer1)
    voting.attested(3)
    for backer, support in ((world.backer0, True), (world.backer1, False)):
        with refused("Campaign_VotingClosed"):
            voting.vote(backer, support)
    voting.window_passed()
    with refused("Campaign_WrongStatus", COMPLETED):
        voting.vote(world.backer0)
    voting.claim(0)
    assert voting.read("claimed", 0) == 7 * ETHER


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
