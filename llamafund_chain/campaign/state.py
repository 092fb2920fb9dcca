"""A campaign's identity, and its state at one block."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class CampaignState:
    """A campaign at one block. Amounts are in the asset's smallest unit, times in unix seconds.

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
    released: int
    stop_support: int
    votes_from: int
    training_seed: str
    latest_content: str
    latest_evidence: str
    balance: int
    claimable: tuple[int, ...]
    claimed: tuple[int, ...]

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
