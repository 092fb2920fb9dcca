"""An arbiter, if the terms name one, contests the last attestation and rules: it can refuse the last tranche only."""

from __future__ import annotations

import pytest
from content import CHUNK, Bytes
from world import ACTIVE, COMPLETED, DAY, ETHER, FAILED, Campaign, RevertedError, World, refused

CONTENT = Bytes(3 * CHUNK)
RULING = 30 * DAY

ACTIONS = ("contest", "uphold", "refuse", "challenge", "wait")
TABLE = """
# a: attestedAt, c: challengeWindow, r: rulingWindow, o: the challenge is made, w: answerWindow
# state               | at      | contest          | uphold           | refuse           | challenge         | wait
earlier               | a+c-1   | NothingToContest | NothingToContest | NothingToContest | active            | active
earlier               | a+c     | NothingToContest | NothingToContest | NothingToContest | WindowOver        | active
attested              | a+1     | contested        | NotContested     | NotContested     | active            | active
attested              | a+c-1   | contested        | NotContested     | NotContested     | active            | active
attested              | a+c     | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | completed
attested              | a+c+1   | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | completed
contested             | a+c-1   | AlreadyContested | active           | failed           | contested         | contested
contested             | a+c     | AlreadyContested | completed        | failed           | contested         | contested
contested             | a+c+1   | AlreadyContested | completed        | failed           | contested         | contested
contested             | a+c+r-1 | AlreadyContested | completed        | failed           | contested         | contested
contested             | a+c+r   | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | completed
contested             | a+c+r+1 | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | completed
contested, challenged | o+1     | AlreadyContested | active           | failed           | contested         | contested
contested, challenged | o+w-1   | AlreadyContested | active           | failed           | contested         | contested
contested, challenged | o+w     | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
contested, challenged | o+w+1   | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
contested, at the end | a+c+r   | AlreadyContested | WindowOver       | WindowOver       | WindowOver        | contested
contested, at the end | o+w-1   | AlreadyContested | WindowOver       | WindowOver       | WindowOver        | contested
contested, at the end | o+w     | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
challenged            | o+1     | WindowOver       | NotContested     | NotContested     | WindowOver        | active
challenged            | o+w-1   | WindowOver       | NotContested     | NotContested     | WindowOver        | active
challenged            | o+w     | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
upheld                | a+c-1   | contested        | NotContested     | NotContested     | active            | active
upheld                | a+c     | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | completed
refused               | a+c-1   | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
refused               | a+c+r   | WrongStatus      | WrongStatus      | WrongStatus      | WrongStatus       | failed
"""
"""What the protocol says: a state, a moment, and what each action leads to. `challenged` is at the window's end."""
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines() if not line.startswith("#")]


@pytest.fixture
def disputable(world: World) -> Campaign:
    """The last of three milestones waits for its attestation; a stranger is the arbiter."""
    return world.open(arbiter=world.arbiter, rulingWindow=RULING).funded().activated().attested(2)


@pytest.fixture
def attested(disputable: Campaign) -> Campaign:
    """All three milestones are attested."""
    disputable.attest_content(CONTENT)
    return disputable


def _in_state(campaign: Campaign, state: str) -> dict[str, int]:
    """Bring a campaign whose second milestone is attested into a state, and return the letters of its moments."""
    if state != "earlier":
        campaign.attest_content(CONTENT)
    at = campaign.ledger["attestedAt"]
    end = at + campaign.terms["challengeWindow"]
    letters = {"a": at, "c": end - at, "r": RULING, "o": 0, "w": campaign.terms["answerWindow"]}
    if "contested" in state or state in ("upheld", "refused"):
        campaign.contest()
    if state in ("upheld", "refused"):
        campaign.rule(state == "upheld")
    if "," in state or state == "challenged":
        moments = {"challenged": end - 1, "contested, challenged": end + DAY, "contested, at the end": end + RULING - 1}
        letters["o"] = moments[state]
        campaign.challenge(CONTENT, 0, at=letters["o"])
    return letters


