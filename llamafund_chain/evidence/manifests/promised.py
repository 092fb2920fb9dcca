"""The terms that a proposal promises, in machine form: words and terms cannot differ unseen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llamafund_chain.evidence.manifests.base import Address, Count, Record, WholeNumber


class PromisedPayee(Record):
    """Attributes: bps: part of every tranche, basis points."""

    account: Address
    bps: Count


class PromisedMilestone(Record):
    """One milestone's terms.

    Attributes:
        bps: Part of the pool that it releases, basis points.
        deadline: Unix seconds.
        min_score: Millionths, higher is better; `None` if every score is paid for.
    """

    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"]
    bps: Count
    deadline: Count
    min_score: WholeNumber | None


class PromisedTerms(Record):
    """The terms of the campaign that a proposal belongs to, as `llamafund campaign create` writes them.

    The proposal itself says who the researcher and the attestors are, and which dataset is fixed. It cannot say its own
    hash, nor the campaign's address, which follows from that hash.

    Attributes:
        asset: The zero address for the chain's coin, otherwise the token's.
        goal: Smallest unit of the asset.
        cap: Smallest unit of the asset.
        funding_deadline: Unix seconds.
        stop_bps: Part of the pledges that stops the campaign, basis points.
        challenge_window: Seconds.
        answer_window: Seconds.
        min_bond: Wei.
        slack: Seconds.
        quorum: How many attestors must sign.
        arbiter: `None` if there is none.
        ruling_window: Seconds; 0 if there is no arbiter.
    """

    asset: Address
    goal: WholeNumber
    cap: WholeNumber
    funding_deadline: Count
    stop_bps: Count
    challenge_window: Count
    answer_window: Count
    min_bond: WholeNumber
    slack: Count
    quorum: Count
    payees: Annotated[tuple[PromisedPayee, ...], Field(max_length=16)]
    milestones: Annotated[tuple[PromisedMilestone, ...], Field(max_length=16)]
    arbiter: Address | None
    ruling_window: Count
