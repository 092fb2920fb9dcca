"""Taking a pledge back."""

from __future__ import annotations

from world import ACTIVE, ETHER, FAILED, ZERO, Campaign, World, refused


def test_below_the_goal_a_backer_takes_a_pledge_back_at_will(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 9 * ETHER)
    before = world.balance(world.elsewhere)

    receipt = campaign.unpledge(world.backer0, 4 * ETHER, world.elsewhere)

    assert world.balance(world.elsewhere) == before + 4 * ETHER
    assert campaign.read("pledgeOf", world.backer0) == campaign.ledger["pledged"] == campaign.held == 5 * ETHER
    assert campaign.events("Unpledged", receipt) == [
        {"backer": world.backer0, "recipient": world.elsewhere, "amount": 4 * ETHER}
    ]
    campaign.unpledge(world.backer0, 5 * ETHER)
    assert campaign.held == 0


def test_threat_a_whale_cannot_leave_at_the_last_second_once_the_goal_is_met(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 9 * ETHER)
    campaign.pledge(world.backer1, 3 * ETHER)

    with refused("Campaign_GoalLocked", 10 * ETHER, 10 * ETHER - 1):
        campaign.unpledge(world.backer0, 2 * ETHER + 1, at=campaign.terms["fundingDeadline"] - 1)
    campaign.unpledge(world.backer0, 2 * ETHER)
    with refused("Campaign_GoalLocked", 10 * ETHER, 10 * ETHER - 1):
        campaign.unpledge(world.backer1, 1)


def test_nobody_takes_back_more_than_the_own_pledge(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 2 * ETHER)
    campaign.pledge(world.backer1, 5 * ETHER)
    with refused("Campaign_PledgeTooSmall", 2 * ETHER, 2 * ETHER + 1):
        campaign.unpledge(world.backer0, 2 * ETHER + 1)
    with refused("Campaign_PledgeTooSmall", 0, 1):
        campaign.unpledge(world.stranger, 1)


def test_nothing_cannot_be_taken_back(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, ETHER)
    with refused("Campaign_ZeroAmount"):
        campaign.unpledge(world.backer0, 0)


def test_a_pledge_goes_back_to_somebody_else_than_the_campaign(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, ETHER)
    for recipient in (ZERO, campaign.address):
        with refused("Campaign_BadRecipient", recipient):
            campaign.unpledge(world.backer0, ETHER, recipient)


def test_an_active_campaign_gives_no_pledge_back(world: World, active: Campaign) -> None:
    with refused("Campaign_WrongStatus", ACTIVE):
        active.unpledge(world.backer0, 1)


def test_below_the_goal_pledges_are_taken_back_until_the_funding_deadline(world: World, campaign: Campaign) -> None:
    deadline = campaign.terms["fundingDeadline"]
    campaign.pledge(world.backer0, 5 * ETHER)
    campaign.unpledge(world.backer0, ETHER, at=deadline - 1)
    for moment in (deadline, deadline + 1):
        with refused("Campaign_WrongStatus", FAILED):
            campaign.unpledge(world.backer0, ETHER, at=moment)
