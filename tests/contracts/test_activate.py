"""Leaving Funding, and the training seed."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils import keccak
from world import ACTIVE, ETHER, FAILED, FUNDING, Campaign, World, refused


def test_the_researcher_closes_funding_as_soon_as_the_goal_is_met(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 10 * ETHER - 1)
    with refused("Campaign_GoalNotMet", 10 * ETHER, 10 * ETHER - 1):
        campaign.activate()
    campaign.pledge(world.backer0, 1)

    receipt = campaign.activate()

    assert campaign.status == ACTIVE
    assert campaign.ledger["active"]
    (event,) = campaign.events("Activated", receipt)
    assert event["pledged"] == 10 * ETHER


def test_others_wait_for_the_funding_deadline(world: World, campaign: Campaign) -> None:
    campaign.funded()
    deadline = campaign.terms["fundingDeadline"]
    with refused("Campaign_FundingOpen", deadline):
        campaign.activate(by=world.stranger, at=deadline - 1)
    campaign.activate(by=world.stranger, at=deadline)
    assert campaign.status == ACTIVE


def test_anyone_activates_a_full_campaign(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 20 * ETHER - 1)
    with refused("Campaign_FundingOpen"):
        campaign.activate(by=world.stranger)
    campaign.pledge(world.backer0, 1)
    campaign.activate(by=world.stranger)
    assert campaign.status == ACTIVE


def test_a_campaign_below_its_goal_is_never_activated(world: World, campaign: Campaign) -> None:
    campaign.pledge(world.backer0, 10 * ETHER - 1)
    deadline = campaign.terms["fundingDeadline"]
    with refused("Campaign_GoalNotMet"):
        campaign.activate(at=deadline - 1)
    for moment in (deadline, deadline + 1):
        with refused("Campaign_WrongStatus", FAILED):
            campaign.activate(at=moment)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_activation_is_too_late_once_the_first_milestone_is_overdue(
    world: World, campaign: Campaign, seconds: int
) -> None:
    campaign.funded()
    deadline = campaign.terms["milestones"][0][2]
    if seconds < 0:
        campaign.activate(by=world.stranger, at=deadline + seconds)
        return
    with refused("Campaign_WrongStatus", FAILED):
        campaign.activate(by=world.stranger, at=deadline + seconds)


def test_a_campaign_is_activated_once(world: World, active: Campaign) -> None:
    with refused("Campaign_WrongStatus", ACTIVE):
        active.activate()


def test_threat_the_training_seed_is_unknown_before_activation_and_follows_from_the_chain(
    world: World, campaign: Campaign
) -> None:
    campaign.funded()
    assert campaign.read("trainingSeed") == bytes(32)
    assert campaign.status == FUNDING

    receipt = campaign.activate()

    block = world.w3.eth.get_block(receipt["blockNumber"])
    words = (bytes(block["parentHash"]), bytes(block["mixHash"]), world.w3.eth.chain_id, campaign.address)
    expected = keccak(encode(["bytes32", "bytes32", "uint256", "address"], words))
    (event,) = campaign.events("Activated", receipt)
    assert campaign.read("trainingSeed") == event["trainingSeed"] == expected


def test_two_campaigns_activated_alike_have_different_seeds(world: World) -> None:
    seeds = {world.open().funded().activated().read("trainingSeed") for _ in range(2)}
    assert len(seeds) == 2
