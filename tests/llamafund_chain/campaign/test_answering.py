"""What is sent so that challenges get their answers, for any queue, account and market."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamafund_chain.campaign import answering
from llamafund_chain.campaign.answering import (
    IN_FLIGHT,
    LENT,
    LOST,
    STUCK_BLOCKS,
    Action,
    Leave,
    Send,
    Situation,
    Takes,
    TooExpensive,
    Vacate,
    Waiting,
    gain,
    plan,
)
from llamafund_chain.campaign.client import price_of_challenge
from llamafund_chain.campaign.state import OpenChallenge
from llamafund_chain.chain.transactions import Fees

GWEI = 10**9
ETHER = 10**18
GAS = 1_000_000
TAKES = Takes(GAS, 0)
MARKET = Fees(20 * GWEI, GWEI)
RAISED = MARKET.raised()
FAIR = Fees(12_500_000_000, GWEI)
"""Above the base fee of 10 gwei for two blocks in which it rises."""


def queue_of(count: int, bond: int = ETHER) -> tuple[OpenChallenge, ...]:
    return tuple(OpenChallenge(chunk, 1_000 + chunk, "0x" + "11" * 20, bond) for chunk in range(count))


def situation(**changes: object) -> Situation:
    values: dict[str, object] = {
        "queue": queue_of(3),
        "block": 100,
        "first": 7,
        "mined": 7,
        "under_way": {},
        "market": MARKET,
        "base_fee": 10 * GWEI,
        "held": 100 * ETHER,
        "balance": 0,
        "max_loss": 0,
    }
    values |= changes
    return Situation(**{"takes": [TAKES] * len(values["queue"]), **values})


def waiting(challenge: OpenChallenge | None, **changes: object) -> Waiting:
    return replace(Waiting(challenge, MARKET, block=100, cost=GAS * MARKET.highest, ours=True), **changes)


# ------------------------------------------------------------------ examples


def test_each_challenge_gets_an_answer_with_the_nonce_of_its_place() -> None:
    now = situation()
    assert plan(now) == [Send(7 + place, now.queue[place], TAKES, MARKET) for place in range(3)]


def test_no_more_answers_are_sent_than_nodes_keep_for_one_account() -> None:
    assert len(plan(situation(queue=queue_of(2 * IN_FLIGHT)))) == IN_FLIGHT


def test_what_is_included_or_waits_is_not_sent_again() -> None:
    now = situation(mined=8, under_way={8: waiting(queue_of(3)[1])})
    assert plan(now) == [Send(9, now.queue[2], TAKES, MARKET)]


def test_the_answers_end_where_a_proof_is_missing() -> None:
    now = situation()
    assert plan(replace(now, takes=[TAKES, None, TAKES])) == [Send(7, now.queue[0], TAKES, MARKET)]


def test_a_nonce_that_waits_for_another_challenge_is_taken_at_once() -> None:
    (challenge,) = queue_of(1)
    now = situation(queue=(challenge,), under_way={7: waiting(replace(challenge, chunk=5))})
    assert plan(now) == [Send(7, challenge, TAKES, RAISED)]


def test_what_blocks_pass_over_is_offered_again_for_more() -> None:
    (challenge,) = queue_of(1)
    for age in range(STUCK_BLOCKS + 1):
        now = situation(queue=(challenge,), under_way={7: waiting(challenge, block=100 - age)})
        assert plan(now) == ([Send(7, challenge, TAKES, RAISED)] if age == STUCK_BLOCKS else [])


def test_what_the_base_fee_has_outgrown_is_offered_again_in_the_next_block() -> None:
    (challenge,) = queue_of(1)
    dear = {"queue": (challenge,), "base_fee": 21 * GWEI, "market": Fees(42 * GWEI, GWEI)}
    assert plan(situation(under_way={7: waiting(challenge)}, **dear)) == []
    later = situation(under_way={7: waiting(challenge, block=99)}, **dear)
    assert plan(later) == [Send(7, challenge, TAKES, Fees(42 * GWEI, RAISED.tip))]


def test_an_answer_costs_no_more_than_it_brings_unless_somebody_says_so() -> None:
    (challenge,) = queue_of(1, bond=GAS * 5 * GWEI)
    now = situation(queue=(challenge,))
    assert plan(now) == [TooExpensive(challenge, TAKES)]
    assert plan(now, told=True) == []
    assert plan(replace(now, max_loss=ETHER)) == [Send(7, challenge, TAKES, MARKET)]


def test_a_price_is_what_the_bonds_pay_for_between_the_base_fee_and_the_market() -> None:
    queue = queue_of(3, bond=GAS * 12 * GWEI)
    assert plan(situation(queue=queue)) == [
        Send(7 + place, queue[place], TAKES, Fees(12 * GWEI, GWEI)) for place in range(3)
    ]


def test_a_rich_bond_behind_pays_for_the_underpaid_ones_that_keep_it_locked() -> None:
    """One at a time, none of the first two would be answered, and so none of the three."""
    poor, rich = GAS * 5 * GWEI, GAS * 50 * GWEI
    queue = tuple(replace(one, bond=bond) for one, bond in zip(queue_of(3), (poor, poor, rich), strict=True))
    offered = (FAIR, FAIR, MARKET)
    assert plan(situation(queue=queue)) == [Send(7 + place, queue[place], TAKES, offered[place]) for place in range(3)]
    assert plan(situation(queue=queue[:2])) == [TooExpensive(queue[0], TAKES)]


def test_a_rich_bond_in_front_pays_for_the_underpaid_ones_behind_it() -> None:
    poor, rich = GAS * 5 * GWEI, GAS * 30 * GWEI
    queue = tuple(replace(one, bond=bond) for one, bond in zip(queue_of(3), (rich, poor, poor), strict=True))
    # After the first two, 2.5 gwei are left for the third, and its bond pays for 5; the base fee is 10.
    offered = (MARKET, FAIR)
    assert plan(situation(queue=queue)) == [Send(7 + place, queue[place], TAKES, offered[place]) for place in range(2)]
    # It turns out that the first one cost half as much.
    saved = situation(queue=queue[1:], balance=rich - GAS * 15 * GWEI)
    assert plan(saved) == [Send(7 + place, queue[1 + place], TAKES, FAIR) for place in range(2)]


def test_an_underpaid_answer_is_offered_enough_and_no_more_until_blocks_pass_it_over() -> None:
    """What other bonds make up for later, the account pays until then: at the market's price it might not last."""
    poor = GAS * 5 * GWEI
    queue = (replace(queue_of(1)[0], bond=poor), *queue_of(3)[1:])
    now = situation(queue=queue, market=Fees(400 * GWEI, 200 * GWEI))
    first, *_ = plan(now)
    assert first == Send(7, queue[0], TAKES, Fees(12_500_000_000, 12_500_000_000))
    late = waiting(queue[0], fees=first.fees, cost=GAS * first.fees.highest, block=100 - STUCK_BLOCKS)
    again, *_ = plan(replace(now, under_way={7: late}))
    assert again == Send(7, queue[0], TAKES, first.fees.raised())


