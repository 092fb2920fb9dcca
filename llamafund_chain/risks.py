"""What no rule forbids and everybody should know who puts money in; shown before a pledge, judged by the audit."""

from __future__ import annotations

from collections.abc import Iterator

from llamafund_chain.checks import CheckResult
from llamafund_chain.terms import Terms


def term_risks(terms: Terms) -> Iterator[CheckResult]:
    """How far the terms make payment depend on keys that profit from it, or on one key alone."""
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