def _act(campaign: Campaign, action: str, at: int) -> str:
    """What an action leads to: the error that refuses it, or the campaign's state right after it."""
    try:
        if action == "contest":
            campaign.contest(at=at)
        elif action == "challenge":
            campaign.challenge(CONTENT, 2, at=at)
        elif action == "wait":
            campaign.world.warp(at)
        else:
            campaign.rule(action == "uphold", at=at)
    except RevertedError as refusal:
        return refusal.name.removeprefix("Campaign_")
    if campaign.status == ACTIVE:
        return "contested" if campaign.ledger["contested"] else "active"
    return {COMPLETED: "completed", FAILED: "failed"}[campaign.status]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_state_and_action_ends_as_the_protocol_says(world: World, disputable: Campaign, row: list[str]) -> None:
    state, moment, *expected = row
    if state == "earlier":
        # Its content is not the last's.
        disputable = world.open(arbiter=world.arbiter, rulingWindow=RULING).funded().activated().attested(1)
        disputable.attest_content(CONTENT)
    letters = _in_state(disputable, state)
    at = sum(letters[part] if part in letters else int(part) for part in moment.replace("-", "+-").split("+"))
    found = []
    for action in ACTIONS:
        before = world.devnet.snapshot()
        found.append(_act(disputable, action, at))
        world.devnet.revert(before)
    assert dict(zip(ACTIONS, found, strict=True)) == dict(zip(ACTIONS, expected, strict=True))


def test_a_contest_says_until_when_the_arbiter_can_rule(attested: Campaign) -> None:
    end = attested.window_end
    receipt = attested.contest()
    assert attested.events("Contested", receipt) == [{"ruleBy": end + RULING}]
    assert attested.ledger["contested"]
    assert attested.window_end == end + RULING
    assert attested.events("Ruled", attested.rule(True)) == [{"upheld": True}]
    assert not attested.ledger["contested"]
    assert attested.window_end == end


def test_nobody_but_the_arbiter_contests_or_rules(world: World, attested: Campaign) -> None:
    for account in (world.researcher, world.backer0, world.compute, world.stranger, world.attestors[0].address):
        for call in (attested.functions.contest(), attested.functions.rule(True), attested.functions.rule(False)):
            with refused("Campaign_NotArbiter", account):
                world.call(call, account)


def test_without_an_arbiter_nobody_contests_or_rules(world: World, active: Campaign) -> None:
    active.attested(3)
    for account in (world.researcher, world.backer0, world.arbiter):
        with refused("Campaign_NotArbiter", account):
            active.contest(by=account)
        with refused("Campaign_NotArbiter", account):
            active.rule(False, by=account)


@pytest.mark.parametrize("phase", ["funding", "failed"])
def test_the_arbiter_has_no_say_outside_an_active_campaign(world: World, phase: str) -> None:
    campaign = world.open(arbiter=world.arbiter, rulingWindow=RULING)
    if phase == "failed":
        world.warp(campaign.terms["fundingDeadline"])
    for act in (campaign.contest, lambda: campaign.rule(True), lambda: campaign.rule(False)):
        with refused("Campaign_WrongStatus", campaign.status):
            act()


def test_only_the_last_attestation_can_be_contested(disputable: Campaign) -> None:
    for act in (disputable.contest, lambda: disputable.rule(True), lambda: disputable.rule(False)):
        with refused("Campaign_NothingToContest"):
            act()


def test_errors_come_in_the_order_of_the_checks(attested: Campaign) -> None:
    with refused("Campaign_NotContested"):
        attested.rule(False)
    attested.contest()
    with refused("Campaign_AlreadyContested"):
        attested.contest()
    end = attested.window_end
    attested.challenge(CONTENT, 0, at=end - 1)
    with refused("Campaign_WindowOver", end):
        attested.rule(True)


def test_a_refusal_gives_every_backer_the_last_tranche_and_no_more(world: World, attested: Campaign) -> None:
    attested.claim(0)
    attested.contest()
    attested.rule(False)

    assert attested.status == FAILED
    assert attested.read("released") == 5 * ETHER
    flags = attested.ledger
    assert (flags["stopped"], flags["withheld"], flags["contested"]) == (True, True, True)
    for backer, pledge in ((world.backer0, 6 * ETHER), (world.backer1, 4 * ETHER)):
        before = world.balance(backer)
        attested.refund(backer, by=world.stranger)
        assert world.balance(backer) - before == pledge // 2
    attested.claim(1)
    with refused("Campaign_NothingToClaim"):
        attested.claim(0)
    assert attested.held == 0


