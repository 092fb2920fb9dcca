"""The two columns of the ledger, with a check for every equality between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from llamafund_chain.audit.ledger import Accounts, Ledger, Rules, state_accounts
from llamafund_chain.audit.model import AccountsReport, Money, PayeeReport, Person
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import Status, Terms
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.checks.check import CheckResult, Finding, contradicts, result_of


@dataclass(frozen=True)
class Statement:
    """What the contract says about the money at one block. Amounts in the asset's smallest unit.

    Attributes:
        pledges: Each backer's pledge; 0 after the refund.
        refundable: What each backer can get back.
    """

    state: CampaignState
    pledges: Mapping[str, int]
    refundable: Mapping[str, int]


def columns(ledger: Ledger, rules: Rules, statement: Statement) -> tuple[Accounts, Accounts]:
    """The ledger from events and from the contract."""
    state = statement.state
    by_events = ledger.accounts(rules, state.timestamp)
    surplus = state.balance - (by_events.balance or 0)
    by_state = state_accounts(
        failed=statement.state.status is Status.FAILED,
        pledged=state.pledged,
        released=state.released,
        claimed=state.claimed,
        claimable=state.claimable,
        refundable=tuple(statement.refundable.values()),
        balance=state.balance,
        surplus=surplus,
    )
    return by_events, by_state


def compare(
    ledger: Ledger, rules: Rules, statement: Statement, amount: Callable[[int], str], *, native: bool = False
) -> Iterator[CheckResult]:
    """Every equality that must hold between events, contract and balance.

    A genuine contract writes events and state together, and its code keeps the equalities. So what breaks one of them
    is an answer of the node, and never a person; but a token's balance is that of a stranger's code.

    Args:
        ledger: From events.
        rules: From the terms.
        statement: From the contract.
        amount: Writes units as whole coins.
        native: Whether the money is the chain's coin, whose balances no stranger's code keeps.
    """
    by_events, by_state = columns(ledger, rules, statement)
    state, now = statement.state, statement.state.timestamp
    for name in ("pledged", "released", "claimed", "claimable", "refundable", "locked"):
        yield _equal(f"{name}-agrees", name, getattr(by_events, name), getattr(by_state, name), amount)
    for index in range(len(rules.payee_bps)):
        yield _payee(ledger, rules, state, index, amount)
    yield result_of(backers_agree, ledger, rules, statement, amount)
    for source, accounts in (("events", by_events), ("state", by_state)):
        yield _conserved(source, accounts, amount)
    yield result_of(escrow_is_solvent, by_events, state.balance, amount, native=native)
    if state.status is Status.FAILED:
        yield result_of(rounding_favours_escrow, ledger, by_events, now, amount)


def money_report(
    ledger: Ledger,
    by_events: Accounts,
    by_state: Accounts,
    state: CampaignState,
    payees: list[Person],
    terms: Terms,
    amount: Callable[[int], str],
) -> Money:
    """The ledger for the report."""
    return Money(
        events=accounts_report(by_events, amount),
        state=accounts_report(by_state, amount),
        payees=tuple(
            PayeeReport(
                account=person,
                bps=payee.bps,
                claimed=amount(state.claimed[index]),
                claimable=amount(state.claimable[index]),
            )
            for index, (person, payee) in enumerate(zip(payees, terms.payees, strict=True))
        ),
        backers=len(ledger.backers),
    )


def accounts_report(accounts: Accounts, amount: Callable[[int], str]) -> AccountsReport:
    """One column of the ledger for the report."""

    def shown(units: int | None) -> str | None:
        return None if units is None else amount(units)

    return AccountsReport(
        deposited=shown(accounts.deposited),
        withdrawn=shown(accounts.withdrawn),
        pledged=amount(accounts.pledged),
        released=amount(accounts.released),
        claimed=amount(accounts.claimed),
        claimable=amount(accounts.claimable),
        refunded=shown(accounts.refunded),
        refundable=amount(accounts.refundable),
        locked=amount(accounts.locked),
        rounding=shown(accounts.rounding),
        held=shown(accounts.held),
        balance=shown(accounts.balance),
    )


def _equal(name: str, words: str, events: int, state: int, amount: Callable[[int], str]) -> CheckResult:
    data = {"events": amount(events), "state": amount(state)}
    if events == state:
        return CheckResult(name, "pass", f"{words.capitalize()}: {amount(events)}, by events and contract alike", data)
    detail = f"{words.capitalize()} is {amount(events)} by the events, but {amount(state)} by the contract"
    return CheckResult.of(name, contradicts(detail, data))


def _payee(ledger: Ledger, rules: Rules, state: CampaignState, index: int, amount: Callable[[int], str]) -> CheckResult:
    name = f"payee-{index}-agrees"
    entitled, events = ledger.entitled(rules, index, state.timestamp), ledger.claims.get(index, 0)
    claimed, claimable = state.claimed[index], state.claimable[index]
    data = {
        "entitled": amount(entitled),
        "claimed_by_events": amount(events),
        "claimed": amount(claimed),
        "claimable": amount(claimable),
    }
    if events == claimed and claimed + claimable == entitled:
        detail = f"Payee {index} is entitled to {amount(entitled)}, collected {amount(claimed)}, can collect the rest"
        return CheckResult(name, "pass", detail, data)
    detail = (
        f"Payee {index} is entitled to {amount(entitled)} by the terms; it collected {amount(events)} by the "
        f"events and {amount(claimed)} by the contract, which would pay {amount(claimable)} more"
    )
    return CheckResult.of(name, contradicts(detail, data))


def backers_agree(ledger: Ledger, rules: Rules, statement: Statement, amount: Callable[[int], str]) -> Finding:
    """Whether each backer's pledge, past refund and due refund follow from the events and the terms."""
    now = statement.state.timestamp
    for backer in ledger.backers:
        refunded = ledger.refunds.get(backer)
        due = ledger.refund_due(rules, backer, now)
        pledge = 0 if refunded is not None else ledger.pledge_of(backer)
        if statement.pledges[backer] != pledge:
            detail = (
                f"Backer {backer} has {amount(pledge)} in the pool by the events, but "
                f"{amount(statement.pledges[backer])} by the contract"
            )
            return contradicts(detail)
        waiting = 0 if refunded is not None else due
        if statement.refundable[backer] != waiting or (refunded is not None and refunded != due):
            detail = (
                f"Backer {backer} is due {amount(due)} by the terms; it got {amount(refunded or 0)} and the "
                f"contract would send {amount(statement.refundable[backer])} more"
            )
            return contradicts(detail)
    return Finding("pass", f"Each of {len(ledger.backers)} backers' pledges and refunds agrees to the last unit")


