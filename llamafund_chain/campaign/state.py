"""A campaign's identity, and its state at one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llamafund_chain.campaign.terms import Status, Terms


@dataclass(frozen=True)
class Identity:
    """Proof that an address is a campaign of the factory.

    Attributes:
        address: Checksummed.
        salt: 64 hexadecimal digits; with the terms and the factory it gives the address.
        factory: Checksummed address.
        implementation: Checksummed address.
        created: Block that opened it; `None` if the salt was given, so that nobody had to look.
        transaction: Hash of the transaction that opened it, 64 hexadecimal digits; `None` like `created`.
    """

    address: str
    salt: str
    factory: str
    implementation: str
    created: int | None
    transaction: str | None


class Deadline(NamedTuple):
    """What happens to a campaign by itself, and when.

    Attributes:
        what: `funding` ends, milestone evidence is due (`milestone`), a challenge must be answered (`answer`), or the
            last tranche is released (`release`).
        at: Unix seconds.
    """

    what: Literal["funding", "milestone", "answer", "release"]
    at: int


class Failure(NamedTuple):
    """Why a campaign failed, and when.

    Attributes:
        cause: The goal was missed (`goal`); nobody activated it (`start`); the evidence of a milestone (`milestone`) or
            the answer to a challenge (`answer`) did not come in time; its backers stopped it (`stop`); or its arbiter
            refused the last tranche (`refusal`).
        at: Unix seconds; 0 where the campaign does not keep that.
    """

    cause: Literal["goal", "start", "milestone", "answer", "stop", "refusal"]
    at: int


@dataclass(frozen=True)
class CampaignProgress:
    """How far a campaign is at one block. Amounts are in the asset's smallest unit, times in unix seconds.

    Attributes:
        block: Number of the block.
        block_hash: 64 hexadecimal digits.
        timestamp: The block's time.
        status: Status at that time.
        pledged: Pledged and not taken back.
        attested_at: Time of the latest attestation; 0 if there is none.
        challenged_at: When the oldest open challenge was made; 0 if none is open.
        slack_used: Seconds by which deadlines were pushed back.
        attested: Number of attested milestones.
        active: Whether the campaign was activated.
        stopped: Whether a stop vote succeeded, or the arbiter refused the last tranche.
        withheld: Whether it happened before the latest attestation's tranche was released.
        contested: Whether the arbiter contests the last attestation; stays when it refused.
    """

    block: int
    block_hash: str
    timestamp: int
    status: Status
    pledged: int
    attested_at: int
    challenged_at: int
    slack_used: int
    attested: int
    active: bool
    stopped: bool
    withheld: bool
    contested: bool

    def window_end(self, terms: Terms) -> int:
        """When the window of the latest attestation ends, with the time for a ruling; 0 if there is none."""
        if not self.attested:
            return 0
        return self.attested_at + terms.challenge_window + (terms.ruling_window if self.contested else 0)

    @property
    def refused(self) -> bool:
        """Whether the arbiter refused the last tranche, which failed the campaign."""
        return self.stopped and self.contested

    def deadline(self, terms: Terms, milestone: int) -> int:
        """A milestone's deadline with the slack used so far.

        Args:
            terms: The campaign's terms.
            milestone: Index in the terms.
        """
        moved = self.slack_used if milestone >= self.attested else 0
        return terms.milestones[milestone].deadline + moved

    def failure(self, terms: Terms) -> Failure | None:
        """Why it failed, told apart as the contract does; `None` if it has not."""
        if self.status is not Status.FAILED:
            return None
        if not self.active:
            missed = self.pledged < terms.goal
            return Failure("goal", terms.funding_deadline) if missed else Failure("start", terms.milestones[0].deadline)
        if self.stopped:
            return Failure("refusal" if self.contested else "stop", 0)
        if self.challenged_at:
            return Failure("answer", self.challenged_at + terms.answer_window)
        return Failure("milestone", self.deadline(terms, self.attested))

    def takes_pledges(self, terms: Terms) -> bool:
        """Whether it takes pledges now."""
        open_ = self.status is Status.FUNDING and self.timestamp < terms.funding_deadline
        return open_ and self.pledged < terms.cap

    def next_deadline(self, terms: Terms) -> Deadline | None:
        """What happens next by itself; `None` if nothing does any more."""
        if self.status is Status.FUNDING and self.timestamp < terms.funding_deadline:
            return Deadline("funding", terms.funding_deadline)
        if self.status is Status.ACTIVE and self.challenged_at:
            return Deadline("answer", self.challenged_at + terms.answer_window)
        if self.status is Status.ACTIVE and self.attested == len(terms.milestones):
            return Deadline("release", self.window_end(terms))
        if self.status in (Status.FUNDING, Status.ACTIVE):
            return Deadline("milestone", self.deadline(terms, self.attested))
        return None


@dataclass(frozen=True)
class CampaignState(CampaignProgress):
    """Everything about a campaign at one block. Amounts are in the asset's smallest unit, times in unix seconds.

    Attributes:
        released: Released to payees so far.
        stop_support: Pledges of the backers who vote to stop.
        votes_from: When voting to stop opens; 0 before activation.
        training_seed: 64 hexadecimal digits; empty before activation.
        latest_content: Hash of what can be challenged, 64 hexadecimal digits; zeros if nothing can.
        latest_evidence: SHA-256 of the latest evidence; before the first, the proposal's.
        balance: The campaign's balance of the asset.
        claimable: What each payee can claim now.
        claimed: What each payee has claimed.
    """

    released: int
    stop_support: int
    votes_from: int
    training_seed: str
    latest_content: str
    latest_evidence: str
    balance: int
    claimable: tuple[int, ...]
    claimed: tuple[int, ...]


@dataclass(frozen=True)
class OpenChallenge:
    """A challenge without an answer, in an active or a failed campaign.

    Attributes:
        chunk: Number of the 16 KiB chunk of the latest attestation's content, from 0.
        opened_at: Unix seconds.
        challenger: The owner of the bond.
        bond: Wei; zero after it was returned.
    """

    chunk: int
    opened_at: int
    challenger: str
    bond: int

    def answer_by(self, terms: Terms) -> int:
        """Unix seconds from which it counts as unanswered, so that the campaign fails."""
        return self.opened_at + terms.answer_window
