"""Every command that sends, through nodes that misbehave: repeated until it succeeds, it has done what it does once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command_scenes as scenes
import pytest
from command_scenes import SCENES, Place, Scene
from faulty_node import Drop, Fault, FaultyNode, Whole, answers, behind, drop, once, said
from node_answers import RATE_LIMITS, Said

from llamafund_chain.chain import nodes, sending
from llamafund_chain.errors import ExitCode

EVERYTHING = "LLAMAFUND_ASSURE" in os.environ
WHOLE = (scenes.pledging, scenes.claiming, scenes.refunding) if not EVERYTHING else SCENES
"""Commands that are interrupted at each of their requests; the others only at some."""

_HASH = re.compile(r"0x[0-9a-f]{64}")
Forward = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "sleep", lambda _: None)
    monkeypatch.setattr(sending, "sleep", lambda _: None)
    monkeypatch.setattr(sending, "LATE_SECONDS", 0.2)


class Trial:
    """A command's scene, set up once, and undone after each run."""

    def __init__(self, stage: Any, llamafund: Any, place: Place, make: Callable[[Place], Scene], state: Path) -> None:
        self._stage, self._llamafund, self._state, self._count = stage, llamafund, state, 0
        self._scene = make(place)
        stage.devnet.finalize()
        self._connection = stage.devnet.connection
        self._before = self._connection.request("evm_snapshot")
        self.clean, self.requests = self._clean()

    def _clean(self) -> tuple[Any, int]:
        with FaultyNode(self._stage.devnet.rpc_url) as node:
            ran = self._run(node.url)
            assert ran.code == 0, ran.stderr
            return self._undo(), node.count

    def _run(self, url: str) -> Any:
        return self._llamafund(*self._scene.command, "--rpc", url, "--yes", "--json", wallet=self._scene.wallet)

    def outcome(self) -> Any:
        """What everybody has, but for fees, and how many transactions each has sent."""
        stage, connection = self._stage, self._connection
        people = (stage.researcher, stage.compute, stage.judge, *stage.backers)
        numbers = tuple(connection.nonce(person.address) for person in people)
        created = stage.devnet.deployment.factory
        escrow = connection.balance(stage.client.address) if hasattr(stage, "client") else 0
        return numbers, escrow, len(connection.request("eth_getLogs", {"address": created, "fromBlock": "0x0"}))

    def _undo(self) -> Any:
        found = self.outcome()
        self._connection.request("evm_revert", self._before)
        self._before = self._connection.request("evm_snapshot")
        for path in self._state.rglob("*.jsonl"):
            path.unlink()
        return found

    def through(self, fault: Fault) -> tuple[int, str]:
        """Run it through a faulty node, and again through a good one if that failed. It must have been done once."""
        number = sum(self.outcome()[0])
        with FaultyNode(self._stage.devnet.rpc_url, fault) as node:
            ran = self._run(node.url)
        assert ran.code != ExitCode.VERIFICATION_FAILED, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "bug in the program" not in ran.stderr, ran.stderr
        if sum(self.outcome()[0]) > number:
            assert _HASH.search(ran.stderr), ran.stderr
        told = ran.stderr
        if ran.code != 0:
            again = self._run(self._stage.devnet.rpc_url)
            told += again.stderr
            assert again.code != ExitCode.VERIFICATION_FAILED, told
            if again.code != 0:
                # What there is to do was done by the first run, which the command has said.
                assert _HASH.search(again.stderr), told
        assert self._undo() == self.clean, told
        return int(ran.code), ran.stderr


@pytest.fixture
def trial(stage, llamafund, campaign_file, tmp_path: Path, monkeypatch) -> Iterator[Callable[..., Trial]]:
    state = tmp_path / "state"
    monkeypatch.setenv("LLAMAFUND_STATE", str(state))

    def make(scene: Callable[[Place], Scene]) -> Trial:
        return Trial(stage, llamafund, Place(stage, tmp_path, campaign_file), scene, state)

    return make


