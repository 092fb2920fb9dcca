"""The README of the example for a Safe is lived through with a real Safe of two owners."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import keccak
from web3.contract.contract import ContractFunction

from llamafund_chain import AttestationFile
from llamafund_chain.chain.devnet import Devnet

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "examples" / "safe" / "README.md").read_text(encoding="utf-8")
BUILT = ROOT / "node_modules" / "@safe-global" / "safe-contracts" / "build" / "artifacts" / "contracts"
NOBODY = "0x" + "00" * 20
ETHER = 10**18


def built(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((BUILT / name).read_text(encoding="utf-8"))
    return loaded


class RealSafe:
    """A Safe on a chain, and what its app and its owners do."""

    def __init__(self, chain: Devnet, owners: Sequence[LocalAccount]) -> None:
        self.chain, self.owners = chain, sorted(owners, key=lambda owner: int(owner.address, 16))
        code = built("Safe.sol/Safe.json")
        singleton = chain.w3.eth.contract(chain.deploy(bytes.fromhex(code["bytecode"][2:])), abi=code["abi"])
        handler = built("handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler.json")
        answers = chain.deploy(bytes.fromhex(handler["bytecode"][2:]))
        proxy = built("proxies/SafeProxy.sol/SafeProxy.json")["bytecode"][2:]
        self.address = chain.deploy(bytes.fromhex(proxy) + bytes(12) + bytes.fromhex(singleton.address[2:]))
        self.contract = chain.w3.eth.contract(self.address, abi=code["abi"])
        people = [owner.address for owner in self.owners]
        self._mined(self.contract.functions.setup(people, len(people), NOBODY, b"", answers, NOBODY, 0, NOBODY))

    def _mined(self, call: ContractFunction) -> None:
        digest = call.transact({"from": self.chain.w3.eth.accounts[0]})
        # A node may answer before the block is made.
        assert self.chain.w3.eth.wait_for_transaction_receipt(digest, poll_latency=0.01)["status"] == 1

    def execute(self, call: dict[str, str]) -> None:
        """What the app does with one call of an imported file."""
        parts = (call["to"], int(call["value"]), call["data"], 0, 0, 0, 0, NOBODY, NOBODY)
        nonce = self.contract.functions.nonce().call()
        digest = self.contract.functions.getTransactionHash(*parts, nonce).call()
        signatures = b"".join(bytes(owner.unsafe_sign_hash(digest).signature) for owner in self.owners)
        self._mined(self.contract.functions.execTransaction(*parts, signatures))

    def signed(self, typed_data: dict[str, Any]) -> list[str]:
        """Each owner's signature on the Safe's message of a document."""
        document = encode_typed_data(full_message=typed_data)
        digest = keccak(b"\x19\x01" + document.header + document.body)
        struct = keccak(keccak(text="SafeMessage(bytes message)") + keccak(digest))
        message = keccak(b"\x19\x01" + self.contract.functions.domainSeparator().call() + struct)
        return [f"0x{bytes(owner.unsafe_sign_hash(message).signature).hex()}" for owner in self.owners]


def test_a_safe_pledges_and_attests_by_the_lines_of_the_readme(stage, tmp_path: Path) -> None:
    if not BUILT.exists():
        pytest.skip("the Safe's contracts are not installed: make setup")
    safe = RealSafe(stage.devnet, [Account.from_key(bytes([number]) * 32) for number in (7, 8)])
    stage.devnet.fund(safe.address, 5 * ETHER)
    pledge, attest, add = (re.sub(r"^\$ ", "", line) for line in re.findall(r"^\$ .+$", README, re.MULTILINE))
    stage.open(attestors=(safe.address, stage.attestors[0].address))
    environment = {
        **os.environ,
        "CAMPAIGN": stage.client.address,
        "SAFE": safe.address,
        "DATASET": stage.run.dataset.sha256,
        "LLAMAFUND_RPC": stage.devnet.rpc_url,
        "LLAMAFUND_STORE": str(stage.run.store.location),
        "LLAMAFUND_FINALITY": "latest",
    }

    def run(line: str, **more: str) -> None:
        shell = f'llamafund() {{ "{sys.executable}" -m llamafund_chain "$@"; }}\n{line}'
        ran = subprocess.run(
            ["bash", "-c", shell],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

    run(pledge)
    (call,) = json.loads((tmp_path / "pledge.json").read_text())["transactions"]
    safe.execute(call)
    assert stage.client.pledge_of(safe.address) == ETHER
    stage.fund()
    run(attest)
    first, second = safe.signed(json.loads((tmp_path / "typed-data.json").read_text()))
    run(add, FIRST=second, SECOND=first)
    (entry,) = AttestationFile.load(tmp_path / "attestation.json").signatures
    assert entry.signer == safe.address
