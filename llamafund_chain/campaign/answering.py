"""What to send so that challenges get their answers, decided from numbers alone: nothing here asks a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.chain.transactions import Fees

IN_FLIGHT = 16
"""Most answers that wait for inclusion at once: nodes (geth, reth) promise an account no more places."""

STUCK_BLOCKS = 3
"""Blocks after which an answer that none of them included is offered again for more."""


@dataclass(frozen=True)
class Waiting:
    """What was sent with one nonce and is not included yet.

    Attributes:
        challenge: Which it answers; `None` when it only takes the place of an answer that came too late.
        fees: Highest that were offered for it.
        block: Latest when it was last looked at.
        cost: Wei that it takes at most.
        ours: Whether this guard sent it; otherwise the node has it from before this guard began.
    """

    challenge: OpenChallenge | None
    fees: Fees
    block: int
    cost: int
    ours: bool


@dataclass(frozen=True)
class Situation:
    """Everything that decides what is sent next.

    Attributes:
        queue: Challenges that can be answered, in the order in which they must be.
        block: Number of the block at which the queue was read.
        first: Nonce of the answer to the oldest one: how many of the account's transactions that block knew.
        mined: How many of them are included by now.
        under_way: What waits for inclusion, by nonce.
        market: What a transaction offers now to be included soon.
        base_fee: Wei for each unit of gas that the latest block burned.
        held: Wei that the account has.
        max_fee: Wei that one answer may cost at most; the challenge's bond when `None`.
    """

    queue: Sequence[OpenChallenge]
    block: int
    first: int
    mined: int
    under_way: Mapping[int, Waiting]
    market: Fees
    base_fee: int
    held: int
    max_fee: int | None

    def highest_fee(self, challenge: OpenChallenge) -> int:
        """Wei that the answer to a challenge may cost at most."""
        return challenge.bond if self.max_fee is None else self.max_fee


@dataclass(frozen=True)
class Send:
    """Send an answer, in the place of what waits with that nonce, if anything does."""

    nonce: int
    challenge: OpenChallenge
    gas: int
    fees: Fees


@dataclass(frozen=True)
class Leave:
    """Leave what waits with that nonce as it is, and look at it again some blocks later."""

    nonce: int


@dataclass(frozen=True)
class TooExpensive:
    """Say that the answer to a challenge would take so much gas that nobody agreed to pay for it."""

    challenge: OpenChallenge
    gas: int


@dataclass(frozen=True)
class Vacate:
    """Send nothing in the place of an answer that came too late: that costs a fraction of a refused answer."""

    nonce: int
    fees: Fees


Action = Send | Leave | TooExpensive | Vacate


def plan(now: Situation, gas_of: Callable[[OpenChallenge], int | None], *, told: bool = False) -> list[Action]:
    """What to do so that the oldest answers are under way, each with the nonce of its place in the queue.

    Answers count only in the order of the challenges, so the plan ends where one cannot be sent.

    Args:
        now: Everything else that decides.
        gas_of: Gas limit of the answer to a challenge; `None` when there is no proof for it yet.
        told: Whether it was said at this block that an answer is too expensive; it is not said twice.
    """
    actions: list[Action] = []
    costs = {nonce: waiting.cost for nonce, waiting in now.under_way.items()}
    for nonce, challenge in enumerate(now.queue[:IN_FLIGHT], now.first):
        waiting = now.under_way.get(nonce)
        if nonce < now.mined or (waiting is not None and not _is_late(waiting, challenge, now)):
            continue
        gas = gas_of(challenge)
        if gas is None:
            return actions
        fees = _price(now, challenge, gas, waiting)
        if fees is None and not told and (waiting is None or waiting.fees.highest < now.base_fee):
            told = True
            actions.append(TooExpensive(challenge, gas))
        if fees is not None and _is_affordable(now, costs, nonce, gas * fees.highest):
            costs[nonce] = max(costs.get(nonce, 0), gas * fees.highest)
            actions.append(Send(nonce, challenge, gas, fees))
            continue
        if waiting is not None:
            actions.append(Leave(nonce))
        if waiting is None or fees is not None:
            return actions
    return [*actions, *_vacated(now)]


def _is_late(waiting: Waiting, challenge: OpenChallenge, now: Situation) -> bool:
    """Whether what waits under a nonce should be replaced by the answer to a challenge."""
    if waiting.challenge != challenge:
        return True
    outbid = waiting.fees.highest < now.base_fee
    return now.block > waiting.block and (outbid or now.block >= waiting.block + STUCK_BLOCKS)


def _price(now: Situation, challenge: OpenChallenge, gas: int, waiting: Waiting | None) -> Fees | None:
    """What to offer for each unit of gas; `None` when that would be too much or too little to help."""
    least = None if waiting is None else waiting.fees.raised()
    wanted = now.market if least is None else now.market.at_least(least)
    fees = wanted.at_most(now.highest_fee(challenge) // gas)
    if fees.highest < now.base_fee or (least is not None and fees.at_least(least) != fees):
        return None
    return fees


def _is_affordable(now: Situation, costs: Mapping[int, int], nonce: int, cost: int) -> bool:
    """Whether the account has enough for one more answer; one that would be the only one is left to the sender."""
    others = sum(other for place, other in costs.items() if place != nonce)
    return not others or now.held >= others + cost


def _vacated(now: Situation) -> Iterator[Vacate]:
    """What waits beyond the end of the queue because somebody else was faster."""
    for nonce, waiting in sorted(now.under_way.items()):
        if nonce >= max(now.mined, now.first + len(now.queue)) and waiting.challenge is not None and waiting.ours:
            yield Vacate(nonce, waiting.fees.raised())
