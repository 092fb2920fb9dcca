"""Where one backer's money is, and what that backer can still do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llamafund_chain.audit.ledger import WHOLE, Ledger, Rules
from llamafund_chain.audit.model import BackerReport, NextStep

_OPEN_TO_BACKERS = ("backers", "anyone")


def backer_report(
    ledger: Ledger,
    rules: Rules,
    backer: str,
    now: int,
    steps: Sequence[NextStep],
    amount: Callable[[int], str],
    coins: Callable[[int], str],
) -> BackerReport:
    """The part of the ledger that is one backer's.

    Args:
        ledger: From events.
        rules: From the terms.
        backer: Checksummed address; of somebody who never pledged, every amount is 0.
        now: Unix seconds of the block at which the audit reads.
        steps: What can be done now, by everybody.
        amount: Writes units as whole coins.
        coins: Writes wei as the chain's coin.
    """
    pledge, pool = ledger.pledge_of(backer), ledger.pledged
    refunded = ledger.refunds.get(backer, 0)
    due = ledger.refund_due(rules, backer, now)
    failed = ledger.status(rules, now) == "Failed"
    released = pledge - due if failed else pledge * ledger.released(rules, now) // pool if pool else 0
    bonds = ledger.bonds_of(backer)
    return BackerReport(
        address=backer,
        deposited=amount(ledger.deposits.get(backer, 0)),
        withdrawn=amount(ledger.withdrawals.get(backer, 0)),
        pledged=amount(pledge),
        share=pledge * WHOLE // pool if pool else 0,
        released=amount(released),
        locked=amount(0 if failed else pledge - released),
        refundable=amount(0 if refunded else due),
        refunded=amount(refunded),
        bonds=coins(bonds),
        votes_to_stop=backer in ledger.voters,
        next_steps=tuple(_own(steps, pledges=bool(pledge), refund=bool(due and not refunded), bonds=bool(bonds))),
    )


def _own(steps: Sequence[NextStep], *, pledges: bool, refund: bool, bonds: bool) -> list[NextStep]:
    """The steps that are this backer's to take."""
    own = []
    for step in steps:
        verb = step.command.removeprefix("llamafund ").partition(" ")[0]
        if verb == "return-bond":
            fits = bonds
        elif verb == "refund":
            fits = refund
        else:
            fits = step.who == "anyone" or (step.who in _OPEN_TO_BACKERS and pledges)
        if fits:
            own.append(step)
    return own
