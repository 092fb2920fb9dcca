"""Any calls in any order: the escrow stays solvent, and every unit is accounted for."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from world import COMPLETED, DAY, ETHER, FAILED, ZERO, Campaign, RevertedError, World

STEPS = 40


class _Books:
    """What should be true, kept beside the contract from the events that it emits."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.pledges: Counter[str] = Counter()
        self.claimed: Counter[int] = Counter()
        self.refunded: Counter[str] = Counter()

    def enter(self, receipt: object) -> None:
        for event in self.campaign.events("Pledged", receipt):
            self.pledges[event["backer"]] += event["amount"]
        for event in self.campaign.events("Unpledged", receipt):
            self.pledges[event["backer"]] -= event["amount"]
        for event in self.campaign.events("Claimed", receipt):
            self.claimed[event["payee"]] += event["amount"]
        for event in self.campaign.events("Refunded", receipt):
            self.refunded[event["backer"]] += event["amount"]

    def compare(self) -> None:
        """Compare the totals with the contract, as after every call."""
        campaign = self.campaign
        total, paid, refunded = self._totals()
        assert campaign.ledger["pledged"] == total
        assert campaign.held == total - paid - refunded
        assert paid <= campaign.read("released") <= total

    def audit(self) -> None:
        """Compare every account with the contract."""
        campaign = self.campaign
        total, paid, refunded = self._totals()
        released, status = campaign.read("released"), campaign.status
        assert sum(campaign.read("claimable", payee) for payee in range(3)) == released - paid
        assert refunded == 0 or status == FAILED
        if status == FAILED and total:
            waiting = sum(campaign.read("refundable", backer) for backer in self.pledges)
            pool = total - released
            assert 0 <= pool - refunded - waiting <= len(self.pledges)
            for backer, amount in self.refunded.items():
                assert amount == self.pledges[backer] * pool // total
        if status == COMPLETED:
            assert released == total

    def _totals(self) -> tuple[int, int, int]:
        return sum(self.pledges.values()), sum(self.claimed.values()), sum(self.refunded.values())


def _step(rng: random.Random, world: World, campaign: Campaign) -> object:
    backers = [world.backer0, world.backer1, world.backer2]
    backer = rng.choice(backers)
    amount = rng.choice([1, 3, rng.randint(1, 10**6), rng.randint(1, 5 * ETHER), 4 * ETHER])
    moment = world.now() + rng.choice([1, 1, 1, DAY, 3 * DAY, 8 * DAY])
    match rng.choice(["pledge"] * 3 + ["unpledge", "activate", "attest", "attest", "claim", "claim"]
                     + ["vote", "refund", "refund to", "extend"]):  # fmt: skip
        case "pledge":
            return campaign.pledge(backer, amount, at=moment)
        case "unpledge":
            return campaign.unpledge(backer, amount, rng.choice([backer, world.elsewhere]), at=moment)
        case "activate":
            return campaign.activate(by=rng.choice([world.researcher, world.stranger]), at=moment)
        case "attest":
            return campaign.submit(campaign.attestation(), rng.choice([0b011, 0b101, 0b110, 0b111]), at=moment)
        case "claim":
            return campaign.claim(rng.randrange(3), at=moment)
        case "vote":
            return campaign.vote(backer, rng.random() < 0.7, at=moment)
        case "refund":
            return campaign.refund(backer, by=world.stranger, at=moment)
        case "refund to":
            return campaign.refund_to(backer, world.elsewhere, at=moment)
        case _:
            return campaign.extend(rng.randint(1, 5 * DAY), at=moment)


@pytest.mark.parametrize("seed", range(6))
def test_promises_1_and_2_hold_after_every_call_in_any_order(world: World, seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    payees = [(world.compute, 3_333), (world.verifier, 3_334), (world.compute, 3_333)]
    campaign = world.open(payees=payees, goal=8 * ETHER + 7, stopBps=6_000)
    assert campaign.terms["asset"] == ZERO
    books = _Books(campaign)
    reached = set()
    if seed % 2:
        for backer in (world.backer0, world.backer1):
            books.enter(campaign.pledge(backer, 5 * ETHER + rng.randint(1, 999)))
        campaign.activate()
    for _ in range(STEPS):
        try:
            books.enter(_step(rng, world, campaign))
        except RevertedError as refusal:
            # Only refusals that the contract means: no panic, no failed transfer, nothing without a name.
            if not refusal.name.startswith("Campaign_"):
                raise
        books.compare()
        if campaign.status not in reached:
            reached.add(campaign.status)
            books.audit()
    books.audit()
    assert len(reached) > 1
