"""What a backer is warned of, before a pledge and by the audit alike."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.campaign.answer_cost import AnswerCost
from llamafund_chain.campaign.arbiter import Arbiter, Asked
from llamafund_chain.campaign.terms import (
    BPS,
    DAY,
    MIN_BOND,
    NO_HASH,
    NO_MINIMUM,
    Milestone,
    MilestoneKind,
    Payee,
    Terms,
)
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.tokens import NATIVE, Asset
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.risks import arbiter_risks, term_risks
from llamafund_chain.deployment.court_arbiter import APPEAL_RESERVE, question_path
from llamafund_chain.deployment.courts import known_court

RESEARCHER, COMPUTE, FIRST, SECOND, JUDGE = (f"0x{number:040x}" for number in (0xA1, 0xB2, 0xC3, 0xD4, 0xE5))
ETHER = 10**18
GWEI = 10**9
TERMS = Terms(
    researcher=RESEARCHER,
    asset=NATIVE,
    goal=10 * ETHER,
    cap=20 * ETHER,
    funding_deadline=DAY,
    stop_bps=5_000,
    challenge_window=2 * DAY,
    answer_window=2 * DAY,
    min_bond=ETHER // 100,
    slack=0,
    proposal="11" * 32,
    dataset=NO_HASH,
    attestors=(FIRST, SECOND),
    quorum=2,
    payees=(Payee(RESEARCHER, 7_000), Payee(COMPUTE, 3_000)),
    milestones=(Milestone(MilestoneKind.WEIGHTS, BPS, 10 * DAY, NO_MINIMUM),),
    arbiter=JUDGE,
    ruling_window=7 * DAY,
)


CHEAP = AnswerCost(gas=700_000, price=2 * GWEI, data_fee=0, base_fee=GWEI)
"""0.0014 ETH, while the base fee asks for a bond of 0.00125 ETH."""
UNKNOWN = DataFeeUnknownError("The chain's data fee could not be told", "getL1Fee failed")


def risks(
    terms: Terms,
    chain_id: int = 1,
    *,
    cost: AnswerCost | DataFeeUnknownError = CHEAP,
    unreleased: int | None = None,
) -> list[CheckResult]:
    protected = terms.goal if unreleased is None else unreleased
    return list(term_risks(terms, chain_id, cost=cost, unreleased=protected, money=lambda units: f"{units} units"))


def bond_of(terms: Terms, chain_id: int = 1, **more: Any) -> CheckResult:
    (bond,) = (risk for risk in risks(terms, chain_id, **more) if risk.name == "challenge-bond")
    return bond


def warned_of(terms: Terms) -> set[str]:
    return {risk.name for risk in risks(terms) if risk.status == "warn"}


def test_terms_without_these_risks_pass_every_one() -> None:
    assert [risk.status for risk in risks(TERMS)] == ["pass"] * 6


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("researcher-attests", {"attestors": (FIRST, RESEARCHER), "payees": (Payee(COMPUTE, BPS),)}),
        ("attestors-paid", {"payees": (Payee(RESEARCHER, 7_000), Payee(SECOND, 3_000))}),
        ("quorum-of-one", {"quorum": 1}),
        ("challenge-bond", {"min_bond": MIN_BOND}),
        ("challenge-bond", {"min_bond": CHEAP.wei - 1}),
        ("challenge-bond", {"min_bond": ETHER // 10 + 1}),
        ("challenge-bond", {"min_bond": 2**96 - 1, "goal": 2**100, "cap": 2**100}),
        ("challenge-bond", {"min_bond": ETHER + 1, "asset": FIRST, "goal": 1}),
        ("answer-window", {"answer_window": DAY}),
        ("arbiter-independent", {"arbiter": None, "ruling_window": 0}),
        ("arbiter-independent", {"arbiter": RESEARCHER}),
        ("arbiter-independent", {"arbiter": COMPUTE}),
        ("arbiter-independent", {"arbiter": SECOND}),
    ],
)
def test_each_risk_is_named_when_the_terms_run_it(name: str, change: dict[str, object]) -> None:
    assert warned_of(replace(TERMS, **change)) == {name}


@pytest.mark.parametrize(
    ("chain_id", "words"), [(1, "0.01 ETH"), (137, "0.01 POL"), (424242, "0.01 of the chain's coin")]
)
def test_a_bond_is_told_in_the_coin_of_its_chain(chain_id: int, words: str) -> None:
    assert words in bond_of(TERMS, chain_id).detail


@pytest.mark.parametrize(
    "change",
    [
        {"min_bond": ETHER // 10},
        {"min_bond": ETHER, "goal": 100 * ETHER},
        {"min_bond": ETHER, "asset": FIRST},
        {"min_bond": CHEAP.wei},
    ],
)
def test_a_bond_within_reach_that_pays_for_an_answer_is_no_risk(change: dict[str, object]) -> None:
    assert warned_of(replace(TERMS, **change)) == set()


# ----------------------------------------------------------------------- bonds


def test_a_bond_is_judged_by_what_is_still_unreleased() -> None:
    """A hundredth of the goal is a tenth of the last tranche."""
    terms = replace(TERMS, min_bond=ETHER // 10)
    assert bond_of(terms, unreleased=10 * ETHER).status == "pass"
    assert "few or no backers will challenge" in bond_of(terms, unreleased=ETHER).detail
    assert bond_of(terms, unreleased=ETHER).status == "warn"
    over = bond_of(replace(terms, min_bond=MIN_BOND), unreleased=0)
    assert (over.status, "nothing that it could protect" in over.detail) == ("pass", True)


def test_a_cost_that_could_not_be_told_is_neither_fine_nor_an_accusation() -> None:
    bond = bond_of(TERMS, cost=UNKNOWN)
    assert bond.status == "unchecked"
    assert "could not be told: The chain's data fee could not be told. getL1Fee failed" in bond.detail
    assert bond_of(replace(TERMS, min_bond=MIN_BOND), cost=UNKNOWN).status == "unchecked"
    assert bond_of(replace(TERMS, min_bond=2 * ETHER), cost=UNKNOWN).status == "warn", "too high whatever it costs"


def test_a_bond_that_pays_tells_what_a_flood_loses() -> None:
    bond = bond_of(TERMS)
    assert bond.detail == (
        "The least bond of a challenge is 0.01 ETH, and an answer costs about 0.0014 ETH today. To outrun a slow guard "
        "(0.2 answers a second) for 2 days, a flood loses more than 1000000000 ETH, to a fast one (1.3) more than "
        "1000000000 ETH, while 10000000000000000000 units is unreleased. One by one, each challenge costs 0.01 ETH, "
        "and whoever answers earns about 0.0086 ETH"
    )
    assert bond.data["answer_cost_wei"] == str(CHEAP.wei)


def test_a_bond_below_the_cost_tells_what_whoever_answers_loses() -> None:
    """On a rollup: the base fee is next to nothing, the data fee is not."""
    rollup = AnswerCost(gas=700_000, price=10**6, data_fee=2 * 10**13, base_fee=10**6)
    bond = bond_of(replace(TERMS, min_bond=MIN_BOND), cost=rollup)
    assert bond.status == "warn"
    assert (
        "The least bond of a challenge is 0.000001 ETH, but an answer costs about 0.0000207 ETH today." in bond.detail
    )
    assert "each challenge costs 0.00000125 ETH, and whoever answers loses 0.0000195 ETH more" in bond.detail
    assert "a slow guard 0.337 ETH a day, against 0.0216 ETH for the challengers" in bond.detail


def test_a_bond_that_only_the_base_fee_lifts_says_so() -> None:
    lifted = AnswerCost(gas=700_000, price=GWEI, data_fee=0, base_fee=GWEI)
    bond = bond_of(replace(TERMS, min_bond=MIN_BOND), cost=lifted)
    assert bond.status == "warn"
    assert (
        "but an answer costs about 0.0007 ETH today; only the base fee lifts the bond to 0.00125 ETH now" in bond.detail
    )
    assert "whoever answers earns" in bond.detail


@given(st.integers(1, 10**6), st.integers(3_300, 8_000))
def test_a_forcing_stake_is_the_least_that_stops_a_campaign_alone(pledged: int, stop_bps: int) -> None:
    stake = replace(TERMS, stop_bps=stop_bps).forcing_stake(pledged)
    assert stake * BPS >= (pledged + stake) * stop_bps
    assert (stake - 1) * BPS < (pledged + stake - 1) * stop_bps


@given(st.integers(1, 10**6), st.integers(3_300, 8_000))
def test_a_blocking_stake_is_the_least_that_keeps_everybody_else_from_stopping(pledged: int, stop_bps: int) -> None:
    stake = replace(TERMS, stop_bps=stop_bps).blocking_stake(pledged)
    assert (pledged - stake) * BPS < pledged * stop_bps
    assert (pledged - stake + 1) * BPS >= pledged * stop_bps


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arbiter": None, "ruling_window": 0}, "nobody can hold back the last tranche"),
        ({"arbiter": RESEARCHER}, "is the researcher and a payee, so it would judge its own work"),
        ({"arbiter": FIRST}, "is an attestor, so"),
        ({}, f"The arbiter {JUDGE} is neither researcher nor payee nor attestor"),
    ],
)
def test_whose_work_an_arbiter_would_judge_is_told(change: dict[str, object], words: str) -> None:
    (told,) = [risk.detail for risk in risks(replace(TERMS, **change)) if risk.name == "arbiter-independent"]
    assert words in told


KLEROS = "0x988b3A538b618C7A603e1c11Ab82Cd16dbE28069"
THREE_JURORS = bytes(63) + b"\3"
ASKED = Asked(KLEROS, known_court(1, KLEROS), False, THREE_JURORS, question_path(), 28 * DAY)
LONG = replace(TERMS, ruling_window=60 * DAY)


def judged(arbiter: Arbiter, terms: Terms = LONG, pledge: int = 0) -> dict[str, CheckResult]:
    found = arbiter_risks(terms, arbiter, pledge=pledge, asset=Asset(FIRST, "units", 0))
    return {risk.name: risk for risk in found}


def asking(**changes: Any) -> Arbiter:
    return Arbiter(JUDGE, has_code=True, asked=replace(ASKED, **changes), dispute=3)


def test_an_arbiter_that_asks_a_known_court_the_shipped_question_is_fine() -> None:
    found = judged(asking())
    assert {risk.status for risk in found.values()} == {"pass"}
    assert found.keys() == {
        "arbiter-can-decide",
        "arbiter-is-no-backer",
        "court-is-asked-the-question",
        "rulings-come-in-time",
    }
    assert f"asks the court {KLEROS}" in found["arbiter-can-decide"].detail
    assert "Kleros, General Court" in found["arbiter-can-decide"].detail
    assert "the General Court with 3 jurors" in found["court-is-asked-the-question"].detail


@pytest.mark.parametrize(
    ("arbiter", "words"),
    [
        (Arbiter(JUDGE, has_code=False), "an account without code: a single key, so whoever holds it decides"),
        (Arbiter(JUDGE, has_code=False, is_delegated=True), "(EIP-7702): a single key, so whoever holds it decides"),
        (Arbiter(JUDGE, has_code=True), "a contract, for example a Safe, which this package does not know: ask who"),
        (Arbiter(JUDGE, has_code=True, is_misplaced=True), "a copy of an arbiter for courts"),
        (asking(court=FIRST, known=None), "not on this package's list, so whether anybody honest rules there could"),
        (asking(court=FIRST, known=None, is_mock=True), "a mock court, in which anybody rules as they like"),
    ],
)
def test_an_arbiter_whose_decisions_are_doubtful_is_never_fine(arbiter: Arbiter, words: str) -> None:
    found = judged(arbiter)["arbiter-can-decide"]
    assert found.status == "warn"
    assert words in found.detail


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": "/ipfs/swapped-answers"}, "not ask the question that this package ships, but the one at '/ipfs/"),
        ({"question": ""}, "not ask the question that this package ships, but the one at ''"),
        ({"extra_data": bytes(31) + b"\x12" + bytes(31) + b"\1"}, "Which jurors rule could not be told"),
        ({"known": None}, "Which jurors rule could not be told: with each dispute, the court is told 0x00"),
    ],
)
def test_threat_a_rigged_question_at_a_genuine_court_is_told(changes: dict[str, Any], words: str) -> None:
    found = judged(asking(**changes))["court-is-asked-the-question"]
    assert found.status == "warn"
    assert words in found.detail


def test_what_a_strangers_contract_says_is_cut_short() -> None:
    found = judged(asking(question="q" * 100_000, extra_data=b"\xab" * 100_000))["court-is-asked-the-question"]
    assert len(found.detail) < 1_000
    assert "ab…" in found.detail


@pytest.mark.parametrize(
    ("window", "reserve", "words"),
    [
        (14 * DAY, 28 * DAY, "a ruling would come too late, and the payees get the last tranche"),
        (28 * DAY, 28 * DAY, "a wrong ruling may stay without appeal"),
        (60 * DAY, 14 * DAY, "whoever loses can put the ruling off until it does not count"),
    ],
)
def test_a_window_or_reserve_that_is_too_short_for_a_ruling_is_told(window: int, reserve: int, words: str) -> None:
    found = judged(asking(appeal_reserve=reserve), replace(TERMS, ruling_window=window))["rulings-come-in-time"]
    assert found.status == "warn"
    assert words in found.detail


def test_the_edges_of_windows_and_reserves() -> None:
    takes = ASKED.known.round_seconds if ASKED.known else 0
    for window, reserve, status in ((takes + 2, takes + 1, "pass"), (takes, takes - 1, "warn"), (takes, takes, "warn")):
        found = judged(asking(appeal_reserve=reserve), replace(TERMS, ruling_window=window))
        assert found["rulings-come-in-time"].status == status


def test_an_arbiter_that_is_a_backer_is_told() -> None:
    found = judged(asking(), pledge=7)["arbiter-is-no-backer"]
    assert found.status == "warn"
    assert "has pledged 7 units, so it gets money back if it refuses" in found.detail


def test_known_courts_come_with_their_sources() -> None:
    listed = json.loads(files("llamafund_chain.deployment").joinpath("courts.json").read_text(encoding="utf-8"))
    assert len(listed["courts"]) >= 2
    for entry in listed["courts"]:
        assert entry["sources"].keys() == {"address", "round", "extra_data"}
        assert all(source.startswith("https://") for source in entry["sources"].values())
        known = known_court(entry["chain_id"], checksum(entry["address"]))
        assert known is not None
        assert known.round_seconds < APPEAL_RESERVE
        assert checksum(entry["address"]) == entry["address"]
    assert known_court(31_337, KLEROS) is None
