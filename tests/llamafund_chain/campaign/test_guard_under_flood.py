"""A guard with one key against a flood: a chain with a block every 2 seconds, and a node that is 80 ms away."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from llamafund_chain.campaign.client import ANSWER_GAS, price_of_challenge
from llamafund_chain.campaign.events import ChallengeAnswered, Challenged
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.transactions import Fees
from llamafund_chain.evidence.merkle import CHUNK_SIZE

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ETHER = 10**18
DAY = 86_400
AWAY = 0.08
"""Seconds that each request takes longer than without a network."""
BLOCK_TIME = 2
BASE_FEE = 10**7
"""0.01 gwei, as on a calm rollup."""
CHALLENGE_GAS = 120_000
LONGEST = 3_600
"""Seconds after which a guard that has not answered everything counts as beaten."""
PER_BLOCK = 250
"""Challenges sent for one block: as many as its 30 million units of gas hold."""


@pytest.fixture
def far_away() -> Iterator[object]:
    """Puts a node 80 ms away: gives the address of a proxy for it."""
    servers: list[ThreadingHTTPServer] = []

    def put(url: str) -> str:
        host, _, port = url.removeprefix("http://").partition(":")

        class Proxy(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(AWAY)
                node = http.client.HTTPConnection(host, int(port))
                node.request("POST", "/", body, {"Content-Type": "application/json"})
                answer = node.getresponse().read()
                node.close()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield put
    for server in servers:
        server.shutdown()
        server.server_close()


@dataclass
class Flood:
    """Challenges as fast as blocks take them, each at its price, until the money is spent.

    Attributes:
        budget: Wei for bonds.
        spent: Wei of the bonds.
        sent: How many challenges were sent.
        dearest: Highest price of a first challenge while it went on, wei: its own blocks raise the base fee.
    """

    stage: object
    attacker: LocalAccount
    budget: int
    chunks: Iterator[int]
    spent: int = 0
    sent: int = 0
    dearest: int = 0
    nonce: int = field(default=0, init=False)

    def run(self) -> None:
        client, connection = self.stage.client, self.stage.devnet.connection
        outbox = Outbox(connection)
        attestation = client.latest_attestation()
        content = (bytes.fromhex(attestation.content_root), attestation.content_size)
        self.nonce = connection.nonce(self.attacker.address)
        spent = True
        while spent:
            block = connection.block().number
            fees = Fees(4 * connection.base_fee() + 10**6, 10**6)
            base = max(client.terms.min_bond, ANSWER_GAS * connection.base_fee() * 9 // 8)
            self.dearest = max(self.dearest, base)
            open_now = client.open_challenge_count()
            batch = []
            for number in range(PER_BLOCK):
                bond = price_of_challenge(base, open_now + number) + 1
                spent = self.spent + bond <= self.budget
                if not spent:
                    break
                call = client._call("challenge", *content, next(self.chunks))
                batch.append(outbox.sign(self.attacker, call, bond, nonce=self.nonce, gas=CHALLENGE_GAS, fees=fees))
                self.nonce, self.spent, self.sent = self.nonce + 1, self.spent + bond, self.sent + 1
            assert outbox.transmit_many(batch) == [None] * len(batch)
            while connection.nonce(self.attacker.address) < self.nonce or connection.block().number == block:
                time.sleep(0.05)


def unanswered(budget: int, base: int) -> int:
    """How many challenges a sum of bonds buys if nobody answers any.

    Args:
        budget: Wei.
        base: Price of the first, wei.
    """
    count = spent = 0
    while (spent := spent + price_of_challenge(base, count) + 1) <= budget:
        count += 1
    return count


def flooded(stage, far_away, tmp_path: Path, keystore: Path, budget: int, size: int) -> dict[str, float]:
    """A flood against `llamafund watch`. Returns how long it took, and how much whom it cost."""
    connection = stage.devnet.connection
    attacker = stage.backers[2]
    keeper = Account.from_key((31).to_bytes(32, "big"))
    stage.honest_until(1)
    stage.run.filling = size
    stage.attest(1, stage.run.train(stage.seed, steps=(0,)))
    for account, amount in ((attacker, budget + 10 * ETHER), (keeper, ETHER)):
        stage.devnet.fund(account.address, amount)
    connection.request("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE))
    connection.request("evm_setAutomine", False)
    connection.request("evm_setIntervalMining", BLOCK_TIME)
    time.sleep(BLOCK_TIME)
    before = connection.balance(keeper.address), connection.balance(attacker.address)
    command = [
        *(sys.executable, "-m", "llamafund_chain", "watch", stage.client.address, "--interval", "1", "--json"),
        *("--rpc", far_away(stage.devnet.rpc_url), "--store", stage.run.store.location),
        *("--wallet", "stranger", "--keystore", str(keystore), "--passphrase-file", str(keystore / "passphrase")),
    ]
    log = tmp_path / "watch.jsonl"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as guard:
        try:
            started = time.monotonic()
            flood = Flood(stage, attacker, budget, iter(range(size // CHUNK_SIZE)))
            flood.run()
            over = time.monotonic()
            longest = stage.client.open_challenge_count()
            while stage.client.open_challenge_count():
                assert guard.poll() is None, log.read_text()[-2_000:]
                assert time.monotonic() < over + LONGEST, log.read_text()[-2_000:]
                time.sleep(0.5)
            drained = time.monotonic()
        finally:
            guard.send_signal(signal.SIGINT)
    connection.request("evm_setIntervalMining", 0)
    connection.request("evm_setAutomine", True)
    opened = [event.bond for event in stage.client.events(only=[Challenged]) if isinstance(event, Challenged)]
    assert len(opened) == len(stage.client.events(only=[ChallengeAnswered]))
    # A few came too late for the base fee that they were made for.
    assert len(opened) > 0.9 * flood.sent > 0
    return {
        "challenges": len(opened),
        "bonds": sum(opened) / ETHER,
        "unanswered for that": unanswered(budget, flood.dearest),
        "longest queue": longest,
        "flood, seconds": over - started,
        "drained after, seconds": drained - over,
        "answers a second": len(opened) / (drained - started),
        "keeper earned": (connection.balance(keeper.address) - before[0]) / ETHER,
        "attacker lost": (before[1] - connection.balance(attacker.address)) / ETHER,
        "problems": sum(
            json.loads(line)["event"] == "warning" for line in log.read_text().splitlines() if line[0] == "{"
        ),
    }


def check(stage, figures: dict[str, float], budget: int) -> None:
    """Every challenge is answered, in time, and at the attacker's cost; silence still fails the campaign."""
    print(json.dumps(figures))
    assert stage.client.status() is Status.ACTIVE
    assert stage.client.open_challenges() == ()
    assert figures["drained after, seconds"] < stage.client.terms.answer_window
    assert figures["attacker lost"] >= figures["bonds"] > 0.9 * budget / ETHER
    # It is as large as its money can make it: answers free places in the queue, which makes the next ones cheaper.
    assert figures["challenges"] > 0.9 * figures["unanswered for that"]
    assert figures["keeper earned"] > 0
    attestation = stage.client.latest_attestation()
    last = (attestation.content_size - 1) // CHUNK_SIZE
    stage.client.challenge(stage.backers[0], attestation, last, stage.client.required_bond() * 2)
    stage.devnet.advance(DAY)
    assert stage.client.status() is Status.FAILED


def test_a_small_flood_is_answered_at_the_attackers_cost(own_stage, far_away, tmp_path: Path, keystore: Path) -> None:
    budget = ETHER // 1_000
    figures = flooded(own_stage, far_away, tmp_path, keystore, budget, size=1 << 22)
    check(own_stage, figures, budget)
    assert figures["challenges"] > 60


@pytest.mark.skipif("LLAMAFUND_ASSURE" not in os.environ, reason="minutes; runs with LLAMAFUND_ASSURE")
def test_five_coins_of_bonds_do_not_outrun_a_guard_with_one_key(
    own_stage, far_away, tmp_path: Path, keystore: Path
) -> None:
    budget = 5 * ETHER
    figures = flooded(own_stage, far_away, tmp_path, keystore, budget, size=200 << 20)
    check(own_stage, figures, budget)
    assert figures["answers a second"] > 1.3
