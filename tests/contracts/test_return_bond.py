"""When a campaign fails, whoever holds an open challenge gets the bond back, and nobody else does."""

from __future__ import annotations

import pytest
from content import CHUNK, Bytes
from world import ACTIVE, DAY, ETHER, FAILED, ZERO, Campaign, RevertedError, World, data_of, refused

CONTENT = Bytes(3 * CHUNK)


@pytest.fixture
def failed(world: World, active: Campaign) -> Campaign:
    """Chunk 0 was answered, backer 0's chunk 1 and backer 1's chunk 2 were not."""
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 0, bond=ETHER)
    active.challenge(CONTENT, 1, bond=2 * ETHER)
    active.challenge(CONTENT, 2, by=world.backer1, bond=3 * ETHER)
    active.answer(CONTENT, 0)
    world.warp(active.answer_by)
    return active


def test_each_challenger_takes_its_own_bond_back_once(world: World, failed: Campaign) -> None:
    before = world.balance(world.elsewhere)
    receipt = failed.return_bond(1, world.elsewhere)
    assert failed.events("BondReturned", receipt) == [
        {
            "milestone": 0,
            "chunk": 1,
            "challenger": world.backer0,
            "recipient": world.elsewhere,
            "bond": 2 * ETHER,
        }
    ]
    assert world.balance(world.elsewhere) - before == 2 * ETHER
    with refused("Campaign_NotChallenger", world.backer0, 1):
        failed.return_bond(1)
    failed.return_bond(2, by=world.backer1)


def test_nobody_takes_a_bond_that_is_not_its_own(world: World, failed: Campaign) -> None:
    for account, chunk in ((world.backer1, 1), (world.backer0, 2), (world.stranger, 1), (world.researcher, 2)):
        with refused("Campaign_NotChallenger", account, chunk):
            failed.return_bond(chunk, by=account)


def test_an_answered_challenge_has_no_bond_to_return(world: World, failed: Campaign) -> None:
    with refused("Campaign_NotChallenger", world.backer0, 0):
        failed.return_bond(0)


def test_a_bond_stays_while_the_campaign_has_not_failed(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 0)
    with refused("Campaign_WrongStatus", ACTIVE):
        active.return_bond(0)


def test_a_bond_is_not_sent_to_nobody_or_to_the_campaign(world: World, failed: Campaign) -> None:
    for recipient in (ZERO, failed.address):
        with refused("Campaign_BadRecipient", recipient):
            failed.return_bond(1, recipient)


def test_a_campaign_that_failed_without_an_attestation_has_no_bonds(world: World, active: Campaign) -> None:
    active.overdue()
    with refused("Campaign_NotChallenger", world.backer0, 0):
        active.return_bond(0)


def test_bonds_and_refunds_come_out_in_any_order_to_the_last_unit(world: World, failed: Campaign) -> None:
    failed.return_bond(2, by=world.backer1)
    failed.refund(world.backer0)
    failed.return_bond(1)
    failed.refund(world.backer1)
    assert world.balance(failed.address) == 0


def test_a_bond_comes_back_long_after_the_failure(world: World, failed: Campaign) -> None:
    world.warp(world.now() + 1_000 * DAY)
    assert failed.status == FAILED
    failed.return_bond(1)


def test_threat_a_challenger_that_reenters_gets_its_bond_once(world: World) -> None:
    campaign = world.open()
    puppet = world.deploy("Puppet")
    campaign.pledge(puppet.address, 6 * ETHER, payer=world.backer0)
    campaign.pledge(world.backer1, 4 * ETHER)
    campaign.activated().attest_content(CONTENT)
    for chunk in (0, 1):
        data = data_of(campaign.functions.challenge(CONTENT.root, CONTENT.size, chunk))
        world.send(puppet.functions.execute(campaign.address, ETHER, data), world.stranger, value=ETHER)
    world.warp(campaign.answer_by)
    take = [data_of(campaign.functions.returnBond(chunk, puppet.address)) for chunk in (0, 1)]
    refunds = [
        data_of(campaign.functions.refundTo(puppet.address)),
        data_of(campaign.functions.collectRefund(puppet.address)),
    ]
    for again in (*take, *refunds):
        before = world.devnet.snapshot()
        world.send(puppet.functions.setReentry(campaign.address, again), world.stranger)
        world.send(puppet.functions.execute(campaign.address, 0, take[0]), world.stranger)
        assert world.call(puppet.functions.reentered()) is False
        assert world.balance(puppet.address) == ETHER
        world.devnet.revert(before)


def test_a_challenger_that_refuses_money_keeps_it_in_the_escrow_until_it_names_another_place(world: World) -> None:
    campaign = world.open()
    puppet = world.deploy("Puppet")
    campaign.pledge(puppet.address, 6 * ETHER, payer=world.backer0)
    campaign.pledge(world.backer1, 4 * ETHER)
    campaign.activated().attest_content(CONTENT)
    data = data_of(campaign.functions.challenge(CONTENT.root, CONTENT.size, 0))
    world.send(puppet.functions.execute(campaign.address, ETHER, data), world.stranger, value=ETHER)
    world.warp(campaign.answer_by)
    world.send(puppet.functions.setMood(1), world.stranger)
    before = world.balance(world.elsewhere)
    here, there = (data_of(campaign.functions.returnBond(0, place)) for place in (puppet.address, world.elsewhere))
    with pytest.raises(RevertedError):
        world.send(puppet.functions.execute(campaign.address, 0, here), world.stranger)
    world.send(puppet.functions.execute(campaign.address, 0, there), world.stranger)
    assert world.balance(world.elsewhere) - before == ETHER
