"""`llamafund watch --all` and `--backer`: what somebody should hear about many campaigns, once."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from faulty_node import FaultyNode

from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.http import patience

ETHER = 10**18
DAY = 86_400
SECRET = "a secret of thirty letters or so"


@pytest.fixture(autouse=True)
def _today(devnet) -> None:
    """The chain, which is put back after each test, shows today's time."""
    behind = int(time.time()) - devnet.connection.block().timestamp
    if behind > 0:
        devnet.advance(behind)


@pytest.fixture
def watch(llamafund, stage):
    """Looks once; the alerts, and the exit code."""

    def run(*more: object, rpc: str | None = None, store: bool = True) -> tuple[list[dict[str, Any]], int]:
        what = () if {"--backer", "--all"} & {*map(str, more)} else ("--all",)
        places = ("--store", stage.run.store.location) if store else ()
        ran = llamafund("watch", *what, *more, "--once", "--rpc", rpc or stage.devnet.rpc_url, *places, "--json")
        assert "Traceback" not in ran.stderr
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        assert SECRET not in ran.stdout + ran.stderr
        return [line for line in lines if line.get("event") == "alert"], ran.code

    return run


def kinds(alerts: list[dict[str, Any]]) -> list[str]:
    return [alert["kind"] for alert in alerts]


class Server:
    """A server that keeps what it is sent, and answers as it is told: the next of `says`, else 200."""

    def __init__(self) -> None:
        outer = self
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.says: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.says.pop(0) if outer.says else 200
                if status == 200:
                    outer.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/in/box"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(patience, "pause", lambda _: None)
    made = Server()
    yield made
    made.close()


def test_a_quiet_chain_needs_nobody(watch, stage) -> None:
    stage.open()
    assert watch() == ([], 0)


def test_an_attestation_is_told_once_even_after_a_restart(watch, stage) -> None:
    stage.honest_until(0)
    watch()
    stage.attest(0, stage.run.dataset)
    alerts, code = watch()
    assert kinds(alerts) == ["attested"]
    assert alerts[0]["campaign"] == stage.client.address
    assert alerts[0]["facts"] == {"milestone": 0, "evidence": stage.run.dataset.sha256}
    assert code == 0
    assert watch() == ([], 0)