def test_a_refusal_gives_the_bonds_of_open_challenges_back(world: World, attested: Campaign) -> None:
    attested.contest()
    attested.challenge(CONTENT, 0, bond=ETHER)
    attested.challenge(CONTENT, 1, by=world.backer1, bond=2 * ETHER)
    attested.rule(False)
    for backer, chunk, bond in ((world.backer0, 0, ETHER), (world.backer1, 1, 2 * ETHER)):
        before = world.balance(world.elsewhere)
        attested.return_bond(chunk, world.elsewhere, by=backer)
        assert world.balance(world.elsewhere) - before == bond


def test_a_campaign_that_was_upheld_pays_the_last_tranche(world: World, attested: Campaign) -> None:
    attested.contest()
    attested.rule(True, at=attested.ledger["attestedAt"] + attested.terms["challengeWindow"])
    assert attested.status == COMPLETED
    attested.claim(0)
    attested.claim(1)
    assert attested.held == 0


def test_nobody_votes_and_no_deadline_moves_while_the_last_attestation_is_contested(
    world: World, attested: Campaign
) -> None:
    attested.contest()
    with refused("Campaign_VotingClosed"):
        attested.vote(world.backer0)
    with refused("Campaign_WrongMilestone", 2, 3):
        attested.extend(1)
    assert attested.read("deadlineOf", 2) == attested.terms["milestones"][2][2]


# -------------------------------------------------------------------- threats


def test_threat_a_sham_contest_uses_nothing_up_and_moves_no_end(world: World, attested: Campaign) -> None:
    """Somebody has the arbiter contest and rule in the first hour: a real case is heard all the same."""
    end = attested.window_end
    for _ in range(3):
        attested.contest()
        assert attested.window_end == end + RULING
        attested.rule(True)
    assert attested.window_end == end
    attested.contest(at=end - 1)
    assert attested.window_end == end + RULING
    attested.rule(False, at=end + RULING - 1)
    assert (attested.status, attested.read("released")) == (FAILED, 5 * ETHER)


def test_threat_a_silent_arbiter_keeps_nobody_s_money(world: World, attested: Campaign) -> None:
    attested.contest()
    world.warp(attested.window_end - 1)
    assert attested.status == ACTIVE
    world.warp(attested.window_end)
    assert attested.status == COMPLETED
    attested.claim(0)
    attested.claim(1)
    assert attested.held == 0


@pytest.mark.parametrize("late", [0, 1, DAY])
def test_threat_a_late_ruling_leaves_the_campaign_as_it_was(world: World, attested: Campaign, late: int) -> None:
    attested.contest()
    end = attested.window_end
    with refused("Campaign_WrongStatus", COMPLETED):
        attested.rule(False, at=end + late)
    attested.claim(0)
    with refused("Campaign_WrongStatus", COMPLETED):
        attested.contest()
    assert attested.status == COMPLETED


def test_threat_a_bribed_arbiter_takes_nothing_and_keeps_only_the_last_tranche_from_payees(
    world: World, attested: Campaign
) -> None:
    before, held = world.balance(world.arbiter), attested.held
    attested.contest()
    attested.rule(False)
    # It paid for two transactions, and nothing came back.
    assert world.balance(world.arbiter) < before
    assert attested.held == held
    for payee, share in ((0, 7), (1, 3)):
        assert attested.read("claimable", payee) == 5 * ETHER * share // 10
    with refused("Campaign_NothingToRefund", world.arbiter):
        attested.refund(world.arbiter)
    with refused("Campaign_NotPayee", world.arbiter, 0):
        attested.claim(0, by=world.arbiter)
    for backer in (world.backer0, world.backer1):
        attested.refund(backer)
    attested.claim(0)
    attested.claim(1)
    assert attested.held == 0


@pytest.mark.parametrize("ruling", [None, True])
def test_threat_a_contest_does_not_save_an_unanswered_challenge(
    world: World, attested: Campaign, ruling: bool | None
) -> None:
    attested.challenge(CONTENT, 0)
    attested.contest()
    if ruling is not None:
        attested.rule(ruling)
    world.warp(attested.answer_by - 1)
    assert attested.status == ACTIVE
    world.warp(attested.answer_by)
    assert (attested.status, attested.read("released")) == (FAILED, 5 * ETHER)
    attested.return_bond(0)
