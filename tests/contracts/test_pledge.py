"""Pledging in the native coin."""

from __future__ import annotations

import pytest
from world import ACTIVE, ETHER, FAILED, FUNDING, ZERO, Campaign, World, refused


def test_a_pledge_is_credited_and_held(world: World, campaign: Campaign) -> None:
    receipt = campaign.pledge(world.backer0, 3 * ETHER)

    assert campaign.read("pledgeOf", world.backer0) == campaign.ledger["pledged"] == campaign.held == 3 * ETHER
    assert campaign.status == FUNDING
    assert campaign.events("Pledged", receipt) == [
        {"backer": world.backer0, "payer": world.backer0, "amount": 3 * ETHER}
    ]


def test_pledges_of_one_backer_add_up(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 3 * ETHER)
    campaign.pledge(world.backer0, 1)

    assert campaign.read("pledgeOf", world.backer0) == 3 * ETHER + 1


def test_a_pledge_for_somebody_else_belongs_to_that_backer(world: World, campaign: Campaign) -> None:
    receipt = campaign.pledge(world.backer1, ETHER, payer=world.backer0)

    assert campaign.read("pledgeOf", world.backer1) == ETHER
    assert campaign.read("pledgeOf", world.backer0) == 0
    assert campaign.events("Pledged", receipt)[0]["payer"] == world.backer0


def test_nothing_is_no_pledge(world: World, campaign: Campaign) -> None:
    with refused("Campaign_ZeroAmount"):
        campaign.pledge(world.backer0, 0)


def test_nobody_and_the_campaign_itself_are_no_backers(world: World, campaign: Campaign) -> None:
    for backer in (ZERO, campaign.address):
        with refused("Campaign_BadRecipient", backer):
            campaign.pledge(backer, ETHER, payer=world.backer0)


def test_the_cap_can_be_reached_but_not_exceeded(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 19 * ETHER)
    with refused("Campaign_CapExceeded", 20 * ETHER, 20 * ETHER + 1):
        campaign.pledge(world.backer1, ETHER + 1)
    campaign.pledge(world.backer1, ETHER)

    assert campaign.ledger["pledged"] == 20 * ETHER


@pytest.mark.parametrize("goal_met", [True, False])
def test_pledges_are_accepted_strictly_before_the_funding_deadline(
    world: World, campaign: Campaign, goal_met: bool
) -> None:
    deadline = campaign.terms["fundingDeadline"]
    campaign.pledge(world.backer0, (10 if goal_met else 9) * ETHER, at=deadline - 1)

    error = ("Campaign_FundingOver", deadline) if goal_met else ("Campaign_WrongStatus", FAILED)
    for moment in (deadline, deadline + 1):
        with refused(*error):
            campaign.pledge(world.backer0, ETHER, at=moment)


def test_an_active_campaign_takes_no_pledge(world: World, active: Campaign) -> None:
    with refused("Campaign_WrongStatus", ACTIVE):
        active.pledge(world.backer0, ETHER)


def test_a_native_campaign_takes_no_tokens(world: World, campaign: Campaign) -> None:
    with refused("Campaign_WrongAsset", ZERO):
        world.send(campaign.functions.pledgeToken(world.backer0, ETHER), world.backer0)
    permit = campaign.functions.pledgeTokenWithPermit(world.backer0, ETHER, 2**63, 27, b"\1" * 32, b"\1" * 32)
    with refused("Campaign_WrongAsset", ZERO):
        world.send(permit, world.backer0)


def test_threat_forced_ether_and_plain_transfers_change_no_account(world: World, campaign: Campaign) -> None:
    with refused(""):
        world.transact({"from": world.stranger, "to": campaign.address}, value=ETHER)
    with refused(""):
        world.transact({"from": world.stranger, "to": campaign.address, "data": "0x12345678"})
    campaign.funded()
    world.deploy("ForcedEther", campaign.address, value=7 * ETHER)
    assert campaign.held == 17 * ETHER

    assert campaign.ledger["pledged"] == 10 * ETHER
    campaign.activated().attested(3).window_passed()
    campaign.claim(0)
    campaign.claim(1)
    assert campaign.read("released") == 10 * ETHER
    assert campaign.held == 7 * ETHER
