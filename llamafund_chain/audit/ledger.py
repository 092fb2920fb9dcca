"""The campaign's ledger, added up from its events by the protocol's rules, without asking the contract.

The other column of the audit is what the contract says. Both must agree to the last unit; that is the point
of having written the rules a second time here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from llamafund_chain.campaign.terms import Terms

WHOLE = 10_000
"""Basis points in a whole."""

StatusName = Literal["Funding", "Active", "Completed", "Failed"]


@dataclass(frozen=True)
class Rules:
    """The parts of the terms that the ledger needs. Amounts in the asset's smallest unit, times in (unix) seconds.

    Attributes:
        stop_bps: Part of the pledges that stops the campaign, basis points.
        milestone_bps: Each milestone's part of the pool, basis points.
        deadlines: Each milestone's deadline, without slack.
        payee_bps: Each payee's part of a tranche, basis points.
        ruling_window: By how much a contest prolongs the last challenge window; 0 if there is no arbiter.
    """

    goal: int
    funding_deadline: int
    stop_bps: int
    challenge_window: int
    answer_window: int
    milestone_bps: tuple[int, ...]
    deadlines: tuple[int, ...]
    payee_bps: tuple[int, ...]
    ruling_window: int = 0

    @classmethod
    def of(cls, terms: Terms) -> Self:
        """The rules in a campaign's terms."""
        return cls(
            goal=terms.goal,
            funding_deadline=terms.funding_deadline,
            stop_bps=terms.stop_bps,
            challenge_window=terms.challenge_window,
            answer_window=terms.answer_window,
            milestone_bps=tuple(milestone.bps for milestone in terms.milestones),
            deadlines=tuple(milestone.deadline for milestone in terms.milestones),
            payee_bps=tuple(payee.bps for payee in terms.payees),
            ruling_window=terms.ruling_window,
        )


@dataclass(frozen=True)
class Accounts:
    """One column of the ledger in the asset's smallest unit; `None` if the source cannot know.

    The attributes are those of `llamafund_chain.audit.model.AccountsReport`.
    """

    deposited: int | None
    withdrawn: int | None
    pledged: int
    released: int
    claimed: int
    claimable: int
    refunded: int | None
    refundable: int
    locked: int
    rounding: int | None
    held: int | None
    balance: int | None

    @property
    def conserved(self) -> bool:
        """Whether released, refunded, refundable, locked and rounding add up to the pool."""
        parts = self.released + (self.refunded or 0) + self.refundable + self.locked + (self.rounding or 0)
        return parts == self.pledged


