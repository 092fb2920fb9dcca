"""The protocol's promises 1 to 8, by number, each with an attempt to break it.

Promises 1 to 3 under any calls in any order are in `test_state_machine.py`.
"""

from __future__ import annotations

import pytest
from content import Bytes
from web3 import Web3
from world import ACTIVE, CHECKPOINT, COMPLETED, DAY, ETHER, FAILED, WEIGHTS, Campaign, World, refused


def _owed(campaign: Campaign) -> int:
    """What the escrow owes now, worked out from its views."""
    world = campaign.world
    payees = sum(campaign.read("claimable", payee) for payee in range(len(campaign.terms["payees"])))
    backers = (world.backer0, world.backer1, world.backer2)
    if campaign.status == FAILED:
        return payees + sum(campaign.read("refundable", backer) for backer in backers)
    return payees + campaign.ledger["pledged"] - campaign.read("released")


def test_promise_1_solvent_at_every_step(world: World, campaign: Campaign) -> None:
    campaign.funded()
    steps = [
        lambda: campaign.activate(),
        lambda: campaign.attested(1),
        lambda: campaign.window_passed(),
        lambda: campaign.claim(0),
        lambda: campaign.attested(1),
        lambda: campaign.vote(world.backer0),
        lambda: campaign.refund(world.backer0),
        lambda: campaign.claim(1),
        lambda: campaign.refund(world.backer1),
    ]
    for step in steps:
        step()
        assert campaign.held >= _owed(campaign)
    assert campaign.held == 0


def test_promise_2_conserved_to_the_last_unit(world: World) -> None:
    pledges = {world.backer0: 1_000_003, world.backer1: 77, world.backer2: 499}
    total = sum(pledges.values())
    campaign = world.open(goal=total, cap=total)
    for backer, amount in pledges.items():
        campaign.pledge(backer, amount)
    campaign.activated().attested(2).window_passed()
    released = campaign.read("released")
    campaign.claim(0)
    campaign.claim(1)
    campaign.overdue()
    refunded = 0
    for backer in pledges:
        refunded += campaign.events("Refunded", campaign.refund(backer))[0]["amount"]

    kept = campaign.held
    assert released + refunded + kept == total
    assert 0 <= kept < len(pledges)


def test_promise_3_nothing_up_front(world: World, campaign: Campaign) -> None:
    def nothing_yet() -> None:
        for payee in range(2):
            with refused("Campaign_NothingToClaim"):
                campaign.claim(payee)
        assert campaign.read("released") == 0

    campaign.funded()
    nothing_yet()
    campaign.activated()
    nothing_yet()
    campaign.attested(1)
    nothing_yet()
    campaign.window_passed()
    campaign.claim(0)


def test_promise_4_weights_or_money_back(world: World, active: Campaign) -> None:
    active.attested(2).window_passed()
    active.claim(0)
    active.overdue()
    assert active.status == FAILED
    assert active.read("refundable", world.backer0) + active.read("refundable", world.backer1) == 5 * ETHER
    for last, error in (((CHECKPOINT, 2_500), "LastNotWeights"), ((WEIGHTS, 2_499), "WeightsBpsTooSmall")):
        first = (CHECKPOINT, 10_000 - last[1], world.now() + 60 * DAY, 0)
        with refused(f"CampaignFactory_{error}"):
            world.open(milestones=[first, (*last, world.now() + 90 * DAY, 0)])


def test_promise_5_terms_never_change(world: World, campaign: Campaign) -> None:
    before, code = campaign.read("terms"), bytes(world.w3.eth.get_code(campaign.address))
    campaign.funded().activated()
    campaign.extend(20 * DAY)
    campaign.attested(3).window_passed()
    assert campaign.status == COMPLETED
    assert campaign.read("terms") == before
    assert bytes(world.w3.eth.get_code(campaign.address)) == code
    with refused("Campaign_WrongStatus"):
        campaign.extend(1)


@pytest.mark.parametrize("point", ["unfunded", "not activated", "first", "second", "last"])
def test_promise_6_always_a_way_out_for_a_backer_alone(world: World, campaign: Campaign, point: str) -> None:
    """Everybody else does nothing more; the backer waits and calls `refundTo`."""
    campaign.pledge(world.backer0, 6 * ETHER)
    released = 0
    if point == "unfunded":
        world.warp(campaign.terms["fundingDeadline"])
    else:
        campaign.pledge(world.backer1, 4 * ETHER)
        attested = {"not activated": 0, "first": 0, "second": 1, "last": 2}[point]
        if point != "not activated":
            campaign.activated().attested(attested)
            released = sum(milestone[1] for milestone in campaign.terms["milestones"][:attested])
        world.warp(campaign.terms["milestones"][attested][2])
    before = world.balance(world.elsewhere)

    campaign.refund_to(world.backer0, world.elsewhere)

    assert world.balance(world.elsewhere) - before == 6 * ETHER * (10_000 - released) // 10_000


