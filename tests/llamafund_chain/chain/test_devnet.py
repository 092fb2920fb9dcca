"""The development chain lives exactly as long as its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.errors import LlamafundError

NOBODY = "0x00000000000000000000000000000000000000bb"
OWNER = """
import sys
from llamafund_chain.chain.devnet import Devnet
with Devnet(deploy=False) as chain:
    print(chain.pid, flush=True)
    sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if not alive(pid):
            return True
        os.sched_yield()
    return False


def test_it_starts_on_a_free_port_with_the_contracts_and_leaves_nothing_behind() -> None:
    with Devnet() as one, Devnet(deploy=False) as two:
        pids = (one.pid, two.pid)
        assert one.rpc_url != two.rpc_url
        assert one.connection.chain_id == 31337
        assert one.deployment.factory == one.connection.deployment().factory
        with pytest.raises(LlamafundError):
            two.deployment.factory  # noqa: B018 - reading it is what is tried
    assert all(ends(pid) for pid in pids)
    with pytest.raises(LlamafundError, match="not running"):
        one.connection.block()


def test_time_passes_as_told_and_everything_before_is_final(devnet) -> None:
    devnet.finalize()  # the last block may be as old as the test before
    before = devnet.connection.block()
    devnet.advance(3 * 86_400)
    after = devnet.connection.block("finalized")
    assert after.number > before.number
    assert 0 <= after.timestamp - before.timestamp - 3 * 86_400 < 3_600


def test_accounts_are_funded_as_told(devnet) -> None:
    devnet.fund(NOBODY, 12_345)
    assert devnet.connection.balance(NOBODY) == 12_345


def test_tokens_are_deployed_and_minted(devnet) -> None:
    from llamafund_chain.chain.tokens import Token

    address = devnet.deploy_token("Six Places", "SIX", 6)
    devnet.mint_token(address, NOBODY, 1_500_001)
    token = Token(devnet.connection, address)
    assert token.asset.format(token.balance_of(NOBODY)) == "1.500001 SIX"


def test_a_taken_port_is_a_clear_error(devnet) -> None:
    port = int(devnet.rpc_url.rpartition(":")[2])
    with pytest.raises(LlamafundError, match="anvil did not start"), Devnet(port=port):
        pass


def test_a_program_that_is_no_anvil_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho I am something else\n")
    program.chmod(0o755)
    monkeypatch.setenv("LLAMAFUND_ANVIL", str(program))
    with pytest.raises(LlamafundError, match="I am something else"), Devnet():
        pass


def test_an_anvil_that_is_too_old_is_told_from_a_taken_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho \"error: unexpected argument '--mixed-mining' found\" >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("LLAMAFUND_ANVIL", str(program))
    with pytest.raises(
        LlamafundError, match=r"unexpected argument '--mixed-mining'.*older than this needs: run foundryup"
    ):
        Devnet().__enter__()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_its_owner_is_killed(how: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdin is not None
    pid = int(owner.stdout.readline())
    try:
        assert alive(pid)
        owner.send_signal(how)
        owner.wait(120)
        assert ends(pid)
    finally:
        owner.kill()
        owner.wait()
        owner.stdin.close()
        owner.stdout.close()


def test_an_old_block_is_still_there_after_thousands() -> None:
    with Devnet(deploy=False) as chain:
        chain.connection.request("anvil_mine", hex(4500))
        assert chain.connection.balance(NOBODY, 1) == 0
