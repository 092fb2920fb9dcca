"""Many requests in one: in order, from nodes that take batches, small ones, or none at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from llamafund_chain.chain.connection import Standing, connect
from llamafund_chain.chain.node import MAX_ANSWER_BYTES, MAX_BATCH
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.transactions import Call, Fees, NonceUsedError, SignedTransaction, UnderpricedError
from llamafund_chain.errors import NodeUnreachableError

Reply = Callable[[Any], tuple[int, bytes]]


@pytest.fixture
def server() -> Iterator[Callable[[Reply], str]]:
    """Starts servers that answer a parsed request body with a status and bytes; gives their address."""
    servers: list[HTTPServer] = []

    def start(reply: Reply) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Chain 5; every other answer is the first parameter."""
    result = "0x5" if request["method"] == "eth_chainId" else request["params"][0]
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def node_with(batches: Callable[[list[dict[str, Any]]], tuple[int, Any]]) -> Reply:
    """A node that answers single requests as usual."""

    def reply(body: Any) -> tuple[int, bytes]:
        if isinstance(body, dict):
            return 200, json.dumps(answer(body)).encode()
        status, answers = batches(body)
        return status, answers if isinstance(answers, bytes) else json.dumps(answers).encode()

    return reply


REQUESTS = [("eth_getBalance", (number,)) for number in range(2 * MAX_BATCH + 7)]


def test_many_requests_go_out_in_few_batches_and_come_back_in_order(server) -> None:
    sizes: list[int] = []

    def backwards(body):
        sizes.append(len(body))
        return 200, [answer(one) for one in reversed(body)]

    assert connect(server(node_with(backwards))).request_many(REQUESTS) == [number for _, (number,) in REQUESTS]
    assert sizes == [MAX_BATCH, MAX_BATCH, 7]