@dataclass
class Ledger:
    """Totals that events add to. Nothing is ever subtracted: each total only grows.

    Attributes:
        deposits: Pledged by each backer, units.
        withdrawals: Taken back by each backer during funding, units.
        deposited: All deposits, units.
        withdrawn: All withdrawals, units.
        claims: Collected by each payee, units.
        refunds: Returned to each backer after the failure, units.
        attested_at: Time of each attestation, in order.
        activated: Whether the campaign was activated.
        voters: Backers who vote to stop the campaign.
        stopped_at: Time of the successful stop vote, or of the refusal by the arbiter; `None` if there is none.
        contested: Whether the arbiter contests the last attestation; stays when it refused.
        slack_used: Seconds by which deadlines were pushed back.
        challenges: Time and bond (wei) of each unanswered challenge, by chunk, oldest first; the bond is 0 after it was
            returned.
        challengers: Who made each challenge, by chunk; the bond is theirs.
    """

    deposits: dict[str, int] = field(default_factory=dict)
    withdrawals: dict[str, int] = field(default_factory=dict)
    deposited: int = field(default=0, init=False)
    withdrawn: int = field(default=0, init=False)
    claims: dict[int, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    attested_at: list[int] = field(default_factory=list)
    activated: bool = False
    voters: set[str] = field(default_factory=set)
    stopped_at: int | None = None
    contested: bool = False
    slack_used: int = 0
    challenges: dict[int, tuple[int, int]] = field(default_factory=dict)
    challengers: dict[int, str] = field(default_factory=dict)

    def deposit(self, backer: str, amount: int) -> None:
        self.deposits[backer] = self.deposits.get(backer, 0) + amount
        self.deposited += amount

    def withdraw(self, backer: str, amount: int) -> None:
        self.withdrawals[backer] = self.withdrawals.get(backer, 0) + amount
        self.withdrawn += amount

    def claim(self, payee: int, amount: int) -> None:
        self.claims[payee] = self.claims.get(payee, 0) + amount

    def refund(self, backer: str, amount: int) -> None:
        self.refunds[backer] = self.refunds.get(backer, 0) + amount

    def vote(self, backer: str, *, support: bool) -> None:
        if support:
            self.voters.add(backer)
        else:
            self.voters.discard(backer)

    def challenge(self, chunk: int, at: int, bond: int, challenger: str = "") -> None:
        self.challenges[chunk] = (at, bond)
        self.challengers[chunk] = challenger

    def answer(self, chunk: int) -> None:
        self.challenges.pop(chunk, None)

    def return_bond(self, chunk: int) -> None:
        if chunk in self.challenges:
            self.challenges[chunk] = (self.challenges[chunk][0], 0)

    def rule(self, at: int, *, upheld: bool) -> None:
        if upheld:
            self.contested = False
        else:
            self.stopped_at = at

    @property
    def challenged_at(self) -> int | None:
        """When the oldest open challenge was made, unix seconds."""
        return next((at for at, _ in self.challenges.values()), None)

    @property
    def bonds(self) -> int:
        """What the escrow holds for challengers, wei."""
        return sum(bond for _, bond in self.challenges.values())

    def bonds_of(self, challenger: str) -> int:
        """What the escrow holds for one challenger, wei."""
        return sum(bond for chunk, (_, bond) in self.challenges.items() if self.challengers.get(chunk) == challenger)

    @property
    def backers(self) -> tuple[str, ...]:
        """Everybody who ever pledged, in the order of their first pledges."""
        return tuple(self.deposits)

    @property
    def pledged(self) -> int:
        return self.deposited - self.withdrawn

    def pledge_of(self, backer: str) -> int:
        """The backer's pledge, which determines its refund and its vote, units. A refund does not change it here."""
        return self.deposits.get(backer, 0) - self.withdrawals.get(backer, 0)

    @property
    def stop_support(self) -> int:
        """The pledges of those who vote to stop, units. A refund does not change them here."""
        return sum(self.pledge_of(backer) for backer in self.voters)

    def stop_decided(self, rules: Rules) -> bool:
        """Whether the votes are enough to stop the campaign."""
        return bool(self.voters) and self.stop_support * WHOLE >= self.pledged * rules.stop_bps

    def deadline(self, rules: Rules, milestone: int) -> int:
        """A milestone's deadline, unix seconds, with the slack used so far."""
        return rules.deadlines[milestone] + (self.slack_used if milestone >= len(self.attested_at) else 0)

    def status(self, rules: Rules, now: int) -> StatusName:
        """The campaign's status at a time, from the events alone."""
        if self.stopped_at is not None:
            return "Failed"
        if not self.activated:
            unfunded = now >= rules.funding_deadline and self.pledged < rules.goal
            return "Failed" if unfunded or now >= rules.deadlines[0] else "Funding"
        if self.challenged_at is not None:
            return "Failed" if now >= self.challenged_at + rules.answer_window else "Active"
        if len(self.attested_at) >= len(rules.deadlines):
            return "Completed" if self._window_over(rules, now) else "Active"
        return "Failed" if now >= rules.deadlines[len(self.attested_at)] + self.slack_used else "Active"

    def released_milestones(self, rules: Rules, now: int) -> int:
        """Number of milestones attested, with the window over, every challenge answered and no stop before that.

        A node may invent more attestations than there are milestones; they release nothing.
        """
        count = min(len(self.attested_at), len(rules.deadlines))
        return count if count == 0 or self._window_over(rules, now) else count - 1

    def _window_over(self, rules: Rules, now: int) -> bool:
        if self.challenges:
            return False
        end = self.window_end(rules)
        return now >= end and (self.stopped_at is None or self.stopped_at >= end)

    def window_end(self, rules: Rules) -> int:
        """When the window of the latest attestation ends, unix seconds, with the time for a ruling."""
        return self.attested_at[-1] + rules.challenge_window + (rules.ruling_window if self.contested else 0)

    def tranche(self, rules: Rules, milestone: int) -> int:
        """What a milestone pays, units. The tranches of all milestones add up to the pool."""
        before = sum(rules.milestone_bps[:milestone])
        after = before + rules.milestone_bps[milestone]
        return self.pledged * after // WHOLE - self.pledged * before // WHOLE

    def released(self, rules: Rules, now: int) -> int:
        return sum(self.tranche(rules, index) for index in range(self.released_milestones(rules, now)))

    def entitled(self, rules: Rules, payee: int, now: int) -> int:
        """What a payee may have received in all by now, units. The last payee gets the rest of each tranche."""
        last = len(rules.payee_bps) - 1
        total = 0
        for index in range(self.released_milestones(rules, now)):
            tranche = self.tranche(rules, index)
            if payee == last:
                total += tranche - sum(tranche * bps // WHOLE for bps in rules.payee_bps[:last])
            else:
                total += tranche * rules.payee_bps[payee] // WHOLE
        return total

    def refund_due(self, rules: Rules, backer: str, now: int) -> int:
        """A backer's whole refund, units, whether collected or not; 0 unless the campaign has failed."""
        pledged = self.pledged
        if self.status(rules, now) != "Failed" or pledged == 0:
            return 0
        return self.pledge_of(backer) * (pledged - self.released(rules, now)) // pledged

    def accounts(self, rules: Rules, now: int) -> Accounts:
        """The column that events give at a time."""
        pledged, released = self.pledged, self.released(rules, now)
        claimed, refunded = sum(self.claims.values()), sum(self.refunds.values())
        failed = self.status(rules, now) == "Failed"
        refundable = sum(self.refund_due(rules, backer, now) for backer in self.backers if backer not in self.refunds)
        locked = 0 if failed else pledged - released
        rounding = pledged - released - refunded - refundable if failed else 0
        claimable = released - claimed
        return Accounts(
            deposited=self.deposited,
            withdrawn=self.withdrawn,
            pledged=pledged,
            released=released,
            claimed=claimed,
            claimable=claimable,
            refunded=refunded,
            refundable=refundable,
            locked=locked,
            rounding=rounding,
            held=claimable + refundable + locked + rounding,
            balance=pledged - claimed - refunded,
        )


def state_accounts(
    *,
    failed: bool,
    pledged: int,
    released: int,
    claimed: Sequence[int],
    claimable: Sequence[int],
    refundable: Sequence[int],
    balance: int,
    surplus: int,
) -> Accounts:
    """The column from the contract's views and its balance, units.

    Args:
        failed: Whether the contract says that the campaign has failed.
        pledged: The pool.
        released: What payees may have received in all.
        claimed: What each payee has claimed.
        claimable: What each payee can claim.
        refundable: What each backer can get back.
        balance: The campaign's balance.
        surplus: The part of it that nobody pledged. The contract does not count refunds. They follow from the balance,
            and are unknown if there are coins from elsewhere.
    """
    collected, due, returning = sum(claimed), sum(claimable), sum(refundable)
    locked = 0 if failed else pledged - released
    refunded: int | None = pledged - collected - balance
    rounding: int | None = balance - due - returning if failed else 0
    if surplus:
        refunded = rounding = None if failed else 0
    return Accounts(
        deposited=None,
        withdrawn=None,
        pledged=pledged,
        released=released,
        claimed=collected,
        claimable=due,
        refunded=refunded,
        refundable=returning,
        locked=locked,
        rounding=rounding,
        held=None if rounding is None else due + returning + locked + rounding,
        balance=balance,
    )
