"""A connection believes nothing of its node, and sends with care."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest

from llamafund_chain.chain.connection import Block, Connection, connect, require_final
from llamafund_chain.chain.node import AnswerTooLongError
from llamafund_chain.chain.node_errors import LimitError, RpcError
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call, Fees, SignedTransaction
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, NotFinalError, UsageError, VerificationError

ETHER = 10**18
NOBODY = "0x00000000000000000000000000000000000000bb"

Answer = Callable[[str], bytes]


@pytest.fixture
def node() -> Iterator[Callable[[Answer], str]]:
    """Starts servers that answer each JSON-RPC method as they are told; gives their address."""
    servers: list[HTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if isinstance(request, list):
                    answers = [{**json.loads(answer(one["method"])), "id": one["id"]} for one in request]
                    body = json.dumps(answers).encode()
                else:
                    body = answer(request["method"])
                status = 500 if body == b"500" else 200
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://user:secret@127.0.0.1:{server.server_port}/key-in-path?token=hidden"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def result(value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()


def error(code: int, message: str, data: object = None) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_where_nobody_listens_is_no_node() -> None:
    with pytest.raises(NodeUnreachableError, match="There is no node"):
        connect(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:8545", "ws://127.0.0.1", "http://a b", "file:///etc/passwd"])
def test_an_address_that_is_not_http_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        connect(url)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:99999999", "http://\u202e"])
def test_an_http_address_that_leads_nowhere_is_one_clear_error(url: str) -> None:
    with pytest.raises(LlamafundError):
        connect(url)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"500",
        b"<html>hello</html>",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        result(None),
        result("31337"),
        result(31337),
        result({"a": 1}),
        result("0x" + "f" * 100),
        b'{"jsonrpc":"2.0","id":1,"result":"0x1","error":{"code":1}}',
    ],
)
def test_a_server_that_makes_no_sense_is_no_node(node, body: bytes) -> None:
    with pytest.raises(NodeUnreachableError):
        connect(node(lambda _: body))


def test_what_may_be_secret_in_an_address_is_never_shown(node) -> None:
    url = node(lambda method: result("0x1") if method == "eth_chainId" else b"nonsense")
    connection = connect(url)
    with pytest.raises(NodeUnreachableError) as failure:
        connection.block()
    for text in (str(failure.value), repr(connection), connection.shown_url):
        for secret in ("user", "secret", "key-in-path", "hidden"):
            assert secret not in text


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "line\nbreak", "\u202eright to left"])
def test_a_nodes_words_cannot_steer_the_terminal(node, text: str) -> None:
    connection = connect(node(lambda method: result("0x1") if method == "eth_chainId" else error(-32000, text)))
    with pytest.raises(LlamafundError) as failure:
        connection.balance(NOBODY)
    assert not any(character in str(failure.value) for character in "\x1b\n\u202e")


def test_a_node_without_finality_says_so(node) -> None:
    connection = connect(node(lambda method: result("0x1") if method == "eth_chainId" else result(None)))
    with pytest.raises(NotFinalError, match="finalized"):
        connection.block("finalized")


def test_the_finalized_block_trails_the_latest(devnet) -> None:
    connection = devnet.connection
    assert connection.block("finalized").number == connection.block("latest").number - 2
    assert connection.caip2 == "eip155:31337"


def test_only_what_is_settled_may_be_relied_on() -> None:
    require_final(3, 3, "It", "finalized")
    with pytest.raises(NotFinalError, match="not finalized yet"):
        require_final(2, 3, "It", "finalized")


def test_money_arrives_and_the_receipt_says_what_it_cost(devnet) -> None:
    (account,) = accounts(5)
    devnet.fund(account.address, ETHER)
    receipt = Sender(devnet.connection).send(account, Call(NOBODY, b""), 7)
    assert devnet.connection.balance(NOBODY) == 7
    assert devnet.connection.balance(account.address) == ETHER - 7 - receipt.fee
    assert receipt.gas_used == 21_000


def test_an_account_that_cannot_pay_sends_nothing(devnet) -> None:
    (account,) = accounts(6)
    devnet.fund(account.address, 5)
    with pytest.raises(LlamafundError, match="Nothing was sent"):
        Sender(devnet.connection).send(account, Call(NOBODY, b""), 6)
    with pytest.raises(LlamafundError, match="Nothing was sent"):
        Sender(devnet.connection).send(account, Call(NOBODY, b""), 5)
    assert nonce(devnet, account) == 0


def test_a_call_that_would_revert_is_not_sent(devnet) -> None:
    (account,) = accounts(5)
    devnet.fund(account.address, ETHER)
    token = devnet.deploy_token()
    transfer = bytes.fromhex("a9059cbb") + bytes(12) + bytes.fromhex(NOBODY[2:]) + (5).to_bytes(32, "big")
    with pytest.raises(ContractRefusedError) as refusal:
        Sender(devnet.connection).send(account, Call(token, transfer))
    assert refusal.value.name == "ERC20InsufficientBalance"
    assert nonce(devnet, account) == 0


def test_a_node_that_vanishes_while_sending_is_never_sent_to_again(devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    (account,) = accounts(5)
    devnet.fund(account.address, ETHER)
    connection = connect(devnet.rpc_url)
    asked: list[str] = []
    request = connection.request

    def vanish(method: str, *params: object) -> object:
        asked.append(method)
        if method == "eth_sendRawTransaction":
            raise NodeUnreachableError("gone")
        return request(method, *params)

    monkeypatch.setattr(connection, "request", vanish)
    with pytest.raises(NodeUnreachableError, match="may or may not have arrived") as failure:
        Sender(connection).send(account, Call(NOBODY, b""), 1)
    assert asked.count("eth_sendRawTransaction") == 1
    assert "0x" in str(failure.value)


@pytest.mark.parametrize(
    "said", ["missing trie node", "header not found", "daily request count exceeded", "no"], ids=lambda said: said[:7]
)
def test_a_reverted_transaction_stays_one_if_the_node_cannot_say_why(
    node: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr("llamafund_chain.chain.nodes.sleep", lambda _: None)
    receipt = {"blockNumber": "0x5", "gasUsed": "0x64", "effectiveGasPrice": "0x2", "status": "0x0", "logs": []}

    def answer(method: str) -> bytes:
        results = {"eth_chainId": "0x1", "eth_getTransactionReceipt": receipt}
        told = {"result": results[method]} if method in results else {"error": {"code": -32000, "message": said}}
        return json.dumps({"jsonrpc": "2.0", "id": 1, **told}).encode()

    connection = connect(node(answer))
    signed = SignedTransaction("ab" * 32, b"", NOBODY, Call(NOBODY, b""), 0, 0, 100, Fees(2, None))
    (outcome,) = Outbox(connection).outcomes([signed])
    assert isinstance(outcome, ContractRefusedError)
    assert outcome.fee == 200
    assert "included in block 5 and reverted" in outcome.what
    assert outcome.why.startswith("Why is not known: The node")


def test_waiting_for_a_transaction_ends_with_its_hash(devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    (account,) = accounts(5)
    devnet.fund(account.address, ETHER)
    connection = connect(devnet.rpc_url)
    request = connection.request
    monkeypatch.setattr("llamafund_chain.chain.transactions.RECEIPT_TIMEOUT", 0.0)
    monkeypatch.setattr(
        connection,
        "request",
        lambda method, *params: None if method == "eth_getTransactionReceipt" else request(method, *params),
    )
    with pytest.raises(NotFinalError, match="not included yet"):
        Sender(connection).send(account, Call(NOBODY, b""), 1)


def test_a_chain_without_the_contracts_is_not_ours() -> None:
    from llamafund_chain.chain.devnet import Devnet

    with Devnet(deploy=False) as empty, pytest.raises(VerificationError, match="not deployed on chain 31337"):
        empty.connection.deployment()


def test_logs_are_fetched_in_smaller_ranges_when_a_node_refuses_large_ones(devnet, monkeypatch) -> None:
    connection = connect(devnet.rpc_url)
    token = devnet.deploy_token()
    for amount in (1, 2, 3):
        devnet.mint_token(token, NOBODY, amount)
        devnet.finalize()
    whole = list(connection.logs(token))
    spans: list[int] = []

    def stingy(method: str, params: tuple[Any, ...], forward: Forward) -> object:
        if method == "eth_getLogs" and "toBlock" in params[0]:
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            spans.append(span)
            if span > 2:
                raise LimitError(method, -32005, "block range too large", None, kind="blocks", blocks=2)
        return forward(*params)

    put_between(connection, stingy, monkeypatch)
    assert list(connection.logs(token)) == whole
    assert len(whole) == 3
    assert max(spans) > 2 >= min(spans)
    spans.clear()
    assert list(connection.logs(token)) == whole
    assert max(spans) == 2, "the limit was forgotten"


def test_logs_of_another_contract_are_not_taken_for_this_ones(devnet, monkeypatch) -> None:
    connection = connect(devnet.rpc_url)
    token = devnet.deploy_token()
    devnet.mint_token(token, NOBODY, 1)

    def liar(method: str, params: tuple[Any, ...], forward: Forward) -> object:
        return forward({**params[0], "address": token}) if method == "eth_getLogs" else forward(*params)

    put_between(connection, liar, monkeypatch)
    with pytest.raises(NodeUnreachableError, match="makes no sense"):
        list(connection.logs(NOBODY))


def test_logs_of_another_kind_than_asked_for_are_not_taken(devnet, monkeypatch) -> None:
    connection = connect(devnet.rpc_url)
    token = devnet.deploy_token()
    devnet.mint_token(token, NOBODY, 1)
    (minted,) = connection.logs(token)
    topic, other = f"0x{minted.topics[0].hex()}", "0x" + "12" * 32
    assert list(connection.logs(token, topics=[[other, topic]])) == [minted]
    assert list(connection.logs(token, topics=[None, None, f"0x{minted.topics[2].hex()}"])) == [minted]
    assert list(connection.logs(token, topics=[other])) == []

    def careless(method: str, params: tuple[Any, ...], forward: Forward) -> object:
        return forward({**params[0], "topics": []}) if method == "eth_getLogs" else forward(*params)

    put_between(connection, careless, monkeypatch)
    with pytest.raises(NodeUnreachableError, match="makes no sense"):
        list(connection.logs(token, topics=[other]))


def test_a_crowded_stretch_does_not_make_the_rest_of_the_search_a_crawl(node, monkeypatch) -> None:
    asked: list[int] = []
    connection = connect(node(lambda method: result("0x1") if method == "eth_chainId" else result([])))

    def crowded(method: str, params: tuple[Any, ...], forward: Forward) -> object:
        if method != "eth_getLogs" or "toBlock" not in params[0]:
            return forward(*params)
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        asked.append(last - first + 1)
        if first <= 1_000 <= last and last > first:
            raise AnswerTooLongError("too many")
        return forward(*params)

    put_between(connection, crowded, monkeypatch)
    assert list(connection.logs(NOBODY, last=Block(1_000_000, "12" * 32, 0))) == []
    assert len(asked) < 100


Forward = Callable[..., Any]


def put_between(connection: Connection, change: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `change(method, params, forward)` give the answers to what is asked in batches."""
    ask = connection.request_many

    def asked(requests: Sequence[tuple[str, tuple[Any, ...]]]) -> list[object]:
        answers: list[object] = []
        for method, params in requests:
            try:
                answers.append(change(method, params, lambda *changed, method=method: ask([(method, changed)])[0]))
            except RpcError as refusal:
                answers.append(refusal)
        return answers

    monkeypatch.setattr(connection, "request_many", asked)


