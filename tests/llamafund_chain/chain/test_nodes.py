"""What only reads is asked again: in every provider's words for "not now", of this node or of another one."""

from __future__ import annotations

import json
import logging
from email.utils import formatdate
from typing import Any

import pytest
from faulty_node import Drop, FaultyNode, Whole, answers, behind, drop, once
from node_answers import BUSY, NOT_THERE_YET, RATE_LIMITS, REFUSALS, Said

from llamafund_chain.chain import nodes
from llamafund_chain.chain.connection import Block, connect
from llamafund_chain.chain.node_errors import BusyError, LaggingError, RateLimitedError, RpcError
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import ExitCode, NodeUnreachableError, NotFinalError, UsageError

NOBODY = "0x00000000000000000000000000000000000000bb"
WAITING = [said for said in (*RATE_LIMITS, *BUSY) if "a day" not in said.who]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(nodes, "sleep", made.append)
    return made


@pytest.mark.parametrize("said", WAITING, ids=lambda said: said.who)
@pytest.mark.parametrize("number", range(3))
def test_a_read_that_is_refused_for_now_is_made_again(devnet, waits, said: Said, number: int) -> None:
    with FaultyNode(devnet.rpc_url, once(number, answers(said))) as node:
        connection = connect(node.url)
        assert connection.block().number == devnet.connection.block().number
        assert connection.balance(NOBODY) == 0
    assert len(waits) == 1


def test_the_time_that_a_node_asks_for_is_waited(devnet, waits) -> None:
    limit = answers(Said("anybody", 429, 429, "slow down"), {"Retry-After": "7"})
    with FaultyNode(devnet.rpc_url, once(1, limit)) as node:
        assert connect(node.url).balance(NOBODY) == 0
    assert waits == [7]


def test_a_date_until_which_to_wait_is_understood(devnet, waits) -> None:
    limit = Whole(503, b"<html>", {"Retry-After": formatdate(timeval=2**33, usegmt=True)})

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        raise limit

    with FaultyNode(devnet.rpc_url, once(1, fault)) as node, pytest.raises(BusyError):
        connect(node.url).balance(NOBODY)
    assert waits == [], "that is too long to wait"


@pytest.mark.parametrize(
    "text", ["soon", "-1", "9" * 400, f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}"]
)
def test_a_time_to_wait_that_makes_no_sense_is_no_bug_of_ours(devnet, waits, text: str) -> None:
    limit = answers(Said("anybody", 429, 429, "slow down"), {"Retry-After": text})
    with FaultyNode(devnet.rpc_url, once(1, limit)) as node:
        assert connect(node.url).balance(NOBODY) == 0
    assert waits == [0.25]


@pytest.mark.parametrize("said", [*RATE_LIMITS, *BUSY], ids=lambda said: said.who)
def test_patience_has_an_end_and_does_not_advise_less_finality(devnet, waits, said: Said) -> None:
    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url)
        node.fault = answers(said)
        with pytest.raises(BusyError) as failure:
            connection.block("finalized")
    assert sum(waits) <= nodes.BUSY_SECONDS
    assert failure.value.exit_code is ExitCode.NODE_UNREACHABLE
    assert "--finality" not in str(failure.value)


def test_what_is_waited_for_is_told(devnet, waits, caplog) -> None:
    caplog.set_level(logging.INFO, "llamafund_chain")
    with FaultyNode(devnet.rpc_url, once(1, answers(RATE_LIMITS[0]))) as node:
        secret = node.url.replace("http://", "http://user:hunter2@") + "/key-in-path"
        connect(secret).balance(NOBODY)
    assert "waiting 0.25 s (0.25 of at most 60 s)" in caplog.text
    assert "hunter2" not in caplog.text
    assert "key-in-path" not in caplog.text


@pytest.mark.parametrize("number", range(4))
def test_a_connection_that_breaks_off_costs_one_more_request(devnet, waits, number: int) -> None:
    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url)
        node.count, node.fault = 0, once(number, drop)
        for _ in range(4):
            assert connection.balance(NOBODY) == 0
        assert node.count == 5


