"""Risks that no rule forbids but backers should know. Shown before a pledge, and judged by the audit."""

from __future__ import annotations

from collections.abc import Iterator

from llamafund_chain.campaign.terms import MIN_ANSWER_WINDOW, MIN_BOND, Terms
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.times import duration

BOND_SHARE = 100
"""A bond above this fraction (1/n) of a goal in the chain's coin is too high for all but the largest backers."""

HIGH_BOND = 10**18
"""Wei of a bond that is high for any goal: several hundred times the cost of an answer on a calm chain."""


def term_risks(terms: Terms, chain_id: int) -> Iterator[CheckResult]:
    """Whether payment depends on keys that profit from it or on a single key, and challenges on wealth or luck.

    Args:
        terms: The campaign's terms.
        chain_id: EIP-155 number of its chain.
    """
    yield result_of(researcher_attests, terms)
    yield result_of(attestors_paid, terms)
    yield result_of(quorum_of_one, terms)
    yield result_of(challenge_bond, terms, chain_id)
    yield result_of(answer_window, terms)


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


def challenge_bond(terms: Terms, chain_id: int) -> Finding:
    """Whether the bond of a challenge is too high for most backers, or does not pay for an answer."""
    bond = format_coin(terms.min_bond, chain_id)
    if terms.min_bond > HIGH_BOND or (terms.is_native and terms.min_bond * BOND_SHARE > terms.goal):
        return Finding("warn", f"A challenge takes a bond of {bond}, so few or no backers will challenge")
    if terms.min_bond == MIN_BOND:
        detail = f"A bond of {bond} is the least possible: if the base fee is low, challenges do not pay for answers"
        return Finding("warn", detail)
    return Finding("pass", f"A challenge takes a bond of {bond}, or an answer's gas if that is more")


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