def test_an_unproven_challenge_keeps_the_bonds_behind_it_out_of_account() -> None:
    poor, rich = GAS * 5 * GWEI, GAS * 500 * GWEI
    queue = tuple(replace(one, bond=bond) for one, bond in zip(queue_of(3), (poor, poor, rich), strict=True))
    assert plan(situation(queue=queue, takes=[TAKES, None, TAKES])) == [TooExpensive(queue[0], TAKES)]


def test_a_data_fee_counts_like_gas() -> None:
    (challenge,) = queue_of(1, bond=GAS * 20 * GWEI)
    data = Takes(GAS, GAS * 9 * GWEI)
    now = situation(queue=(challenge,), takes=[data])
    assert plan(now) == [Send(7, challenge, data, Fees(11 * GWEI, GWEI))]
    dearer = Takes(GAS, GAS * 11 * GWEI)
    assert plan(replace(now, takes=[dearer])) == [TooExpensive(challenge, dearer)]


def test_of_two_answers_with_one_nonce_the_dearer_counts_once() -> None:
    """The pending one is replaced, and the bonds pay for one of the two and for the next answer, not for three."""
    first, second = queue_of(2, bond=GAS * 15 * GWEI)
    dear = waiting(first, block=90, cost=GAS * 18 * GWEI, fees=Fees(9 * GWEI, GWEI))
    now = situation(queue=(first, second), under_way={7: dear}, base_fee=10 * GWEI)
    sends = {action.nonce: action for action in plan(now) if isinstance(action, Send)}
    assert sends[8].fees == Fees(12 * GWEI, GWEI)
    assert 10 * GWEI < sends[7].fees.highest <= 18 * GWEI


