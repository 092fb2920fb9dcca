"""How much of a backer's money each stage of a campaign can cost, when, on whose word, and how to stop that."""

from __future__ import annotations

from dataclasses import dataclass

from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import BPS, Status, Terms


@dataclass(frozen=True)
class Stake:
    """One milestone's part of a backer's money. Amounts in the asset's smallest unit, times in unix seconds.

    Attributes:
        milestone: Index in the terms.
        amount: What its release takes.
        total: What is released then, earlier milestones included: all that the backer does not get back.
        earliest: When that can be at the earliest, if the quorum signs as soon as it may.
        latest: When it is decided at the latest; without the time of further challenges.
        released: Whether it is released already.
        votes: Whether a stop vote can still prevent it.
    """

    milestone: int
    amount: int
    total: int
    earliest: int
    latest: int
    released: bool
    votes: bool


def stakes(terms: Terms, state: CampaignState, amount: int) -> tuple[Stake, ...]:
    """What each milestone can cost somebody who has pledged an amount.

    Args:
        terms: The terms.
        state: The campaign's state; it has not failed.
        amount: The pledge.
    """
    found = []
    cumulative, before, last = 0, 0, len(terms.milestones) - 1
    earliest = state.timestamp
    window_end = state.window_end(terms)
    for place, milestone in enumerate(terms.milestones):
        cumulative += milestone.bps
        total = amount * cumulative // BPS
        waiting = place == state.attested - 1 and not state.challenged_at and state.timestamp < window_end
        attested = place < state.attested
        released = state.status is Status.COMPLETED or (
            attested and not (place == state.attested - 1 and (waiting or state.challenged_at))
        )
        if attested:
            earliest = max(earliest, window_end) if not released else earliest
            latest = earliest if released else window_end + terms.answer_window
        else:
            earliest += terms.challenge_window
            latest = state.deadline(terms, place) + (terms.slack - state.slack_used)
            latest += terms.challenge_window + terms.answer_window
            latest += terms.ruling_window if place == last else 0
        votes = not released and state.attested <= last and last != 0
        found.append(Stake(place, total - before, total, earliest, latest, released, votes))
        before = total
    return tuple(found)
