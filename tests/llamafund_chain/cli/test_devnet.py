"""`llamafund devnet`, as a program of its own."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llamafund_chain.campaign.client import connect
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS, PASSPHRASE
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.cli import devnet as command
from llamafund_chain.cli.options import open_keystore, read_passphrase
from llamafund_chain.errors import NodeUnreachableError
from llamafund_chain.times import when

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
        while connection.block("finalized").number <= latest:
            assert time.monotonic() < until, "no block comes without a transaction, so no deadline ever passes"
        mined = connection.block("latest").number
        assert connection.block("finalized").number >= mined, "who pastes lines would have to wait"
        assert process.stderr.readline().startswith("Running. ")
        process.send_signal(how)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0
        assert stderr == "The chain has stopped.\n"
        with pytest.raises(NodeUnreachableError):
            connect(facts["rpc"])
    finally:
        process.kill()
        process.communicate()


def test_its_accounts_are_wallets_that_commands_take_as_the_printed_lines_say(
    llamafund, devnet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command.Devnet, "__enter__", lambda _: devnet)
    monkeypatch.setattr(command.Devnet, "__exit__", lambda *_: None)
    monkeypatch.setattr(devnet, "wait", lambda: 0)
    for _ in range(2):  # The second time the wallets are there already.
        ran = llamafund("devnet")
        ran.refused(1, "stopped by itself with status 0")
        exports = dict(shlex.split(line)[1].split("=", 1) for line in ran.stdout.splitlines() if line[:6] == "export")
        assert list(exports) == [f"LLAMAFUND_{name}" for name in ("RPC", "KEYSTORE", "PASSPHRASE_FILE", "STORE")]
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    listed = {wallet["name"]: wallet["address"] for wallet in llamafund("wallet", "list", "--json").json["wallets"]}
    assert listed == {account.name: account.address for account in KNOWN_ACCOUNTS}
    for name in ("alice", "rosa", "tara", "vera", "audrey"):
        assert devnet.connection.balance(listed[name]) > 10**18
        unlocked = open_keystore(Path(exports["LLAMAFUND_KEYSTORE"])).unlock(name, PASSPHRASE)
        assert unlocked.address == listed[name]
    assert read_passphrase(Path(exports["LLAMAFUND_PASSPHRASE_FILE"])) == PASSPHRASE


def test_time_passes_for_another_terminal(llamafund, devnet) -> None:
    before = devnet.connection.block()
    ran = llamafund("devnet", "advance", "3d", "--rpc", devnet.rpc_url)
    assert ran.code == 0, ran.stderr
    after = devnet.connection.block("finalized")
    assert after.number > before.number
    assert 0 <= after.timestamp - before.timestamp - 3 * 86_400 < 3_600
    assert ran.stdout.startswith("Chain 31337 has moved on by 3 days.\n")
    assert when(devnet.connection.timestamp()) in ran.stdout
    told = llamafund("devnet", "advance", "1m", "--rpc", devnet.rpc_url, "--json").json
    assert (told["by_seconds"], told["timestamp"]) == (60, devnet.connection.timestamp())


def test_the_time_is_also_told_as_the_clock_on_the_wall_shows_it(
    llamafund, devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        ran = llamafund("devnet", "advance", "1h", "--rpc", devnet.rpc_url)
        local = datetime.fromtimestamp(devnet.connection.timestamp(), UTC) + timedelta(hours=9)
        assert f"{local:%Y-%m-%d %H:%M} JST" in " ".join(ran.stdout.split())
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("length", ["0s", "-3d", "tomorrow", "4000d"])
def test_a_time_that_cannot_pass_is_refused(llamafund, devnet, length: str) -> None:
    before = devnet.connection.block()
    llamafund("devnet", "advance", length, "--rpc", devnet.rpc_url).refused(2)
    assert devnet.connection.block() == before


def test_time_passes_on_no_chain_that_is_not_for_tests(llamafund, devnet, node) -> None:
    asked: list[str] = []

    def on_base(method: str, params: tuple[object, ...], forward):
        asked.append(method)
        return "0x2105" if method == "eth_chainId" else forward()

    node(on_base)
    llamafund("devnet", "advance", "3d", "--rpc", devnet.rpc_url).refused(2, "is chain 8453", "Only a test chain")
    assert set(asked) == {"eth_chainId"}


def test_a_node_that_cannot_let_time_pass_is_told_by_its_words(llamafund, devnet, node) -> None:
    def refusing(method: str, params: tuple[object, ...], forward):
        if method == "evm_increaseTime":
            raise RpcError(method, -32601, "the method does not exist", None)
        return forward()

    node(refusing)
    llamafund("devnet", "advance", "3d", "--rpc", devnet.rpc_url).refused(2, "the method does not exist", "anvil")


def test_options_for_a_new_chain_are_not_lost_on_one_that_runs(llamafund) -> None:
    llamafund("devnet", "--port", "1", "advance", "3d").refused(2, "were given to one of its commands", "advance")


def test_a_taken_port_and_a_port_that_is_none_are_refused(llamafund, devnet) -> None:
    port = devnet.rpc_url.rpartition(":")[2]
    llamafund("devnet", "--port", port).refused(1, "anvil did not start")
    llamafund("devnet", "--port", "70000").refused(2)
    llamafund("devnet", "--fund", "nobody").refused(2)
