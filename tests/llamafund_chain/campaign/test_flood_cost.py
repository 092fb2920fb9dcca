"""What a flood of challenges costs, against the price that the contract asks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.campaign.client import price_of_challenge
from llamafund_chain.campaign.flood import bonds_of

ETHER = 10**18
GWEI = 10**9
DAY = 86_400


@given(st.integers(10**12, 10**18), st.integers(0, 2_000))
def test_the_bonds_of_a_flood_are_the_sum_of_the_prices(base: int, challenges: int) -> None:
    exact = sum(price_of_challenge(base, number) for number in range(challenges))
    # Each price is rounded down.
    assert exact <= bonds_of(base, challenges) <= exact + challenges


@pytest.mark.parametrize(
    ("base", "rate", "least"),
    [
        (1_250 * GWEI, Fraction(1, 5), 10**7 * ETHER),
        (25 * ETHER // 1_000, Fraction(1, 5), 10**11 * ETHER),
        (1_250 * GWEI, Fraction(13, 10), 10**50 * ETHER),
    ],
)
def test_to_outrun_a_guard_for_a_day_costs_more_than_anybody_has(base: int, rate: Fraction, least: int) -> None:
    assert bonds_of(base, int(rate * DAY)) > least


@pytest.mark.parametrize(("ether", "queue"), [(1, 5_134), (10, 6_834), (100, 8_532), (1_000, 10_235)])
def test_the_longest_queue_for_so_much_money_drains_in_hours(ether: int, queue: int) -> None:
    """At a base fee of 0.001 gwei, the least bond that was measured on a rollup."""
    base = 1_250 * GWEI
    assert bonds_of(base, queue - 2) <= ether * ETHER < bonds_of(base, queue + 2)
    assert queue / Fraction(1, 5) < 15 * 3_600