def test_a_window_that_closes_is_something_to_act_on(watch, attested) -> None:
    watch()
    attested.devnet.advance(DAY + DAY // 2)
    alerts, code = watch("--soon", "1d")
    assert "window-closing" in kinds(alerts)
    assert code == 1
    # It is said once, and stays to be acted on.
    assert watch("--soon", "1d") == ([], 1)


def test_a_challenge_slack_and_a_stop_vote_are_told(watch, stage) -> None:
    stage.open(slack=5 * DAY)
    stage.fund()
    watch()
    stage.client.extend_deadlines(stage.researcher, DAY)
    stage.devnet.advance(DAY)
    stage.client.vote_stop(stage.backers[2])
    alerts, _ = watch()
    assert kinds(alerts) == ["slack-used"]
    stage.attest(0, stage.run.dataset)
    stage.client.vote_stop(stage.backers[1])
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, ETHER // 10)
    alerts, code = watch("--soon", "1h")
    # 5 of 12 coins vote to stop, and 6 would.
    assert kinds(alerts) == ["challenged", "attested", "stop-vote-near"]
    assert code == 1


def test_missing_evidence_is_told_and_is_no_lie_of_anybody(watch, attested) -> None:
    watch("--soon", "1h")
    attested.run.remove_from_store(raw_cid(attested.run.dataset.sha256))
    alerts, code = watch("--soon", "1h")
    assert kinds(alerts) == ["evidence-unreachable"]
    assert alerts[0]["facts"]["evidence"] == attested.run.dataset.sha256
    assert code == 7


def test_a_new_attestation_is_audited_once(watch, stage, monkeypatch) -> None:
    from llamafund_chain.cli import watch_many

    stage.honest_until(0)
    watch("--audit", "books")
    stage.attest(0, stage.run.dataset)
    alerts, _ = watch("--audit", "books", "--soon", "1h")
    assert [(alert["kind"], alert["facts"].get("outcome")) for alert in alerts] == [
        ("attested", None),
        ("audited", "holds"),
    ]
    monkeypatch.delattr(watch_many, "audit")
    assert watch("--audit", "books", "--soon", "1h") == ([], 0)
    assert watch("--audit", "books", "--soon", "1h") == ([], 0)


def test_a_false_attestation_is_told_by_its_audit(watch, stage) -> None:
    stage.honest_until(1)
    watch("--audit", "evidence")
    stage.attest(1, stage.run.train("ab" * 32))
    alerts, code = watch("--audit", "evidence", "--soon", "1h")
    assert kinds(alerts) == ["attested", "audited"]
    assert (alerts[1]["urgency"], alerts[1]["facts"]["outcome"], code) == ("act", "fails", 1)


def test_an_audit_without_a_verdict_is_tried_again_and_keeps_nothing_back(watch, attested, monkeypatch) -> None:
    from llamafund_chain.cli import watch_many
    from llamafund_chain.errors import NotFinalError

    def fails(*_: object, **__: object) -> None:
        raise NotFinalError("Not now")

    with monkeypatch.context() as patch:
        patch.setattr(watch_many, "audit", fails)
        alerts, code = watch("--audit", "books", "--soon", "1h")
    assert (kinds(alerts), code) == (["attested"], 0)
    assert kinds(watch("--audit", "books", "--soon", "1h")[0]) == ["audited"]


def test_a_backer_hears_of_its_refund_and_of_nobody_elses(watch, stage) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 3 * ETHER)
    stage.open(proposal={"title": "Another"})
    mine, other = stage.backers[0].address, stage.judge.address
    assert watch("--backer", mine) == ([], 0)
    stage.devnet.advance(11 * DAY)
    alerts, code = watch("--backer", mine)
    assert kinds(alerts) == ["failed", "refund-waiting"]
    assert "llamafund refund" in alerts[1]["text"]
    assert code == 1
    assert watch("--backer", other) == ([], 0)


def test_a_payee_hears_of_what_waits_for_it(watch, stage) -> None:
    stage.honest_until(1)
    alerts, code = watch("--backer", stage.compute.address)
    assert "claim-waiting" in kinds(alerts)
    assert code == 1


def test_a_webhook_is_signed_and_its_secret_never_sent(watch, attested, server, monkeypatch) -> None:
    monkeypatch.setenv("LLAMAFUND_WEBHOOK_TOKEN", SECRET.replace(" ", "-"))
    watch("--webhook", server.url)
    ((headers, body),) = server.got
    document = json.loads(body)
    assert (document["event"], document["kind"]) == ("alert", "attested")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.digest(SECRET.replace(" ", "-").encode(), signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{right}"
    assert SECRET.replace(" ", "-") not in str(headers) + body.decode()
    assert "authorization" not in headers


def test_what_does_not_arrive_is_sent_again_and_what_arrived_is_not(watch, attested, server, monkeypatch) -> None:
    monkeypatch.setenv("LLAMAFUND_WEBHOOK_TOKEN", "secret")
    server.says = [503, 200]
    assert watch("--webhook", server.url, "--soon", "1h")[1] == 0
    assert len(server.got) == 1
    attested.client.challenge(attested.backers[0], attested.client.latest_attestation(), 0, ETHER // 10)
    server.says = [400]
    alerts, code = watch("--webhook", server.url, "--soon", "1h")
    assert (kinds(alerts), code) == (["challenged"], 1)
    assert len(server.got) == 1
    alerts, code = watch("--webhook", server.url, "--soon", "1h")
    assert (alerts, code, len(server.got)) == ([], 0, 2)
    assert json.loads(server.got[1][1])["kind"] == "challenged"


def test_a_topic_gets_plain_words_with_a_priority(watch, attested, server) -> None:
    watch("--ntfy", server.url)
    headers, body = server.got[0]
    # One that is answered late is sent again.
    assert {again for _, again in server.got} == {body}
    assert (headers["title"], headers["priority"]) == ("LlamaFund: attested", "4")
    assert body.decode().startswith(f"{attested.client.address}: Milestone 0 (DATASET) was attested")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example/x", "plain HTTP"),
        ("https://user:word@hooks.example/x", "user name or password"),
        ("https://hooks.example/x?token=word", "a query"),
        ("ftp://hooks.example/x", "not an address"),
    ],
)
def test_an_address_that_would_leak_is_refused(llamafund, stage, monkeypatch, url: str, words: str) -> None:
    monkeypatch.setenv("LLAMAFUND_WEBHOOK_TOKEN", "secret")
    llamafund("watch", "--all", "--once", "--webhook", url, "--rpc", stage.devnet.rpc_url).refused(2, words)


