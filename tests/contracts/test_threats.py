"""The attacks of `docs/protocol.md` that concern more than one function, each by its name.

Attacks on a single function are in that function's file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from content import CHUNK, Bytes
from world import ACTIVE, COMPLETED, DAY, ETHER, FAILED, ZERO, Campaign, RevertedError, World, data_of, refused

ACCEPT, REFUSE, BURN_GAS, RETURN_BOMB = range(4)
GWEI = 10**9
YEARS = 2**40
CONTENT = Bytes(3 * CHUNK)

Payout = tuple[Campaign, Any, bytes]
"""A campaign, the contract that is to be paid, and the call by which it is."""


# ------------------------------------------------------------------ receivers


def _with_puppet(world: World) -> tuple[Campaign, Any]:
    """A campaign in which a contract is a backer, with 6 of 10 ether, a payee and the arbiter."""
    puppet = world.deploy("Puppet")
    campaign = world.open(
        payees=[(puppet.address, 7_000), (world.verifier, 3_000)],
        dataset=bytes(32),
        arbiter=puppet.address,
        rulingWindow=30 * DAY,
    )
    campaign.pledge(puppet.address, 6 * ETHER, payer=world.backer0)
    campaign.pledge(world.backer1, 4 * ETHER)
    return campaign, puppet


def _challenge_by_puppet(campaign: Campaign, puppet: Any, chunk: int) -> None:
    call = campaign.functions.challenge(CONTENT.root, CONTENT.size, chunk)
    execute = puppet.functions.execute(campaign.address, ETHER, data_of(call))
    campaign.world.send(execute, campaign.world.stranger, value=ETHER)


def _refund(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.activated().attested(1).window_passed()
    campaign.overdue()
    return campaign, puppet, data_of(campaign.functions.refundTo(puppet.address))


def _claim(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.activated().attested(1).window_passed()
    return campaign, puppet, data_of(campaign.functions.claim(0, puppet.address))


def _claim_while_contested(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.activated().attested(2).attest_content(CONTENT)
    contest = data_of(campaign.functions.contest())
    world.send(puppet.functions.execute(campaign.address, 0, contest), world.stranger)
    return campaign, puppet, data_of(campaign.functions.claim(0, puppet.address))


def _unpledge(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.pledge(puppet.address, 2 * ETHER, payer=world.backer0)
    return campaign, puppet, data_of(campaign.functions.unpledge(ETHER, puppet.address))


def _answered_bond(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.activated().votes_open().attest_content(CONTENT)
    for chunk in (0, 1):
        _challenge_by_puppet(campaign, puppet, chunk)
    call = campaign.functions.answer(CONTENT.root, CONTENT.size, 0, CONTENT.chunk(0), CONTENT.path(0))
    return campaign, puppet, data_of(call)


def _returned_bond(world: World) -> Payout:
    campaign, puppet = _with_puppet(world)
    campaign.activated().attest_content(CONTENT)
    for chunk in (0, 1):
        _challenge_by_puppet(campaign, puppet, chunk)
    world.warp(campaign.answer_by)
    return campaign, puppet, data_of(campaign.functions.returnBond(0, puppet.address))


PAYOUTS: dict[str, Callable[[World], Payout]] = {
    "refund": _refund,
    "claim": _claim,
    "claim while contested": _claim_while_contested,
    "unpledge": _unpledge,
    "answered bond": _answered_bond,
    "returned bond": _returned_bond,
}
AMOUNTS = {
    "refund": 6 * ETHER * 8 // 10,
    "claim": 2 * ETHER * 7 // 10,
    "claim while contested": 5 * ETHER * 7 // 10,
    "unpledge": ETHER,
    "answered bond": ETHER,
    "returned bond": ETHER,
}


def _every_changing_call(campaign: Campaign, puppet: Any) -> dict[str, bytes]:
    """Each function that changes something, with arguments that would serve the contract that calls it."""
    functions, account, world = campaign.functions, str(puppet.address), campaign.world
    attestation = campaign.attestation(min(campaign.ledger["attested"], 2))
    signatures = [world.sign(index, campaign.digest(attestation)) for index in (0, 1)]
    calls = {
        "pledgeCoin": functions.pledgeCoin(account),
        "pledgeToken": functions.pledgeToken(account, 1),
        "pledgeTokenWithPermit": functions.pledgeTokenWithPermit(account, 1, YEARS, 27, b"\1" * 32, b"\1" * 32),
        "unpledge": functions.unpledge(1, account),
        "voteStop": functions.voteStop(True),
        "collectRefund": functions.collectRefund(account),
        "refundTo": functions.refundTo(account),
        "challenge": functions.challenge(CONTENT.root, CONTENT.size, 2),
        "answer": functions.answer(CONTENT.root, CONTENT.size, 1, CONTENT.chunk(1), CONTENT.path(1)),
        "returnBond": functions.returnBond(1, account),
        "contest": functions.contest(),
        "rule": functions.rule(False),
        "activate": functions.activate(),
        "extendDeadlines": functions.extendDeadlines(1),
        "postUpdate": functions.postUpdate(b"\1" * 32),
        "attest": functions.attest(attestation, 0b11, signatures),
        "claim": functions.claim(0, account),
    }
    return {name: data_of(call) for name, call in calls.items()}


UNGUARDED = {"pledgeCoin", "voteStop", "challenge", "contest", "rule", "extendDeadlines", "postUpdate"}
"""They call nobody: in the middle of a payout they do what they would do after it."""
FUNCTIONS = [
    "pledgeCoin",
    "pledgeToken",
    "pledgeTokenWithPermit",
    "unpledge",
    "voteStop",
    "collectRefund",
    "refundTo",
    "challenge",
    "answer",
    "returnBond",
    "contest",
    "rule",
    "activate",
    "extendDeadlines",
    "postUpdate",
    "attest",
    "claim",
]


def test_every_function_that_changes_something_is_tried_from_inside_a_payout(campaign: Campaign) -> None:
    changing = {
        item["name"]
        for item in campaign.contract.abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    assert changing == set(FUNCTIONS)


def _books(campaign: Campaign, puppet: Any) -> tuple[Any, ...]:
    names = ("ledger", "status", "released", "stopSupport", "openChallenges", "latestContent", "trainingSeed")
    accounts = (puppet.address, campaign.world.backer1)
    return (
        *(campaign.read(name) for name in names),
        *(campaign.read(name, who) for name in ("pledgeOf", "hasVotedStop", "refundable") for who in accounts),
        *(campaign.read(name, payee) for name in ("claimable", "claimed") for payee in range(2)),
        campaign.held,
        campaign.world.balance(puppet.address),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("payout", PAYOUTS)
def test_threat_a_receiver_that_reenters_any_function_gains_nothing(world: World, payout: str, function: str) -> None:
    campaign, puppet, pay = PAYOUTS[payout](world)
    again = _every_changing_call(campaign, puppet)[function]
    paying = puppet.functions.execute(campaign.address, 0, pay)
    moment, held = world.now() + 10, campaign.held

    before = world.devnet.snapshot()
    world.send(paying, world.stranger, at=moment)
    if function in UNGUARDED:
        with suppress(RevertedError):
            world.send(puppet.functions.execute(campaign.address, 0, again), world.stranger, at=moment + 1)
    one_after_the_other = _books(campaign, puppet)
    world.devnet.revert(before)

    world.send(puppet.functions.setReentry(campaign.address, again), world.stranger, gas=25_000_000)
    world.send(paying, world.stranger, at=moment)
    world.warp(moment + 1)
    if function not in UNGUARDED:
        assert world.call(puppet.functions.reentered()) is False
        assert world.call(puppet.functions.answer()) == bytes(
            world.w3.keccak(text="ReentrancyGuardReentrantCall()")[:4]
        )
    assert _books(campaign, puppet) == one_after_the_other
    assert held - campaign.held == world.balance(puppet.address) == AMOUNTS[payout]


@pytest.mark.parametrize("mood", [REFUSE, BURN_GAS, RETURN_BOMB], ids=["refuses", "burns gas", "returns a bomb"])
@pytest.mark.parametrize("payout", PAYOUTS)
def test_threat_a_receiver_that_cannot_be_paid_harms_only_itself(world: World, payout: str, mood: int) -> None:
    campaign, puppet, pay = PAYOUTS[payout](world)
    paying = puppet.functions.execute(campaign.address, 0, pay)
    before = _books(campaign, puppet)
    world.send(puppet.functions.setMood(mood), world.stranger)

    # It fails as a whole: nothing is recorded as paid that was not.
    with pytest.raises(RevertedError):
        world.send(paying, world.stranger, gas=3_000_000)
    assert _books(campaign, puppet) == before

    # Everybody else's money moves on meanwhile, and its own once it takes it.
    if payout in ("refund", "returned bond"):
        campaign.refund(world.backer1)
    elif payout.startswith("claim"):
        campaign.claim(1)
    elif payout == "unpledge":
        campaign.unpledge(world.backer1, ETHER)
    else:
        # Whoever else has the chunk answers, and takes the bond.
        campaign.answer(CONTENT, 0)
        return
    world.send(puppet.functions.setMood(ACCEPT), world.stranger)
    world.send(paying, world.stranger)
    assert world.balance(puppet.address) == AMOUNTS[payout]


# --------------------------------------------------------------------- tokens


def _token_campaign(world: World, name: str, **terms: Any) -> tuple[Campaign, Any]:
    token = world.token(name)
    campaign = world.open(asset=token.address, **terms)
    campaign.pledge_token(token, world.backer0, 6 * ETHER)
    campaign.pledge_token(token, world.backer1, 4 * ETHER)
    return campaign, token


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("payout", ["refund", "claim", "unpledge"])
def test_threat_a_token_that_calls_back_from_a_payout_changes_nothing_else(
    world: World, payout: str, function: str
) -> None:
    puppet = world.deploy("Puppet")
    token = world.token("HookToken")
    campaign = world.open(asset=token.address, payees=[(puppet.address, 7_000), (world.verifier, 3_000)])
    campaign.pledge_token(token, world.backer1, 4 * ETHER)
    world.send(token.functions.approve(campaign.address, 8 * ETHER), world.backer0)
    world.send(campaign.functions.pledgeToken(puppet.address, 8 * ETHER), world.backer0)
    if payout != "unpledge":
        campaign.activated().attested(1).window_passed()
    if payout == "refund":
        campaign.overdue()
    pay = {
        "refund": campaign.functions.refundTo(puppet.address),
        "claim": campaign.functions.claim(0, puppet.address),
        "unpledge": campaign.functions.unpledge(ETHER, puppet.address),
    }[payout]
    again = _every_changing_call(campaign, puppet)[function]
    paying = puppet.functions.execute(campaign.address, 0, data_of(pay))
    before = _books(campaign, puppet)
    # The token calls the puppet, and the puppet the campaign: the caller is somebody with money in it.
    inner = data_of(puppet.functions.execute(campaign.address, 0, again))
    world.send(token.functions.setHook(puppet.address, inner), world.stranger, gas=25_000_000)

    if function not in UNGUARDED:
        with refused("ReentrancyGuardReentrantCall"):
            world.send(paying, world.stranger)
        assert _books(campaign, puppet) == before
        return
    held = campaign.held
    if (function, payout) == ("voteStop", "claim"):
        world.send(paying, world.stranger)
        assert held - campaign.held == token.functions.balanceOf(puppet.address).call() > 0
        assert campaign.status == FAILED
        return
    with pytest.raises(RevertedError, match="Campaign_"):
        world.send(paying, world.stranger)
    assert _books(campaign, puppet) == before


@pytest.mark.parametrize("decimals", [0, 77, 255])
def test_threat_a_tokens_decimals_mean_nothing_to_the_escrow(world: World, decimals: int) -> None:
    token = world.token(decimals=decimals)
    assert token.functions.decimals().call() == decimals
    campaign = world.open(asset=token.address, goal=3, cap=7)
    campaign.pledge_token(token, world.backer0, 2)
    campaign.pledge_token(token, world.backer1, 5)
    campaign.activated().attested(1).window_passed()
    # 20 % of 7 units is one unit, which goes to the last payee: the other's 70 % of it is less than one.
    assert [campaign.read("claimable", payee) for payee in range(2)] == [0, 1]
    campaign.overdue()
    campaign.claim(1)
    # 2 and 5 sevenths of the other six units, rounded down: the last unit stays.
    assert [campaign.read("refundable", backer) for backer in (world.backer0, world.backer1)] == [1, 4]
    campaign.refund(world.backer1)
    campaign.refund(world.backer0)
    assert campaign.held == 1


def test_threat_amounts_as_large_as_the_ledger_can_hold_neither_overflow_nor_round_up(world: World) -> None:
    most = 2**128 - 1
    token = world.token(decimals=0)
    campaign = world.open(asset=token.address, goal=most, cap=most)
    halves = {world.backer0: most // 2, world.backer1: most - most // 2}
    for backer, amount in halves.items():
        world.send(token.functions.mint(backer, 2**130), world.stranger)
        campaign.pledge_token(token, backer, amount)
    world.send(token.functions.approve(campaign.address, 2**129), world.backer0)
    for more in (1, 2**128, 2**129):
        with refused("Campaign_CapExceeded", most, most + more):
            world.send(campaign.functions.pledgeToken(world.backer0, more), world.backer0)
    with refused("Campaign_PledgeTooSmall", most // 2, 2**256 - 1):
        campaign.unpledge(world.backer0, 2**256 - 1)
    campaign.activated().attested(2).window_passed()
    released = most // 2
    assert campaign.read("released") == most * 5_000 // 10_000 == released
    campaign.claim(0)
    campaign.claim(1)
    campaign.overdue()
    for backer, amount in halves.items():
        (event,) = campaign.events("Refunded", campaign.refund(backer))
        assert event["amount"] == amount * (most - released) // most
    assert 0 <= campaign.held < 2


def test_threat_a_rebasing_token_that_shrinks_fails_whoever_collects_last_and_nobody_elsewhere(world: World) -> None:
    """Rebasing tokens are unsupported: this says what happens to those who use one all the same."""
    campaign, token = _token_campaign(world, "RebasingToken")
    campaign.activated().overdue()
    coin = world.open().funded().activated()
    world.send(token.functions.rebase(8 * 10**17), world.stranger)

    campaign.refund(world.backer0)
    assert campaign.held == 2 * ETHER
    with refused("BalanceTooSmall", campaign.address, 2 * ETHER, 4 * ETHER):
        campaign.refund(world.backer1)
    # Its claim stays on record, and is paid in full once somebody makes the loss good.
    assert campaign.read("refundable", world.backer1) == 4 * ETHER
    world.send(token.functions.transfer(campaign.address, 2 * ETHER), world.backer2)
    campaign.refund(world.backer1)
    assert campaign.held == 0
    assert coin.held == 10 * ETHER


def test_threat_a_rebasing_token_that_grows_leaves_the_surplus_to_nobody(world: World) -> None:
    campaign, token = _token_campaign(world, "RebasingToken")
    world.send(token.functions.rebase(2 * 10**18), world.stranger)
    assert campaign.held == 20 * ETHER
    assert campaign.ledger["pledged"] == 10 * ETHER
    campaign.activated().attested(3).window_passed()
    campaign.claim(0)
    campaign.claim(1)
    assert campaign.read("claimed", 0) + campaign.read("claimed", 1) == 10 * ETHER
    assert campaign.held == 10 * ETHER


# -------------------------------------------------------------------- wallets


def test_threat_a_contract_wallet_is_attestor_backer_and_payee_like_anybody_else(world: World) -> None:
    """One wallet in all three roles: it signs by ERC-1271, pledges, votes, challenges, is paid and refunded."""
    owner = world.attestors[0]
    wallet = world.deploy("Wallet", owner.address)
    for account in (owner.address, wallet.address):
        world.rpc("anvil_setBalance", account, hex(100 * ETHER))
    world.rpc("anvil_impersonateAccount", owner.address)
    campaign = world.open(
        attestors=[wallet.address, world.attestors[1].address, world.attestors[2].address],
        payees=[(wallet.address, 7_000), (world.verifier, 3_000)],
    )

    def act(call: Any, value: int = 0) -> Any:
        execute = wallet.functions.execute(campaign.address, value, data_of(call))
        return world.send(execute, owner.address)

    act(campaign.functions.pledgeCoin(wallet.address), 6 * ETHER)
    act(campaign.functions.unpledge(ETHER, wallet.address))
    campaign.pledge(world.backer1, 5 * ETHER)
    campaign.activated().attest_content(CONTENT)
    act(campaign.functions.challenge(CONTENT.root, CONTENT.size, 0), ETHER)
    act(campaign.functions.answer(CONTENT.root, CONTENT.size, 0, CONTENT.chunk(0), CONTENT.path(0)))
    campaign.window_passed()
    act(campaign.functions.claim(0, wallet.address))
    act(campaign.functions.voteStop(True))
    assert campaign.status == FAILED
    act(campaign.functions.refundTo(wallet.address))

    assert world.balance(wallet.address) == (100 - 6 + 1) * ETHER + 2 * ETHER * 7 // 10 + 5 * ETHER * 8 // 10
    with refused("NotTheOwner", world.stranger):
        world.send(wallet.functions.execute(campaign.address, 0, b""), world.stranger)


# ------------------------------------------------------------ borrowed money


def test_threat_borrowed_money_cannot_stop_a_campaign(world: World) -> None:
    """A loan of one transaction fills the cap; whoever takes it gets neither the vote nor the pledge back in time."""
    lender = world.deploy("FlashLender", value=50 * ETHER)
    borrower = world.deploy("Borrower", lender.address)
    campaign = world.open().funded()
    room = campaign.terms["cap"] - campaign.ledger["pledged"]
    before = _books(campaign, borrower)

    # The loan itself works, and comes back.
    world.send(borrower.functions.attack(campaign.address, room, 0), world.stranger)
    assert _books(campaign, borrower) == before
    # Pledge, activate: both go through, and the vote does not.
    moment = world.now() + 1
    with refused("Campaign_VotingNotOpen", moment + DAY):
        world.send(borrower.functions.attack(campaign.address, room, 3), world.stranger, at=moment)
    # Without the vote there is no refund, and without the refund the loan cannot be paid back.
    with refused("FlashLender_NotRepaid", room):
        world.send(borrower.functions.attack(campaign.address, room, 2), world.stranger)
    assert _books(campaign, borrower) == before
    assert world.balance(lender.address) == 50 * ETHER


@pytest.mark.parametrize("variant", ["around the deadline", "around the researcher's activation"])
def test_threat_money_that_is_in_for_a_block_cannot_stop_a_campaign(world: World, variant: str) -> None:
    """The same with a pledge one second before funding ends: nobody has to reach the cap, and nothing is atomic."""
    campaign = world.open().funded()
    deadline = campaign.terms["fundingDeadline"]
    whale = world.backer2
    if variant == "around the deadline":
        campaign.pledge(whale, 10 * ETHER - 1, at=deadline - 1)
        campaign.activate(by=whale, at=deadline)
    else:
        campaign.pledge(whale, 10 * ETHER - 1)
        campaign.activate()
    opens = world.now() + DAY

    for moment in (world.now() + 1, opens - 1):
        with refused("Campaign_VotingNotOpen", opens):
            campaign.vote(whale, at=moment)
    # The pledge stays in all that time.
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.refund_to(whale, whale)
    with refused("Campaign_WrongStatus", ACTIVE):
        campaign.unpledge(whale, 1)
    assert campaign.status == ACTIVE


# ------------------------------------------------------------------ challenges


def test_threat_data_that_nobody_can_show_is_not_paid_for(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 2, by=world.backer1, bond=ETHER)
    world.warp(active.answer_by)

    assert (active.status, active.read("released")) == (FAILED, 0)
    active.return_bond(2, by=world.backer1)
    active.refund(world.backer0)
    active.refund(world.backer1)
    assert world.balance(active.address) == 0


@pytest.mark.parametrize("base_fee", [1, 30, 400])
def test_threat_challenge_spam_pays_whoever_answers_it(world: World, active: Campaign, base_fee: int) -> None:
    """Every chunk is challenged for the least bond; whoever answers them all is richer than before."""
    content = Bytes(5 * CHUNK)
    active.attest_content(content)
    fee = base_fee * GWEI
    for chunk in range(5):
        bond = max(active.terms["minBond"], 1_250_000 * fee) * (512 + chunk) // 512
        call = active.functions.challenge(content.root, content.size, chunk)
        world.send(call, world.backer1, value=bond, base_fee=fee)
    assert active.read("openChallenges") == 5
    for chunk in range(5):
        before = world.balance(world.stranger)
        call = active.functions.answer(content.root, content.size, chunk, content.chunk(chunk), content.path(chunk))
        world.send(call, world.stranger, base_fee=fee)
        assert world.balance(world.stranger) > before
    for chunk in range(5):
        with refused("Campaign_AlreadyChallenged", chunk):
            active.challenge(content, chunk, bond=ETHER)
    active.window_passed()
    assert active.read("released") == 2 * ETHER


def test_threat_a_challenge_at_the_last_second_leaves_the_whole_answer_window(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT, at=active.read("deadlineOf", 0) - 1)
    end = active.window_end
    active.challenge(CONTENT, 0, at=end - 1)
    assert active.answer_by == end - 1 + active.terms["answerWindow"]
    active.answer(CONTENT, 0, at=active.answer_by - 1)

    # All three happened at the last second, and there is still time for the next milestone.
    assert active.status == ACTIVE
    active.attest_content(CONTENT)
    assert active.ledger["attested"] == 2


def test_threat_weights_answered_at_the_last_second_after_the_deadline_still_complete(
    world: World, active: Campaign
) -> None:
    active.attested(2).attest_content(CONTENT, at=active.read("deadlineOf", 2) - 1)
    active.challenge(CONTENT, 0, at=active.window_end - 1)
    active.answer(CONTENT, 0, at=active.answer_by - 1)
    assert active.status == COMPLETED
    assert active.read("released") == 10 * ETHER


@pytest.mark.parametrize(
    ("name", "least", "error"),
    [
        ("challengeWindow", 2 * DAY, "CampaignFactory_BadChallengeWindow"),
        ("answerWindow", DAY, "CampaignFactory_BadAnswerWindow"),
    ],
)
def test_threat_windows_too_short_to_outlast_censorship_are_refused(
    world: World, name: str, least: int, error: str
) -> None:
    with refused(error):
        world.open(**{name: least - 1})
    world.open(**{name: least})


def test_threat_an_answer_that_was_censored_can_be_given_by_anybody_else(world: World, active: Campaign) -> None:
    active.attest_content(CONTENT)
    active.challenge(CONTENT, 1)
    for account in (world.backer1, world.compute, world.elsewhere):
        before = world.devnet.snapshot()
        active.answer(CONTENT, 1, by=account)
        assert active.read("openChallenges") == 0
        world.devnet.revert(before)


# ----------------------------------------------------------------------- clones


def test_threat_whoever_calls_a_fresh_clone_first_owns_nothing(world: World) -> None:
    campaign = world.open()
    terms = campaign.read("terms")
    for signature in (
        "initialize()",
        "initialize(address)",
        "init()",
        "upgradeTo(address)",
        "transferOwnership(address)",
    ):
        data = bytes(world.w3.keccak(text=signature)[:4]) + bytes(12) + bytes.fromhex(world.stranger[2:])
        with refused(""):
            world.transact({"from": world.stranger, "to": campaign.address, "data": data})
    assert campaign.read("terms") == terms
    assert terms[0] == world.researcher != ZERO
