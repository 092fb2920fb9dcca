"""What is sent so that challenges get their answers, for any queue, account and market."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.campaign.answering import (
    IN_FLIGHT,
    STUCK_BLOCKS,
    Leave,
    Send,
    Situation,
    TooExpensive,
    Vacate,
    Waiting,
    plan,
)
from llamafund_chain.campaign.state import OpenChallenge
from llamafund_chain.chain.transactions import Fees

GWEI = 10**9
ETHER = 10**18
GAS = 1_000_000
MARKET = Fees(20 * GWEI, GWEI)
RAISED = MARKET.raised()


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
        "max_fee": None,
    }
    return Situation(**{**values, **changes})


def waiting(challenge: OpenChallenge | None, **changes: object) -> Waiting:
    return replace(Waiting(challenge, MARKET, block=100, cost=GAS * MARKET.highest, ours=True), **changes)


def gas_of(challenge: OpenChallenge) -> int:
    return GAS


# ------------------------------------------------------------------ examples


def test_each_challenge_gets_an_answer_with_the_nonce_of_its_place() -> None:
    now = situation()
    assert plan(now, gas_of) == [Send(7 + place, now.queue[place], GAS, MARKET) for place in range(3)]


def test_no_more_answers_are_sent_than_nodes_keep_for_one_account() -> None:
    assert len(plan(situation(queue=queue_of(2 * IN_FLIGHT)), gas_of)) == IN_FLIGHT


def test_what_is_included_or_waits_is_not_sent_again() -> None:
    now = situation(mined=8, under_way={8: waiting(queue_of(3)[1])})
    assert plan(now, gas_of) == [Send(9, now.queue[2], GAS, MARKET)]


def test_the_answers_end_where_a_proof_is_missing() -> None:
    now = situation()
    assert plan(now, lambda challenge: None if challenge.chunk == 1 else GAS) == [Send(7, now.queue[0], GAS, MARKET)]


def test_a_nonce_that_waits_for_another_challenge_is_taken_at_once() -> None:
    (challenge,) = queue_of(1)
    now = situation(queue=(challenge,), under_way={7: waiting(replace(challenge, chunk=5))})
    assert plan(now, gas_of) == [Send(7, challenge, GAS, RAISED)]


def test_what_blocks_pass_over_is_offered_again_for_more() -> None:
    (challenge,) = queue_of(1)
    for age in range(STUCK_BLOCKS + 1):
        now = situation(queue=(challenge,), under_way={7: waiting(challenge, block=100 - age)})
        assert plan(now, gas_of) == ([Send(7, challenge, GAS, RAISED)] if age == STUCK_BLOCKS else [])


def test_what_the_base_fee_has_outgrown_is_offered_again_in_the_next_block() -> None:
    (challenge,) = queue_of(1)
    dear = {"queue": (challenge,), "base_fee": 21 * GWEI, "market": Fees(42 * GWEI, GWEI)}
    assert plan(situation(under_way={7: waiting(challenge)}, **dear), gas_of) == []
    later = situation(under_way={7: waiting(challenge, block=99)}, **dear)
    assert plan(later, gas_of) == [Send(7, challenge, GAS, Fees(42 * GWEI, RAISED.tip))]


def test_an_answer_costs_no_more_than_it_brings_unless_somebody_says_so() -> None:
    (challenge,) = queue_of(1, bond=GAS * 5 * GWEI)
    now = situation(queue=(challenge,))
    assert plan(now, gas_of) == [TooExpensive(challenge, GAS)]
    assert plan(now, gas_of, told=True) == []
    assert plan(replace(now, max_fee=ETHER), gas_of) == [Send(7, challenge, GAS, MARKET)]


def test_an_answer_that_is_too_expensive_to_replace_keeps_its_place_and_the_next_ones_go_on() -> None:
    first, second = queue_of(2, bond=GAS * MARKET.highest)
    now = situation(queue=(first, second), under_way={7: waiting(first, block=90)})
    assert plan(now, gas_of) == [Leave(7), Send(8, second, GAS, MARKET)]


def test_what_the_account_cannot_pay_for_beside_the_others_waits() -> None:
    now = situation(held=2 * GAS * MARKET.highest)
    assert [action.nonce for action in plan(now, gas_of)] == [7, 8]
    assert [action.nonce for action in plan(replace(now, held=0), gas_of)] == [7]


def test_an_answer_that_came_too_late_gives_its_place_to_nothing() -> None:
    late = queue_of(3)[2]
    now = situation(queue=(), mined=8, under_way={7: waiting(late), 8: waiting(late), 9: waiting(late, ours=False)})
    assert plan(now, gas_of) == [Vacate(8, RAISED)]
    assert plan(replace(now, under_way={8: waiting(None)}), gas_of) == []


# ---------------------------------------------------------------- properties

fees = st.builds(Fees, st.integers(0, 10**12), st.none() | st.integers(0, 10**12))
challenges = st.builds(
    OpenChallenge, st.integers(0, 40), st.integers(0, 2**32), st.just("0x" + "11" * 20), st.integers(0, ETHER)
)


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
        block=100,
        first=first,
        mined=first + draw(st.integers(0, 5)),
        under_way=draw(st.dictionaries(st.integers(0, 25), anything, max_size=20)),
        market=draw(fees),
        base_fee=draw(st.integers(0, 10**12)),
        held=draw(st.integers(0, 10 * ETHER)),
        max_fee=draw(st.none() | st.integers(0, ETHER)),
    )


gas_limits = st.dictionaries(st.integers(0, 40), st.integers(21_000, 10**7)).map(
    lambda limits: lambda challenge: limits.get(challenge.chunk, GAS if challenge.chunk % 7 else None)
)


@given(situations(), gas_limits)
def test_answers_stand_at_the_place_of_their_challenge_and_nothing_included_is_sent_again(now, limits) -> None:
    sends = [action for action in plan(now, limits) if isinstance(action, Send)]
    assert [send.nonce for send in sends] == sorted({send.nonce for send in sends})
    for send in sends:
        assert send.challenge == now.queue[send.nonce - now.first]
        assert send.nonce >= now.mined
        assert send.nonce < now.first + IN_FLIGHT
        assert send.gas == limits(send.challenge)


@given(situations(), gas_limits)
def test_below_every_answer_that_is_sent_each_nonce_is_used(now, limits) -> None:
    sends = {action.nonce for action in plan(now, limits) if isinstance(action, Send)}
    for nonce in range(max(now.first, now.mined), max(sends, default=0)):
        assert nonce in sends or nonce in now.under_way


@given(situations(), gas_limits)
def test_no_answer_costs_more_than_was_agreed_or_less_than_the_base_fee(now, limits) -> None:
    for action in plan(now, limits):
        if isinstance(action, Send):
            assert action.gas * action.fees.highest <= now.highest_fee(action.challenge)
            assert action.fees.highest >= now.base_fee


@given(situations(), gas_limits)
def test_what_waits_is_replaced_only_for_an_eighth_more(now, limits) -> None:
    for action in plan(now, limits):
        if isinstance(action, Send | Vacate) and action.nonce in now.under_way:
            before = now.under_way[action.nonce].fees.raised()
            assert action.fees.at_least(before) == action.fees


@given(situations(), gas_limits)
def test_the_account_can_pay_for_all_that_is_under_way_at_once(now, limits) -> None:
    costs = {nonce: sent.cost for nonce, sent in now.under_way.items()}
    for action in plan(now, limits):
        if isinstance(action, Send):
            others = sum(cost for nonce, cost in costs.items() if nonce != action.nonce)
            assert others == 0 or others + action.gas * action.fees.highest <= now.held
            costs[action.nonce] = max(costs.get(action.nonce, 0), action.gas * action.fees.highest)


@given(situations(), gas_limits, st.booleans())
def test_that_an_answer_is_too_expensive_is_said_once_at_most(now, limits, told: bool) -> None:
    said = [action for action in plan(now, limits, told=told) if isinstance(action, TooExpensive)]
    assert len(said) <= (0 if told else 1)


@given(situations(), gas_limits)
def test_only_what_stands_beyond_the_queue_is_vacated(now, limits) -> None:
    for action in plan(now, limits):
        if isinstance(action, Vacate):
            assert action.nonce >= max(now.mined, now.first + len(now.queue))
            assert now.under_way[action.nonce].ours


@given(situations(), gas_limits)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do_in_the_same_block(now, limits) -> None:
    under_way, told = dict(now.under_way), False
    for action in plan(now, limits):
        match action:
            case Send(nonce, challenge, gas, offered):
                # Either of two with one nonce may be included, so the dearer one counts.
                before = under_way[nonce].cost if nonce in under_way else 0
                under_way[nonce] = Waiting(challenge, offered, now.block, max(before, gas * offered.highest), True)
            case Vacate(nonce, offered):
                under_way[nonce] = replace(under_way[nonce], challenge=None, fees=offered, block=now.block)
            case Leave(nonce):
                under_way[nonce] = replace(under_way[nonce], block=now.block)
            case TooExpensive():
                told = True
    again = plan(replace(now, under_way=under_way), limits, told=told)
    assert [action for action in again if not isinstance(action, Leave | Vacate)] == []
