"""`llamafund attest` for wallets that sign elsewhere: what is printed, and what comes back in whatever form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamafund_chain.campaign.attestation import AttestationFile
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS
from llamafund_chain.chain.signatures import prefixed

# Accepts every signature that begins with 0x22 (ERC-1271).
WALLET = bytes.fromhex("60218060093d393df3631626ba7e60e01b60005260643560f81c602214601b57600080fd5b60206000f3")
UNLOCKED = KNOWN_ACCOUNTS[1].address


@pytest.fixture
def attest(llamafund, stage, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("LLAMAFUND_RPC", stage.devnet.rpc_url)

    def run(*what: object, out: str = "draft.json"):
        store = ("--store", stage.run.store.location)
        return llamafund("attest", stage.client.address, *what, *store, "--out", tmp_path / out)

    return run


@pytest.fixture
def draft(attest, stage, tmp_path: Path):
    """Prints what attestor 0 would sign; gives the typed data."""

    def run(attestor: str | None = None):
        what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256)
        ran = attest(*what, "--print-typed-data", "--from", attestor or stage.attestors[0].address)
        assert ran.code == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def signature_of(account, document) -> bytes:
    return bytes(account.sign_typed_data(full_message=document).signature)


def forms(usual: bytes) -> dict[str, bytes]:
    s = int.from_bytes(usual[32:64], "big") | (usual[64] - 27) << 255
    return {
        "usual": usual,
        "v of 0 or 1": usual[:64] + bytes([usual[64] - 27]),
        "64 bytes": usual[:32] + s.to_bytes(32, "big"),
    }


@pytest.mark.parametrize("form", ["usual", "v of 0 or 1", "64 bytes"])
def test_what_a_wallet_returns_for_the_printed_data_is_submitted(
    attest, draft, llamafund, stage, tmp_path: Path, form: str
) -> None:
    stage.open()
    stage.fund()
    document = draft()
    assert AttestationFile.load(tmp_path / "draft.json").signatures == ()
    words = ["--attestation", tmp_path / "draft.json"]
    for account in stage.attestors[:2]:
        signature = forms(signature_of(account, document))[form]
        ran = attest(*words, "--signature", f"0x{signature.hex()}", "--json", out="signed.json")
        assert ran.code == 0, ran.stderr
        assert ran.json["added"] == [account.address]
        words = ["--attestation", tmp_path / "signed.json"]
    file = AttestationFile.load(tmp_path / "signed.json")
    assert all(len(entry.signature) == 132 and entry.signature[-2:] in ("1b", "1c") for entry in file.signatures)
    ran = llamafund("submit", "--yes", stage.client.address, tmp_path / "signed.json", wallet="backer0")
    assert ran.code == 0, ran.stderr
    assert stage.client.state().attested == 1


def test_the_printed_data_says_how_to_go_on_and_nothing_else_is_on_standard_output(
    attest, draft, stage, tmp_path: Path
) -> None:
    stage.open()
    stage.fund()
    what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256, "--from", stage.attestors[0].address)
    ran = attest(*what, "--signer", "print")
    document = json.loads(ran.stdout)
    assert document["primaryType"] == "MilestoneAttestation"
    assert document["domain"]["verifyingContract"] == stage.client.address
    assert "Nothing is signed yet" in ran.stderr
    draft_file = tmp_path / "draft.json"
    assert f"--attestation {draft_file} --out {draft_file} --signature 0x" in ran.stderr
    assert "content-published" in ran.stderr


def test_nothing_is_printed_for_what_fails_a_check(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    stage.run.remove_from_store(next(iter(stage.run.dataset.files)).cid)
    what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256, "--from", stage.attestors[0].address)
    ran = attest(*what, "--print-typed-data")
    assert ran.code != 0
    assert "primaryType" not in ran.stdout
    assert not (tmp_path / "draft.json").exists()


def test_another_program_signs_typed_data_over_json_rpc(attest, stage, tmp_path: Path) -> None:
    """anvil has unlocked accounts, and computes the digest with code that is not ours."""
    stage.open(attestors=(UNLOCKED, stage.attestors[0].address))
    stage.fund()
    what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256)
    ran = attest(*what, "--signer", f"rpc:{stage.devnet.rpc_url}", "--from", UNLOCKED, "--yes", "--json")
    assert ran.code == 0, ran.stderr
    (entry,) = AttestationFile.load(tmp_path / "draft.json").signatures
    assert entry.signer == UNLOCKED


def test_a_contracts_signature_is_taken_as_its_contract_takes_it(attest, draft, stage, tmp_path: Path) -> None:
    wallet = stage.devnet.deploy(WALLET)
    stage.open(attestors=(wallet, stage.attestors[0].address))
    stage.fund()
    draft(wallet)
    words = ("--attestation", tmp_path / "draft.json", "--json")
    accepted = "22" * 70
    ran = attest(*words, "--signature", accepted)
    assert ran.code == 0, ran.stderr
    assert ran.json["added"] == [wallet]
    (entry,) = AttestationFile.load(tmp_path / "draft.json").signatures
    assert entry.signature == f"0x{accepted}"


def test_a_safe_as_signer_is_given_what_its_owners_sign(attest, stage, tmp_path: Path) -> None:
    wallet = stage.devnet.deploy(WALLET)
    stage.open(attestors=(wallet, stage.attestors[0].address))
    stage.fund()
    ran = attest("--milestone", 0, "--evidence", stage.run.dataset.sha256, "--signer", f"safe:{wallet}")
    assert ran.code == 0, ran.stderr
    assert json.loads(ran.stdout)["primaryType"] == "MilestoneAttestation"
    assert AttestationFile.load(tmp_path / "draft.json").signatures == ()


def test_a_signature_that_is_nobodys_is_refused_with_the_reason(attest, draft, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    document = draft()
    file = AttestationFile.load(tmp_path / "draft.json")
    digest = file.statement.digest(file.chain_id, file.campaign)
    attestor, stranger = stage.attestors[0], stage.backers[0]
    before = (tmp_path / "draft.json").read_bytes()
    for signature, word in (
        (bytes(attestor.unsafe_sign_hash(prefixed(digest)).signature), "eth_sign or personal_sign"),
        (signature_of(stranger, document), f"it is by {stranger.address}"),
        (bytes(65), "no key"),
    ):
        ran = attest("--attestation", tmp_path / "draft.json", "--signature", signature.hex())
        ran.refused(3, "not made by an attestor", word)
    other = signature_of(stage.attestors[1], document).hex()
    ran = attest("--attestation", tmp_path / "draft.json", "--signature", other, "--from", attestor.address)
    ran.refused(3, f"not made by {attestor.address}")
    assert (tmp_path / "draft.json").read_bytes() == before


def test_a_signature_needs_the_file_that_it_is_of(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256)
    attest(*what, "--signature", "00" * 65).refused(2, "--signature needs --attestation")
    key = "ab" * 32
    ran = attest(*what, "--signature", key)
    ran.refused(2, "64 characters that are not a signature")
    assert key not in ran.stderr


def test_to_print_takes_the_attestors_address(attest, stage) -> None:
    stage.open()
    stage.fund()
    what = ("--milestone", 0, "--evidence", stage.run.dataset.sha256, "--print-typed-data")
    attest(*what).refused(2, "Name the account with --from")
    attest(*what, "--from", stage.backers[0].address).refused(5, "is not an attestor")