def test_after_a_loss_nothing_is_offered_more_than_enough_until_later_bonds_made_up_for_it() -> None:
    (challenge,) = queue_of(1, bond=GAS * 30 * GWEI)
    now = situation(queue=(challenge,))
    assert plan(now) == [Send(7, challenge, TAKES, MARKET)]
    assert plan(replace(now, balance=-1)) == [Send(7, challenge, TAKES, FAIR)]


def test_a_loss_that_later_bonds_cannot_make_up_for_does_not_keep_what_pays_from_being_answered() -> None:
    """Somebody else took the rich bond for which the guard had answered underpaid challenges."""
    (challenge,) = queue_of(1, bond=GAS * 13 * GWEI)
    now = situation(queue=(challenge,), balance=-ETHER)
    assert plan(now) == [Send(7, challenge, TAKES, FAIR)]
    poor = replace(challenge, bond=GAS * 9 * GWEI)
    assert plan(replace(now, queue=(poor,))) == [TooExpensive(poor, TAKES)]


def test_that_an_answer_is_too_expensive_is_not_said_while_earlier_ones_may_turn_out_cheaper() -> None:
    first, second = queue_of(2)
    poor = replace(second, bond=0)
    now = situation(queue=(replace(first, bond=GAS * 25 * GWEI), poor))
    (only,) = plan(now)
    assert isinstance(only, Send)
    pending = {7: waiting(now.queue[0])}
    assert plan(replace(now, under_way=pending)) == []


def test_before_the_base_fee_the_price_is_the_market_s_or_nothing() -> None:
    (challenge,) = queue_of(1, bond=GAS * 20 * GWEI)
    old = situation(queue=(challenge,), market=Fees(20 * GWEI, None), base_fee=0)
    assert plan(old) == [Send(7, challenge, TAKES, Fees(20 * GWEI, None))]
    assert plan(replace(old, market=Fees(20 * GWEI + 1, None))) == [TooExpensive(challenge, TAKES)]


def test_an_answer_that_is_too_expensive_to_replace_keeps_its_place_and_the_next_ones_go_on() -> None:
    first, second = queue_of(2, bond=GAS * MARKET.highest)
    now = situation(queue=(first, second), under_way={7: waiting(first, block=90)})
    assert plan(now) == [Leave(7), Send(8, second, TAKES, MARKET)]


def test_what_the_account_cannot_pay_for_beside_the_others_waits() -> None:
    now = situation(held=2 * GAS * MARKET.highest)
    assert [action.nonce for action in plan(now)] == [7, 8]
    assert [action.nonce for action in plan(replace(now, held=0))] == [7]


def test_an_answer_that_came_too_late_gives_its_place_to_nothing() -> None:
    late = queue_of(3)[2]
    now = situation(queue=(), mined=8, under_way={7: waiting(late), 8: waiting(late), 9: waiting(late, ours=False)})
    assert plan(now) == [Vacate(8, RAISED)]
    assert plan(replace(now, under_way={8: waiting(None)})) == []


# ---------------------------------------------------------------- properties

