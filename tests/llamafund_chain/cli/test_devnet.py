"""`llamafund devnet`, as a program of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from llamafund_chain.campaign.client import connect
from llamafund_chain.errors import NodeUnreachableError

FUNDED = "0x00000000000000000000000000000000000000bb"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_stop_and_leaves_nothing_behind(how: signal.Signals) -> None:
    arguments = ["-m", "llamafund_chain", "devnet", "--port", "0", "--fund", FUNDED, "--json"]
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        text = ""
        while not text.rstrip().endswith("\n}"):
            line = process.stdout.readline()
            assert line, "it ended by itself"
            text += line
        facts = json.loads(text)
        connection = connect(facts["rpc"])
        assert connection.caip2 == facts["chain"] == "eip155:31337"
        assert connection.deployment().factory == facts["factory"]
        assert connection.balance(FUNDED) == 100 * 10**18
        latest, until = connection.block("latest").number, time.monotonic() + 120
        while connection.block("finalized").number < latest:
            assert time.monotonic() < until, "no block comes without a transaction, so nothing ever becomes final"
        assert process.stderr.readline() == "Running. Ctrl-C stops it.\n"
        process.send_signal(how)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0
        assert stderr == "The chain has stopped.\n"
        with pytest.raises(NodeUnreachableError):
            connect(facts["rpc"])
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_and_a_port_that_is_none_are_refused(llamafund, devnet) -> None:
    port = devnet.rpc_url.rpartition(":")[2]
    llamafund("devnet", "--port", port).refused(1, "anvil did not start")
    llamafund("devnet", "--port", "70000").refused(2)
    llamafund("devnet", "--fund", "nobody").refused(2)
