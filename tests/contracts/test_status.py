"""The life of a campaign: where it stands when, and that nothing leads where the diagram draws no arrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from world import ACTIVE, COMPLETED, ETHER, FAILED, FUNDING, Campaign, World, refused


def _statuses_around(world: World, campaign: Campaign, moment: int) -> list[int]:
    found = []
    for seconds in (-1, 0, 1):
        world.warp(moment + seconds)
        found.append(campaign.status)
    return found


def test_funding_below_the_goal_fails_at_the_funding_deadline(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 10 * ETHER - 1)
    assert _statuses_around(world, campaign, campaign.terms["fundingDeadline"]) == [FUNDING, FAILED, FAILED]


def test_a_campaign_without_pledges_fails_at_the_funding_deadline(world: World, campaign: Campaign) -> None:
    assert _statuses_around(world, campaign, campaign.terms["fundingDeadline"]) == [FUNDING, FAILED, FAILED]


def test_a_funded_campaign_waits_for_activation_beyond_the_funding_deadline(world: World, campaign: Campaign) -> None:
    campaign.funded()
    assert _statuses_around(world, campaign, campaign.terms["fundingDeadline"]) == [FUNDING, FUNDING, FUNDING]


def test_a_campaign_that_nobody_activates_fails_at_the_first_milestones_deadline(
    world: World, campaign: Campaign
) -> None:
    campaign.funded()
    assert _statuses_around(world, campaign, campaign.terms["milestones"][0][2]) == [FUNDING, FAILED, FAILED]
    campaign.refund(world.backer0)
    campaign.refund(world.backer1)
    assert campaign.held == 0


@pytest.mark.parametrize("attested", [0, 1, 2])
def test_an_active_campaign_fails_at_the_next_deadline(world: World, active: Campaign, attested: int) -> None:
    active.attested(attested)
    deadline = active.read("deadlineOf", attested)
    assert _statuses_around(world, active, deadline) == [ACTIVE, FAILED, FAILED]


def test_slack_puts_failure_off(world: World, active: Campaign) -> None:
    active.extend(100)
    deadline = active.terms["milestones"][0][2] + 100
    assert _statuses_around(world, active, deadline) == [ACTIVE, FAILED, FAILED]


def test_a_campaign_completes_when_the_last_window_is_over(world: World, active: Campaign) -> None:
    active.attested(3)
    assert _statuses_around(world, active, active.window_end) == [ACTIVE, COMPLETED, COMPLETED]


def test_weights_attested_at_the_last_second_are_in_time(world: World, active: Campaign) -> None:
    active.attested(2)
    deadline = active.read("deadlineOf", 2)
    active.attest(at=deadline - 1)
    world.warp(deadline + 1)
    assert active.status == ACTIVE
    active.window_passed()
    assert active.status == COMPLETED


def _funding(campaign: Campaign) -> None:
    campaign.pledge(campaign.world.backer0, 9 * ETHER)


def _just_active(campaign: Campaign) -> None:
    campaign.funded().activated()


def _active(campaign: Campaign) -> None:
    campaign.funded().activated().votes_open()


def _attested(campaign: Campaign) -> None:
    campaign.funded().activated().attested(1).votes_open()


def _delivered(campaign: Campaign) -> None:
    campaign.funded().activated().attested(3)


def _completed(campaign: Campaign) -> None:
    campaign.funded().activated().attested(3).window_passed()


def _unfunded(campaign: Campaign) -> None:
    campaign.pledge(campaign.world.backer0, 9 * ETHER)
    campaign.world.warp(campaign.terms["fundingDeadline"])


def _overdue(campaign: Campaign) -> None:
    campaign.funded().activated().overdue()


def _stopped(campaign: Campaign) -> None:
    campaign.funded().activated().stopped()


STATES: dict[str, tuple[Callable[[Campaign], None], int]] = {
    "funding": (_funding, FUNDING),
    "just active": (_just_active, ACTIVE),
    "active": (_active, ACTIVE),
    "attested": (_attested, ACTIVE),
    "delivered": (_delivered, ACTIVE),
    "completed": (_completed, COMPLETED),
    "unfunded": (_unfunded, FAILED),
    "overdue": (_overdue, FAILED),
    "stopped": (_stopped, FAILED),
}
CALLS: dict[str, Callable[[Campaign], object]] = {
    "pledge": lambda c: c.pledge(c.world.backer2, 1),
    "unpledge": lambda c: c.unpledge(c.world.backer0, 1),
    "activate": lambda c: c.activate(),
    "vote": lambda c: c.vote(c.world.backer1),
    "extend": lambda c: c.extend(1),
    "attest": lambda c: c.submit(c.attestation()),
    "claim": lambda c: c.claim(0),
    "refund": lambda c: c.refund(c.world.backer0),
    "refund_to": lambda c: c.refund_to(c.world.backer0, c.world.elsewhere),
}
ALLOWED = {
    "funding": {"pledge", "unpledge"},
    "just active": {"extend", "attest"},
    "active": {"vote", "extend", "attest"},
    "attested": {"vote", "extend"},
    "delivered": {"claim"},
    "completed": {"claim"},
    "unfunded": {"refund", "refund_to"},
    "overdue": {"refund", "refund_to"},
    "stopped": {"refund", "refund_to"},
}
REASONS = {
    ("funding", "activate"): "Campaign_GoalNotMet",
    ("just active", "vote"): "Campaign_VotingNotOpen",
    ("attested", "attest"): "Campaign_WindowOpen",
    ("delivered", "attest"): "Campaign_WindowOpen",
    ("delivered", "vote"): "Campaign_VotingClosed",
    ("delivered", "extend"): "Campaign_WrongMilestone",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STATES)
def test_every_call_in_every_state_does_what_the_diagram_draws(
    world: World, campaign: Campaign, state: str, call: str
) -> None:
    prepare, status = STATES[state]
    prepare(campaign)
    assert campaign.status == status
    before = (campaign.read("ledger"), campaign.held)

    if call in ALLOWED[state]:
        CALLS[call](campaign)
        return

    if call == "claim":
        expected: tuple[str, ...] = ("Campaign_NothingToClaim",)
    else:
        expected = (REASONS[state, call],) if (state, call) in REASONS else ("Campaign_WrongStatus",)
    with refused(*expected):
        CALLS[call](campaign)
    assert campaign.status == status
    assert (campaign.read("ledger"), campaign.held) == before
