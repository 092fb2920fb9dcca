"""What a backer is warned of, before a pledge and by the audit alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.checks.risks import term_risks

RESEARCHER, COMPUTE, FIRST, SECOND = (f"0x{number:040x}" for number in (0xA1, 0xB2, 0xC3, 0xD4))
ETHER = 10**18
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
)


def warned_of(terms: Terms) -> set[str]:
    return {risk.name for risk in term_risks(terms, 1) if risk.status == "warn"}


def test_terms_without_these_risks_pass_every_one() -> None:
    assert [risk.status for risk in term_risks(TERMS, 1)] == ["pass"] * 5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("researcher-attests", {"attestors": (FIRST, RESEARCHER), "payees": (Payee(COMPUTE, BPS),)}),
        ("attestors-paid", {"payees": (Payee(RESEARCHER, 7_000), Payee(SECOND, 3_000))}),
        ("quorum-of-one", {"quorum": 1}),
        ("challenge-bond", {"min_bond": MIN_BOND}),
        ("challenge-bond", {"min_bond": ETHER // 10 + 1}),
        ("challenge-bond", {"min_bond": 2**96 - 1, "goal": 2**100, "cap": 2**100}),
        ("challenge-bond", {"min_bond": ETHER + 1, "asset": FIRST, "goal": 1}),
        ("answer-window", {"answer_window": DAY}),
    ],
)
def test_each_risk_is_named_when_the_terms_run_it(name: str, change: dict[str, object]) -> None:
    assert warned_of(replace(TERMS, **change)) == {name}


@pytest.mark.parametrize(
    ("chain_id", "words"), [(1, "0.01 ETH"), (137, "0.01 POL"), (424242, "0.01 of the chain's coin")]
)
def test_a_bond_is_told_in_the_coin_of_its_chain(chain_id: int, words: str) -> None:
    (bond,) = [risk.detail for risk in term_risks(TERMS, chain_id) if risk.name == "challenge-bond"]
    assert words in bond


@pytest.mark.parametrize(
    "change", [{"min_bond": ETHER // 10}, {"min_bond": ETHER, "goal": 100 * ETHER}, {"min_bond": ETHER, "asset": FIRST}]
)
def test_a_bond_within_reach_is_no_risk(change: dict[str, object]) -> None:
    assert warned_of(replace(TERMS, **change)) == set()


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
