"""What no rule forbids and everybody should know who puts money in; shown before a pledge, judged by the audit."""

from __future__ import annotations

from collections.abc import Iterator

from llamafund_chain.campaign.terms import MIN_ANSWER_WINDOW, Terms
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.checks.check import CheckResult, Finding, result_of
from llamafund_chain.times import duration

BOND_SHARE = 100
"""A bond above one part in so many of a goal in the chain's own coin keeps all but the largest backers from it."""

HIGH_BOND = 10**18
"""Wei of a bond that is high whatever the goal: several hundred times what an answer costs on a calm chain."""


def term_risks(terms: Terms, chain_id: int) -> Iterator[CheckResult]:
    """How far payment depends on keys that profit from it or on one alone, and challenges on wealth or on luck.

    Args:
        terms: The campaign's.
        chain_id: EIP-155 number of its chain.
    """
    yield result_of(researcher_attests, terms)
    yield result_of(attestors_paid, terms)
    yield result_of(quorum_of_one, terms)
    yield result_of(challenge_bond, terms, chain_id)
    yield result_of(answer_window, terms)


def researcher_attests(terms: Terms) -> Finding:
    """Whether the researcher signs for its own work."""
    if terms.researcher in terms.attestors:
        return Finding("warn", "The researcher is an attestor, so one of the signatures is its own")
    return Finding("pass", "The researcher's key is not among the attestors")


def attestors_paid(terms: Terms) -> Finding:
    """Whether attestors get money for what they sign."""
    paid = dict.fromkeys(payee.account for payee in terms.payees if payee.account in terms.attestors)
    if paid:
        return Finding("warn", f"Attestors are paid by what they sign: {', '.join(paid)}")
    return Finding("pass", "No attestor's key is among the payees")


def quorum_of_one(terms: Terms) -> Finding:
    """Whether one key alone releases money."""
    if terms.quorum == 1:
        detail = f"A single signature releases money: one stolen key of {len(terms.attestors)} is enough"
        return Finding("warn", detail)
    return Finding("pass", f"{terms.quorum} of {len(terms.attestors)} attestors must sign")


def challenge_bond(terms: Terms, chain_id: int) -> Finding:
    """Whether the bond of a challenge is too high for most backers, or pays for no answer."""
    bond = format_coin(terms.min_bond, chain_id)
    if terms.min_bond > HIGH_BOND or (terms.is_native and terms.min_bond * BOND_SHARE > terms.goal):
        return Finding("warn", f"A challenge takes a bond of {bond}, so few or no backers will")
    if terms.min_bond == 0:
        detail = "There is no least bond: where the base fee is low, challenges cost little and do not pay for answers"
        return Finding("warn", detail)
    return Finding("pass", f"A challenge takes a bond of {bond}, or the gas of an answer")


def answer_window(terms: Terms) -> Finding:
    """Whether a short outage is enough to leave a challenge without an answer."""
    window = duration(terms.answer_window)
    if terms.answer_window <= MIN_ANSWER_WINDOW:
        detail = (
            f"A challenge fails the campaign after {window}, the least there can be: an outage or censorship may do"
        )
        return Finding("warn", detail)
    return Finding("pass", f"A challenge can be answered for {window}")