def test_a_transaction_is_not_sent_again_whatever_happened_to_it(devnet, waits) -> None:
    from eth_account import Account

    account = Account.from_key((77).to_bytes(32, "big"))
    devnet.fund(account.address, 10**18)
    sent = []

    def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] != "eth_sendRawTransaction":
            return forward(request)
        sent.append(request)
        forward(request)
        raise Whole(429, b'{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"rate limit"}}')

    with FaultyNode(devnet.rpc_url, fault) as node:
        Sender(connect(node.url)).send(account, Call(NOBODY, b""), 5)
    assert len(sent) == 1
    assert devnet.connection.balance(NOBODY) == 5


@pytest.mark.parametrize("said", NOT_THERE_YET, ids=lambda said: said.who)
def test_a_block_that_is_not_there_yet_is_waited_for(devnet, waits, said: Said) -> None:
    with FaultyNode(devnet.rpc_url, once(1, answers(said))) as node:
        assert connect(node.url).balance(NOBODY) == 0
    assert len(waits) == 1


def test_a_block_that_never_comes_is_no_finding(devnet, waits) -> None:
    with pytest.raises(LaggingError, match="knows no block 99999") as failure:
        connect(devnet.rpc_url).block(99_999)
    assert failure.value.exit_code is ExitCode.NODE_UNREACHABLE
    assert 0 < sum(waits) <= nodes.LAG_SECONDS


@pytest.mark.parametrize("methods", [{"eth_getLogs"}, {"eth_getLogs", "eth_getBlockByNumber"}], ids=len)
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_logs_of_a_backend_that_is_behind_are_not_taken_for_all(devnet, waits, blocks: int, methods: set[str]) -> None:
    token = devnet.deploy_token()
    for amount in (1, 2, 3):
        devnet.mint_token(token, NOBODY, amount)
    head, whole = devnet.connection.block().number, list(devnet.connection.logs(token))
    with FaultyNode(devnet.rpc_url, behind(blocks, frozenset(methods), 4)) as node:
        assert list(connect(node.url).logs(token, last=head)) == whole
    assert waits


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: f"{said.who} {said.code}")
def test_a_refusal_is_final(devnet, waits, said: Said) -> None:
    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url)
        node.count, node.fault = 0, answers(said)
        with pytest.raises(RpcError):
            connection.balance(NOBODY)
        assert node.count == 1
    assert waits == []


@pytest.mark.parametrize("trouble", [drop, answers(RATE_LIMITS[0]), answers(RATE_LIMITS[2]), answers(NOT_THERE_YET[0])])
def test_another_node_takes_over_at_once(devnet, waits, trouble) -> None:
    with FaultyNode(devnet.rpc_url) as first, FaultyNode(devnet.rpc_url) as second:
        connection = connect(f"{first.url} {second.url}")
        assert second.count == 0
        first.fault = trouble
        assert connection.balance(NOBODY) == 0
        assert connection.shown_url == second.url
        first.fault, second.fault = None, trouble
        assert connection.balance(NOBODY) == 0
        assert connection.shown_url == first.url
    assert waits == []


def test_the_first_node_that_answers_serves(devnet, waits, no_node) -> None:
    assert connect(f"{no_node} {devnet.rpc_url}").shown_url == devnet.rpc_url
    with pytest.raises(NodeUnreachableError, match="There is no node"):
        connect(f"{no_node} {no_node}/again")


def test_a_node_of_another_chain_does_not_take_over(devnet, waits) -> None:
    def elsewhere(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request["id"], "result": "0x1"}

    with FaultyNode(devnet.rpc_url) as first, FaultyNode(devnet.rpc_url, elsewhere) as second:
        connection = connect(f"{first.url} {second.url}")
        first.fault = drop
        with pytest.raises(UsageError, match="different chains"):
            connection.balance(NOBODY)


