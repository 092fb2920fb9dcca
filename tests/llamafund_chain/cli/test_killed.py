"""A pledge whose program is killed at any moment, and repeated, is paid once: with real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_node import FaultyNode

ETHER = 10**18
KILLS = 100 if "LLAMAFUND_ASSURE" in os.environ else 5
PATIENCE = 120.0


def run(words: tuple[object, ...], state: Path, kill: Callable[[subprocess.Popen[str]], None] | None = None) -> Any:
    """Run the program, perhaps with somebody who kills it; what it printed if it came so far, or `None`."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LLAMAFUND_STATE": str(state),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "llamafund_chain", *map(str, words)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if kill is not None:
            kill(process)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == (0 if kill is None else process.returncode), stderr
    assert process.returncode in (0, -signal.SIGKILL), stderr
    try:
        return json.loads(stdout)
    except json.JSONDecodeError:
        return None


@pytest.mark.parametrize("token", [False, True], ids=["coin", "token"])
def test_a_pledge_that_is_killed_at_any_moment_and_repeated_is_paid_once(
    stage, keystore: Path, tmp_path: Path, token: bool
) -> None:
    terms: dict[str, object] = {"goal": 10**6 * ETHER, "cap": 10**7 * ETHER}
    if token:
        address = stage.devnet.deploy_token("Demo Dollar", "DEMO", 18)
        stage.devnet.mint_token(address, stage.backers[0].address, 1_000 * ETHER)
        terms["asset"] = address
    client, backer = stage.open(**terms), stage.backers[0].address
    stage.devnet.fund(backer, 1_000 * ETHER)
    chance = random.SystemRandom()
    with FaultyNode(stage.devnet.rpc_url) as node:
        words = ("pledge", client.address, 1, "--rpc", node.url, "--yes", "--json", "--wallet", "backer0")
        words += ("--keystore", keystore, "--passphrase-file", keystore / "passphrase")
        began = time.monotonic()
        run(words, tmp_path)
        whole, requests = time.monotonic() - began, node.count
        paid = 1
        for number in range(KILLS):
            first = node.count
            if number % 2:
                moment = f"at request {(at := chance.randrange(requests))}, {chance.choice(['before', 'after'])}"
                told = run(words, tmp_path, lambda process, at=first + at, m=moment: at_request(node, process, at, m))
            else:
                after = chance.uniform(whole / 3, whole)
                moment = f"after {after:.3f} of {whole:.3f} seconds"
                told = run(words, tmp_path, lambda process, after=after: after_seconds(process, after))
            node.fault = None
            if told is None:
                # Nobody knows what became of it: so the command is repeated.
                told = run(words, tmp_path)
            paid += 1
            assert client.pledge_of(backer) == paid * ETHER, moment
            assert told["amount"] == "1"
            receipt = stage.devnet.connection.request("eth_getTransactionReceipt", f"0x{told['transaction']}")
            assert int(receipt["blockNumber"], 16) == told["block"], moment
    sent = stage.devnet.connection.nonce(backer)
    assert sent == paid, "each pledge took one transaction"


def after_seconds(process: subprocess.Popen[str], seconds: float) -> None:
    """Kill a process some time after its start."""
    threading.Timer(seconds, process.kill).start()


def at_request(node: FaultyNode, process: subprocess.Popen[str], at: int, moment: str) -> None:
    """Kill a process when it makes a request, before or after the node has answered it."""

    def fault(number: int, request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        if number == at and "before" in moment:
            process.kill()
        answer = forward(request) if not (number == at and "before" in moment) else {}
        if number == at:
            process.kill()
        return answer

    node.fault = fault