def test_a_webhook_without_a_secret_is_refused(llamafund, stage) -> None:
    ran = llamafund("watch", "--all", "--once", "--webhook", "https://hooks.example/x", "--rpc", stage.devnet.rpc_url)
    ran.refused(2, "There is no secret", "LLAMAFUND_WEBHOOK_TOKEN")


def test_threat_a_webhook_is_never_sent_into_a_private_network(watch, attested, monkeypatch) -> None:
    """Whoever owns a name may let it lead anywhere, and anew each time: the address counts, when it is connected."""
    monkeypatch.setattr(patience, "pause", lambda _: None)
    monkeypatch.setenv("LLAMAFUND_WEBHOOK_TOKEN", "secret")
    connected: list[Any] = []
    real = socket.getaddrinfo

    def lead(host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        if host == "hooks.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]
        return real(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lead)
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, to: connected.append(to) or connect(self, to))
    _, code = watch("--webhook", "https://hooks.example/x", "--soon", "1h")
    assert code == 4
    assert not [to for to in connected if to[0] == "10.0.0.7"]


def test_a_node_that_stands_still_is_told(watch, stage, monkeypatch) -> None:
    stage.open()
    monkeypatch.setattr("llamafund_chain.cli.watch.STALE_AFTER", -1.0)
    alerts, code = watch()
    assert (kinds(alerts), code) == (["node-standing-still"], 4)
    assert alerts[0]["campaign"] is None


def test_no_node_is_no_news(llamafund, stage, no_node: str) -> None:
    llamafund("watch", "--all", "--once", "--rpc", no_node).refused(4)


def test_what_to_watch_must_be_clear(llamafund, stage) -> None:
    client = stage.open()
    where = ("--once", "--rpc", stage.devnet.rpc_url)
    llamafund("watch", *where).refused(2, "Nothing to watch was named")
    llamafund("watch", client.address, "--all", *where).refused(2, "not clear what to watch")
    llamafund("watch", "--all", "--backer", client.address, *where).refused(2, "not clear what to watch")
    assert "The wallet is not used" in llamafund("watch", "--all", *where, wallet="stranger").stderr
    llamafund("watch", client.address, "--audit", "books", *where).refused(2, "--all and --backer")


def test_memory_that_makes_no_sense_is_no_memory(watch, attested, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMAFUND_STATE", str(tmp_path))
    assert kinds(watch("--soon", "1h")[0]) == ["attested"]
    (file,) = (tmp_path / "watch").iterdir()
    assert "http" not in file.read_text()
    file.write_text('{"output": {"heard": 7}}')
    assert kinds(watch("--soon", "1h")[0]) == ["attested"]


def test_many_campaigns_take_few_requests(watch, stage, crowd) -> None:
    stage.open()
    crowd(199)
    with FaultyNode(stage.devnet.rpc_url) as node:
        assert watch(rpc=node.url, store=False) == ([], 0)
        assert node.count <= 24, node.methods
