"""What the researcher can do besides opening and activating: use the slack, and post updates."""

from __future__ import annotations

import pytest
from world import ACTIVE, COMPLETED, DAY, FAILED, FUNDING, Campaign, World, refused


def test_the_slack_pushes_the_current_and_all_later_deadlines_back(world: World, active: Campaign) -> None:
    before = [active.read("deadlineOf", index) for index in range(3)]

    receipt = active.extend(5 * DAY)

    assert [active.read("deadlineOf", index) for index in range(3)] == [moment + 5 * DAY for moment in before]
    assert active.ledger["slackUsed"] == 5 * DAY
    assert active.events("DeadlinesExtended", receipt) == [{"bySeconds": 5 * DAY, "slackUsed": 5 * DAY}]


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_an_extended_milestone_is_attested_strictly_before_its_new_deadline(active: Campaign, seconds: int) -> None:
    active.extend(20 * DAY)
    deadline = active.terms["milestones"][0][2] + 20 * DAY
    if seconds < 0:
        active.attest(at=deadline + seconds)
        return
    with refused("Campaign_WrongStatus", FAILED):
        active.attest(at=deadline + seconds)


def test_the_slack_in_the_terms_is_all_there_is(active: Campaign) -> None:
    active.extend(15 * DAY)
    with refused("Campaign_SlackExceeded", 20 * DAY, 20 * DAY + 1):
        active.extend(5 * DAY + 1)
    with refused("Campaign_SlackExceeded", 20 * DAY, 15 * DAY + 2**32 - 1):
        active.extend(2**32 - 1)
    active.extend(5 * DAY)
    with refused("Campaign_SlackExceeded", 20 * DAY, 20 * DAY + 1):
        active.extend(1)


def test_an_extension_is_at_least_a_second(active: Campaign) -> None:
    with refused("Campaign_ZeroAmount"):
        active.extend(0)


def test_only_the_researcher_extends_deadlines_and_posts_updates(world: World, active: Campaign) -> None:
    for caller in (world.stranger, world.backer0, world.compute):
        with refused("Campaign_NotResearcher", caller):
            active.extend(1, by=caller)
        with refused("Campaign_NotResearcher", caller):
            active.post_update(b"\x01" * 32, by=caller)


def test_deadlines_move_only_while_one_lies_ahead(world: World, campaign: Campaign) -> None:
    campaign.funded()
    with refused("Campaign_WrongStatus", FUNDING):
        campaign.extend(1)
    campaign.activated().attested(3)
    assert campaign.status == ACTIVE
    with refused("Campaign_WrongMilestone", 2, 3):
        campaign.extend(1)
    campaign.window_passed()
    with refused("Campaign_WrongStatus", COMPLETED):
        campaign.extend(1)


@pytest.mark.parametrize("seconds", [-1, 0])
def test_an_overdue_milestone_cannot_be_extended(active: Campaign, seconds: int) -> None:
    deadline = active.read("deadlineOf", 0)
    if seconds < 0:
        active.extend(1, at=deadline + seconds)
        return
    with refused("Campaign_WrongStatus", FAILED):
        active.extend(1, at=deadline + seconds)


def test_only_milestones_of_the_terms_have_a_deadline(active: Campaign) -> None:
    for index in (3, 2**256 - 1):
        with refused("Campaign_WrongMilestone", 2, index):
            active.read("deadlineOf", index)


def test_an_update_is_an_event_and_nothing_else(world: World, campaign: Campaign) -> None:
    campaign.funded()
    before = (campaign.read("ledger"), campaign.held, campaign.status)
    receipt = campaign.post_update(b"\x42" * 32)
    assert campaign.events("UpdatePosted", receipt) == [{"manifest": b"\x42" * 32}]
    assert (campaign.read("ledger"), campaign.held, campaign.status) == before
    campaign.activated().overdue()
    campaign.post_update(b"\x43" * 32)
