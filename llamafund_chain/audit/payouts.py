"""Every open refund, claim and bond, carried out in a simulation: what would arrive, against what is owed.

A balance that a token tells is only a word of its code. So each payment is simulated at the audited block, and the
balance is asked for from two sides and compared with the token's logs. While a campaign is under way nothing is open
yet; then the payments are those that become open if nothing more happens, at a time when everything is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.audit.ledger import Ledger, Rules
from llamafund_chain.audit.timeline import Story
from llamafund_chain.audit.token_transfers import token_transfers
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import Status, Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.batch import stranger
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.connection import Block
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.simulation import Arrival, Payment, Simulation
from llamafund_chain.checks.check import CheckResult, CheckStatus, Finding, result_of

_NAMED = 3
"""Accounts that a finding names at most; the rest are counted."""

_UNTOLD = "No node simulates calls here (eth_simulateV1, or eth_call with state overrides). Name another one with --rpc"


@dataclass(frozen=True)
class Due:
    """A payment that the campaign owes.

    Attributes:
        account: Whom it owes it to.
        function: The campaign's function that pays it, when the account names another recipient.
        arguments: That function's arguments before the recipient.
        amount: In the smallest unit.
    """

    account: str
    function: str
    arguments: tuple[int, ...]
    amount: int

    def payment(self, recipient: str | None = None) -> Payment:
        """The call that pays it.

        Args:
            recipient: Whom to pay; `None` for the account itself.
        """
        interface = abi.contract("Campaign")
        if recipient is None and self.function == "refundTo":
            # Anybody may bring a backer's refund about.
            return Payment(None, self.account, interface.encode("collectRefund", self.account), self.amount)
        to = recipient or self.account
        return Payment(self.account, to, interface.encode(self.function, *self.arguments, to), self.amount)


@dataclass(frozen=True)
class Tried:
    """A payment and what came of it.

    Attributes:
        arrival: To its account; `None` if no node ran it.
        elsewhere: To somebody else, if it did not go through; `None` if that was not tried or no node ran it.
    """

    due: Due
    arrival: Arrival | None
    elsewhere: Arrival | None = None

    @property
    def kind(self) -> str:
        """`paid`, `refused` (by the recipient alone), `stuck`, `two-faced`, `short`, `more` or `untold`."""
        arrival = self.arrival
        if arrival is None:
            return "untold"
        if not arrival.done:
            if self.elsewhere is None:
                return "untold"
            return "refused" if self.elsewhere.done and (self.elsewhere.others or 0) > 0 else "stuck"
        if arrival.own is None or arrival.others is None:
            return "two-faced"
        if len({arrival.own, arrival.others, arrival.own if arrival.logged is None else arrival.logged}) > 1:
            return "two-faced"
        if arrival.own == self.due.amount:
            return "paid"
        return "short" if arrival.own < self.due.amount else "more"


def money_moves(
    client: CampaignClient, block: Block, story: Story, state: CampaignState, amount: Callable[[int], str]
) -> Iterator[CheckResult]:
    """What a token's logs say about past payments, and what would come of every open one.

    Args:
        client: The campaign.
        block: The block at which the audit reads.
        story: The campaign's events, added up.
        state: What the contract says.
        amount: Writes units of the asset, with its name.

    Raises:
        NodeUnreachableError: No node answers.
    """
    fee = False
    if not client.terms.is_native:
        try:
            transfers = token_transfers(client, block)
        except RpcError:
            detail = "The node refuses the token's logs, so past payments could not be compared with them"
            yield CheckResult("token-logs-readable", "unchecked", detail)
        else:
            fee = transfers.fee_from_the_start
            yield from transfers.results(amount)
    yield from Payouts(client, block, story.ledger, story.rules, state, amount, fee).results()


def decided_by(terms: Terms) -> int:
    """A time, unix seconds, at which a campaign in which nothing more happens is over."""
    last = max(terms.funding_deadline, terms.milestones[-1].deadline)
    return last + terms.slack + terms.challenge_window + terms.answer_window + terms.ruling_window


@dataclass(frozen=True)
class Payouts:
    """The payments of a campaign at one block.

    Attributes:
        amount: Writes units of the asset, with its name.
        fee_from_the_start: Whether the token took a fee from pledges already, so that backers knew it.
    """

    client: CampaignClient
    block: Block
    ledger: Ledger
    rules: Rules
    state: CampaignState
    amount: Callable[[int], str]
    fee_from_the_start: bool = False

    @property
    def time(self) -> int | None:
        """The time at which payments are simulated; `None` for the block's."""
        over = self.state.status in (Status.FAILED, Status.COMPLETED)
        return None if over else max(decided_by(self.client.terms), self.block.timestamp + 1)

    def results(self) -> Iterator[CheckResult]:
        """What came of all payments, by kind; nothing for a kind of which none is due."""
        now = self.time or self.block.timestamp
        refunds = [
            Due(backer, "refundTo", (), due)
            for backer in self.ledger.backers
            if backer not in self.ledger.refunds and (due := self.ledger.refund_due(self.rules, backer, now))
        ]
        claims = [
            Due(payee.account, "claim", (index,), due)
            for index, payee in enumerate(self.client.terms.payees)
            if (due := self.ledger.entitled(self.rules, index, now) - self.ledger.claims.get(index, 0)) > 0
        ]
        token = None if self.client.terms.is_native else self.client.terms.asset
        if refunds:
            yield result_of(refunds_arrive, self, self._tried(refunds, token))
        if claims:
            yield result_of(claims_arrive, self, self._tried(claims, token))
        if self.ledger.bonds and self.ledger.status(self.rules, now) == "Failed":
            yield result_of(bonds_arrive, self, self._tried(self._bonds(), None))
        owed = sum(due.amount for due in (*refunds, *claims))
        if token is not None and owed:
            simulation = Simulation(self.client.connection, self.client.address, token, self.block, self.time)
            yield result_of(escrow_pays_all, self, owed, simulation.pay_all(owed))

    def _bonds(self) -> list[Due]:
        found = self.client.open_challenges(self.block.number)
        return [Due(one.challenger, "returnBond", (one.chunk,), one.bond) for one in found if one.bond]

    def _tried(self, dues: Sequence[Due], token: str | None) -> list[Tried]:
        simulation = Simulation(self.client.connection, self.client.address, token, self.block, self.time)
        arrivals = simulation.carry_out([due.payment() for due in dues])
        failed = [place for place, one in enumerate(arrivals) if one is not None and not one.done]
        again = simulation.carry_out([dues[place].payment(stranger()) for place in failed])
        elsewhere = dict(zip(failed, again, strict=True))
        return [Tried(due, arrivals[place], elsewhere.get(place)) for place, due in enumerate(dues)]


