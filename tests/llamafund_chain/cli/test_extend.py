"""`llamafund campaign extend`."""

from __future__ import annotations

import pytest

from llamafund_chain.campaign.terms import DAY
from llamafund_chain.times import when

HOUR = 3_600


def extend(llamafund, stage, length: str, *more: object, wallet: str = "researcher"):
    return llamafund(
        "campaign",
        "extend",
        stage.client.address,
        length,
        *more,
        "--rpc",
        stage.devnet.rpc_url,
        "--json",
        wallet=wallet,
    )


def test_the_next_and_all_later_deadlines_are_pushed_back(llamafund, stage) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.release()
    terms, before = stage.client.terms, stage.client.state()
    made = extend(llamafund, stage, "1d12h", "--yes").json
    after = stage.client.state()
    assert (made["by_seconds"], made["slack_used"], made["slack_left"]) == (36 * HOUR, 36 * HOUR, 84 * HOUR)
    moved = [(one["milestone"], one["new"] - one["old"]) for one in made["deadlines"]]
    assert moved == [(1, 36 * HOUR), (2, 36 * HOUR)]
    assert made["deadlines"][0]["old"] == before.deadline(terms, 1)
    assert made["deadlines"][0]["new"] == after.deadline(terms, 1)
    assert extend(llamafund, stage, "84h", "--yes").json["slack_left"] == 0
    assert stage.client.state().slack_used == 5 * DAY


def test_old_and_new_deadlines_and_the_slack_left_are_shown_beforehand_and_afterwards(
    llamafund, stage, answering
) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    due = stage.client.terms.milestones[0].deadline
    asked = answering("y", "campaign", "extend", stage.client.address, "2d", wallet="researcher")
    assert f"Milestone 0: {when(due)} becomes {when(due + 2 * DAY)}." in asked.stderr
    assert "3 days of 5 days of slack are left" in asked.stderr
    assert f"milestone 0 is due before {when(due + 2 * DAY)}, not {when(due)}" in asked.stdout
    assert "3 days of 5 days of slack are left" in asked.stdout
    shown = llamafund("campaign", "show", stage.client.address, "--rpc", stage.devnet.rpc_url).stdout
    assert "2 days used, 3 days left" in shown


@pytest.mark.parametrize("length", ["5d1s", "6d", "1w", "999999999w"])
def test_more_than_the_slack_is_refused(llamafund, stage, untouched, length: str) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    with untouched():
        extend(llamafund, stage, length, "--yes").refused(5, "The deadlines would", "The terms allow 5 days")


@pytest.mark.parametrize("length", ["-1d", "0d", "0s", "3", "1.5d", "tomorrow", "", "-1"])
def test_what_is_no_length_of_time_above_zero_is_a_usage_error(llamafund, stage, untouched, length: str) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    with untouched():
        ran = extend(llamafund, stage, length, "--yes")
    ran.refused(2, "above zero" if length in ("-1d", "0d", "0s") else "is not a length of time")


def test_only_the_researcher_of_an_active_campaign_extends(llamafund, stage, untouched) -> None:
    stage.open(slack=5 * DAY)
    with untouched():
        extend(llamafund, stage, "1d").refused(5, "Funding")
    stage.fund()
    with untouched():
        extend(llamafund, stage, "1d", wallet="backer0").refused(5, "not the campaign's researcher")


def test_terms_without_slack_allow_nothing(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        extend(llamafund, stage, "1s").refused(5, "Campaign_SlackExceeded")
