"""Decides what to send so that challenges get answers, from numbers alone: nothing here asks a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.chain.transactions import Fees

IN_FLIGHT = 16
"""Most pending answers at once: nodes (geth, reth) guarantee an account no more slots."""

STUCK_BLOCKS = 3
"""Blocks after which a pending answer is offered again for a higher fee."""


@dataclass(frozen=True)
class Waiting:
    """A pending transaction with one nonce.

    Attributes:
        challenge: The challenge that it answers; `None` if it only replaces an answer that came too late.
        fees: The highest fees offered for it.
        block: The latest block when it was last examined.
        cost: Most wei that it can cost.
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
        queue: The challenges that can be answered, in the order in which they must be answered.
        block: Number of the block at which the queue was read.
        first: Nonce of the answer to the oldest one: the number of the account's transactions at that block.
        mined: How many of the account's transactions are included by now.
        under_way: The pending transactions, by nonce.
        market: The fees that get a transaction included soon.
        base_fee: Wei per unit of gas that the latest block burned.
        held: Wei that the account has.
        max_fee: Most wei that one answer may cost; `None` for the challenge's bond.
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
        """Most wei that the answer to a challenge may cost."""
        return challenge.bond if self.max_fee is None else self.max_fee


@dataclass(frozen=True)
class Send:
    """Send an answer, replacing the pending transaction with that nonce, if there is one."""

    nonce: int
    challenge: OpenChallenge
    gas: int
    fees: Fees


@dataclass(frozen=True)
class Leave:
    """Leave the pending transaction with that nonce alone, and look at it again some blocks later."""

    nonce: int


@dataclass(frozen=True)
class TooExpensive:
    """Report that the answer to a challenge would cost more than allowed."""

    challenge: OpenChallenge
    gas: int


@dataclass(frozen=True)
class Vacate:
    """Replace an answer that came too late with an empty transaction: that costs a fraction of a refused answer."""

    nonce: int
    fees: Fees


Action = Send | Leave | TooExpensive | Vacate


def plan(now: Situation, gas_of: Callable[[OpenChallenge], int | None], *, told: bool = False) -> list[Action]:
    """What to do so that the oldest challenges have pending answers, each with the nonce of its place in the queue.

    Answers count only in the order of the challenges, so the plan ends where one cannot be sent.

    Args:
        now: Everything else that decides.
        gas_of: Gas limit of the answer to a challenge; `None` if there is no proof for it yet.
        told: Whether this block's report has already said that an answer is too expensive; it is not said twice.
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
    """Whether the answer to a challenge should replace the pending transaction."""
    if waiting.challenge != challenge:
        return True
    outbid = waiting.fees.highest < now.base_fee
    return now.block > waiting.block and (outbid or now.block >= waiting.block + STUCK_BLOCKS)


def _price(now: Situation, challenge: OpenChallenge, gas: int, waiting: Waiting | None) -> Fees | None:
    """The fees to offer per unit of gas; `None` if they would be too high, or too low to help."""
    least = None if waiting is None else waiting.fees.raised()
    wanted = now.market if least is None else now.market.at_least(least)
    fees = wanted.at_most(now.highest_fee(challenge) // gas)
    if fees.highest < now.base_fee or (least is not None and fees.at_least(least) != fees):
        return None
    return fees


def _is_affordable(now: Situation, costs: Mapping[int, int], nonce: int, cost: int) -> bool:
    """Whether the account can afford one more answer. If it would be the only one, the sender checks that."""
    others = sum(other for place, other in costs.items() if place != nonce)
    return not others or now.held >= others + cost


def _vacated(now: Situation) -> Iterator[Vacate]:
    """Pending transactions beyond the end of the queue, because somebody else was faster."""
    for nonce, waiting in sorted(now.under_way.items()):
        if nonce >= max(now.mined, now.first + len(now.queue)) and waiting.challenge is not None and waiting.ours:
            yield Vacate(nonce, waiting.fees.raised())
