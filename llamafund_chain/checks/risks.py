"""Risks that no rule forbids but backers should know. Shown before a pledge, and judged by the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, three_digits
from llamafund_chain.campaign.arbiter import Arbiter
from llamafund_chain.campaign.flood import Flood, a_day
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import MIN_ANSWER_WINDOW, Status, Terms
from llamafund_chain.chain.coins import DECIMALS, format_coin
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.times import duration

BOND_SHARE = 100
"""A bond above this fraction (1/n) of what is unreleased is too high for all but the largest backers."""

HIGH_BOND = 10**18
"""Wei of a bond that is high for any goal: several hundred times the cost of an answer on a calm chain."""


MUCH = 10**9 * 10**DECIMALS
"""Wei; no chain has as many coins that could be bought."""


def term_risks(
    terms: Terms,
    chain_id: int,
    *,
    cost: AnswerCost | DataFeeUnknownError,
    unreleased: int,
    money: Callable[[int], str],
) -> Iterator[CheckResult]:
    """Whether payment depends on keys that profit from it or on a single key, and challenges on wealth or luck.

    Args:
        terms: The campaign's terms.
        chain_id: EIP-155 number of its chain.
        cost: What an answer costs today, or why that could not be told.
        unreleased: What challenges protect, in the asset's smallest unit.
        money: Writes an amount of the asset.
    """
    yield result_of(researcher_attests, terms)
    yield result_of(attestors_paid, terms)
    yield result_of(quorum_of_one, terms)
    yield result_of(arbiter_independent, terms)
    yield result_of(challenge_bond, terms, chain_id, cost=cost, unreleased=unreleased, money=money)
    yield result_of(answer_window, terms)


def unreleased_of(terms: Terms, state: CampaignState) -> int:
    """What challenges protect, in the asset's smallest unit: at least the goal while funding is open; 0 at the end."""
    if state.status is Status.FUNDING:
        return max(terms.goal, state.pledged)
    return state.pledged - state.released if state.status is Status.ACTIVE else 0


def researcher_attests(terms: Terms) -> Finding:
    """Whether the researcher attests its own work."""
    if terms.researcher in terms.attestors:
        return Finding("warn", "The researcher is an attestor, so one of the signatures is its own")
    return Finding("pass", "The researcher's key is not among the attestors")


def attestors_paid(terms: Terms) -> Finding:
    """Whether attestors are paid by what they sign."""
    paid = dict.fromkeys(payee.account for payee in terms.payees if payee.account in terms.attestors)
    if paid:
        return Finding("warn", f"Attestors are paid by what they sign: {', '.join(paid)}")
    return Finding("pass", "No attestor's key is among the payees")


def quorum_of_one(terms: Terms) -> Finding:
    """Whether a single key releases money."""
    if terms.quorum == 1:
        detail = f"A single signature releases money: one stolen key of {len(terms.attestors)} is enough"
        return Finding("warn", detail)
    return Finding("pass", f"{terms.quorum} of {len(terms.attestors)} attestors must sign")


def arbiter_independent(terms: Terms) -> Finding:
    """Whether anybody could refuse the last tranche, and whether that is somebody whom the lie would serve."""
    if terms.arbiter is None:
        return Finding(
            "warn", "There is no arbiter: nobody can hold back the last tranche if a quorum lies about the weights"
        )
    roles = [
        role
        for role, accounts in (
            ("the researcher", (terms.researcher,)),
            ("a payee", [payee.account for payee in terms.payees]),
            ("an attestor", terms.attestors),
        )
        if terms.arbiter in accounts
    ]
    if roles:
        return Finding("warn", f"The arbiter {terms.arbiter} is {' and '.join(roles)}, so it would judge its own work")
    return Finding("pass", f"The arbiter {terms.arbiter} is neither researcher nor payee nor attestor")


def arbiter_can_decide(arbiter: Arbiter) -> Finding:
    """Whether the arbiter is more than a single key."""
    if not arbiter.has_code:
        return Finding("warn", f"The arbiter is {arbiter.kind}, so whoever holds it decides alone, or loses it for all")
    return Finding("pass", f"The arbiter {'' if arbiter.court else 'is '}{arbiter.kind}")


def challenge_bond(
    terms: Terms,
    chain_id: int,
    *,
    cost: AnswerCost | DataFeeUnknownError,
    unreleased: int,
    money: Callable[[int], str],
) -> Finding:
    """Whether the bond of a challenge is too high for most backers, or does not pay for an answer."""
    bond = format_coin(terms.min_bond, chain_id)
    if not unreleased:
        return Finding("pass", f"The least bond of a challenge is {bond}; nothing that it could protect is unreleased")
    if terms.min_bond > HIGH_BOND or (terms.is_native and terms.min_bond * BOND_SHARE > unreleased):
        detail = (
            f"A challenge takes a bond of {bond} while {money(unreleased)} is unreleased, so few or no backers will"
        )
        return Finding("warn", f"{detail} challenge")
    if isinstance(cost, DataFeeUnknownError):
        return Finding(
            "skip", f"Whether the least bond of {bond} pays for an answer could not be told: {str(cost).rstrip('.')}"
        )
    flood = Flood.of(terms, cost)
    data: dict[str, JsonValue] = {
        "min_bond_wei": str(terms.min_bond),
        "bond_today_wei": str(flood.bond),
        "answer_cost_wei": str(cost.wei),
        "answer_data_fee_wei": str(cost.data_fee),
    }
    said = _told_flood(terms, flood, chain_id, money(unreleased))
    answer = f"an answer costs about {_about(cost.wei, chain_id)} today"
    if terms.min_bond < cost.wei:
        detail = f"The least bond of a challenge is {bond}, but {answer}"
        if flood.earned >= 0:
            detail += f"; only the base fee lifts the bond to {_about(flood.bond, chain_id)} now"
        return Finding("warn", f"{detail}. {said}", data)
    return Finding("pass", f"The least bond of a challenge is {bond}, and {answer}. {said}", data)


def _told_flood(terms: Terms, flood: Flood, chain_id: int, unreleased: str) -> str:
    """What a flood costs whom, in two sentences."""
    window = duration(terms.answer_window)
    lost = f"a flood loses {_about(flood.slow, chain_id)}, to a fast one (1.3) {_about(flood.fast, chain_id)}"
    outrun = f"To outrun a slow guard (0.2 answers a second) for {window}, {lost}, while {unreleased} is unreleased"
    bond = _about(flood.bond, chain_id)
    if flood.earned >= 0:
        earned = _about(flood.earned, chain_id)
        return f"{outrun}. One by one, each challenge costs {bond}, and whoever answers earns about {earned}"
    return (
        f"{outrun}. One by one, each challenge costs {bond}, and whoever answers loses "
        f"{_about(-flood.earned, chain_id)} more: a slow guard {_about(a_day(-flood.earned), chain_id)} a day, against "
        f"{_about(a_day(flood.bond), chain_id)} for the challengers"
    )


def _about(wei: int, chain_id: int) -> str:
    """An amount of the chain's coin that people can read."""
    if wei > MUCH:
        return f"more than {format_coin(MUCH, chain_id)}"
    return format_coin(three_digits(wei), chain_id)


def answer_window(terms: Terms) -> Finding:
    """Whether a short outage is enough to leave a challenge unanswered."""
    window = duration(terms.answer_window)
    if terms.answer_window <= MIN_ANSWER_WINDOW:
        detail = (
            f"A challenge fails the campaign after {window}, the shortest possible window: an outage or censorship "
            "may be enough"
        )
        return Finding("warn", detail)
    return Finding("pass", f"A challenge can be answered for {window}")