def test_what_no_block_includes_is_told_to_all_nodes_of_the_chain_but_the_first(devnet) -> None:
    from eth_account import Account

    account = Account.from_key((78).to_bytes(32, "big"))
    told: list[str] = []

    def listen(name: str, chain: str | None = None) -> Any:
        def fault(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
            if request["method"] == "eth_chainId" and chain is not None:
                return {"jsonrpc": "2.0", "id": request["id"], "result": chain}
            if request["method"] == "eth_sendRawTransaction":
                told.append(name)
                raise Drop
            return forward(request)

        return FaultyNode(devnet.rpc_url, fault)

    with listen("first") as first, listen("second") as second, listen("other", "0x1") as other, listen("last") as last:
        connection = connect(" ".join(node.url for node in (first, second, other, last)))
        outbox = Outbox(connection)
        signed = outbox.sign(account, Call(NOBODY, b""), nonce=0, gas=21_000, fees=connection.fees())
        outbox.spread([signed])
    assert told == ["second", "last"]


def test_a_node_that_changes_its_chain_is_noticed(devnet) -> None:
    def elsewhere(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        return {**forward(request), **({"result": "0x1"} if request["method"] == "eth_chainId" else {})}

    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url)
        node.fault = elsewhere
        with pytest.raises(NodeUnreachableError, match="chain 1 now"):
            connection.block()


@pytest.mark.parametrize("hashes", [True, False])
def test_a_block_that_is_undone_while_it_is_read_is_noticed(devnet, waits, hashes: bool) -> None:
    def old(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if not hashes and isinstance(request["params"][-1:], list) and isinstance((request["params"] or [0])[-1], dict):
            invalid = {"code": -32602, "message": "invalid argument 1: hex string expected"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": invalid}
        return forward(request)

    devnet.advance(1)
    before = devnet.snapshot()
    devnet.advance(5)
    with FaultyNode(devnet.rpc_url, old) as node:
        connection = connect(node.url)
        at = connection.block()
        assert connection.balance(NOBODY, at) == 0
        devnet.revert(before)
        devnet.advance(9)
        with pytest.raises(NotFinalError, match="was undone"):
            connection.balance(NOBODY, at)
        assert isinstance(at, Block)


def test_a_node_without_pending_blocks_simulates_on_the_latest(devnet) -> None:
    def no_pending(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if "pending" in request["params"]:
            refused = {"code": -32000, "message": "pending state is not available"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": refused}
        return forward(request)

    with FaultyNode(devnet.rpc_url, no_pending) as node:
        connection = connect(node.url)
        assert connection.call(Call(NOBODY, b""), block="pending") == b""
        assert connection.nonce(NOBODY, "pending") == 0
        assert connection.block("pending").number == devnet.connection.block().number
        assert node.methods.count("eth_call") == 2


def test_a_traceback_of_a_node_shows_nothing_secret(devnet, no_node) -> None:
    import traceback

    for url in (f"{no_node}/key-in-path?token=hidden", "http://user:hunter2@127.0.0.1:9/key-in-path"):
        with pytest.raises(NodeUnreachableError) as failure:
            connect(url)
        shown = "".join(traceback.format_exception(failure.value))
        for secret in ("key-in-path", "hidden", "hunter2"):
            assert secret not in shown


def test_a_batch_whose_parts_are_limited_is_completed(devnet, waits) -> None:
    seen: set[str] = set()

    def each_second(at: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        key = json.dumps(request["params"])
        if key not in seen and len(seen) % 2:
            seen.add(key)
            return {"jsonrpc": "2.0", "id": request["id"], "error": RATE_LIMITS[6].error}
        seen.add(key)
        return forward(request)

    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url)
        node.fault, node.count = each_second, 0
        addresses = [f"0x{number:040x}" for number in range(20)]
        assert len(connection.read([("eth_getTransactionCount", (address,)) for address in addresses])) == 20
        assert node.count == 2
    assert len(waits) == 1


def test_a_limit_of_a_day_is_not_waited_for(devnet, waits) -> None:
    for said in RATE_LIMITS:
        if "a day" in said.who:
            with FaultyNode(devnet.rpc_url, answers(said)) as node, pytest.raises(RateLimitedError, match="used up"):
                connect(node.url)
    assert waits == []


def test_a_commands_waits_for_a_node_are_shown_on_request(stage, llamafund, waits) -> None:
    campaign = stage.open().address
    with FaultyNode(stage.devnet.rpc_url, once(3, answers(RATE_LIMITS[0]))) as node:
        shown = llamafund("-v", "campaign", "show", campaign, "--rpc", node.url)
        assert shown.code == 0
        assert "limits how often it may be asked; waiting 0.25 s" in shown.stderr
        node.count = 0
        assert "waiting" not in llamafund("campaign", "show", campaign, "--rpc", node.url).stderr


def test_several_nodes_may_be_named(stage, llamafund, waits, no_node, monkeypatch) -> None:
    campaign, url = stage.open().address, stage.devnet.rpc_url
    assert llamafund("campaign", "show", campaign, "--rpc", no_node, "--rpc", url).code == 0
    monkeypatch.setenv("LLAMAFUND_RPC", f"{no_node} {url}")
    assert llamafund("campaign", "show", campaign).code == 0
