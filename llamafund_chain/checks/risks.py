"""What no rule forbids and everybody should know who puts money in; shown before a pledge, judged by the audit."""

from __future__ import annotations

from collections.abc import Iterator

from llamafund_chain.campaign.terms import MIN_ANSWER_WINDOW, Terms
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.checks.check import CheckResult
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
    if terms.researcher in terms.attestors:
        detail = "The researcher is an attestor, so one of the signatures is its own"
        yield CheckResult("researcher-attests", "warn", detail)
    else:
        yield CheckResult("researcher-attests", "pass", "The researcher's key is not among the attestors")
    paid = dict.fromkeys(payee.account for payee in terms.payees if payee.account in terms.attestors)
    if paid:
        detail = f"Attestors are paid by what they sign: {', '.join(paid)}"
        yield CheckResult("attestors-paid", "warn", detail)
    else:
        yield CheckResult("attestors-paid", "pass", "No attestor's key is among the payees")
    if terms.quorum == 1:
        detail = f"A single signature releases money: one stolen key of {len(terms.attestors)} is enough"
        yield CheckResult("quorum-of-one", "warn", detail)
    else:
        detail = f"{terms.quorum} of {len(terms.attestors)} attestors must sign"
        yield CheckResult("quorum-of-one", "pass", detail)
    bond = format_coin(terms.min_bond, chain_id)
    if terms.min_bond > HIGH_BOND or (terms.is_native and terms.min_bond * BOND_SHARE > terms.goal):
        detail = f"A challenge takes a bond of {bond}, so few or no backers will"
        yield CheckResult("challenge-bond", "warn", detail)
    elif terms.min_bond == 0:
        detail = "There is no least bond: where the base fee is low, challenges cost little and do not pay for answers"
        yield CheckResult("challenge-bond", "warn", detail)
    else:
        yield CheckResult("challenge-bond", "pass", f"A challenge takes a bond of {bond}, or the gas of an answer")
    window = duration(terms.answer_window)
    if terms.answer_window <= MIN_ANSWER_WINDOW:
        detail = (
            f"A challenge fails the campaign after {window}, the least there can be: an outage or censorship may do"
        )
        yield CheckResult("answer-window", "warn", detail)
    else:
        yield CheckResult("answer-window", "pass", f"A challenge can be answered for {window}")
