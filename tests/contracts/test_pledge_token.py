"""Pledging an ERC-20, well behaved or not."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from world import ETHER, FUNDING, ZERO, Campaign, World, data_of, refused

YEARS = 2**40


def _open(world: World, name: str = "DevToken", **terms: Any) -> tuple[Campaign, Any]:
    token = world.token(name)
    return world.open(asset=token.address, **terms), token


def _permit(token: Any, owner: Any, spender: str, amount: int, nonce: int = 0) -> tuple[int, bytes, bytes]:
    domain = {"name": "Dollar", "version": "1", "chainId": 31337, "verifyingContract": token.address}
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    types = {"Permit": [{"name": n, "type": t} for n, t in [*fields, ("deadline", "uint256")]]}
    message = {"owner": owner.address, "spender": spender, "value": amount, "nonce": nonce, "deadline": YEARS}
    signed = Account.sign_typed_data(owner.key, domain, types, message)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def _person(world: World, token: Any) -> Any:
    """Somebody whose key is known, with ether and 100 tokens."""
    person = Account.from_key("0x" + "51" * 32)
    world.rpc("anvil_setBalance", person.address, hex(ETHER))
    world.rpc("anvil_impersonateAccount", person.address)
    world.send(token.functions.mint(person.address, 100 * ETHER), world.stranger)
    return person


def test_a_token_pledge_is_credited_held_and_given_back(world: World) -> None:
    campaign, token = _open(world)

    receipt = campaign.pledge_token(token, world.backer0, 4 * ETHER)

    assert campaign.read("pledgeOf", world.backer0) == campaign.held == 4 * ETHER
    assert campaign.events("Pledged", receipt)[0]["amount"] == 4 * ETHER
    campaign.unpledge(world.backer0, 3 * ETHER, world.elsewhere)
    assert token.functions.balanceOf(world.elsewhere).call() == 3 * ETHER
    assert campaign.held == ETHER


def test_a_token_campaign_runs_to_the_end(world: World) -> None:
    campaign, token = _open(world)
    campaign.pledge_token(token, world.backer0, 6 * ETHER)
    campaign.pledge_token(token, world.backer1, 4 * ETHER)
    campaign.activated().attested(3).window_passed()
    campaign.claim(0)
    campaign.claim(1)
    assert token.functions.balanceOf(world.compute).call() == 7 * ETHER
    assert token.functions.balanceOf(world.verifier).call() == 3 * ETHER
    assert campaign.held == 0


def test_a_token_pledge_for_somebody_else_belongs_to_that_backer(world: World) -> None:
    campaign, token = _open(world)
    world.send(token.functions.approve(campaign.address, ETHER), world.backer0)
    world.send(campaign.functions.pledgeToken(world.backer1, ETHER), world.backer0)
    assert campaign.read("pledgeOf", world.backer1) == ETHER


def test_a_token_campaign_takes_no_ether(world: World) -> None:
    campaign, token = _open(world)
    with refused("Campaign_WrongAsset", token.address):
        campaign.pledge(world.backer0, ETHER)
    with refused(""):
        world.send(campaign.functions.pledgeToken(world.backer0, 1), world.backer0, value=1)


def test_a_token_pledge_needs_an_allowance(world: World) -> None:
    campaign, _ = _open(world)
    with refused("ERC20InsufficientAllowance", campaign.address, 0, ETHER):
        world.send(campaign.functions.pledgeToken(world.backer0, ETHER), world.backer0)


def test_token_pledges_know_the_same_limits(world: World) -> None:
    campaign, token = _open(world)
    with refused("Campaign_CapExceeded", 20 * ETHER, 20 * ETHER + 1):
        campaign.pledge_token(token, world.backer0, 20 * ETHER + 1)
    with refused("Campaign_ZeroAmount"):
        campaign.pledge_token(token, world.backer0, 0)
    for backer in (ZERO, campaign.address):
        with refused("Campaign_BadRecipient", backer):
            world.send(campaign.functions.pledgeToken(backer, 1), world.backer0)
    campaign.pledge_token(token, world.backer0, 10 * ETHER)
    with refused("Campaign_FundingOver", campaign.terms["fundingDeadline"]):
        campaign.pledge_token(token, world.backer0, 1, at=campaign.terms["fundingDeadline"])


def test_a_permit_pledges_in_one_call(world: World) -> None:
    campaign, token = _open(world)
    person = _person(world, token)
    signature = _permit(token, person, campaign.address, 3 * ETHER)

    call = campaign.functions.pledgeTokenWithPermit(world.backer2, 3 * ETHER, YEARS, *signature)
    world.send(call, person.address)

    assert campaign.read("pledgeOf", world.backer2) == 3 * ETHER
    assert token.functions.balanceOf(person.address).call() == 97 * ETHER


def test_threat_a_permit_that_somebody_else_submitted_first_still_pledges(world: World) -> None:
    campaign, token = _open(world)
    person = _person(world, token)
    signature = _permit(token, person, campaign.address, 3 * ETHER)
    world.send(token.functions.permit(person.address, campaign.address, 3 * ETHER, YEARS, *signature), world.stranger)

    call = campaign.functions.pledgeTokenWithPermit(person.address, 3 * ETHER, YEARS, *signature)
    world.send(call, person.address)

    assert campaign.read("pledgeOf", person.address) == 3 * ETHER


def test_a_worthless_permit_pledges_nothing(world: World) -> None:
    campaign, _ = _open(world)
    call = campaign.functions.pledgeTokenWithPermit(world.backer0, ETHER, YEARS, 27, b"\1" * 32, b"\1" * 32)
    with refused("ERC20InsufficientAllowance", campaign.address, 0, ETHER):
        world.send(call, world.backer0)


def test_a_token_without_permit_is_pledged_by_its_allowance(world: World) -> None:
    campaign, token = _open(world, "SilentToken")
    world.send(token.functions.approve(campaign.address, ETHER), world.backer0)
    call = campaign.functions.pledgeTokenWithPermit(world.backer0, ETHER, YEARS, 27, b"\1" * 32, b"\1" * 32)
    world.send(call, world.backer0)
    assert campaign.read("pledgeOf", world.backer0) == ETHER


def test_threat_a_fee_on_transfer_token_credits_what_arrived(world: World) -> None:
    campaign, token = _open(world, "FeeToken")
    campaign.pledge_token(token, world.backer0, 10 * ETHER)
    assert campaign.ledger["pledged"] == campaign.held == 99 * ETHER // 10
    assert campaign.status == FUNDING
    with refused("Campaign_GoalNotMet"):
        campaign.activate()


def test_a_token_that_gives_more_than_it_was_asked_for_credits_what_was_asked_for(world: World) -> None:
    campaign, token = _open(world, "GenerousToken")
    campaign.pledge_token(token, world.backer0, 3 * ETHER)
    assert campaign.ledger["pledged"] == 3 * ETHER
    assert campaign.held == 6 * ETHER


def test_threat_a_token_that_returns_nothing_works(world: World) -> None:
    campaign, token = _open(world, "SilentToken")
    campaign.pledge_token(token, world.backer0, 10 * ETHER)
    campaign.activated().attested(1).window_passed()
    campaign.claim(0)
    campaign.overdue()
    campaign.refund(world.backer0)
    assert token.functions.balanceOf(world.backer0).call() == 98 * ETHER


def test_threat_a_token_that_reports_failure_by_returning_false_moves_nothing(world: World) -> None:
    campaign, token = _open(world, "FalseToken")
    world.send(token.functions.setFailing(True), world.stranger)
    with refused("SafeERC20FailedOperation", token.address):
        campaign.pledge_token(token, world.backer0, ETHER)
    world.send(token.functions.setFailing(False), world.stranger)
    campaign.pledge_token(token, world.backer0, ETHER)
    world.send(token.functions.setFailing(True), world.stranger)
    with refused("SafeERC20FailedOperation", token.address):
        campaign.unpledge(world.backer0, ETHER)
    assert campaign.read("pledgeOf", world.backer0) == ETHER


def test_threat_a_blocklisting_token_stops_nobody_but_the_listed(world: World) -> None:
    campaign, token = _open(world, "BlocklistToken")
    campaign.pledge_token(token, world.backer0, 6 * ETHER)
    campaign.pledge_token(token, world.backer1, 4 * ETHER)
    campaign.activated().overdue()
    world.send(token.functions.setBlocked(world.backer0, True), world.stranger)

    with refused("Blocked", world.backer0):
        campaign.refund(world.backer0, by=world.stranger)
    campaign.refund(world.backer1, by=world.stranger)
    assert campaign.read("refundable", world.backer0) == 6 * ETHER
    campaign.refund_to(world.backer0, world.elsewhere)

    assert token.functions.balanceOf(world.elsewhere).call() == 6 * ETHER
    assert campaign.held == 0


def _reentries(campaign: Campaign, world: World) -> list[Any]:
    backer = world.backer1
    functions = campaign.functions
    return [
        functions.pledgeToken(backer, 1),
        functions.pledgeTokenWithPermit(backer, 1, YEARS, 27, b"\1" * 32, b"\1" * 32),
        functions.unpledge(1, world.elsewhere),
        functions.collectRefund(backer),
        functions.refundTo(world.elsewhere),
        functions.claim(0, world.elsewhere),
        functions.activate(),
        functions.attest(campaign.attestation(), 0b11, [b"", b""]),
    ]


@pytest.mark.parametrize("index", range(8))
def test_threat_a_callback_token_cannot_reenter(world: World, index: int) -> None:
    campaign, token = _open(world, "HookToken")
    campaign.pledge_token(token, world.backer0, 5 * ETHER)
    call = _reentries(campaign, world)[index]
    world.send(token.functions.approve(campaign.address, ETHER), world.backer0)
    world.send(token.functions.setHook(campaign.address, data_of(call)), world.stranger)

    with refused("ReentrancyGuardReentrantCall"):
        world.send(campaign.functions.pledgeToken(world.backer0, ETHER), world.backer0)
    with refused("ReentrancyGuardReentrantCall"):
        campaign.unpledge(world.backer0, ETHER)
    assert campaign.ledger["pledged"] == campaign.held == 5 * ETHER


def test_threat_tokens_given_to_the_campaign_in_the_middle_of_a_pledge_are_nobodys(world: World) -> None:
    campaign, token = _open(world, "HookToken")
    world.send(
        token.functions.setHook(token.address, data_of(token.functions.mint(campaign.address, ETHER))), world.stranger
    )
    campaign.pledge_token(token, world.backer0, 2 * ETHER)
    assert campaign.ledger["pledged"] == 2 * ETHER
    assert campaign.held == 3 * ETHER


def test_threat_donated_tokens_change_no_account(world: World) -> None:
    campaign, token = _open(world)
    world.send(token.functions.transfer(campaign.address, 7 * ETHER), world.backer2)
    campaign.pledge_token(token, world.backer0, 4 * ETHER)
    assert campaign.ledger["pledged"] == 4 * ETHER
    world.warp(campaign.terms["fundingDeadline"])
    campaign.refund(world.backer0)
    assert campaign.held == 7 * ETHER