def test_promise_6_slack_cannot_keep_backers_in_for_ever(world: World, active: Campaign) -> None:
    active.extend(active.terms["slack"])
    world.warp(active.terms["milestones"][0][2] + active.terms["slack"])
    active.refund(world.backer0)


def test_promise_6_a_challenge_that_nobody_answers_is_a_way_out_too(world: World, active: Campaign) -> None:
    """The milestone is attested, every other account is silent, and the stop vote would need others."""
    content = Bytes(1)
    active.attest_content(content)
    active.challenge(content, 0, by=world.backer1, bond=ETHER)
    world.warp(active.answer_by)
    before = world.balance(world.elsewhere)
    active.refund_to(world.backer1, world.elsewhere)
    active.return_bond(0, world.elsewhere, by=world.backer1)
    assert world.balance(world.elsewhere) - before == 5 * ETHER


def test_promise_6_a_delivered_model_ends_the_wait_without_anybody(world: World, active: Campaign) -> None:
    active.attested(3).window_passed()
    assert active.status == COMPLETED


def test_promise_7_the_cost_of_a_call_does_not_grow_with_the_number_of_backers(world: World) -> None:
    content = Bytes(20_000)
    used = []
    for others in (4, 16):
        campaign = world.open(goal=2 * ETHER, cap=1_000 * ETHER)
        campaign.pledge(world.backer0, 2 * ETHER)
        for number in range(others):
            other = Web3.to_checksum_address(f"0x{number + 1:040x}")
            campaign.pledge(other, ETHER, payer=world.backer1)
        receipts = {
            "pledgeCoin": campaign.pledge(world.backer0, ETHER),
            "unpledge": campaign.unpledge(world.backer0, ETHER, world.elsewhere),
            "activate": campaign.activate(),
            "voteStop": campaign.votes_open().vote(world.backer0),
            "attest": campaign.attest_content(content),
            "challenge": campaign.challenge(content, 0),
            "answer": campaign.answer(content, 0),
        }
        campaign.window_passed()
        receipts["claim"] = campaign.claim(0)
        receipts["extendDeadlines"] = campaign.extend(1)
        campaign.attest_content(content)
        campaign.challenge(content, 1)
        world.warp(campaign.answer_by)
        receipts["collectRefund"] = campaign.refund(world.backer0)
        receipts["returnBond"] = campaign.return_bond(1)
        used.append({name: receipt["gasUsed"] for name, receipt in receipts.items()})

    few, many = used
    # Amounts and signatures differ in their zero bytes: at most some dozens of gas.
    assert {name: (few[name], many[name]) for name in few if abs(few[name] - many[name]) >= 200} == {}


def test_promise_8_one_attestation_one_place(world: World) -> None:
    first, second = world.open().funded().activated(), world.open().funded().activated()
    attestation = first.attestation()
    signatures = [world.sign(index, first.digest(attestation)) for index in (0, 1)]
    with refused("Campaign_BadSignature"):
        second.submit(attestation, 0b011, signatures)
    first.submit(attestation, 0b011, signatures)
    first.window_passed()
    with refused("Campaign_WrongMilestone"):
        first.submit(attestation, 0b011, signatures)
    assert (first.status, second.ledger["attested"]) == (ACTIVE, 0)


def test_threat_the_researcher_takes_nothing_and_leaves_without_it(world: World, active: Campaign) -> None:
    world.warp(active.terms["milestones"][0][2])
    for backer, amount in ((world.backer0, 6), (world.backer1, 4)):
        before = world.balance(backer)
        active.refund(backer, by=world.stranger)
        assert world.balance(backer) - before == amount * ETHER


def test_threat_the_researcher_attests_alone_and_gets_nothing(world: World) -> None:
    from eth_account import Account

    key = Account.from_key("0x" + "31" * 32)
    attestors = [key.address, *(attestor.address for attestor in world.attestors[1:])]
    campaign = world.open(attestors=attestors).funded().activated()
    attestation = campaign.attestation()
    own = world.sign(key, campaign.digest(attestation))
    with refused("Campaign_QuorumNotMet", 2, 1):
        campaign.submit(attestation, 0b001, [own])
    with refused("Campaign_BadSignature", attestors[1]):
        campaign.submit(attestation, 0b011, [own, own])


def test_threat_refunds_do_not_reopen_after_a_payout(world: World, active: Campaign) -> None:
    active.attested(1).window_passed()
    active.overdue()
    active.refund(world.backer0)
    active.claim(0)
    active.claim(1)
    assert active.read("refundable", world.backer0) == 0
    assert active.read("refundable", world.backer1) == active.held == 4 * ETHER * 8 // 10
    with refused("Campaign_NothingToRefund", world.backer0):
        active.refund(world.backer0)
