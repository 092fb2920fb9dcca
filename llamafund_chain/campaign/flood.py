"""What a flood of challenges costs, and whom."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from llamafund_chain.campaign.answer_cost import AnswerCost
from llamafund_chain.campaign.client import ANSWER_GAS, DOUBLING
from llamafund_chain.campaign.terms import DAY, Terms

SLOW = Fraction(1, 5)
"""Answers a second of a slow guard: it takes 5 seconds for one."""

FAST = Fraction(13, 10)
"""Answers a second of a guard with one account on a chain with a block every 12 seconds."""


def bonds_of(base: int, challenges: int) -> int:
    """What so many challenges cost that are open together, in wei.

    Args:
        base: The bond of the first, wei.
        challenges: Their number.
    """
    doublings, rest = divmod(challenges, DOUBLING)
    return base * (((1 << doublings) - 1) * _ramp(DOUBLING) + (_ramp(rest) << doublings)) // DOUBLING


@dataclass(frozen=True)
class Flood:
    """What challenges cost that come faster than answers, or one after the other. All amounts in wei.

    Attributes:
        bond: The least bond while no challenge is open, at today's base fee.
        cost: What an answer costs today.
        slow: Bonds that are lost to a guard as slow as `SLOW` before a challenge stays unanswered.
        fast: The same for one as fast as `FAST`.
    """

    bond: int
    cost: int
    slow: int
    fast: int

    @classmethod
    def of(cls, terms: Terms, cost: AnswerCost) -> Flood:
        """A flood against a campaign with these terms."""
        bond = max(terms.min_bond, ANSWER_GAS * cost.base_fee)
        slow, fast = (bonds_of(bond, int(rate * terms.answer_window)) for rate in (SLOW, FAST))
        return cls(bond, cost.wei, slow, fast)

    @property
    def earned(self) -> int:
        """What whoever answers a challenge at the least bond earns; below 0 it is a loss."""
        return self.bond - self.cost


def a_day(amount: int) -> int:
    """So many times what a slow guard earns or loses with each answer, in a day.

    Args:
        amount: For one answer.
    """
    return int(amount * SLOW * DAY)


def _ramp(challenges: int) -> int:
    """The prices of the first challenges, in 512ths of the base, while they do not fill a doubling."""
    return DOUBLING * challenges + challenges * (challenges - 1) // 2