def refunds_arrive(payouts: Payouts, tried: Sequence[Tried]) -> Finding:
    """Whether each open refund reaches its backer in full."""
    return _judge(payouts, tried, "refund", payouts.amount)


def claims_arrive(payouts: Payouts, tried: Sequence[Tried]) -> Finding:
    """Whether what each payee can collect reaches it in full."""
    return _judge(payouts, tried, "claim", payouts.amount)


def bonds_arrive(payouts: Payouts, tried: Sequence[Tried]) -> Finding:
    """Whether each bond that is due reaches its challenger."""
    return _judge(payouts, tried, "bond", lambda wei: format_coin(wei, payouts.client.connection.chain_id))


def escrow_pays_all(payouts: Payouts, owed: int, arrival: Arrival | None) -> Finding:
    """Whether the escrow can part with everything that it owes at once, not only with each payment alone."""
    if arrival is None:
        return Finding("unchecked", f"Whether the escrow really has what it owes could not be told. {_UNTOLD}")
    received = arrival.others or 0
    data: dict[str, JsonValue] = {"owed": payouts.amount(owed), "received": payouts.amount(received)}
    if arrival.done and received >= owed:
        return Finding("pass", f"The token would move all {payouts.amount(owed)} that the escrow owes at once", data)
    if arrival.done and received and payouts.fee_from_the_start:
        detail = f"Of {payouts.amount(owed)} that the escrow owes, {payouts.amount(received)} would arrive: the token"
        return Finding("warn", f"{detail} takes a fee, as it did from the pledges", data)
    said = f"only {payouts.amount(received)} would arrive" if arrival.done else "the token refuses to move it"
    return Finding("fail", f"The escrow owes {payouts.amount(owed)} in all, but {said}", data)


