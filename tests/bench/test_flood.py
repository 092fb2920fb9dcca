"""What a flood costs: the figures that the documents name."""

from __future__ import annotations

from itertools import accumulate

import pytest

from bench.flood import ANSWERS_A_DAY, BASES, CHEAPEST, ETHER, SLOW_GUARD, loss, queue, run
from llamafund_chain.campaign.client import price_of_challenge
from llamafund_chain.campaign.terms import MIN_BOND


def test_a_flood_that_fails_an_honest_campaign_costs_more_than_ten_million_ether() -> None:
    for base in BASES.values():
        for count in ANSWERS_A_DAY.values():
            assert loss(base, count) > 10**7 * ETHER


def test_at_one_price_it_cost_next_to_nothing() -> None:
    rows = [row for row in run() if row.name.startswith("fail") and row.reference]
    flat = [row.reference.value for row in rows if row.reference]
    assert flat == pytest.approx([0.1404, 1.404, 140.4, 2_808, 0.0216, 0.216, 21.6, 432])


@pytest.mark.parametrize(("budget", "longest"), [(1, 5_134), (10, 6_834), (100, 8_532), (1_000, 10_235)])
def test_the_longest_queue_that_money_buys(budget: int, longest: int) -> None:
    assert queue(CHEAPEST, budget * ETHER) == longest
    assert loss(CHEAPEST, longest) <= budget * ETHER < loss(CHEAPEST, longest + 1)


def test_a_guard_that_takes_twenty_seconds_is_not_protected_by_the_least_bond() -> None:
    assert 0.26 < loss(MIN_BOND, SLOW_GUARD) / ETHER < 0.27


def test_crowding_out_locks_at_least_512_times_what_it_raises_the_price_by() -> None:
    spent = list(accumulate((price_of_challenge(CHEAPEST, ahead) for ahead in range(9_000)), initial=0))
    for ahead, held in enumerate(spent):
        # Each price is rounded down, by less than a wei.
        assert (price_of_challenge(CHEAPEST, ahead) - CHEAPEST) * 512 <= held + 512 * ahead
