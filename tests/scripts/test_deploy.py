"""`scripts/deploy.py` under brownie, against a real chain."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account
from filelock import FileLock

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.court_arbiter import CourtArbiter, question_path
from llamafund_chain.errors import LlamafundError

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("brownie_installed")


@pytest.fixture
def bare() -> object:
    with Devnet(deploy=False) as chain:
        yield chain


def _deploy(rpc_url: str, directory: Path, network: str = "custom", **environment: str) -> tuple[int, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LLAMAFUND_")}
    script = [sys.executable, str(ROOT / "scripts" / "brownie_env.py")]
    # brownie compiles what changed into build/: one process at a time.
    with FileLock(ROOT / "build" / "brownie.lock"):
        ran = subprocess.run(
            [*script, "run", "deploy", "main", str(directory), "--network", network],
            cwd=directory,
            env={**clean, "LLAMAFUND_RPC_URL": rpc_url, "LLAMAFUND_CHAIN_ID": "31337", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    return ran.returncode, ran.stdout + ran.stderr


def test_deploying_twice_deploys_once_and_records_it(bare: Devnet, tmp_path: Path) -> None:
    home = {path.name for path in Path.home().iterdir()}
    code, output = _deploy(bare.rpc_url, tmp_path)

    assert code == 0, output
    record = addresses.load(31_337, tmp_path)
    assert record is not None
    assert record.factory in output
    assert addresses.verify(bare.w3).factory_code_hash == record.factory_code_hash
    height = bare.w3.eth.block_number
    code, output = _deploy(bare.rpc_url, tmp_path)

    assert code == 0, output
    assert bare.w3.eth.block_number == height
    assert addresses.load(31_337, tmp_path) == record
    assert {path.name for path in Path.home().iterdir()} == home


def test_an_arbiter_for_a_court_is_deployed_and_recorded_with_it(bare: Devnet, tmp_path: Path) -> None:
    court = bare.deploy_mock_court(1)
    named = {"LLAMAFUND_COURT": court, "LLAMAFUND_COURT_EXTRA_DATA": "0x0102"}

    code, output = _deploy(bare.rpc_url, tmp_path, **named, LLAMAFUND_APPEAL_RESERVE="2000000")

    assert code == 0, output
    arbiter = CourtArbiter(court, b"\1\2", appeal_reserve=2_000_000)
    assert f"question.json at {question_path()}" in output
    assert f"CourtArbiter for the court {court}: {arbiter.address}" in output
    record = addresses.load(31_337, tmp_path)
    assert record is not None
    assert record.arbiters == {arbiter.address: court}
    # It stays recorded when the script runs again without a court, and no longer than it is there.
    assert _deploy(bare.rpc_url, tmp_path)[0] == 0
    assert addresses.load(31_337, tmp_path) == record
    bare.connection.request("anvil_setCode", arbiter.address, "0x")
    assert addresses.deploy(bare.w3, lambda _: {}, record).arbiters == {}


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"LLAMAFUND_APPEAL_RESERVE": "a fortnight"}, "LLAMAFUND_APPEAL_RESERVE is 'a fortnight'"),
        ({"LLAMAFUND_APPEAL_RESERVE": "-1"}, "LLAMAFUND_APPEAL_RESERVE is '-1'"),
        ({"LLAMAFUND_COURT_EXTRA_DATA": "three jurors"}, "LLAMAFUND_COURT_EXTRA_DATA is 'three jurors'"),
        ({"LLAMAFUND_COURT": "kleros.eth"}, "LLAMAFUND_COURT: 'kleros.eth' is not an address"),
    ],
)
def test_an_arbiter_that_cannot_be_deployed_is_refused_before_anything_is_sent(
    bare: Devnet, tmp_path: Path, spoilt: dict[str, str], words: str
) -> None:
    named = {"LLAMAFUND_COURT": "0x" + "12" * 20, **spoilt}
    height = bare.w3.eth.block_number
    code, output = _deploy(bare.rpc_url, tmp_path, **named)
    assert code == 2, output
    assert words in output
    assert bare.w3.eth.block_number == height


def test_processes_with_other_variables_do_not_change_the_file_of_networks_that_they_share(tmp_path: Path) -> None:
    program = "import brownie_env, pathlib, sys; brownie_env.prepare(pathlib.Path(sys.argv[1]))"
    written = []
    for chain in ("1", "31337"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "LLAMAFUND_CHAIN_ID": chain}
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True)
        written.append((tmp_path / ".brownie" / "network-config.yaml").read_bytes())
    assert written[0] == written[1]


def test_a_chain_with_older_rules_gets_nothing(tmp_path: Path) -> None:
    with Devnet(hardfork="shanghai", deploy=False) as chain:
        height = chain.w3.eth.block_number
        code, output = _deploy(chain.rpc_url, tmp_path)

        assert code == 1, output
        assert "Error: Chain 31337 has no transient storage (EIP-1153)" in output
        assert "no campaign could ever be opened" in output
        assert chain.w3.eth.block_number == height
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize(("name", "code"), addresses._NEEDED.items())
def test_each_instruction_that_campaigns_need_is_tried_alone(name: str, code: bytes) -> None:
    with Devnet(hardfork="cancun", deploy=False) as chain:
        addresses._check_instruction(chain.w3, 31_337, name, code)
    with (
        Devnet(hardfork="shanghai", deploy=False) as chain,
        pytest.raises(LlamafundError, match=re.escape(f"Chain 31337 has no {name}")),
    ):
        addresses._check_instruction(chain.w3, 31_337, name, code)


def test_a_key_file_pays_where_the_node_has_no_account(bare: Devnet, tmp_path: Path) -> None:
    account = Account.from_key("0x" + "61" * 32)
    bare.fund(account.address, 10**18)
    key_file, passphrase = tmp_path / "deployer.json", tmp_path / "passphrase"
    key_file.write_text(json.dumps(Account.encrypt(account.key, "secret words", iterations=2)), encoding="utf-8")
    passphrase.touch(mode=0o600)
    passphrase.write_text("secret words\n", encoding="utf-8")

    code, output = _deploy(
        bare.rpc_url, tmp_path, LLAMAFUND_DEPLOYER=str(key_file), LLAMAFUND_PASSPHRASE_FILE=str(passphrase)
    )

    assert code == 0, output
    assert bare.w3.eth.get_transaction_count(account.address) == 2
    assert "secret words" not in output


def test_a_wrong_passphrase_is_one_line_and_deploys_nothing(bare: Devnet, tmp_path: Path) -> None:
    account = Account.from_key("0x" + "61" * 32)
    key_file, passphrase = tmp_path / "deployer.json", tmp_path / "passphrase"
    key_file.write_text(json.dumps(Account.encrypt(account.key, "secret words", iterations=2)), encoding="utf-8")
    passphrase.touch(mode=0o600)
    passphrase.write_text("other words\n", encoding="utf-8")
    height = bare.w3.eth.block_number

    code, output = _deploy(
        bare.rpc_url, tmp_path, LLAMAFUND_DEPLOYER=str(key_file), LLAMAFUND_PASSPHRASE_FILE=str(passphrase)
    )

    assert code == 2, output
    assert "Error: The passphrase does not open" in output
    assert "Traceback" not in output
    assert "words" not in output
    assert bare.w3.eth.block_number == height
    assert addresses.load(31_337, tmp_path) is None


def test_a_node_on_another_chain_than_the_network_is_refused(bare: Devnet, tmp_path: Path) -> None:
    height = bare.w3.eth.block_number
    code, output = _deploy(bare.rpc_url, tmp_path, network="sepolia")
    assert code == 2, output
    assert "Error: The node is on chain 31337" in output
    assert bare.w3.eth.block_number == height
    assert not list(tmp_path.glob("*.json"))


def test_a_node_that_does_not_answer_is_named(tmp_path: Path) -> None:
    code, output = _deploy("http://127.0.0.1:9", tmp_path)
    assert code == 4, output
    assert "Error: No node answered" in output