Respond = Callable[[BaseHTTPRequestHandler, threading.Event], None]


@pytest.fixture
def hostile() -> Iterator[Callable[[Respond], str]]:
    """Starts servers that answer byte by byte as they are told, until the test ends; gives their address."""
    over = threading.Event()
    servers: list[ThreadingHTTPServer] = []

    def start(respond: Respond) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with contextlib.suppress(OSError):
                    respond(self, over)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_answer_that_would_unpack_to_a_bomb_is_never_unpacked(hostile) -> None:
    honest = result("0x1")
    accepted: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler, _: threading.Event) -> None:
        accepted.append(handler.headers["Accept-Encoding"])
        body = gzip.compress(honest)
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with pytest.raises(NodeUnreachableError):
        connect(hostile(respond))
    assert accepted == ["identity"]


@pytest.mark.parametrize("redirect", [False, True])
def test_an_answer_without_end_is_read_only_so_far(hostile, monkeypatch: pytest.MonkeyPatch, redirect: bool) -> None:
    monkeypatch.setattr("llamafund_chain.chain.node.MAX_ANSWER_BYTES", 1 << 20)

    def respond(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.send_response(302 if redirect else 200)
        if redirect:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        while not over.is_set():
            handler.wfile.write(b"0" * 65_536)

    with pytest.raises(NodeUnreachableError, match="HTTP status 302" if redirect else "longer than 1 MiB"):
        connect(hostile(respond))


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_that_drips_forever_ends_at_the_deadline(hostile, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr("llamafund_chain.chain.node.ANSWER_TIMEOUT", 0.5)

    def respond(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if part == "body" else b"X: "))
        while not over.wait(0.01):
            handler.wfile.write(b"0")

    with pytest.raises(NodeUnreachableError, match="did not answer in time"):
        connect(hostile(respond))


def test_a_body_that_ends_too_early_is_no_answer(hostile) -> None:
    def respond(handler: BaseHTTPRequestHandler, _: threading.Event) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(result("0x1"))

    with pytest.raises(NodeUnreachableError):
        connect(hostile(respond))


def accounts(*numbers: int):
    from eth_account import Account

    return [Account.from_key(number.to_bytes(32, "big")) for number in numbers]


def nonce(devnet, account) -> int:
    return int(devnet.connection.request("eth_getTransactionCount", account.address, "latest"), 16)