def sends(do: Callable[[dict[str, Any], Forward], dict[str, Any]]) -> Fault:
    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        return do(request, forward) if request["method"] == "eth_sendRawTransaction" else forward(request)

    return fault


def lost_before(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    raise Drop


def lost_after(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    forward(request)
    raise Drop


def refused_after(message: str) -> Callable[[dict[str, Any], Forward], dict[str, Any]]:
    def do(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        forward(request)
        return said(request, Said("a node", 200, -32000, message))

    return do


def too_often_after(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    forward(request)
    raise Whole(429, b'{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"rate limit"}}')


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_an_answer_to_a_send_that_gets_lost_or_lies_pays_nothing_twice(trial, scene) -> None:
    tried = trial(scene)
    for do in (lost_before, lost_after, refused_after("internal error"), refused_after("nonce too low")):
        tried.through(sends(do))
    code, _ = tried.through(sends(too_often_after))
    # A guard looks again on its next start, instead of waiting.
    assert code == (ExitCode.NODE_UNREACHABLE if scene is scenes.answering else 0)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_connection_that_breaks_at_any_request_pays_nothing_twice(trial, scene) -> None:
    tried = trial(scene)
    step = 1 if scene in WHOLE else 11
    for number in range(0, tried.requests, step):
        tried.through(once(number, drop))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_node_that_dies_for_good_at_any_request_pays_nothing_twice(trial, scene) -> None:
    tried = trial(scene)

    def dead_from(first: int) -> Fault:
        def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
            if at >= first:
                raise Drop
            return forward(request)

        return fault

    for number in range(tried.requests - 1, 0, -(1 if EVERYTHING else 3 if scene in WHOLE else 12)):
        tried.through(dead_from(number))


@pytest.mark.parametrize("scene", WHOLE, ids=lambda scene: scene.__name__)
def test_a_rate_limit_at_any_request_pays_nothing_twice(trial, scene) -> None:
    tried = trial(scene)
    limits = [one for one in RATE_LIMITS if "a day" not in one.who]
    asked: list[str] = []

    def noting(do: Fault) -> Fault:
        def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
            asked.append(request["method"])
            return do(at, request, forward)

        return fault

    for number in range(tried.requests):
        asked.clear()
        code, told = tried.through(once(number, noting(answers(limits[number % len(limits)]))))
        # As above, a guard does not wait to learn what became of a send.
        given_up = scene is scenes.answering and "eth_sendRawTransaction" in asked
        assert code in ((0, ExitCode.NODE_UNREACHABLE) if given_up else (0,)), told


@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getLogs", "eth_call", "eth_getBalance"])
@pytest.mark.parametrize("scene", WHOLE, ids=lambda scene: scene.__name__)
def test_a_method_that_stops_working_after_the_send_makes_no_success_an_error(trial, scene, method: str) -> None:
    tried = trial(scene)
    sent: list[int] = []

    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_sendRawTransaction":
            sent.append(at)
        if sent and request["method"] == method and method != "eth_getTransactionReceipt":
            return said(request, Said("a node", 200, -32601, "the method is not available"))
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt" == method and answer["result"]:
            answer["result"]["logs"] = []
        return answer

    code, told = tried.through(fault)
    assert code == 0, told


@pytest.mark.parametrize("scene", WHOLE, ids=lambda scene: scene.__name__)
def test_a_node_that_lags_behind_pays_nothing_twice(trial, scene) -> None:
    tried = trial(scene)
    for method in ("eth_call", "eth_getLogs", "eth_getTransactionCount"):
        tried.through(behind(1, frozenset({method}), 10))


@pytest.mark.parametrize("missing", ["gasUsed", "status", "blockNumber", "effectiveGasPrice", "logs", "blockHash"])
@pytest.mark.parametrize("scene", WHOLE, ids=lambda scene: scene.__name__)
def test_a_receipt_with_a_field_missing_pays_nothing_twice(trial, scene, missing: str, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.chain.transactions.RECEIPT_TIMEOUT", 0.5)
    tried = trial(scene)

    def fault(at: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt" and answer["result"]:
            answer["result"].pop(missing)
        return answer

    tried.through(fault)