def _conserved(source: str, accounts: Accounts, amount: Callable[[int], str]) -> CheckResult:
    name = f"conserved-by-{source}"
    rounding = accounts.rounding or 0
    sum_ = (
        f"{amount(accounts.released)} released + {amount(accounts.refunded or 0)} refunded + "
        f"{amount(accounts.refundable)} refundable + {amount(accounts.locked)} locked"
        + (f" + {amount(rounding)} too small to divide" if rounding else "")
    )
    if accounts.refunded is None:
        detail = "The escrow has coins from elsewhere, so its balance does not show what was refunded"
        return CheckResult(name, "warn", detail)
    if accounts.conserved:
        return CheckResult(name, "pass", f"{amount(accounts.pledged)} pledged = {sum_}")
    return CheckResult.of(name, contradicts(f"{amount(accounts.pledged)} pledged is not {sum_}"))


def escrow_is_solvent(
    by_events: Accounts, balance: int, amount: Callable[[int], str], *, native: bool = False
) -> Finding:
    """Whether the escrow holds what it owes. Of the chain's coin, a genuine contract always does."""
    held = by_events.held or 0
    data = {"balance": amount(balance), "owed": amount(held)}
    if balance < held:
        detail = f"The escrow holds {amount(balance)}, but owes {amount(held)}"
        return contradicts(f"{detail}, which its code rules out", data) if native else Finding("fail", detail, data)
    if balance > held:
        detail = (
            f"The escrow holds {amount(balance)} and owes {amount(held)}: somebody sent it "
            f"{amount(balance - held)} beside the pledges, which nobody can take out"
        )
        return Finding("warn", detail, data)
    return Finding("pass", f"The escrow holds {amount(balance)}: exactly what it owes", data)


def bonds_are_held(ledger: Ledger, coins: int, chain_id: int) -> Finding | None:
    """Whether the escrow can pay the bonds of its open challenges; `None` if there are none.

    Args:
        ledger: From events.
        coins: The campaign's balance of the chain's coin, wei.
        chain_id: EIP-155 number.
    """
    if not ledger.bonds:
        return None
    owed = format_coin(ledger.bonds, chain_id)
    if coins < ledger.bonds:
        held = format_coin(coins, chain_id)
        return contradicts(f"Challengers are owed {owed}, but the escrow holds {held}, which its code rules out")
    return Finding("pass", f"The escrow holds {owed} for the bonds of open challenges")


def rounding_favours_escrow(ledger: Ledger, accounts: Accounts, now: int, amount: Callable[[int], str]) -> Finding:
    """Whether the refunds leave less than one unit per backer."""
    rounding = accounts.rounding or 0
    if 0 <= rounding <= max(len(ledger.backers) - 1, 0):
        detail = f"{amount(rounding)} cannot be divided among {len(ledger.backers)} backers"
        return Finding("pass", detail)
    detail = f"{amount(rounding)} is missing from the refunds at {now}: more than one unit per backer"
    return contradicts(detail)
