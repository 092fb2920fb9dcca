"""Decides what to send so that challenges get answers, from numbers alone: nothing here asks a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamafund_chain.chain.transactions import Fees

if TYPE_CHECKING:
    from llamafund_chain.campaign.state import OpenChallenge

IN_FLIGHT = 16
"""Most pending answers at once: nodes (geth, reth) guarantee an account no more slots."""

STUCK_BLOCKS = 3
"""Blocks after which a pending answer is offered again for a higher fee."""

LENT = 512
"""Most answers, at the market's price, by which a guard falls behind for underpaid challenges: later bonds are to make
up for them, but somebody else may take those."""

LOST = 2 * LENT
"""Most answers, at the market's price, by which a guard falls behind in all, should everything under way be lost."""


def gain(bond: int, cost: int, max_loss: int) -> int:
    """Wei by which an answer changes what a guard has earned: a loss counts as far as nobody allowed it.

    Args:
        bond: Wei that it brought.
        cost: Wei that it cost.
        max_loss: Wei that it was allowed to cost beyond the bonds.
    """
    return max(bond - cost, min(0, bond + max_loss - cost))


@dataclass(frozen=True)
class Takes:
    """What an answer takes, with room for rising fees.

    Attributes:
        gas: Gas limit.
        data_fee: Most wei that a rollup charges for its data beside the gas.
    """

    gas: int
    data_fee: int

    def at(self, price: int) -> int:
        """Most wei that the answer costs.

        Args:
            price: Wei per unit of gas.
        """
        return self.gas * price + self.data_fee


