"""`llamafund submit`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llamafund_chain.campaign.attestation import Attestation, AttestationFile, propose

NOBODY = "0x00000000000000000000000000000000000000bb"
WALLET = bytes.fromhex("60218060093d393df3631626ba7e60e01b60005260643560f81c602214601b57600080fd5b60206000f3")
"""A contract that accepts (ERC-1271) whatever signature begins with the byte 0x22, and reverts at any other."""


@pytest.fixture
def write(stage, tmp_path: Path):
    """Writes what attestors signed; its path."""

    def make(name: str, *attestors: int, statement: Attestation | None = None, **changes: object) -> Path:
        signed = statement or replace(propose(stage.client, 0, stage.run.dataset), **changes)
        chain_id = stage.devnet.connection.chain_id
        signatures = {
            stage.attestors[place].address: signed.sign(stage.attestors[place], chain_id, stage.client.address)
            for place in attestors
        }
        AttestationFile.create(signed, chain_id, stage.client.address, signatures).save(tmp_path / name)
        return tmp_path / name

    return make


def submit(llamafund, stage, *files: Path, wallet: str | None = "backer0"):
    return llamafund(
        "submit", stage.client.address, *files, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def test_signatures_from_several_files_are_put_together(llamafund, stage, write) -> None:
    stage.open()
    stage.fund()
    statement = propose(stage.client, 0, stage.run.dataset)
    files = [write(f"{place}.json", place, statement=statement) for place in (2, 0)]
    ran = submit(llamafund, stage, *files)
    assert ran.code == 0, ran.stderr
    assert ran.json["signers"] == [stage.attestors[0].address, stage.attestors[2].address]
    assert ran.json["window_end"] == stage.client.state().attested_at + 2 * 86_400
    assert stage.client.state().attested == 1


def test_too_few_signatures_release_nothing(llamafund, stage, write, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        submit(llamafund, stage, write("one.json", 1)).refused(5, "carries 1 signature ", "require 2")


def test_a_signature_given_twice_counts_once(llamafund, stage, write, untouched) -> None:
    stage.open()
    stage.fund()
    path = write("one.json", 1)
    with untouched():
        submit(llamafund, stage, path, path).refused(5, "carries 1 signature ")


def test_a_goal_that_is_not_met_takes_no_attestation(llamafund, stage, write, untouched) -> None:
    stage.open()
    with untouched():
        submit(llamafund, stage, write("two.json", 0, 1)).refused(5, "Funding")


def test_the_next_milestone_waits_for_the_window_of_the_one_before(llamafund, stage, write, untouched) -> None:
    stage.open()
    stage.fund()
    stage.attest(0, stage.run.dataset)
    stage.devnet.advance(1_800)
    statement = propose(stage.client, 1, stage.run.train(stage.seed))
    with untouched():
        submit(llamafund, stage, write("next.json", 0, 1, statement=statement)).refused(
            5, "challenge window until", "in 1 day 23 hours"
        )


def test_statements_that_the_chain_refuses_are_refused_by_name(llamafund, stage, write, untouched) -> None:
    stage.open()
    stage.fund()
    for changes, name in (
        ({"parent": "00" * 32}, "WrongParent"),
        ({"score": -1}, "ScoreTooLow"),
        ({"expiry": 1}, "Expired"),
    ):
        path = write("bad.json", 0, 1, **changes)
        with untouched():
            submit(llamafund, stage, path).refused(5, name)


def test_files_that_do_not_belong_together_or_here_are_refused(llamafund, stage, write, tmp_path, untouched) -> None:
    stage.open()
    stage.fund()
    one, other = write("one.json", 0), write("other.json", 1, expiry=2**40)
    foreign = AttestationFile.load(one).model_copy(update={"campaign": NOBODY})
    foreign.save(tmp_path / "foreign.json")
    (tmp_path / "bad.json").write_text("{}")
    with untouched():
        submit(llamafund, stage, one, other).refused(3, "not of the same attestation", "expiry")
        submit(llamafund, stage, tmp_path / "foreign.json").refused(3, "is for campaign")
        submit(llamafund, stage, tmp_path / "bad.json").refused(2, "not an attestation file")
        submit(llamafund, stage, tmp_path / "nothing.json").refused(2, "no file")
        submit(llamafund, stage).refused(2)


def test_what_is_no_campaign_takes_no_attestation(llamafund, stage, write) -> None:
    stage.open()
    path = write("one.json", 0)
    llamafund("submit", NOBODY, path, "--rpc", stage.devnet.rpc_url, wallet="backer0").refused(3)
    llamafund("submit", NOBODY, path, "--rpc", "http://127.0.0.1:9", wallet="backer0").refused(4)


def test_a_junk_signature_for_a_wallet_contract_does_not_shadow_the_one_it_accepts(
    llamafund, stage, tmp_path: Path, untouched
) -> None:
    wallet = stage.devnet.deploy(WALLET)
    client = stage.open(attestors=(wallet, stage.attestors[0].address), quorum=1)
    stage.fund()
    statement, chain_id = propose(client, 0, stage.run.dataset), stage.devnet.connection.chain_id
    files = [tmp_path / "junk.json", tmp_path / "good.json"]
    for path, signature in zip(files, ("0x11", "0x2233"), strict=True):
        AttestationFile.create(statement, chain_id, client.address, {wallet: signature}).save(path)
    with untouched():
        submit(llamafund, stage, files[0]).refused(3, wallet, "does not accept it")
    ran = submit(llamafund, stage, *files)
    assert ran.code == 0, ran.stderr
    assert ran.json["signers"] == [wallet]
    assert client.state().attested == 1
