"""`llamafund campaign show`: why a campaign failed, what was refunded, what still matters, and `--watch`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from faulty_node import Drop, FaultyNode

ETHER = 10**18
DAY = 86_400

module = importlib.import_module("llamafund_chain.cli.campaign.show")


@pytest.fixture
def show(llamafund, stage):
    def run(*more: object, rpc: str | None = None):
        where = ("--rpc", rpc or stage.devnet.rpc_url, "--store", stage.run.store.location)
        return llamafund("campaign", "show", stage.client.address, *where, *more)

    return run


def miss_the_goal(stage) -> None:
    stage.client.pledge(stage.backers[0], ETHER)
    stage.devnet.advance(11 * DAY)


def never_start(stage) -> None:
    stage.client.pledge(stage.backers[0], 10 * ETHER)
    stage.devnet.advance(21 * DAY)


def miss_a_milestone(stage) -> None:
    stage.fund()
    stage.devnet.advance(21 * DAY)


def leave_a_challenge(stage) -> None:
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, ETHER // 10)
    stage.devnet.advance(30 * DAY)


def stop(stage) -> None:
    stage.fund()
    stage.devnet.advance(DAY)
    stage.client.vote_stop(stage.backers[0])


@pytest.mark.parametrize(
    ("play", "cause", "words"),
    [
        (miss_the_goal, "goal", "Failed: the goal was not met before "),
        (never_start, "start", "Failed: nobody activated it before "),
        (miss_a_milestone, "milestone", "Failed: milestone 0 was not attested before "),
        (leave_a_challenge, "answer", "Failed: a challenge was not answered before "),
        (stop, "stop", "Failed, stopped by its backers"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_the_cause_of_a_failure_is_told(stage, show, play: Callable[..., None], cause: str, words: str) -> None:
    stage.open()
    play(stage)
    failure = show("--json").json["failure"]
    assert failure["cause"] == cause
    assert (failure["at"] is None) == (cause == "stop")
    assert words in show().stdout


def test_a_campaign_that_has_not_failed_has_no_cause(stage, show) -> None:
    stage.open()
    assert show("--json").json["failure"] is None


def test_what_was_refunded_is_told(stage, show) -> None:
    client = stage.open()
    for backer, amount in zip(stage.backers, (3, 1), strict=False):
        client.pledge(backer, amount * ETHER)
    stage.devnet.advance(11 * DAY)
    shown = show("--json").json
    assert (shown["refunded"], shown["refunds"]) == ("0", 0)
    assert "\nrefunded" not in show().stdout
    client.refund(stage.judge, stage.backers[0].address)
    shown = show("--json").json
    assert (shown["refunded"], shown["refunds"]) == ("3", 1)
    assert "3 ETH of 4 ETH, to 1 backer" in show().stdout


def test_notes_go_away_when_they_no_longer_apply(stage, show) -> None:
    client = stage.open(dataset="00" * 32)
    funding = show().stdout
    for words in ("do not fix the dataset", "can block a stop vote", "leaves room for whoever adds"):
        assert f"{words}" in funding
    stage.fund()
    active = show().stdout
    assert "can block a stop vote" in active
    assert "leaves room for whoever adds" not in active
    stage.attest(0, stage.run.dataset)
    assert "do not fix the dataset" not in show().stdout
    stage.devnet.advance(60 * DAY)
    stage.devnet.finalize()
    assert "Note: " not in show().stdout
    assert show("--json").json["warnings"] == []
    assert client.status().label == "Failed"


def test_bars_and_how_far_off_a_deadline_is_are_plain_text(stage, show) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 5 * ETHER)
    text = show().stdout
    assert "5 ETH (50 % of the goal) [##########----------]" in text
    assert "0 of 3 attested [--------------------]" in text
    assert "funding until" in text
    assert "in 9 days 23 hours)" in text or "in 10 days)" in text
    assert "\x1b" not in text
    stage.client.pledge(stage.backers[1], 5 * ETHER)
    stage.client.activate(stage.researcher)
    assert "[--------------------]" in next(line for line in show().stdout.splitlines() if line.startswith("released"))


# -------------------------------------------------------------------- watch


@pytest.fixture
def between_looks(monkeypatch):
    """Plays parts instead of the pauses; after the last one comes Ctrl-C."""

    def play(*parts: Callable[[], object]) -> list[float]:
        left, pauses = list(parts), []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(module, "sleep", sleep)
        return pauses

    return play


def test_watch_shows_it_again_only_when_it_has_changed(stage, show, between_looks) -> None:
    stage.open()

    def pledge() -> None:
        stage.client.pledge(stage.backers[0], ETHER)

    pauses = between_looks(lambda: None, lambda: stage.devnet.advance(1), pledge, stage.devnet.finalize, lambda: None)
    ran = show("--watch", "--interval", "7")
    assert ran.code == 130
    assert pauses == [7] * 6
    statuses = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("pledged ")]
    assert statuses == ["0", "1", "1"]
    # The second one was not final, the third one is.
    assert ran.stdout.count("part of it is not final yet") == 1
    assert "\x1b" not in ran.stdout


def test_a_look_at_what_has_not_changed_takes_two_requests(stage, show, between_looks) -> None:
    stage.open()
    with FaultyNode(stage.devnet.rpc_url) as node:
        counts: list[int] = []
        between_looks(*[lambda: counts.append(node.count)] * 4)
        show("--watch", rpc=node.url)
    assert [after - before for before, after in pairwise(counts)] == [2, 2, 2]


def test_a_node_that_fails_meanwhile_is_told_of_once_and_asked_again(stage, show, between_looks) -> None:
    stage.open()
    with FaultyNode(stage.devnet.rpc_url) as node:

        def dead(at: int, request: dict, forward: object) -> dict:
            raise Drop

        def die() -> None:
            node.fault = dead

        def live() -> None:
            node.fault = None
            stage.client.pledge(stage.backers[0], ETHER)

        between_looks(die, lambda: None, live)
        ran = show("--watch", rpc=node.url)
    assert ran.stderr.count("Note: ") == 1
    assert ran.stdout.count("\npledged ") == 2


def test_watch_is_not_for_machines(stage, show) -> None:
    stage.open()
    show("--watch", "--json").refused(2, "--watch and --json")
