"""How much of a pledge each stage can cost, and when."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import BPS, DAY, NO_HASH, NO_MINIMUM, Milestone, MilestoneKind, Payee, Status, Terms
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.checks.stakes import stakes

NOW = 1_000 * DAY
KINDS = (MilestoneKind.DATASET, MilestoneKind.CHECKPOINT, MilestoneKind.WEIGHTS)


def terms(*shares: int) -> Terms:
    kinds = KINDS[-len(shares) :]
    steps = tuple(
        Milestone(kind, bps, NOW + (20 + 10 * place) * DAY, NO_MINIMUM)
        for place, (kind, bps) in enumerate(zip(kinds, shares, strict=True))
    )
    return Terms(
        researcher="0xA1",
        asset=NATIVE,
        goal=100,
        cap=200,
        funding_deadline=NOW + DAY,
        stop_bps=5_000,
        challenge_window=2 * DAY,
        answer_window=DAY,
        min_bond=1,
        slack=5 * DAY,
        proposal="11" * 32,
        dataset=NO_HASH,
        attestors=("0xC3",),
        quorum=1,
        payees=(Payee("0xA1", BPS),),
        milestones=steps,
        arbiter="0xE5",
        ruling_window=7 * DAY,
    )


def state(**changes: object) -> CampaignState:
    values: dict[str, object] = {
        "block": 1,
        "block_hash": "00" * 32,
        "timestamp": NOW,
        "status": Status.FUNDING,
        **dict.fromkeys(("pledged", "attested_at", "challenged_at", "slack_used", "attested", "released"), 0),
        **dict.fromkeys(("active", "stopped", "withheld", "contested"), False),
        **dict.fromkeys(("stop_support", "votes_from", "balance"), 0),
        **dict.fromkeys(("training_seed", "latest_content", "latest_evidence"), ""),
        "claimable": (0,),
        "claimed": (0,),
    }
    return CampaignState(**{**values, **changes})  # type: ignore[arg-type]


SHARES = st.lists(st.integers(1, 5_000), min_size=0, max_size=2).map(lambda some: (*some, BPS - sum(some)))


@given(SHARES.filter(lambda some: some[-1] > 0), st.integers(0, 10**30))
def test_the_parts_add_up_to_the_pledge_and_times_only_rise(shares: tuple[int, ...], amount: int) -> None:
    found = stakes(terms(*shares), state(), amount)
    assert sum(stake.amount for stake in found) == found[-1].total == amount
    for before, after in pairwise(found):
        assert before.total + after.amount == after.total
        assert before.earliest < after.earliest
        assert before.latest < after.latest


def test_the_earliest_is_a_window_for_each_and_the_latest_is_with_slack_windows_and_ruling() -> None:
    found = stakes(terms(1_000, 3_000, 6_000), state(), 100)
    assert [stake.earliest - NOW for stake in found] == [2 * DAY, 4 * DAY, 6 * DAY]
    assert [stake.latest - NOW for stake in found] == [28 * DAY, 38 * DAY, 55 * DAY]
    assert [stake.votes for stake in found] == [True] * 3


def test_no_vote_stops_weights_that_are_the_only_milestone_or_attested() -> None:
    assert [stake.votes for stake in stakes(terms(BPS), state(), 100)] == [False]
    attested = state(status=Status.ACTIVE, attested=3, attested_at=NOW)
    assert [stake.votes for stake in stakes(terms(1_000, 3_000, 6_000), attested, 100)] == [False] * 3


@pytest.mark.parametrize(
    ("changes", "released", "earliest"),
    [
        ({"attested": 1, "attested_at": NOW}, [False, False, False], 2 * DAY),
        ({"attested": 1, "attested_at": NOW - 2 * DAY + 1}, [False, False, False], 1),
        ({"attested": 1, "attested_at": NOW - 2 * DAY}, [True, False, False], 0),
        ({"attested": 1, "attested_at": NOW - 3 * DAY, "challenged_at": NOW}, [False, False, False], 0),
        ({"attested": 2, "attested_at": NOW}, [True, False, False], 0),
        ({"status": Status.COMPLETED, "attested": 3, "attested_at": NOW - 9 * DAY}, [True] * 3, 0),
    ],
)
def test_what_is_attested_is_released_when_its_window_is_over_and_no_challenge_is_open(
    changes: dict[str, object], released: list[bool], earliest: int
) -> None:
    found = stakes(terms(1_000, 3_000, 6_000), state(**{"status": Status.ACTIVE, **changes}), 100)
    assert [stake.released for stake in found] == released
    assert found[0].earliest - NOW == earliest


def test_slack_that_is_used_is_not_counted_twice() -> None:
    agreed = terms(1_000, 3_000, 6_000)
    fresh, used = (stakes(agreed, state(slack_used=days * DAY), 100) for days in (0, 3))
    assert [stake.latest for stake in fresh] == [stake.latest for stake in used]
    assert stakes(replace(agreed, slack=0), state(), 100)[0].latest == fresh[0].latest - 5 * DAY


def test_what_waits_for_its_window_is_decided_when_a_challenge_in_its_last_second_would_be() -> None:
    agreed = terms(1_000, 3_000, 6_000)
    waiting = stakes(agreed, state(status=Status.ACTIVE, attested=1, attested_at=NOW), 100)
    assert waiting[0].latest == NOW + 2 * DAY + DAY
    done = stakes(agreed, state(status=Status.ACTIVE, attested=1, attested_at=NOW - 2 * DAY), 100)
    assert done[0].latest == done[0].earliest == NOW


def test_a_vote_is_possible_until_the_last_milestone_is_attested() -> None:
    two = state(status=Status.ACTIVE, attested=2, attested_at=NOW)
    assert [stake.votes for stake in stakes(terms(1_000, 3_000, 6_000), two, 100)] == [False, True, True]
