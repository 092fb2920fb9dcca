"""`llamafund watch`: a guard that nothing silences, on a real chain with real content."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.errors import NodeUnreachableError

ETHER = 10**18
DAY = 86_400
YEAR = 365 * DAY


@pytest.fixture(autouse=True)
def _money_and_time(devnet) -> None:
    """The guard can pay for its answers, and the chain, which is put back after each test, shows today's time."""
    from eth_account import Account

    behind = int(time.time()) - devnet.connection.block().timestamp
    if behind > 0:
        devnet.advance(behind)
    devnet.fund(Account.from_key((31).to_bytes(32, "big")).address, ETHER)


def watch(llamafund, stage, *more: object, wallet: str | None = "stranger", once: bool = True):
    how = ("--once",) if once else ("--interval", "0.05")
    places = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    return llamafund("watch", stage.client.address, *how, *places, "--json", *more, wallet=wallet)


def challenge(stage, *chunks: int) -> None:
    attestation = stage.client.latest_attestation()
    for chunk in chunks or (0,):
        stage.client.challenge(stage.backers[0], attestation, chunk, ETHER // 10)


def events(ran) -> list[dict]:
    """What happened. If the watch failed, the error comes last, and only then."""
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    if ran.code:
        assert told.pop()["error"]["exit_code"] == ran.code
    return told


def kinds(ran) -> list[str]:
    return [event["event"] for event in events(ran)]


@pytest.fixture
def between_looks(monkeypatch, stage) -> Callable[..., None]:
    """Plays parts between the guard's looks instead of waiting; after the last one the campaign is overdue."""

    def play(*parts: Callable[[], object]) -> None:
        left = [*parts, lambda: stage.devnet.advance(YEAR)]

        def pause(_: object) -> float:
            left.pop(0)()
            return 0.0

        monkeypatch.setattr("llamafund_chain.cli.watch._Watch._pause", pause)

    return play


def test_a_guard_answers_and_says_so(llamafund, attested) -> None:
    assert kinds(watch(llamafund, attested)) == ["watching"]
    challenge(attested)
    assert kinds(watch(llamafund, attested)) == ["watching", "open", "answered"]
    assert attested.client.open_challenges() == ()


def test_a_guard_without_a_wallet_or_content_warns(llamafund, attested, untouched) -> None:
    challenge(attested)
    with untouched():
        ran = watch(llamafund, attested, wallet=None)
        assert (ran.code, kinds(ran)) == (1, ["watching", "open"])
        assert "not answered" in ran.stderr
        attested.run.remove_from_store(attested.run.dataset.files[0].cid)
        ran = watch(llamafund, attested)
        assert (ran.code, kinds(ran)[-1]) == (1, "warning")


def test_a_guard_ends_with_the_campaign(llamafund, attested) -> None:
    challenge(attested)
    attested.devnet.advance(DAY)
    ran = llamafund(
        "watch", attested.client.address, "--rpc", attested.devnet.rpc_url, "--store", attested.run.store.location
    )
    ran.refused(1, "has failed")
    assert "has failed" in ran.stdout


def test_ctrl_c_ends_a_guard_cleanly(attested) -> None:
    arguments = ["watch", attested.client.address, "--rpc", attested.devnet.rpc_url, "--interval", "0.05"]
    with subprocess.Popen(
        [sys.executable, "-m", "llamafund_chain", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert b"Watching" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said


TRANSIENT = {
    "header not found": ("eth_call", lambda method: RpcError(method, -32000, "header not found", None)),
    "rate limited": ("eth_call", lambda method: RpcError(method, -32005, "request rate limited", None)),
    "internal error": ("eth_getBlockByNumber", lambda method: RpcError(method, -32603, "internal error", None)),
    "no node": ("eth_call", lambda method: NodeUnreachableError("There is no node")),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_one_error_of_the_node_does_not_end_the_watch(llamafund, attested, node, between_looks, name: str) -> None:
    failing, make = TRANSIENT[name]
    armed: list[bool] = []

    def fail_once(method: str, params: tuple[object, ...], forward):
        if armed and method == failing:
            armed.clear()
            raise make(method)
        return forward()

    node(fail_once)
    between_looks(lambda: armed.append(True), lambda: challenge(attested))
    ran = watch(llamafund, attested, once=False)
    assert kinds(ran) == ["watching", "warning", "open", "answered", "ended"]
    assert ran.code == 1


def test_an_index_that_lags_behind_does_not_end_the_watch(llamafund, attested, node, between_looks) -> None:
    gaps: list[bool] = []

    def lag(method: str, params: tuple[dict[str, str], ...], forward):
        if method == "eth_getLogs" and params[0]["address"] == attested.client.address.lower() and not gaps:
            gaps.append(True)
            return []
        return forward()

    node(lag)
    between_looks(lambda: challenge(attested))
    ran = watch(llamafund, attested, once=False)
    assert kinds(ran) == ["watching", "warning", "open", "answered", "ended"]


def test_looks_that_go_wrong_come_ever_more_slowly(stage) -> None:
    from llamafund_chain.cli.watch import _Watch

    pauses = [_Watch(stage, None, None, 60.0, 3_600.0, troubles=count)._pause() for count in (0, 1, 2, 3, 4, 1_000)]
    assert pauses == [60, 120, 240, 480, 600, 600]


def test_errors_in_a_flood_do_not_slow_a_guard_down_as_long_as_it_answers(stage) -> None:
    """Each step ends with an error, as may happen hour after hour; it has answered something before."""
    from llamafund_chain.campaign.guard import Answer
    from llamafund_chain.campaign.state import OpenChallenge
    from llamafund_chain.chain.transactions import Receipt
    from llamafund_chain.cli.watch import _Watch

    answer = Answer(OpenChallenge(0, 0, "0x" + "11" * 20, ETHER), Receipt("ab" * 32, 1, 1, 1, 0, ()))

    class Flooded:
        def settle(self):
            yield answer
            raise NodeUnreachableError("gone")

    watch_ = _Watch(stage.open(), Flooded(), lambda *_: None, 60.0, 3_600.0)
    pauses = []
    for _ in range(5):
        assert not watch_._look(once=False)
        pauses.append(watch_._pause())
    assert pauses == [120.0] * 5


def test_a_node_that_refuses_to_send_is_asked_again(llamafund, attested, node) -> None:
    challenge(attested)
    refused: list[str] = []

    def busy(method: str, params: tuple[object, ...], forward):
        if method == "eth_sendRawTransaction" and not refused:
            refused.append(method)
            raise RpcError(method, -32000, "txpool is full", None)
        return forward()

    node(busy)
    ran = watch(llamafund, attested)
    ran.refused(1, "txpool is full")
    assert kinds(watch(llamafund, attested)) == ["watching", "open", "answered"]


def test_a_node_that_stands_still_is_told_of(llamafund, attested, node, untouched) -> None:
    def stale(method: str, params: tuple[object, ...], forward):
        answer = forward()
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return {**answer, "timestamp": hex(int(time.time()) - 3_600)}
        return answer

    with untouched():
        node(stale)
        ran = watch(llamafund, attested)
    ran.refused(1, "is stuck", "1 hour")
    assert kinds(ran) == ["watching", "warning"]


def test_a_node_that_shows_the_same_block_for_long_is_told_of(
    llamafund, attested, between_looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic
    late: list[float] = []
    monkeypatch.setattr("llamafund_chain.cli.watch.time.monotonic", lambda: clock() + sum(late))
    between_looks(lambda: late.append(601))
    ran = watch(llamafund, attested, once=False)
    assert kinds(ran) == ["watching", "warning", "ended"]
    assert "is stuck" in events(ran)[1]["problem"]


def test_a_guard_says_from_time_to_time_that_it_is_there(llamafund, attested, between_looks) -> None:
    between_looks(lambda: None, lambda: None)
    ran = watch(llamafund, attested, "--heartbeat", "0", once=False)
    assert kinds(ran) == ["watching", "heartbeat", "heartbeat", "heartbeat", "ended"]
    beat = events(ran)[1]
    assert (beat["open"], beat["block"] > 0, beat["block_time"] > 0) == (0, True, True)
    assert kinds(watch(llamafund, attested)) == ["watching", "ended"]


def test_a_challenge_of_a_reorganisation_is_seen_after_the_campaign_seemed_complete(
    llamafund, stage, between_looks
) -> None:
    stage.honest_until(2)
    stage.attest(2, stage.run.export())
    connection = stage.devnet.connection
    end = stage.client.state().window_end(stage.client.terms)
    before = stage.devnet.snapshot()

    def complete() -> None:
        connection.request("evm_setNextBlockTimestamp", hex(end))
        connection.request("evm_mine")

    def reorganise() -> None:
        stage.devnet.revert(before)
        connection.request("evm_setNextBlockTimestamp", hex(end - 2))
        challenge(stage)

    def settle() -> None:
        complete()
        stage.devnet.finalize()

    between_looks(complete, reorganise, settle)
    ran = watch(llamafund, stage, once=False)
    assert kinds(ran) == ["watching", "ending", "open", "answered", "ended"]
    assert ran.code == 0


def test_one_look_does_not_take_what_is_not_final_for_the_end(llamafund, stage) -> None:
    stage.honest_until(2)
    stage.attest(2, stage.run.export())
    end = stage.client.state().window_end(stage.client.terms)
    stage.devnet.connection.request("evm_setNextBlockTimestamp", hex(end))
    stage.devnet.connection.request("evm_mine")
    ran = watch(llamafund, stage)
    assert (ran.code, kinds(ran)) == (0, ["watching", "ending"])
    stage.devnet.finalize()
    ran = watch(llamafund, stage)
    assert (ran.code, kinds(ran)) == (0, ["watching", "ended"])


def test_a_failed_campaign_is_an_error_for_whoever_runs_the_guard(llamafund, attested) -> None:
    challenge(attested)
    attested.devnet.advance(DAY)
    watch(llamafund, attested).refused(1, "has failed")


def test_a_loss_is_allowed_in_whole_coins(llamafund, attested, node) -> None:
    challenge(attested)

    def dear(method: str, params: tuple[object, ...], forward):
        answer = forward()
        return {**answer, "baseFeePerGas": hex(10**12)} if method == "eth_getBlockByNumber" else answer

    node(dear)
    ran = watch(llamafund, attested)
    ran.refused(1, "stay open")
    assert "--max-loss" in events(ran)[-1]["problem"]
    watch(llamafund, attested, "--max-loss", "a lot").refused(2)
    assert kinds(watch(llamafund, attested, "--max-loss", "2")) == ["watching", "open", "answered"]