@dataclass(frozen=True)
class Waiting:
    """A pending transaction with one nonce.

    Attributes:
        challenge: The challenge that it answers; `None` if it only replaces an answer that came too late.
        fees: The highest fees offered for it.
        block: The latest block when it was last examined.
        cost: Most wei that it can cost: of several tries, the dearest counts.
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
        takes: What the answers to the oldest of them take; `None` for those without a proof.
        block: Number of the block at which the queue was read.
        first: Nonce of the answer to the oldest one: the number of the account's transactions at that block.
        mined: How many of the account's transactions are included by now.
        under_way: The pending transactions, by nonce.
        market: The fees that get a transaction included soon.
        base_fee: Wei per unit of gas that the latest block burned.
        held: Wei that the account has.
        balance: Wei that the bonds of earlier answers brought beyond what those cost, refused ones included; below 0 if
            they cost more, beyond what was allowed for each.
        max_loss: Wei that each answer may cost beyond the bonds.
    """

    queue: Sequence[OpenChallenge]
    takes: Sequence[Takes | None]
    block: int
    first: int
    mined: int
    under_way: Mapping[int, Waiting]
    market: Fees
    base_fee: int
    held: int
    balance: int
    max_loss: int

    @property
    def least_price(self) -> int:
        """Wei per unit of gas below which no block includes a transaction."""
        return max(self.market.highest, self.base_fee) if self.market.tip is None else self.base_fee

    @property
    def market_price(self) -> int:
        """Wei per unit of gas that gets a transaction included soon, even if fees rise."""
        return max(self.market.highest, self.least_price)

    @property
    def fair_price(self) -> int:
        """Wei per unit of gas that is enough for two blocks of rising fees."""
        return min(self.least_price * 5 // 4, self.market_price)

    @property
    def unit(self) -> int:
        """Wei that the dearest of the oldest answers costs at the market's price."""
        return max((takes.at(self.market_price) for takes in self.takes if takes is not None), default=0)

    def own_price(self, challenge: OpenChallenge, takes: Takes | None) -> int:
        """Wei per unit of gas that a challenge's own bond pays for, between the fair price and the market's."""
        if takes is None:
            return self.market_price
        own = (challenge.bond + self.max_loss - takes.data_fee) // takes.gas
        return min(max(own, self.fair_price), self.market_price)


@dataclass(frozen=True)
class Send:
    """Send an answer, replacing the pending transaction with that nonce, if there is one."""

    nonce: int
    challenge: OpenChallenge
    takes: Takes
    fees: Fees


@dataclass(frozen=True)
class Leave:
    """Leave the pending transaction with that nonce alone, and look at it again some blocks later."""

    nonce: int


@dataclass(frozen=True)
class TooExpensive:
    """Report that the answer to a challenge costs more than may be spent on it.

    Attributes:
        challenge: The challenge.
        takes: What its answer takes.
        behind: Whether bonds pay for it, but the guard would fall too far behind. Otherwise, it costs more than it and
            the answers after it bring.
    """

    challenge: OpenChallenge
    takes: Takes
    behind: bool = False


@dataclass(frozen=True)
class Vacate:
    """Replace an answer that came too late with an empty transaction: that costs a fraction of a refused answer."""

    nonce: int
    fees: Fees


Action = Send | Leave | TooExpensive | Vacate


@dataclass(frozen=True)
class _Place:
    """One of the oldest challenges with what is known about its answer.

    Attributes:
        nonce: Nonce of its answer.
        takes: What the answer takes; `None` without a proof.
        waiting: The pending transaction with that nonce.
        rests: Whether nothing is to be done about it now: it is included, or pending.
        replaces: Whether the pending transaction answers another challenge, so that it must be replaced.
    """

    nonce: int
    challenge: OpenChallenge
    takes: Takes | None
    waiting: Waiting | None
    rests: bool
    replaces: bool

    def offer(self, price: int, tip: int | None) -> Fees:
        """The fees to offer at a price: an eighth above those of a transaction to be replaced, if that is more."""
        fees = Fees(price, None if tip is None else min(tip, price))
        return fees if self.waiting is None else fees.at_least(self.waiting.fees.raised())

    def cost(self, price: int) -> int:
        """Most wei that its answer costs at a price, if a pending one is replaced only where it must be."""
        spent = 0 if self.waiting is None else self.waiting.cost
        if self.takes is None:
            return spent
        if self.waiting is None:
            return 0 if self.rests else self.takes.at(price)
        if self.replaces:
            return max(spent, self.takes.at(self.offer(price, None).highest))
        return spent if self.waiting.ours else max(spent, self.takes.at(self.waiting.fees.highest))

    def brings(self, max_loss: int) -> int:
        """Wei that its answer may cost: nothing if it is included and counted already."""
        return 0 if self.rests and self.waiting is None else self.challenge.bond + max_loss


@dataclass(frozen=True)
class _Budget:
    """The part of the queue that pays for itself, and at which prices.

    Attributes:
        prices: Wei per unit of gas to offer for each of the oldest answers, as far as the bonds pay for that.
        left: Wei that the bonds bring beyond that.
    """

    prices: Sequence[int]
    left: int


def plan(now: Situation, *, told: bool = False) -> list[Action]:
    """What to do so that the oldest challenges have pending answers, each with the nonce of its place in the queue.

    Answers count only in the order of the challenges. So an underpaid challenge keeps the bonds behind it locked. What
    counts is whether a part of the queue, from its front, pays for itself with all bonds in it. The plan ends where no
    such part goes further, or where an answer cannot be sent.

    Args:
        now: Everything that decides.
        told: Whether this block's report has already said that an answer is too expensive; it is not said twice.
    """
    places = list(_places(now))
    budget = _budget(now, places)
    left = budget.left
    costs = {nonce: waiting.cost for nonce, waiting in now.under_way.items()}
    actions: list[Action] = []
    for index, place in enumerate(places[:IN_FLIGHT]):
        if place.rests:
            # While earlier answers are pending, they may turn out to cost less and leave enough for the next ones.
            told |= place.waiting is not None
            continue
        if place.takes is None:
            return actions
        fees = place.offer(budget.prices[index], now.market.tip) if index < len(budget.prices) else None
        if fees is not None and place.waiting is not None and not place.replaces:
            more = max(0, place.takes.at(fees.highest) - place.cost(budget.prices[index]))
            fees, left = (fees, left - more) if more <= left else (None, left)
        behind = fees is not None and _falls_behind(now, costs, place, place.takes.at(fees.highest))
        fees = None if behind else fees
        if fees is None and not told and (place.waiting is None or place.waiting.fees.highest < now.base_fee):
            told = True
            actions.append(TooExpensive(place.challenge, place.takes, behind))
        if fees is not None and _is_affordable(now, costs, place.nonce, place.takes.at(fees.highest)):
            costs[place.nonce] = max(costs.get(place.nonce, 0), place.takes.at(fees.highest))
            actions.append(Send(place.nonce, place.challenge, place.takes, fees))
            told = True
            continue
        if place.waiting is not None:
            actions.append(Leave(place.nonce))
        if place.waiting is None or fees is not None:
            return actions
    return [*actions, *_vacated(now)]


def _places(now: Situation) -> Iterator[_Place]:
    """The oldest challenges: those with a proof, and at least as many as can be pending at once."""
    for index, challenge in enumerate(now.queue[: max(len(now.takes), IN_FLIGHT)]):
        nonce = now.first + index
        waiting = now.under_way.get(nonce)
        rests = nonce < now.mined or (waiting is not None and not _is_late(waiting, challenge, now))
        replaces = waiting is not None and not rests and waiting.challenge != challenge
        takes = now.takes[index] if index < len(now.takes) else None
        yield _Place(nonce, challenge, takes, waiting, rests, replaces)


def _is_late(waiting: Waiting, challenge: OpenChallenge, now: Situation) -> bool:
    """Whether the answer to a challenge should replace the pending transaction."""
    if waiting.challenge != challenge:
        return True
    outbid = waiting.fees.highest < now.base_fee
    return now.block > waiting.block and (outbid or now.block >= waiting.block + STUCK_BLOCKS)


def _budget(now: Situation, places: Sequence[_Place]) -> _Budget:
    """The longest part of the queue that pays for itself at its prices, then as much as pays at the least price.

    An answer is offered what its own bond pays for, and an underpaid one no more than the fair price: other bonds make
    up for that only later, and until then the account has to pay. While earlier answers cost more than they brought,
    nothing is offered more than the fair price, until later bonds have made up for that. If they never will, because
    somebody else took them, answers that pay are sent all the same. But the loss is not forgotten: until it is made up
    for, nothing is lent to underpaid challenges, so that the same bait does not work twice.
    """
    known = next((index for index, place in enumerate(places) if not place.rests and place.takes is None), len(places))
    places = places[:known]
    fair = [now.fair_price] * known
    own = fair if now.balance < 0 else [now.own_price(place.challenge, place.takes) for place in places]
    lent = LENT * now.unit
    budget = _extended(now, places, own, now.balance, -lent)
    if budget.prices or now.balance >= 0:
        return budget
    return _extended(now, places, fair, 0, 0)


def _extended(now: Situation, places: Sequence[_Place], prices: Sequence[int], balance: int, floor: int) -> _Budget:
    """As much as pays for itself at these prices, and of the rest as much as pays at one price that is lower."""
    paid, left = _paid(now, places, prices, balance, floor)
    rest = places[paid:]
    more, _ = _paid(now, rest, [now.least_price] * len(rest), left, floor)
    if not more:
        return _Budget(prices[:paid], left)
    brings = left + sum(place.brings(now.max_loss) for place in rest[:more])
    bill = _Bill(rest[:more])
    price = _highest(now.least_price, now.market_price, lambda price: bill.at(price) <= brings)
    if _paid(now, rest[:more], [price] * more, left, floor)[0] < more:
        # At that price, more would have to be lent meanwhile than may be.
        price = now.least_price
    return _Budget([*prices[:paid], *[price] * more], brings - bill.at(price))


def _paid(now: Situation, places: Sequence[_Place], prices: Sequence[int], balance: int, floor: int) -> tuple[int, int]:
    """How many of the first answers pay for themselves at these prices, never below the floor, and what they leave."""
    paid = (0, balance)
    for count, (place, price) in enumerate(zip(places, prices, strict=True), start=1):
        balance += place.brings(now.max_loss) - place.cost(price)
        if balance < floor:
            break
        if balance >= 0:
            paid = (count, balance)
    return paid


class _Bill:
    """What the answers to several challenges cost together, for any price: thousands of them, for dozens of prices."""

    def __init__(self, places: Sequence[_Place]) -> None:
        plain = [place.takes for place in places if place.takes is not None and not place.rests and not place.waiting]
        self._all = Takes(sum(one.gas for one in plain), sum(one.data_fee for one in plain))
        self._others = [place for place in places if place.rests or place.waiting]

    def at(self, price: int) -> int:
        """Most wei in all.

        Args:
            price: Wei per unit of gas.
        """
        return self._all.at(price) + sum(place.cost(price) for place in self._others)


def _highest(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The highest number from `low` to `high` that fits, given that `low` does and that lower ones fit too."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _falls_behind(now: Situation, costs: Mapping[int, int], place: _Place, cost: int) -> bool:
    """Whether one more answer could put the guard too far behind, if all that is under way were lost."""
    others = sum(other for nonce, other in costs.items() if nonce != place.nonce)
    most = LENT if place.challenge.bond + now.max_loss < cost else LOST
    return others + max(cost, costs.get(place.nonce, 0)) - now.balance > most * now.unit


def _is_affordable(now: Situation, costs: Mapping[int, int], nonce: int, cost: int) -> bool:
    """Whether the account can afford one more answer. If it would be the only one, the sender checks that."""
    others = sum(other for place, other in costs.items() if place != nonce)
    return not others or now.held >= others + cost


def _vacated(now: Situation) -> Iterator[Vacate]:
    """Pending transactions beyond the end of the queue, because somebody else was faster."""
    for nonce, waiting in sorted(now.under_way.items()):
        if nonce >= max(now.mined, now.first + len(now.queue)) and waiting.challenge is not None and waiting.ours:
            yield Vacate(nonce, waiting.fees.raised())
