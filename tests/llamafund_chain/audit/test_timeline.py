"""The story that events tell: each rule of an attestation and of a contest at its very second and unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from small_campaign import FIRST, FUNDED_BY, SECOND, WINDOW, state, terms

from llamafund_chain.audit.timeline import (
    AttestedMilestone,
    Contest,
    Misdated,
    Story,
    attested_by_the_rules,
    contested_by_the_rules,
    events_match_state,
    seed_from_block,
    status_name,
    tell,
    with_times,
)
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.events import (
    Activated,
    BondReturned,
    CampaignEvent,
    ChallengeAnswered,
    Challenged,
    Claimed,
    Contested,
    DeadlinesExtended,
    MilestoneAttested,
    Pledged,
    Refunded,
    Ruled,
    Stopped,
    StopVoted,
    Unpledged,
    UpdatePosted,
)
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import DAY, NO_HASH, MilestoneKind, Status, Terms

TERMS = terms()
PROPOSAL, DATA, WEIGHTS = TERMS.proposal, "aa" * 32, "bb" * 32
RULING = 7 * DAY


def said(milestone: int = 0, **changes: Any) -> Attestation:
    values: dict[str, Any] = {
        "milestone": milestone,
        "kind": (MilestoneKind.DATASET, MilestoneKind.WEIGHTS)[milestone],
        "evidence": (DATA, WEIGHTS)[milestone],
        "parent": (PROPOSAL, DATA)[milestone],
        "content_root": "cc" * 32,
        "content_size": 1,
        "score": 0,
        "expiry": SECOND + DAY,
    }
    return Attestation(**{**values, **changes})


def attested(milestone: int = 0, **changes: Any) -> AttestedMilestone:
    own = {key: changes.pop(key) for key in ("signers", "at", "slack_used") if key in changes}
    at = (FIRST - 1, SECOND - 1)[milestone]
    values = {"signers": 0b01, "at": at, "slack_used": 0, "block": 7, "tx_hash": "dd" * 32}
    return AttestedMilestone(said(milestone, **changes), **{**values, **own})


def verdict(*found: AttestedMilestone, agreed: Terms = TERMS) -> str:
    told = attested_by_the_rules(agreed, found)
    assert told is not None
    return "" if told.status == "pass" else told.detail


def test_honest_attestations_are_allowed_and_none_is_nothing_to_judge() -> None:
    assert attested_by_the_rules(TERMS, ()) is None
    assert verdict(attested()) == ""
    assert verdict(attested(), attested(1)) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"milestone": 1, "kind": MilestoneKind.DATASET}, "it says milestone 1"),
        ({"kind": MilestoneKind.CHECKPOINT}, "it says CHECKPOINT"),
        ({"parent": DATA}, "as its parent"),
        ({"evidence": NO_HASH}, "no evidence"),
        ({"at": FIRST}, "after the deadline"),
        ({"expiry": FIRST - 1}, "had expired"),
        ({"score": -1}, "its score -1 is below 0"),
        ({"signers": 0}, "0 attestors signed, the quorum is 1"),
        ({"signers": 0b100}, "somebody who is not an attestor"),
    ],
)
def test_each_rule_of_an_attestation_is_checked_at_its_boundary(changes: dict[str, Any], words: str) -> None:
    milestone = changes.pop("milestone", None)
    one = attested(**changes)
    if milestone is not None:
        one = replace(one, attestation=replace(one.attestation, milestone=milestone))
    assert words in verdict(one)
    assert "milestone 0" in verdict(one)


def test_on_this_side_of_each_boundary_an_attestation_is_allowed() -> None:
    for changes in ({"expiry": FIRST}, {"score": 1}, {"signers": 0b10}, {"signers": 0b11}):
        assert verdict(attested(**changes)) == ""
    assert verdict(attested(at=FIRST + 4, slack_used=5)) == ""
    assert verdict(attested(at=FIRST + 5, slack_used=5)) != ""
    both = replace(TERMS, quorum=2)
    assert verdict(attested(signers=0b10), agreed=both) != ""
    assert verdict(attested(signers=0b11), agreed=both) == ""


def test_the_next_attestation_waits_for_the_window_and_names_the_one_before() -> None:
    free_from = FIRST - 1 + WINDOW
    assert "the previous window was open" in verdict(attested(), attested(1, at=free_from - 1))
    assert verdict(attested(), attested(1, at=free_from)) == ""
    assert "as its parent" in verdict(attested(), attested(1, parent=PROPOSAL))


def test_there_is_no_attestation_beyond_the_last_milestone() -> None:
    assert "only 2 milestones" in verdict(attested(), attested(1), attested(1))


def test_only_a_dataset_must_be_the_one_that_the_terms_fix() -> None:
    for fixed, fine in ((NO_HASH, True), (DATA, True), (WEIGHTS, False)):
        assert (verdict(attested(), attested(1), agreed=terms(dataset=fixed)) == "") is fine
    assert "the terms fix" in verdict(attested(), agreed=terms(dataset=WEIGHTS))


# Contests -----------------------------------------------------------------------------------------------------------

WITH_ARBITER = terms(arbiter="0xE5", ruling_window=RULING)
CONTESTED = SECOND - 1 + WINDOW
RULE_BY = CONTESTED + RULING


def contest(**changes: Any) -> Contest:
    return Contest(**{"at": SECOND, "rule_by": RULE_BY, **changes})


def judged(*contests: Contest, agreed: Terms = WITH_ARBITER, milestones: int = 2, now: int = RULE_BY) -> str:
    told = Story(
        tell(agreed, (), int).ledger, tell(agreed, (), int).rules, (attested(), attested(1))[:milestones], None
    )
    found = contested_by_the_rules(agreed, replace(told, contests=contests), now)
    assert found is not None
    return "" if found.status == "pass" else found.detail


def test_without_a_contest_there_is_nothing_to_judge() -> None:
    assert contested_by_the_rules(WITH_ARBITER, tell(WITH_ARBITER, (), int), 0) is None


def test_only_the_arbiter_of_the_terms_contests_and_only_the_last_milestone() -> None:
    assert judged(contest()) == ""
    assert "name no arbiter" in judged(contest(), agreed=TERMS)
    assert "before the last milestone" in judged(contest(), milestones=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at": SECOND - 1}, ""),
        ({"at": SECOND - 2}, "window was not open"),
        ({"at": CONTESTED - 1}, ""),
        ({"at": CONTESTED}, "window was not open"),
        ({"rule_by": RULE_BY + 1}, "the terms do not"),
        ({"rule_by": RULE_BY - 1}, "the terms do not"),
        ({"ruled_at": SECOND}, ""),
        ({"ruled_at": SECOND - 1}, "came too late"),
        ({"ruled_at": RULE_BY - 1}, ""),
        ({"ruled_at": RULE_BY}, "came too late"),
    ],
)
def test_a_contest_and_its_ruling_are_checked_to_the_second(changes: dict[str, Any], words: str) -> None:
    found = judged(contest(**changes))
    assert words in found
    assert bool(words) == bool(found)


def test_each_of_several_contests_is_checked() -> None:
    assert "window was not open" in judged(contest(), contest(at=CONTESTED))


def test_what_became_of_a_contest_is_told() -> None:
    story = tell(WITH_ARBITER, (), int)
    story = replace(story, attested=(attested(), attested(1)))
    for changes, now, words in (
        ({"ruled_at": SECOND, "upheld": True}, RULE_BY, ", upheld "),
        ({"ruled_at": SECOND, "upheld": False}, RULE_BY, ", refused "),
        ({}, RULE_BY - 1, "not ruled on yet"),
        ({}, RULE_BY, "the attestation stands"),
    ):
        found = contested_by_the_rules(WITH_ARBITER, replace(story, contests=(contest(**changes),)), now)
        assert found is not None
        assert words in found.detail


# Events -------------------------------------------------------------------------------------------------------------


def time_of(block: int) -> int:
    return {1: FUNDED_BY, 2: FIRST - 1, 3: FIRST, 4: SECOND - 1, 5: SECOND}[block]


def at(block: int) -> tuple[int, int, str]:
    return (block, 0, "ee" * 32)


HISTORY: tuple[CampaignEvent, ...] = (
    Pledged(*at(1), "ann", "ann", 70),
    Unpledged(*at(1), "ann", "ann", 10),
    Pledged(*at(1), "bob", "bob", 40),
    UpdatePosted(*at(1), "ff" * 32),
    Activated(*at(1), 100, "22" * 32),
    MilestoneAttested(*at(2), 0, DATA, said(), 0b01),
)


def story(*more: CampaignEvent) -> Story:
    return tell(WITH_ARBITER, (*HISTORY, *more), time_of)


def test_each_event_is_entered_where_it_belongs() -> None:
    told = story(
        Claimed(*at(3), 1, "b", 5),
        Refunded(*at(3), "bob", "bob", 7),
        StopVoted(*at(3), "ann", True, 60, 60),
        StopVoted(*at(3), "bob", True, 40, 100),
        StopVoted(*at(3), "ann", False, 60, 40),
        DeadlinesExtended(*at(3), 3, 3),
        DeadlinesExtended(*at(3), 4, 7),
        Challenged(*at(3), 0, 8, "ann", 11, 0),
        Challenged(*at(4), 0, 9, "ann", 12, 0),
        ChallengeAnswered(*at(4), 0, 8, "x", 11),
        BondReturned(*at(4), 0, 9, "ann", "ann", 12),
        MilestoneAttested(*at(4), 1, WEIGHTS, said(1), 0b10),
        Contested(*at(4), RULE_BY),
    )
    ledger = told.ledger
    assert (ledger.deposits, ledger.withdrawals) == ({"ann": 70, "bob": 40}, {"ann": 10})
    assert (ledger.claims, ledger.refunds, ledger.voters) == ({1: 5}, {"bob": 7}, {"bob"})
    assert (ledger.attested_at, ledger.activated, ledger.slack_used) == ([FIRST - 1, SECOND - 1], True, 7)
    assert ledger.challenges == {9: (SECOND - 1, 0)}
    assert (ledger.contested, ledger.stopped_at) == (True, None)
    assert [(one.at, one.signers, one.slack_used, one.block) for one in told.attested] == [
        (FIRST - 1, 0b01, 0, 2),
        (SECOND - 1, 0b10, 7, 4),
    ]
    assert told.activated is not None
    assert told.contests == (Contest(SECOND - 1, RULE_BY),)
    assert not tell(TERMS, HISTORY[:4], time_of).ledger.activated


def test_headers_whose_time_is_asked_for_are_fetched_many_at_once() -> None:
    asked: set[int] = set()
    timed = (MilestoneAttested(*at(2), 0, DATA, said(), 1), Challenged(*at(3), 0, 8, "ann", 11, 0), Stopped(*at(4), 60))
    events = (*HISTORY, *timed, Contested(*at(5), RULE_BY), Ruled(*at(1), True))
    tell(WITH_ARBITER, events, lambda block: asked.add(block) or time_of(block))  # type: ignore[func-returns-value]
    fetched: list[set[int]] = []
    assert [*with_times(events, lambda blocks: fetched.append({*blocks}))] == [*events]
    assert fetched == [asked]
    many = [Challenged(block, 0, "", 0, 0, "", 0, 0) for block in range(2_500)]
    fetched.clear()
    assert [event.block for event in with_times(many, lambda blocks: fetched.append({*blocks}))] == [*range(2_500)]
    assert [len(blocks) for blocks in fetched] == [1_000, 1_000, 500]


def test_the_first_challenge_that_says_another_time_than_its_block_is_told() -> None:
    def told(*answer_by: int) -> Misdated | None:
        return story(*(Challenged(*at(3), 0, place, "ann", 1, by) for place, by in enumerate(answer_by))).misdated

    due = FIRST + WITH_ARBITER.answer_window
    assert told() is None
    assert told(due, due) is None
    assert told(due, due + 1, due - 1) == Misdated(3, FIRST, FIRST + 1)
    assert told(due - 1, due) == Misdated(3, FIRST, FIRST - 1)


@pytest.mark.parametrize("upheld", [True, False])
def test_a_ruling_belongs_to_the_last_contest(upheld: bool) -> None:
    told = story(Contested(*at(2), RULE_BY), Ruled(*at(3), True), Contested(*at(4), RULE_BY + 1), Ruled(*at(5), upheld))
    first, second = told.contests
    assert (first.ruled_at, first.upheld) == (FIRST, True)
    assert (second.ruled_at, second.upheld) == (SECOND, upheld)
    assert told.ledger.contested is not upheld
    assert told.ledger.stopped_at == (None if upheld else SECOND)


def test_of_three_attestations_and_contests_the_last_counts() -> None:
    third = replace(said(1), evidence="dd" * 32)
    agreed = replace(WITH_ARBITER, milestones=(TERMS.milestones[0], *TERMS.milestones))
    more: tuple[CampaignEvent, ...] = (
        MilestoneAttested(*at(3), 1, WEIGHTS, said(1), 0b01),
        MilestoneAttested(*at(4), 2, "dd" * 32, third, 0b01),
        *(Contested(*at(block), RULE_BY + block) for block in (2, 3, 4)),
        Ruled(*at(5), True),
    )
    told = tell(agreed, (*HISTORY, *more), time_of)
    assert [(one.at, one.rule_by, one.ruled_at) for one in told.contests] == [
        (FIRST - 1, RULE_BY + 2, None),
        (FIRST, RULE_BY + 3, None),
        (SECOND - 1, RULE_BY + 4, SECOND),
    ]
    seen = read(attested=3, attested_at=SECOND - 1, latest_evidence="dd" * 32, timestamp=SECOND)
    assert not {"attested", "attested_at", "latest_evidence"} & {*differing(told, seen)}


def test_a_contest_belongs_to_the_last_of_three_milestones() -> None:
    steps = (TERMS.milestones[0], *TERMS.milestones)
    agreed = replace(WITH_ARBITER, milestones=steps)
    told = replace(tell(agreed, (), int), attested=(attested(), attested(), attested(1)), contests=(contest(),))
    found = contested_by_the_rules(agreed, told, RULE_BY)
    assert found is not None
    assert found.status == "pass"


def test_the_first_attestation_waits_for_no_window() -> None:
    assert verdict(attested(at=0)) == ""


def test_a_ruling_that_nobody_asked_for_is_entered_all_the_same() -> None:
    told = story(Ruled(*at(5), False))
    assert told.contests == ()
    assert told.ledger.stopped_at == SECOND


def test_a_stop_counts_from_its_block_on() -> None:
    assert story(Stopped(*at(3), 60)).ledger.stopped_at == FIRST


# Events against the contract's state ---------------------------------------------------------------------------------


def read(**changes: Any) -> CampaignState:
    attested_values = {"attested": 1, "attested_at": FIRST - 1, "latest_evidence": DATA, "timestamp": FIRST}
    return state(**{**attested_values, **changes})


def differing(told: Story, seen: CampaignState) -> list[str]:
    found = events_match_state(WITH_ARBITER, told, seen)
    sides = found.data["events"], found.data["state"]
    assert all(isinstance(side, dict) for side in sides)
    names = [name for name in sides[0] if sides[0][name] != sides[1][name]]  # type: ignore[index, call-overload, union-attr]
    assert (found.status == "pass") is (not names)
    assert not names[1:] or f"; {', '.join(names[1:])} differ too" in found.detail
    assert not names or names[0].replace("_", " ") in found.detail
    assert ("differ too" in found.detail) is (len(names) > 1)
    return names


def test_events_and_state_of_an_honest_campaign_agree() -> None:
    assert differing(story(), read()) == []
    fresh = tell(WITH_ARBITER, HISTORY[:4], time_of)
    unopened = state(status=Status.FUNDING, active=False, training_seed="", timestamp=FUNDED_BY - 1, attested_at=5)
    assert differing(fresh, unopened) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"status": Status.COMPLETED}, ["status"]),
        ({"active": False}, ["activated"]),
        ({"training_seed": "23" * 32}, ["training_seed"]),
        ({"attested": 2}, ["attested"]),
        ({"attested_at": FIRST}, ["attested_at"]),
        ({"latest_evidence": PROPOSAL}, ["latest_evidence"]),
        ({"contested": True}, ["contested"]),
        ({"challenged_at": 1}, ["challenged_at"]),
        ({"stop_support": 1}, ["stop_support"]),
        ({"slack_used": 1}, ["slack_used"]),
        ({"stopped": True}, ["stopped", "stop_decided"]),
        ({"stopped": True, "contested": True}, ["stopped", "contested"]),
    ],
)
def test_what_the_events_do_not_show_is_named(changes: dict[str, Any], names: list[str]) -> None:
    assert differing(story(), read(**changes)) == names


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ((Challenged(*at(2), 0, 8, "ann", 11, 0),), ["challenged_at"]),
        ((StopVoted(*at(2), "bob", True, 40, 40),), ["stop_support"]),
        ((StopVoted(*at(2), "ann", True, 60, 60),), ["stop_support", "stop_decided"]),
        ((DeadlinesExtended(*at(2), 3, 3),), ["slack_used"]),
        ((Contested(*at(2), RULE_BY),), ["contested"]),
    ],
)
def test_what_the_contract_does_not_know_is_named(more: tuple[CampaignEvent, ...], names: list[str]) -> None:
    assert differing(story(*more), read()) == names


def test_an_attestation_that_a_node_invents_beyond_the_last_is_told_and_not_stumbled_over() -> None:
    more = (MilestoneAttested(*at(3), 1, WEIGHTS, said(1), 1), MilestoneAttested(*at(4), 2, WEIGHTS, said(1), 1))
    told = story(*more)
    assert "attested" in differing(told, read(attested=2, latest_evidence=WEIGHTS))
    found = attested_by_the_rules(WITH_ARBITER, told.attested)
    assert found is not None
    assert found.status != "pass"


def test_a_status_is_written_like_the_contracts() -> None:
    assert [status_name(status) for status in Status] == ["Funding", "Active", "Completed", "Failed"]


# The seed -----------------------------------------------------------------------------------------------------------

SEED_PARTS: dict[str, Any] = {
    "parent_hash": "01" * 32,
    "randomness": "02" * 32,
    "chain_id": 1,
    "campaign": "0x" + "03" * 20,
    "block": 9,
}


def derived(**changes: Any) -> str:
    """keccak256(parent hash ‖ randomness ‖ chain ‖ campaign), each in 32 bytes, as the contract makes it."""
    from eth_utils import keccak

    parts = {**SEED_PARTS, **changes}
    return keccak(
        bytes.fromhex(parts["parent_hash"])
        + bytes.fromhex(parts["randomness"])
        + parts["chain_id"].to_bytes(32, "big")
        + bytes.fromhex(parts["campaign"][2:]).rjust(32, b"\0")
    ).hex()


@pytest.mark.parametrize(
    "change", [{"parent_hash": "00" * 32}, {"randomness": "03" * 32}, {"chain_id": 2}, {"campaign": "0x" + "04" * 20}]
)
def test_the_seed_follows_from_all_that_goes_into_it(change: dict[str, Any]) -> None:
    find: Callable[..., Any] = seed_from_block
    assert find(derived(), **SEED_PARTS).status == "pass"
    other = find(derived(), **{**SEED_PARTS, **change})
    assert other.status == "warn"
    assert derived(**change) in other.detail
