"""Risks that no rule forbids but backers should know. Shown before a pledge, and judged by the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, three_digits
from llamafund_chain.campaign.arbiter import Arbiter, Asked
from llamafund_chain.campaign.flood import Flood, a_day
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import MIN_ANSWER_WINDOW, Status, Terms
from llamafund_chain.chain.coins import DECIMALS, format_coin
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.deployment.court_arbiter import question_path
from llamafund_chain.times import duration

BOND_SHARE = 100
"""A bond above this fraction (1/n) of what is unreleased is too high for all but the largest backers."""

HIGH_BOND = 10**18
"""Wei of a bond that is high for any goal: several hundred times the cost of an answer on a calm chain."""


MUCH = 10**9 * 10**DECIMALS
"""Wei; no chain has as many coins that could be bought."""

LONGEST_ADDRESS = 150
"""Characters that are shown of what a stranger's contract says."""


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


def arbiter_risks(terms: Terms, arbiter: Arbiter, *, pledge: int, money: Callable[[int], str]) -> Iterator[CheckResult]:
    """Whether a campaign's arbiter can be relied on, as far as the chain tells.

    Args:
        terms: The campaign's terms.
        arbiter: Its arbiter.
        pledge: What the arbiter has pledged, in the asset's smallest unit.
        money: Writes an amount of the asset.
    """
    yield result_of(arbiter_can_decide, arbiter)
    yield result_of(arbiter_is_no_backer, arbiter, pledge=pledge, money=money)
    if arbiter.asked is not None:
        yield result_of(court_is_asked_the_question, arbiter.asked)
        yield result_of(rulings_come_in_time, terms, arbiter.asked)


def arbiter_can_decide(arbiter: Arbiter) -> Finding:
    """Whether the arbiter is more than a single key, and its court one that this package knows."""
    told = f"The arbiter {'' if arbiter.asked else 'is '}{arbiter.kind}"
    if not arbiter.has_code:
        return Finding("warn", f"{told}, so whoever holds it decides alone, or loses it for all")
    if arbiter.is_misplaced:
        return Finding("warn", f"{told}, so what it does with a dispute could not be told")
    if arbiter.asked is None:
        return Finding("warn", f"{told}, which this package does not know: ask who decides in it, and how")
    if arbiter.asked.is_mock:
        return Finding("warn", f"{told}. That is a mock court, in which anybody rules as they like")
    if arbiter.asked.known is None:
        doubt = "That court is not on this package's list, so whether anybody honest rules there could not be told"
        return Finding("warn", f"{told}. {doubt}")
    return Finding("pass", f"{told}: {arbiter.asked.known.name}")


def arbiter_is_no_backer(arbiter: Arbiter, *, pledge: int, money: Callable[[int], str]) -> Finding:
    """Whether the arbiter itself gets money back if it refuses the last tranche."""
    if pledge:
        detail = f"The arbiter {arbiter.address} has pledged {money(pledge)}, so it gets money back if it refuses"
        return Finding("warn", detail)
    return Finding("pass", f"The arbiter {arbiter.address} itself has pledged nothing")


def court_is_asked_the_question(asked: Asked) -> Finding:
    """Whether jurors are asked the question that this package ships, in a court that is known."""
    doubts = []
    if asked.question != question_path():
        shown = asked.question[:LONGEST_ADDRESS]
        doubts.append(
            f"The arbiter does not ask the question that this package ships, but the one at {shown!r}: read it, and "
            "which of its answers is which, before you rely on a ruling"
        )
    told = asked.extra_data.hex()
    shown = f"0x{told[:LONGEST_ADDRESS]}{'…' if len(told) > LONGEST_ADDRESS else ''}"
    meaning = None if asked.known is None else asked.known.extra_data.get(asked.extra_data)
    if meaning is None:
        doubts.append(f"Which jurors rule could not be told: with each dispute, the court is told {shown}")
    data: dict[str, JsonValue] = {
        "court": asked.court,
        "question": asked.question,
        "extra_data": f"0x{told}",
        "appeal_reserve": asked.appeal_reserve,
    }
    if doubts:
        return Finding("warn", ". ".join(doubts), data)
    return Finding("pass", f"The court is asked the question that this package ships, of {meaning}", data)


def rulings_come_in_time(terms: Terms, asked: Asked) -> Finding:
    """Whether a ruling and an appeal fit into the time that the terms leave for them."""
    window, reserve = terms.ruling_window, asked.appeal_reserve
    takes = 0 if asked.known is None else asked.known.round_seconds
    doubts = []
    if window <= takes:
        doubts.append(
            f"A round at the court takes {duration(takes)}, but the ruling window is {duration(window)}: a ruling "
            "would come too late, and the payees get the last tranche"
        )
    if window <= reserve:
        doubts.append(
            f"No appeal is taken in the last {duration(reserve)} before the end, and the ruling window is no longer "
            f"({duration(window)}), so that a wrong ruling may stay without appeal"
        )
    if reserve < takes:
        doubts.append(
            f"Appeals are taken until {duration(reserve)} before the end, but a round at the court takes "
            f"{duration(takes)}: whoever loses can put the ruling off until it does not count"
        )
    if doubts:
        return Finding("warn", ". ".join(doubts))
    return Finding("pass", f"No appeal is taken in the last {duration(reserve)} of the time for a ruling")


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
