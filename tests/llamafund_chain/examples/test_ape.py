"""The example for ape: its ABI is the escrow's, and its script runs where ape is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from llamafund_chain.deployment import artifacts

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "examples" / "ape"
APE = ROOT / ".venv" / "ape" / "bin" / "ape"
ETHER = 10**18


def test_every_function_of_its_abi_is_the_escrows() -> None:
    ours = json.loads((PROJECT / "contracts" / "Campaign.json").read_text(encoding="utf-8"))
    assert ours
    assert [function for function in ours if function not in artifacts.load("Campaign").abi] == []


@pytest.mark.skipif(not APE.exists(), reason="ape is not installed here: `make assure` installs it")
def test_its_script_reads_a_campaign_and_pledges(stage, tmp_path: Path) -> None:
    # The account that ape calls TEST::0 is the first one of the well-known test mnemonic.
    account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    client = stage.open()
    stage.devnet.fund(account, 10 * ETHER)
    project = shutil.copytree(PROJECT, tmp_path / "project")
    ran = subprocess.run(
        [
            *(APE, "run", "campaign", client.address, "--account", "TEST::0", "--pledge", "0.5 ether"),
            *("--network", stage.devnet.rpc_url),
        ],
        cwd=project,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert client.pledge_of(account) == ETHER // 2
    assert f"yours    {ETHER // 2}" in ran.stdout
