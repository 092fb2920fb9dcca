"""What a campaign is and where it stands at one block."""

from __future__ import annotations

from dataclasses import dataclass

from llamafund_chain.campaign.terms import Status, Terms


@dataclass(frozen=True)
class Identity:
    """Proof that an address is a campaign of the one factory.

    Attributes:
        address: Checksummed.
        salt: 64 hexadecimal digits; with the terms and the factory it gives the address.
        factory: Checksummed address.
        implementation: Checksummed address.
        created: Block that opened it; `None` when the salt was given and nobody had to look.
        transaction: Hash of the transaction that opened it, 64 hexadecimal digits; `None` as `created`.
    """

    address: str
    salt: str
    factory: str
    implementation: str
    created: int | None
    transaction: str | None


@dataclass(frozen=True)
class CampaignState:
    """A campaign at one block. Amounts in the asset's smallest unit, times in unix seconds.

    Attributes:
        block: Number of the block.
        block_hash: 64 hexadecimal digits.
        timestamp: The block's time.
        status: At that time.
        pledged: Pledged and not taken back.
        attested_at: Of the latest attestation; 0 when there is none.
        challenged_at: When the oldest open challenge was made; 0 when none is open.
        slack_used: Seconds by which deadlines were pushed back.
        attested: Number of milestones attested.
        active: Whether the campaign was activated.
        stopped: Whether a stop vote succeeded.
        withheld: Whether it came before the latest attestation's tranche was released.
        released: Released to payees so far.
        stop_support: Pledges whose backers vote to stop.
        votes_from: From when votes to stop are taken; 0 before activation.
        training_seed: 64 hexadecimal digits; empty before activation.
        latest_evidence: SHA-256 of the latest evidence; the proposal's before the first.
        balance: What the campaign's address holds of the asset.
        claimable: By payee.
        claimed: By payee.
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
    released: int
    stop_support: int
    votes_from: int
    training_seed: str
    latest_evidence: str
    balance: int
    claimable: tuple[int, ...]
    claimed: tuple[int, ...]

    def window_end(self, terms: Terms) -> int:
        """When the challenge window of the latest attestation ends; 0 when there is none."""
        return self.attested_at + terms.challenge_window if self.attested else 0

    def deadline(self, terms: Terms, milestone: int) -> int:
        """A milestone's deadline with the slack used so far.

        Args:
            terms: The campaign's.
            milestone: Index in the terms.
        """
        moved = self.slack_used if milestone >= self.attested else 0
        return terms.milestones[milestone].deadline + moved


@dataclass(frozen=True)
class OpenChallenge:
    """A challenge that waits for an answer, or in a failed campaign had none.

    Attributes:
        chunk: Number of the 16 KiB chunk of the latest attestation's content, from 0.
        opened_at: Unix seconds.
        challenger: Whose bond it is.
        bond: Wei; zero once it was returned.
    """

    chunk: int
    opened_at: int
    challenger: str
    bond: int

    def answer_by(self, terms: Terms) -> int:
        """Unix seconds from which it counts as unanswered."""
        return self.opened_at + terms.answer_window
