"""What a flood of challenges costs whoever makes it, from the contract's formula: the tables of docs/security.md.

A challenge fails the campaign when it waits for the whole answer window. So the queue ahead of it must be longer than
what a guard answers in that time, and whoever filled it loses every bond in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.harness import Reference, Row
from llamafund_chain.campaign.client import price_of_challenge
from llamafund_chain.campaign.terms import MIN_BOND

ETHER = 10**18
DAY = 86_400
ANSWERS_A_DAY = {"1.3 answers/s": 112_320, "0.2 answers/s": 17_280}
SLOW_GUARD = 4_320
"""Answers in a day of a guard that takes 20 seconds for each."""

CHEAPEST = 1_250 * 10**9
"""Wei: 1 250 000 gas at a base fee of 0.001 gwei."""

BASES = {
    "0.001 gwei": CHEAPEST,
    "0.01 gwei": 10 * CHEAPEST,
    "1 gwei": 1_000 * CHEAPEST,
    "20 gwei": 20_000 * CHEAPEST,
}
"""Base fee of the chain → least bond while none is open, wei."""

BUDGETS = (1, 10, 100, 1_000)


def run() -> Iterator[Row]:
    """Compute each figure; those of a price that does not rise stand beside it."""
    for guard, count in ANSWERS_A_DAY.items():
        for fee, base in BASES.items():
            flat = Reference("at one price", count * base / ETHER)
            yield Row(f"fail {guard} for a day, {fee}", loss(base, count) / ETHER, "ETH", flat)
    yield Row("fail 20 s/answer for a day, least bond", loss(MIN_BOND, SLOW_GUARD) / ETHER, "ETH")
    for budget in BUDGETS:
        count = queue(CHEAPEST, budget * ETHER)
        yield Row(f"longest queue for {budget} ETH, 0.001 gwei", count, "challenges")
        yield Row(f"time to answer it at 1.3/s, {budget} ETH", count / 1.3 / 3_600, "h")
    for count in (64, 512, 2_048, 8_192):
        held = loss(CHEAPEST, count)
        raised = price_of_challenge(CHEAPEST, count) - CHEAPEST
        yield Row(f"locked for a rise of 1, {count} open", held / raised, "times")


def loss(base: int, count: int) -> int:
    """Wei in the bonds of so many challenges, made while none is answered.

    Args:
        base: Least bond while none is open, wei.
        count: Number of challenges.
    """
    return sum(price_of_challenge(base, ahead) for ahead in range(count))


def queue(base: int, budget: int) -> int:
    """The most challenges that a budget pays for while none is answered.

    Args:
        base: Least bond while none is open, wei.
        budget: Wei.
    """
    count, spent = 0, 0
    while (price := price_of_challenge(base, count)) <= budget - spent:
        spent += price
        count += 1
    return count