REFUSALS = {
    "an error for all": lambda body: (
        200,
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batch"}},
    ),
    "a status": lambda body: (413, b"too large"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_node_that_takes_no_batch_is_asked_one_by_one_in_the_end(server, name: str) -> None:
    sizes: list[int] = []

    def refuse(body):
        sizes.append(len(body))
        return REFUSALS[name](body)

    connection = connect(server(node_with(refuse)))
    assert connection.request_many(REQUESTS[:30]) == list(range(30))
    assert connection.request_many(REQUESTS[:30]) == list(range(30))
    assert sizes == [30, 7]


def test_long_answers_are_asked_for_one_by_one_and_others_are_not(server) -> None:
    sizes: list[int] = []

    def long(body):
        sizes.append(len(body))
        return (200, b" " * (MAX_ANSWER_BYTES + 1)) if len(body) <= 30 else (200, [answer(one) for one in body])

    connection = connect(server(node_with(long)))
    assert connection.request_many(REQUESTS[:30]) == list(range(30))
    assert connection.request_many(REQUESTS[:MAX_BATCH]) == list(range(MAX_BATCH))
    assert sizes == [30, 7, MAX_BATCH]


def test_a_node_that_takes_small_batches_gets_small_ones(server) -> None:
    sizes: list[int] = []

    def at_most_ten(body):
        sizes.append(len(body))
        return (200, [answer(one) for one in body]) if len(body) <= 10 else (400, b"")

    connection = connect(server(node_with(at_most_ten)))
    assert connection.request_many(REQUESTS[:30]) == list(range(30))
    assert sizes == [30, 7, 7, 7, 7, 2]


NONSENSE = {
    "not a list": lambda body: {"jsonrpc": "2.0", "result": []},
    "one too few": lambda body: [answer(one) for one in body[1:]],
    "one twice": lambda body: [answer(body[0]), answer(body[0])],
    "other numbers": lambda body: [{**answer(one), "id": one["id"] + 1} for one in body],
    "no numbers": lambda body: [{"result": "0x1"} for _ in body],
    "neither result nor error": lambda body: [{"id": one["id"]} for one in body],
    "no json": lambda body: b"<html>",
    "too deep": lambda body: b"[" * 100_000,
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_batch_that_makes_no_sense_is_not_used(server, name: str) -> None:
    connection = connect(server(node_with(lambda body: (200, NONSENSE[name](body)))))
    with pytest.raises(NodeUnreachableError, match="not JSON-RPC"):
        connection.request_many(REQUESTS[:2])


def test_a_server_that_fails_is_unreachable_and_asked_once(server) -> None:
    sizes: list[int] = []

    def fail(body):
        sizes.append(len(body))
        return 500, b""

    with pytest.raises(NodeUnreachableError, match="500"):
        connect(server(node_with(fail))).request_many(REQUESTS[:4])
    assert sizes == [4]


def test_one_refusal_among_many_answers_stays_in_its_place(server) -> None:
    def some(body):
        answers = [answer(one) for one in body]
        del answers[1]["result"]
        answers[1]["error"] = {"code": -32000, "message": "unlucky"}
        return 200, answers

    one, refused, three = connect(server(node_with(some))).request_many(REQUESTS[:3])
    assert (one, three) == (0, 2)
    assert isinstance(refused, RpcError)
    assert "unlucky" in str(refused)


def test_calls_of_contracts_come_back_with_their_refusals(devnet) -> None:
    factory = devnet.deployment.factory
    calls = [Call(factory, b"\x01\x02\x03\x04"), Call("0x" + "00" * 18 + "dEaD", b"")]
    refused, empty = devnet.connection.call_many(calls)
    assert isinstance(refused, ContractRefusedError)
    assert empty == b""


# ------------------------------------------------- an account and its fees, at once

SOMEBODY = "0x" + "00" * 18 + "dEaD"


def chain_with(**answers: Any) -> Reply:
    """A node that answers each method with a result, or with an error if there is none for it."""

    def one(request: dict[str, Any]) -> dict[str, Any]:
        if request["method"] in answers:
            return {"jsonrpc": "2.0", "id": request["id"], "result": answers[request["method"]]}
        return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown method"}}

    return node_with(lambda body: (200, [one(request) for request in body]))


ACCOUNT = {"eth_getTransactionCount": "0x7", "eth_getBalance": "0x64"}


def test_an_account_and_the_fees_are_read_at_once(server) -> None:
    node = chain_with(
        **ACCOUNT, eth_getBlockByNumber={"baseFeePerGas": "0xa"}, eth_maxPriorityFeePerGas="0x3", eth_gasPrice="0xd"
    )
    seen = connect(server(node)).standing(SOMEBODY, 5)
    assert seen == Standing(first=7, mined=7, pending=7, held=100, base_fee=10, fees=Fees(23, 3))


def test_a_node_that_advises_no_tip_gets_one_gwei(server) -> None:
    node = chain_with(**ACCOUNT, eth_getBlockByNumber={"baseFeePerGas": "0xa"})
    assert connect(server(node)).standing(SOMEBODY, 5).fees == Fees(20 + 10**9, 10**9)


def test_before_the_base_fee_there_is_one_price(server) -> None:
    node = chain_with(**ACCOUNT, eth_getBlockByNumber={}, eth_gasPrice="0xd")
    seen = connect(server(node)).standing(SOMEBODY, 5)
    assert (seen.base_fee, seen.fees) == (0, Fees(13, None))


@pytest.mark.parametrize("missing", ["eth_getBalance", "eth_getTransactionCount", "eth_getBlockByNumber"])
def test_an_account_that_cannot_be_read_is_an_error(server, missing: str) -> None:
    answers = {**ACCOUNT, "eth_getBlockByNumber": {"baseFeePerGas": "0xa"}}
    del answers[missing]
    with pytest.raises(RpcError, match="unknown method"):
        connect(server(chain_with(**answers))).standing(SOMEBODY, 5)


# ------------------------------------------------------------------- sending


def signed(nonce: int) -> SignedTransaction:
    return SignedTransaction(
        f"{nonce:064x}", bytes([nonce]), SOMEBODY, Call(SOMEBODY, b""), 0, nonce, 21_000, Fees(1, 1)
    )


def test_transactions_are_sent_in_one_batch_and_each_refusal_is_told(server) -> None:
    def some(body):
        errors = {"0x01": "already known", "0x02": "nonce too low", "0x03": "replacement transaction underpriced"}
        answers = []
        for request in body:
            message = errors.get(request["params"][0])
            said = {"result": "0x"} if message is None else {"error": {"code": -32000, "message": message}}
            answers.append({"jsonrpc": "2.0", "id": request["id"], **said})
        return 200, answers

    outbox = Outbox(connect(server(node_with(some))))
    fine, known, used, cheap = outbox.transmit_many([signed(nonce) for nonce in range(4)])
    assert (fine, known) == (None, None)
    assert (type(used), type(cheap)) == (NonceUsedError, UnderpricedError)
    assert list(outbox.sent) == [signed(0).tx_hash, signed(1).tx_hash]


def test_a_batch_whose_answer_is_lost_is_never_sent_again(server) -> None:
    """It may have arrived: an answer that is too long, or none, says nothing about that."""
    for status, answer_ in ((200, b" " * (MAX_ANSWER_BYTES + 1)), (502, b"")):
        sizes: list[int] = []

        def lose(body, sizes=sizes, status=status, answer_=answer_):
            sizes.append(len(body))
            return status, answer_

        outbox = Outbox(connect(server(node_with(lose))))
        with pytest.raises(NodeUnreachableError, match="may or may not have arrived"):
            outbox.transmit_many([signed(nonce) for nonce in range(4)])
        assert sizes == [4]
        assert len(outbox.sent) == 4