def _judge(payouts: Payouts, tried: Sequence[Tried], what: str, amount: Callable[[int], str]) -> Finding:
    """The worst that came of payments of one kind, with the accounts that it is about."""
    by_kind = {
        kind: [one for one in tried if one.kind == kind]
        for kind in ("stuck", "two-faced", "short", "refused", "more", "untold")
    }
    data: dict[str, JsonValue] = {
        "simulated": len(tried) - len(by_kind["untold"]),
        "owed": amount(sum(one.due.amount for one in tried)),
        **{kind.replace("-", "_"): [one.due.account for one in some] for kind, some in by_kind.items() if some},
    }
    known_fee = payouts.fee_from_the_start
    outcomes: tuple[tuple[str, CheckStatus, Callable[[list[Tried]], str]], ...] = (
        ("stuck", "fail", lambda some: f"{_those(some, what)} would reach nobody: the token or the escrow refuses"),
        ("two-faced", "fail", lambda some: _two_faced(some, what, amount)),
        ("short", "warn" if known_fee else "fail", lambda some: _short(some, what, amount, known_fee=known_fee)),
        ("untold", "unchecked", lambda some: f"{_those(some, what)} could not be simulated. {_UNTOLD}"),
        (
            "refused",
            "warn",
            lambda some: (
                f"{_those(some, what)} would be refused by the recipient itself, which harms nobody else: "
                "it must name another recipient"
            ),
        ),
        ("more", "warn", lambda some: f"{_those(some, what)} would bring more than is owed: the token adds to it"),
    )
    said = [(status, words(by_kind[kind])) for kind, status, words in outcomes if by_kind[kind]]
    when_ = "" if payouts.time is None else ", once the campaign is over, if nothing more happens until then"
    if not said:
        each = "The" if len(tried) == 1 else f"Each of {len(tried)}"
        few = "" if len(tried) == 1 else "s"
        detail = f"{each} {what}{few} would arrive in full{when_}: simulated, {data['owed']} in all"
        return Finding("pass", detail, data)
    statuses = [status for status, _ in said]
    worst: CheckStatus = next(one for one in ("fail", "unchecked", "warn") if one in statuses)
    return Finding(worst, ". ".join(words for _, words in said) + when_, data)


def _those(some: Sequence[Tried], what: str) -> str:
    """Some payments, with the first accounts that they are for."""
    accounts = list(dict.fromkeys(one.due.account for one in some))
    named = ", ".join(accounts[:_NAMED]) + (f" and {len(accounts) - _NAMED} more" if len(accounts) > _NAMED else "")
    return f"The {what} of {named}" if len(some) == 1 else f"{len(some)} {what}s, of {named}"


def _two_faced(some: Sequence[Tried], what: str, amount: Callable[[int], str]) -> str:
    one = some[0]
    arrival = one.arrival
    assert arrival is not None
    said = [
        f"{amount(value) if value is not None else 'nothing'} {by}"
        for value, by in (
            (arrival.own, "to the recipient"),
            (arrival.others, "to others"),
            *([] if arrival.logged is None else [(arrival.logged, "in its logs")]),
        )
    ]
    return (
        f"{_those(some, what)} would bring different amounts, depending on whom the token tells: of "
        f"{amount(one.due.amount)}, {', '.join(said)}"
    )


def _short(some: Sequence[Tried], what: str, amount: Callable[[int], str], *, known_fee: bool) -> str:
    one = some[0]
    assert one.arrival is not None
    detail = (
        f"{_those(some, what)} would not arrive in full: of {amount(one.due.amount)}, {amount(one.arrival.own or 0)}"
    )
    return detail + (", because the token takes a fee, as it did from the pledges" if known_fee else "")
