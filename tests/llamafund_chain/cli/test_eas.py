"""Signed reports and attestations, as EAS's own SDK and contracts see them, on a real chain."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from llamafund_chain.audit.recheck.report_file import read_report, report_hash
from llamafund_chain.audit.recheck.signed import EAS_SCHEMA as AUDIT_SCHEMA
from llamafund_chain.campaign.attestation import EAS_SCHEMA as MILESTONE_SCHEMA
from llamafund_chain.campaign.attestation import AttestationFile, propose

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "node_modules" / "@ethereum-attestation-service" / "eas-contracts" / "artifacts" / "contracts"


class Service:
    """EAS's contracts on the stage's chain."""

    def __init__(self, rpc_url: str) -> None:
        self.w3 = Web3(HTTPProvider(rpc_url))
        self.sender = self.w3.eth.accounts[0]
        self.registry = self._deploy("SchemaRegistry.sol/SchemaRegistry.json")
        self.eas = self._deploy("EAS.sol/EAS.json", self.registry.address)

    def _deploy(self, artifact: str, *arguments: str) -> Any:
        compiled = json.loads((PACKAGE / artifact).read_text(encoding="utf-8"))
        factory = self.w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
        receipt = self.w3.eth.wait_for_transaction_receipt(
            factory.constructor(*arguments).transact({"from": self.sender})
        )
        return self.w3.eth.contract(address=receipt["contractAddress"], abi=compiled["abi"])

    def register(self, schema: str) -> str:
        """The number that the registry gives a schema."""
        call = self.registry.functions.register(schema, "0x" + "00" * 20, False)
        uid = call.call()
        self.w3.eth.wait_for_transaction_receipt(call.transact({"from": self.sender}))
        return f"0x{uid.hex()}"

    def accepts(self, message: dict[str, Any]) -> bool:
        """Whether the contract takes the same attestation on chain, and stamps its number."""
        data = bytes.fromhex(message["data"][2:])
        request = (message["recipient"], message["expirationTime"], False, bytes(32), data, 0)
        uid = self.eas.functions.attest((bytes.fromhex(message["schema"][2:]), request)).call({"from": self.sender})
        return len(uid) == 32


@pytest.fixture
def service(stage) -> Service:
    return Service(stage.devnet.rpc_url)


def ask_sdk(*documents: tuple[dict[str, Any], str], folder: Path) -> list[dict[str, Any]]:
    """What the SDK says of documents, each with its schema."""
    paths = []
    for number, (document, schema) in enumerate(documents):
        path = folder / f"eas-{number}.json"
        path.write_text(json.dumps({**document, "schema": schema}))
        paths.append(str(path))
    ran = subprocess.run(
        ["node", str(ROOT / "tests" / "eas" / "verify.cjs"), *paths], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return list(json.loads(ran.stdout))


@pytest.fixture
def page(llamafund, stage, tmp_path: Path) -> Path:
    """The page of an audit of a campaign with one milestone."""
    stage.honest_until(1)
    path = tmp_path / "audit.html"
    ran = llamafund(
        *("audit", stage.client.address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location),
        *("--depth", "evidence", "--html", path),
    )
    assert ran.code == 0, ran.stderr
    return path


def test_a_signed_report_is_the_auditors_and_an_attestation_for_eas(
    llamafund, stage, service, page, tmp_path: Path
) -> None:
    schema = service.register(AUDIT_SCHEMA)
    signed, eas = tmp_path / "signed.html", tmp_path / "eas.json"

    ran = llamafund(
        *("audit", "sign", page, "--out", signed, "--eas", eas, "--eas-contract", service.eas.address),
        *("--rpc", stage.devnet.rpc_url, "--yes", "--json"),
        wallet="attestor0",
    )

    assert ran.code == 0, ran.stderr
    told, document, report = json.loads(ran.stdout), json.loads(eas.read_text()), read_report(page).report
    assert told["report_sha256"] == report_hash(report)
    verified = llamafund("audit", "verify-report", signed)
    assert f"ok    auditor: {told['auditor']} has signed this report" in verified.stdout
    assert "ok    page" in verified.stdout
    changed = json.loads(json.dumps(document))
    changed["sig"]["message"]["recipient"] = stage.backers[0].address
    other = {**document, "signer": stage.backers[0].address}
    honest, altered, another = ask_sdk(
        (document, AUDIT_SCHEMA), (changed, AUDIT_SCHEMA), (other, AUDIT_SCHEMA), folder=tmp_path
    )
    assert honest["valid"] is True
    assert (altered["valid"], another["valid"]) == (False, False)
    assert honest["values"]["report"] == f"0x{told['report_sha256']}"
    assert honest["values"]["verdict"] == report.verdict.outcome == "holds"
    assert document["sig"]["message"]["schema"] == schema
    assert document["sig"]["uid"] == told["eas_uid"]
    assert service.accepts(document["sig"]["message"])


def test_a_signed_document_that_was_changed_is_not_the_auditors(llamafund, page, tmp_path: Path) -> None:
    signed = tmp_path / "signed.json"
    assert llamafund("audit", "sign", page, "--out", signed, "--yes", wallet="attestor0").code == 0
    document = json.loads(signed.read_text())
    document["report"]["facts"]["title"] = "Another title"
    signed.write_text(json.dumps(document))

    ran = llamafund("audit", "verify-report", signed)

    assert ran.code == 3
    assert "FAIL  auditor: " in ran.stdout


def test_nobody_signs_a_report_that_does_not_hold(llamafund, page, tmp_path: Path) -> None:
    page.write_text(page.read_text().replace('data-of="facts.goal">10<', 'data-of="facts.goal">1<'))

    ran = llamafund("audit", "sign", page, "--out", tmp_path / "signed.html", "--yes", wallet="attestor0")

    ran.refused(3, "does not hold", "Nothing was signed")
    assert not (tmp_path / "signed.html").exists()


def test_an_attestor_exports_what_it_has_signed_and_nothing_else(llamafund, stage, service, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    schema = service.register(MILESTONE_SCHEMA)
    chain_id, campaign = stage.devnet.connection.chain_id, stage.client.address
    statement = propose(stage.client, 0, stage.run.dataset)
    signature = statement.sign(stage.attestors[0], chain_id, campaign)
    signed = AttestationFile.create(statement, chain_id, campaign, {stage.attestors[0].address: signature})
    signed.save(tmp_path / "vera.json")
    command = (
        *("attest", "export", tmp_path / "vera.json", "--eas", tmp_path / "eas.json"),
        *("--eas-contract", service.eas.address, "--rpc", stage.devnet.rpc_url, "--json", "--yes"),
    )

    ran = llamafund(*command, wallet="attestor0")
    stranger = llamafund(*command, wallet="attestor1")

    assert ran.code == 0, ran.stderr
    stranger.refused(2, "has no signature of")
    document = json.loads((tmp_path / "eas.json").read_text())
    (said,) = ask_sdk((document, MILESTONE_SCHEMA), folder=tmp_path)
    assert said["valid"] is True
    assert said["values"]["evidence"] == f"0x{stage.run.dataset.sha256}"
    assert said["values"]["campaign"] == campaign
    assert document["sig"]["message"]["schema"] == schema
    assert document["sig"]["message"]["expirationTime"] == statement.expiry
    assert service.accepts(document["sig"]["message"])


def test_where_there_is_no_eas_that_is_said(llamafund, stage, page, tmp_path: Path) -> None:
    command = ("audit", "sign", page, "--out", tmp_path / "s.html", "--eas", tmp_path / "eas.json", "--yes")
    rpc = ("--rpc", stage.devnet.rpc_url)

    unknown = llamafund(*command, *rpc, wallet="attestor0")
    empty = llamafund(*command, *rpc, "--eas-contract", stage.client.terms.researcher, wallet="attestor0")

    unknown.refused(2, "No contract of EAS is known on chain 31337", "--eas-contract")
    empty.refused(1, "There is no EAS at")
