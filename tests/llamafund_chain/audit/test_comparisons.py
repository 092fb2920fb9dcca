"""What a stop costs those who block it and those who force it, to the unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_campaign import terms

from llamafund_chain.audit.comparisons import cost_of_blocking, cost_of_forcing
from llamafund_chain.campaign.terms import BPS
from llamafund_chain.checks.check import Finding


def blocking(pledged: int, researcher: int, stop_bps: int = 5_000) -> Finding:
    agreed = terms(stop_bps=stop_bps)
    return cost_of_blocking(agreed, decimals=0, symbol="C", pledged=pledged, researcher_pledge=researcher)


def forcing(pledged: int, *, open_: bool = True, **changes: int) -> Finding:
    agreed = terms(**{"goal": 100, "cap": 300, **changes})
    return cost_of_forcing(agreed, decimals=0, symbol="C", pledged=pledged, open_for_pledges=open_)


def test_the_researcher_blocks_a_stop_from_the_very_unit_on_that_the_others_lack() -> None:
    # 50 of 100 stop it, so 51 block it.
    assert [blocking(100, own).status for own in (0, 50, 51, 52)] == ["pass", "pass", "warn", "warn"]
    assert blocking(100, 51).data == {"blocking": "51", "researcher": "51"}
    # Of 3 units, half is rounded up to 2 that must support it: 2 block.
    assert [blocking(3, own).status for own in (1, 2)] == ["pass", "warn"]


@given(st.integers(1, 10**6), st.integers(3_300, 8_000))
def test_whoever_has_the_blocking_stake_leaves_too_little_to_the_others_and_one_unit_less_does_not(
    pledged: int, stop_bps: int
) -> None:
    agreed = terms(stop_bps=stop_bps)
    blocked = pledged - agreed.blocking_stake(pledged)
    assert blocked * BPS < pledged * stop_bps <= (blocked + 1) * BPS


@given(st.integers(1, 10**6), st.integers(3_300, 8_000))
def test_whoever_adds_the_forcing_stake_stops_it_alone_and_one_unit_less_does_not(pledged: int, stop_bps: int) -> None:
    more = terms(stop_bps=stop_bps).forcing_stake(pledged)
    assert more * BPS >= (pledged + more) * stop_bps
    assert (more - 1) * BPS < (pledged + more - 1) * stop_bps


@pytest.mark.parametrize("find", [lambda: blocking(0, 0), lambda: forcing(0)])
def test_where_nothing_is_pledged_there_is_nothing_to_stop(find) -> None:
    assert find().status == "pass"
    assert "Nothing is pledged" in find().detail
    assert "Nothing is pledged" not in blocking(1, 0).detail
    assert "Nothing is pledged" not in forcing(1).detail


def test_a_stop_can_be_bought_while_the_cap_leaves_exactly_the_room_and_not_one_unit_less() -> None:
    # To 100 with 50 %, 100 more are needed.
    assert [forcing(100, cap=cap).status for cap in (199, 200, 201)] == ["pass", "warn", "warn"]
    assert forcing(100, cap=200).data == {"forcing": "100", "room": "100"}
    assert "the cap leaves less room" in forcing(100, cap=199).detail


def test_below_the_goal_the_money_must_fill_the_pool_first() -> None:
    assert forcing(10, goal=100).data["forcing"] == "90"
    assert forcing(60, goal=100).data["forcing"] == "60"


def test_after_the_funding_nobody_can_buy_a_stop() -> None:
    assert forcing(100, open_=False).status == "pass"
    assert "Funding is over" in forcing(100, open_=False).detail
    assert "Funding is over" not in forcing(100).detail


def test_amounts_are_written_in_whole_coins() -> None:
    found = cost_of_blocking(terms(), decimals=2, symbol="C", pledged=1_000, researcher_pledge=0)
    assert "must have pledged 5.01 C" in found.detail