on_any_machine = settings(suppress_health_check=[HealthCheck.too_slow])

fees = st.builds(Fees, st.integers(0, 10**12), st.none() | st.integers(0, 10**12))
challenges = st.builds(
    OpenChallenge, st.integers(0, 40), st.integers(0, 2**32), st.just("0x" + "11" * 20), st.integers(0, ETHER)
)
needs = st.builds(Takes, st.integers(21_000, 10**7), st.integers(0, 10**16))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    queue = tuple(draw(st.lists(challenges, max_size=20, unique_by=lambda challenge: challenge.chunk)))
    first = draw(st.integers(0, 3))
    anything = st.builds(
        Waiting,
        st.none() | challenges | (st.sampled_from(queue) if queue else st.none()),
        fees,
        st.integers(90, 100),
        st.integers(0, ETHER),
        st.booleans(),
    )
    return Situation(
        queue=queue,
        takes=draw(st.lists(st.none() | needs | needs, max_size=len(queue))),
        block=100,
        first=first,
        mined=first + draw(st.integers(0, 5)),
        under_way=draw(st.dictionaries(st.integers(0, 25), anything, max_size=12)),
        market=draw(fees),
        base_fee=draw(st.integers(0, 10**12)),
        held=draw(st.integers(0, 10 * ETHER)),
        balance=draw(st.integers(-ETHER // 10, ETHER)),
        max_loss=draw(st.just(0) | st.integers(0, ETHER // 10)),
    )


def sends_of(now: Situation) -> list[Send]:
    return [action for action in plan(now) if isinstance(action, Send)]


def counts_already(now: Situation, place: int) -> bool:
    """Whether the answer is included, and its bond and its cost are in what the guard has saved."""
    nonce = now.first + place
    return nonce < now.mined and nonce not in now.under_way


def bonds_before(now: Situation, end: int) -> int:
    """What the answers to the first challenges may cost."""
    counted = [one for place, one in enumerate(now.queue[:end]) if not counts_already(now, place)]
    return max(0, now.balance) + sum(one.bond + now.max_loss for one in counted)


def costs_before(now: Situation, end: int, price: int) -> int | None:
    """What the answers to the first challenges cost at most, those that are not sent yet at this price.

    `None` if there is no proof of one of them.
    """
    offered = {send.nonce: send.takes.at(send.fees.highest) for send in sends_of(now)}
    total = 0
    for place in range(end):
        nonce = now.first + place
        waiting = now.under_way.get(nonce)
        takes = now.takes[place] if place < len(now.takes) else None
        if waiting is not None or nonce in offered:
            total += max(offered.get(nonce, 0), waiting.cost if waiting is not None else 0)
        elif nonce >= now.mined:
            if takes is None:
                return None
            total += takes.at(price)
    return total


@on_any_machine
@given(situations())
def test_answers_stand_at_the_place_of_their_challenge_oldest_first_and_nothing_included_is_sent_again(now) -> None:
    sends = sends_of(now)
    assert [send.nonce for send in sends] == sorted({send.nonce for send in sends})
    for send in sends:
        assert send.challenge == now.queue[send.nonce - now.first]
        assert send.nonce >= now.mined
        assert send.nonce < now.first + IN_FLIGHT
        assert send.takes == now.takes[send.nonce - now.first]


@on_any_machine
@given(situations())
def test_below_every_answer_that_is_sent_each_nonce_is_used(now) -> None:
    sends = {send.nonce for send in sends_of(now)}
    for nonce in range(max(now.first, now.mined), max(sends, default=0)):
        assert nonce in sends or nonce in now.under_way


@on_any_machine
@given(situations())
def test_no_answer_offers_less_than_the_base_fee(now) -> None:
    assert all(send.fees.highest >= now.base_fee for send in sends_of(now))


@on_any_machine
@given(situations())
def test_what_is_sent_belongs_to_a_part_of_the_queue_that_pays_for_itself(now) -> None:
    """The dearest tries of all answers from the front, at their highest possible cost, stay within all the bonds."""
    sends = sends_of(now)
    if not sends:
        return
    last = sends[-1].nonce - now.first + 1
    for end in range(last, len(now.queue) + 1):
        cost = costs_before(now, end, now.least_price)
        if cost is not None and cost <= bonds_before(now, end):
            return
    raise AssertionError("no part of the queue pays for what is sent")


@on_any_machine
@given(situations())
def test_every_answer_up_to_where_the_bonds_pay_the_market_s_price_is_sent(now) -> None:
    """With nothing pending, no loss to make up for and enough money, whatever the bonds in between."""
    now = replace(now, under_way={}, mined=now.first, held=10**30, balance=max(0, now.balance))
    known = next((place for place, takes in enumerate(now.takes) if takes is None), len(now.takes))
    for end in range(known, 0, -1):
        cost = sum(takes.at(now.market_price) for takes in now.takes[:end])
        if cost <= bonds_before(now, end):
            assert [send.nonce - now.first for send in sends_of(now)][:end] == list(range(min(end, IN_FLIGHT)))
            return


@on_any_machine
@given(situations())
def test_something_is_sent_if_any_part_of_the_queue_pays_the_base_fee(now) -> None:
    # Not so far behind that it could not lend to every challenge here.
    behind = min(0, -LENT + len(now.queue)) * now.unit
    now = replace(now, under_way={}, mined=now.first, held=10**30, balance=max(behind, now.balance))
    known = next((place for place, takes in enumerate(now.takes) if takes is None), len(now.takes))
    gains = [
        one.bond + now.max_loss - takes.at(now.least_price)
        for one, takes in zip(now.queue[:known], now.takes[:known], strict=True)
    ]
    # After a loss, either all that was lost is made up for, or each answer pays for itself.
    pays = any(now.balance + sum(gains[:end]) >= 0 for end in range(1, known + 1)) or any(one >= 0 for one in gains[:1])
    assert bool(sends_of(now)) == pays


@on_any_machine
@given(situations())
def test_what_waits_is_replaced_only_for_an_eighth_more(now) -> None:
    for action in plan(now):
        if isinstance(action, Send | Vacate) and action.nonce in now.under_way:
            before = now.under_way[action.nonce].fees.raised()
            assert action.fees.at_least(before) == action.fees


@on_any_machine
@given(situations())
def test_the_account_can_pay_for_all_that_is_under_way_at_once(now) -> None:
    costs = {nonce: sent.cost for nonce, sent in now.under_way.items()}
    for send in sends_of(now):
        cost = send.takes.at(send.fees.highest)
        others = sum(cost for nonce, cost in costs.items() if nonce != send.nonce)
        assert others == 0 or others + cost <= now.held
        costs[send.nonce] = max(costs.get(send.nonce, 0), cost)


@on_any_machine
@given(situations(), st.booleans())
def test_that_an_answer_is_too_expensive_is_said_once_at_most(now, told: bool) -> None:
    said = [action for action in plan(now, told=told) if isinstance(action, TooExpensive)]
    assert len(said) <= (0 if told else 1)


@on_any_machine
@given(situations())
def test_only_what_stands_beyond_the_queue_is_vacated(now) -> None:
    for action in plan(now):
        if isinstance(action, Vacate):
            assert action.nonce >= max(now.mined, now.first + len(now.queue))
            assert now.under_way[action.nonce].ours


@on_any_machine
@given(situations())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do_in_the_same_block(now) -> None:
    under_way, told = dict(now.under_way), False
    for action in plan(now):
        match action:
            case Send(nonce, challenge, takes, offered):
                # Either of two with one nonce may be included, so the dearer one counts.
                before = under_way[nonce].cost if nonce in under_way else 0
                cost = max(before, takes.at(offered.highest))
                under_way[nonce] = Waiting(challenge, offered, now.block, cost, True)
            case Vacate(nonce, offered):
                under_way[nonce] = replace(under_way[nonce], challenge=None, fees=offered, block=now.block)
            case Leave(nonce):
                under_way[nonce] = replace(under_way[nonce], block=now.block)
            case TooExpensive():
                told = True
    again = plan(replace(now, under_way=under_way), told=told)
    assert [action for action in again if not isinstance(action, Leave | Vacate)] == []


# ------------------------------------------------------------- a whole campaign


@dataclass
class Life:
    """A guard and its chain, played with `plan` alone. Each block includes some of what is pending, oldest first.

    Attributes:
        queue: Open challenges.
        purse: Wei that the account began with.
        spent: Wei that included transactions cost, refused and empty ones too.
        freed: Wei of the bonds that answers brought.
        balance: What the guard counts as earned.
        answered: How many answers counted.
        unit: Most wei that an answer cost at a market's price when something was sent.
    """

    queue: list[OpenChallenge]
    takes: dict[int, Takes]
    market: Fees
    base_fee: int
    max_loss: int
    purse: int = 10**30
    under_way: dict[int, Waiting] = field(default_factory=dict)
    block: int = 1
    nonce: int = 0
    spent: int = 0
    freed: int = 0
    balance: int = 0
    answered: int = 0
    unit: int = 0

    def look(self) -> Situation:
        return Situation(
            queue=tuple(self.queue),
            takes=[self.takes[one.chunk] for one in self.queue],
            block=self.block,
            first=self.nonce,
            mined=self.nonce,
            under_way=self.under_way,
            market=self.market,
            base_fee=self.base_fee,
            held=self.purse + self.freed - self.spent,
            balance=self.balance,
            max_loss=self.max_loss,
        )

    def step(self) -> list[Action]:
        """Look and send."""
        now = self.look()
        actions = plan(now)
        for action in actions:
            match action:
                case Send(nonce, challenge, takes, offered):
                    self.unit = max(self.unit, now.unit)
                    before = self.under_way[nonce].cost if nonce in self.under_way else 0
                    cost = max(before, takes.at(offered.highest))
                    self.under_way[nonce] = Waiting(challenge, offered, self.block, cost, True)
                case Vacate(nonce, offered):
                    # One of the two is included. An empty transaction takes less gas than any answer.
                    late = self.under_way[nonce]
                    self.under_way[nonce] = replace(late, challenge=None, fees=offered, block=self.block)
                case Leave(nonce):
                    self.under_way[nonce] = replace(self.under_way[nonce], block=self.block)
        return actions

    def snatch(self, count: int) -> None:
        """Somebody else answers so many challenges first, and has their bonds."""
        del self.queue[:count]

    def mine(self, includes: int, share: int) -> None:
        """A block with so many transactions, each for this share (in percent) of what it may cost at most."""
        self.block += 1
        for _ in range(includes):
            sent = self.under_way.get(self.nonce)
            if sent is None or sent.fees.highest < self.base_fee:
                break
            del self.under_way[self.nonce]
            self.nonce += 1
            cost = sent.cost * share // 100
            self.spent += cost
            if not self.queue or sent.challenge != self.queue[0]:
                self.balance -= cost
                continue
            self.queue.pop(0)
            self.freed += sent.challenge.bond
            self.balance += gain(sent.challenge.bond, cost, self.max_loss)
            self.answered += 1


@on_any_machine
@given(
    st.lists(st.tuples(st.integers(0, 60 * GAS * GWEI), needs), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(1, 16), st.integers(30, 100)), min_size=1, max_size=8),
    st.integers(1, 30),
    st.just(0) | st.integers(0, 10 * GAS * GWEI),
)
def test_a_guard_never_spends_more_than_the_bonds_bring_and_stops_only_where_no_part_of_the_queue_pays(
    opened: list[tuple[int, Takes]], blocks: list[tuple[int, int]], gwei: int, max_loss: int
) -> None:
    queue = [OpenChallenge(chunk, 1_000, "0x" + "11" * 20, bond) for chunk, (bond, _) in enumerate(opened)]
    takes = dict(enumerate(need for _, need in opened))
    life = Life(queue, takes, Fees(2 * gwei * GWEI, 0), gwei * GWEI, max_loss)
    for includes, share in itertools.cycle(blocks):
        actions = life.step()
        if not life.under_way:
            break
        life.mine(includes, share)
    assert life.spent <= life.freed + life.answered * max_loss
    now = life.look()
    for end in range(1, len(now.queue) + 1):
        assert sum(need.at(now.base_fee) for need in now.takes[:end]) > bonds_before(now, end)
    assert bool(life.queue) == any(isinstance(action, TooExpensive) for action in actions)


def test_an_account_with_little_money_outlasts_a_flood_whose_last_bonds_pay_for_the_first() -> None:
    """A node advises a tip of a hundred times the base fee, at which the account would pay 3 ETH in advance."""
    base_fee = GWEI // 100
    bonds = [price_of_challenge(1_250_000 * base_fee, number) for number in range(3_000)]
    queue = [OpenChallenge(chunk, 1_000, "0x" + "11" * 20, bond) for chunk, bond in enumerate(bonds)]
    takes = dict.fromkeys(range(len(bonds)), Takes(790_000, 2 * 10**13))
    life = Life(queue, takes, Fees(2 * base_fee + GWEI, GWEI), base_fee, 0, purse=ETHER // 10)
    while life.queue:
        answered = life.answered
        life.step()
        life.mine(IN_FLIGHT, 90)
        assert life.answered > answered
    assert life.freed > life.spent


blocks_of_a_rough_time = st.tuples(
    # Answers of somebody else, transactions included, the share that they cost, the base fee, new challenges.
    st.integers(0, 3),
    st.integers(0, 16),
    st.integers(30, 100),
    st.integers(1, 100),
    st.lists(st.integers(0, 200 * GAS * GWEI), max_size=6),
)


@on_any_machine
@given(
    st.lists(st.integers(0, 200 * GAS * GWEI), min_size=1, max_size=30),
    st.lists(blocks_of_a_rough_time, min_size=1, max_size=40),
    st.just(0) | st.integers(0, 10 * GAS * GWEI),
    st.integers(1, 6),
)
def test_whoever_answers_first_and_however_fees_rise_a_guard_loses_no_more_than_is_stated(
    opened: list[int], blocks: list[tuple[int, int, int, int, list[int]]], max_loss: int, lent: int
) -> None:
    """With a smaller bound, so that it is reached."""
    number = itertools.count()

    def challenges_for(bonds: list[int]) -> list[OpenChallenge]:
        return [OpenChallenge(next(number), 1_000, "0x" + "11" * 20, bond) for bond in bonds]

    class Same(dict):
        def __missing__(self, _: int) -> Takes:
            return TAKES

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(answering, "LENT", lent)
        patched.setattr(answering, "LOST", 2 * lent)
        life = Life(challenges_for(opened), Same(), MARKET, 10 * GWEI, max_loss)
        for others, includes, share, gwei, more in blocks:
            life.base_fee, life.market = gwei * GWEI, Fees((2 * gwei + 1) * GWEI, GWEI)
            life.step()
            life.snatch(others)
            life.mine(includes, share)
            life.queue += challenges_for(more)
            assert life.spent <= life.freed + life.answered * max_loss + 2 * lent * life.unit


@on_any_machine
@given(
    st.lists(st.integers(20 * GAS * GWEI, 60 * GAS * GWEI), min_size=1, max_size=60),
    st.integers(0, LENT),
    st.integers(1, 16),
)
def test_a_queue_of_bonds_that_pay_is_answered_to_its_end_by_a_guard_that_lost_all_that_it_lends(
    bonds: list[int], lost: int, includes: int
) -> None:
    queue = [OpenChallenge(chunk, 1_000, "0x" + "11" * 20, bond) for chunk, bond in enumerate(bonds)]
    takes = dict.fromkeys(range(len(queue)), TAKES)
    life = Life(queue, takes, MARKET, 10 * GWEI, 0, balance=-lost * TAKES.at(MARKET.highest))
    while life.queue:
        answered = life.answered
        life.step()
        life.mine(includes, 100)
        assert life.answered > answered


def test_a_flood_whose_first_bonds_pay_a_quarter_of_an_answer_is_answered_to_its_end() -> None:
    """Where the data is what costs, whatever the price of gas."""
    bonds = [price_of_challenge(10**13, number) for number in range(3_000)]
    queue = [OpenChallenge(chunk, 1_000, "0x" + "11" * 20, bond) for chunk, bond in enumerate(bonds)]
    takes = dict.fromkeys(range(len(bonds)), Takes(750_000, 4 * 10**13 - 750_000 * 10**6))
    life = Life(queue, takes, Fees(10**6, 0), 8 * 10**5, 0)
    while life.queue:
        answered = life.answered
        life.step()
        life.mine(IN_FLIGHT, 100)
        assert life.answered > answered
    assert life.freed > life.spent


# ------------------------------------------------------------------------ bait

LEAST = 1_250_000 * GWEI
"""The least bond at a base fee of 1 gwei."""


def bait(life: Life, count: int) -> None:
    """Open underpaid challenges, and then one of 10 coins that its challenger means to answer first."""
    for bond in (*[LEAST] * count, 10 * ETHER):
        chunk = len(life.takes)
        life.takes[chunk] = Takes(750_000, 0)
        life.queue.append(OpenChallenge(chunk, 1_000, "0x" + "11" * 20, bond))


def at_ten_gwei() -> Life:
    return Life([], {}, Fees(10 * GWEI, 0), 10 * GWEI, 0)


def test_bait_that_its_challenger_answers_itself_works_once_and_within_what_is_lent() -> None:
    life = at_ten_gwei()
    losses = []
    for _ in range(5):
        bait(life, 600)
        while len(life.queue) > 1:
            life.step()
            if not life.under_way:
                break
            life.mine(min(IN_FLIGHT, len(life.queue) - 1), 100)
        life.snatch(len(life.queue))
        while life.under_way:
            life.step()
            life.mine(IN_FLIGHT, 100)
        losses.append(life.spent - life.freed)
    assert 0 < losses[0] <= LENT * life.unit
    assert losses == [losses[0]] * 5


def test_bait_for_more_than_is_lent_is_not_taken() -> None:
    life = at_ten_gwei()
    bait(life, 1_000)
    assert [type(action) for action in life.step()] == [TooExpensive]


def test_fees_that_rise_along_the_queue_cost_no_more_than_the_bond_at_its_end() -> None:
    life = at_ten_gwei()
    bait(life, 500)
    while life.queue:
        left = len(life.queue)
        # What is sunk left out, the rest of the queue just pays for itself.
        price = min(max(10 * GWEI, (10 * ETHER + LEAST * (left - 1)) // left // 750_000), 300 * GWEI)
        life.base_fee, life.market = price, Fees(price, 0)
        life.step()
        if not life.under_way:
            break
        life.mine(IN_FLIGHT, 100)
    assert life.answered > 0
    assert life.spent <= life.freed + min(10 * ETHER, LENT * life.unit)


def test_answers_that_somebody_copies_and_pays_more_for_cost_no_more_than_a_guard_may_lose() -> None:
    life = at_ten_gwei()
    actions: list[Action] = []
    for _ in range(2 * LOST):
        bait(life, 0)
        actions = life.step()
        life.snatch(1)
        life.mine(IN_FLIGHT, 100)
    assert life.freed == 0
    assert (LOST - IN_FLIGHT) * life.unit <= life.spent <= LOST * life.unit
    assert [action.behind for action in actions if isinstance(action, TooExpensive)] == [True]


def test_what_is_allowed_for_one_answer_is_no_surplus_for_another() -> None:
    assert gain(5, 3, 10) == 2
    assert gain(3, 5, 10) == 0
    assert gain(3, 5, 1) == -1
