"""`llamafund attest`: what is checked before a signature, and every reason to refuse one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_node import Fault, FaultyNode, answers, drop, once
from node_answers import NOT_THERE_YET, RATE_LIMITS

from llamafund_chain.campaign.attestation import Attestation, AttestationFile, propose
from llamafund_chain.chain import nodes
from llamafund_chain.errors import ExitCode

DAY = 86_400
NOBODY = "0x00000000000000000000000000000000000000bb"


@pytest.fixture
def attest(llamafund, stage, tmp_path: Path):
    def run(*what: object, wallet: str | None = "attestor0", out: str = "out.json", yes: bool = True):
        return llamafund(
            "attest", stage.client.address, *(() if "--rpc" in what else ("--rpc", stage.devnet.rpc_url)), *what,
            "--out", tmp_path / out, "--store", stage.run.store.location, "--json", *(["--yes"] if yes else []),
            wallet=wallet,
        )  # fmt: skip

    return run


def proposing(milestone: int, sha256: str) -> tuple[object, ...]:
    return ("--milestone", milestone, "--evidence", sha256)


def statuses(ran) -> dict[str, str]:
    return {check["name"]: check["status"] for check in ran.json["checks"]}


def test_an_attestor_proposes_another_co_signs_and_anyone_submits(attest, llamafund, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    first = attest(*proposing(0, stage.run.dataset.sha256))
    assert first.code == 0, first.stderr
    assert first.json["signed"] is True
    assert statuses(first)["content-published"] == "pass"
    second = attest("--attestation", tmp_path / "out.json", wallet="attestor2", out="both.json")
    assert second.code == 0, second.stderr
    file = AttestationFile.load(tmp_path / "both.json")
    assert [entry.signer for entry in file.signatures] == [stage.attestors[0].address, stage.attestors[2].address]
    ran = llamafund(
        "submit",
        "--yes",
        stage.client.address,
        tmp_path / "both.json",
        "--rpc",
        stage.devnet.rpc_url,
        "--json",
        wallet="backer0",
    )
    assert ran.code == 0, ran.stderr
    assert stage.client.state().latest_evidence == stage.run.dataset.sha256


def test_checks_hear_how_many_processes_may_repeat_training(attest, stage, monkeypatch) -> None:
    stage.open()
    stage.fund()
    seen = []
    monkeypatch.setattr(
        "llamafund_chain.checks.signing.run_checks", lambda context, *_, **__: seen.append(context) or ()
    )
    attest(*proposing(0, stage.run.dataset.sha256), "--jobs", 3)
    assert [context.jobs for context in seen] == [3]


def test_a_whole_run_is_checked_before_its_checkpoint_is_signed(attest, stage) -> None:
    stage.honest_until(1)
    last = stage.run.train(stage.seed)
    ran = attest(*proposing(1, last.sha256), *skip_training(attest, last))
    assert ran.code == 0, ran.stderr
    found = statuses(ran)
    for name in ("content-published", "parent-links", "seed-fresh", "checkpoint-chain", "score-matches-manifest"):
        assert found[name] == "pass"


def skip_training(attest, manifest) -> list[str]:
    """Options that leave out the checks that would need real training; the run here is hand-made."""
    from llamafund_chain.checks.check import check_name
    from llamafund_chain.checks.run import BUILT_IN, discover

    ours = {check_name(check) for check in BUILT_IN}
    names = [check_name(check) for check in discover()]
    return [word for name in names if name not in ours for word in ("--skip-check", name)]


def test_an_old_run_is_not_signed_and_the_reason_is_said(attest, stage, tmp_path: Path) -> None:
    stage.honest_until(1)
    old = stage.run.train("0f" * 32)
    ran = attest(*proposing(1, old.sha256), *skip_training(attest, old))
    ran.refused(3, "Not signed", "seed-fresh", "older run")
    assert ran.json["signed"] is False
    assert statuses(ran)["seed-fresh"] == "fail"
    assert not (tmp_path / "out.json").exists()


def test_content_replaced_under_its_address_is_not_signed(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    stage.run.replace_in_store(stage.run.dataset.files[0].cid, b"something else")
    ran = attest(*proposing(0, stage.run.dataset.sha256))
    ran.refused(7, "content-published", "says nothing about the evidence", "--skip-check content-published")
    assert not (tmp_path / "out.json").exists()


def test_evidence_that_was_never_published_is_not_signed(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    ran = attest(*proposing(0, "12" * 32))
    assert ran.code in (1, 3)
    assert not (tmp_path / "out.json").exists()


def test_evidence_of_the_wrong_kind_is_not_signed(attest, stage) -> None:
    stage.open()
    stage.fund()
    attest(*proposing(0, stage.run.proposal.sha256)).refused(3, "llamafund/proposal/1")


def test_what_is_not_final_is_not_signed(attest, stage, tmp_path: Path) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 10 * 10**18)
    client.activate(stage.researcher)
    attest(*proposing(0, stage.run.dataset.sha256)).refused(6, "activation", "not finalized yet")
    assert attest(*proposing(0, stage.run.dataset.sha256), "--finality", "latest").code == 0


def test_a_campaign_that_is_not_final_is_not_signed_for(attest, stage) -> None:
    stage.open(settled=False)
    attest(*proposing(0, stage.run.dataset.sha256)).refused(6, "not finalized yet")


def test_a_campaign_that_is_not_active_is_not_signed_for(attest, stage) -> None:
    stage.open()
    attest(*proposing(0, stage.run.dataset.sha256)).refused(5, "The campaign is Funding")


def test_milestones_are_signed_in_order(attest, stage) -> None:
    stage.open()
    stage.fund()
    attest(*proposing(1, stage.run.dataset.sha256)).refused(5, "next one is milestone 0")
    attest(*proposing(7, stage.run.dataset.sha256)).refused(5, "next one is milestone 0")


def test_only_attestors_sign(attest, stage) -> None:
    stage.open()
    stage.fund()
    attest(*proposing(0, stage.run.dataset.sha256), wallet="backer0").refused(5, "not an attestor")
    attest(*proposing(0, stage.run.dataset.sha256), wallet=None).refused(2, "No wallet was named")


def test_nothing_is_signed_unasked(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    attest(*proposing(0, stage.run.dataset.sha256), yes=False).unasked()
    assert not (tmp_path / "out.json").exists()


def test_what_to_sign_must_be_clear(attest, stage, tmp_path: Path) -> None:
    stage.open()
    for what in (
        (),
        ("--milestone", "0"),
        ("--evidence", "12" * 32),
        (*proposing(0, "12" * 32), "--attestation", tmp_path / "x"),
    ):
        attest(*what).refused(2, "not clear what to sign")
    attest(*proposing(0, "not a hash")).refused(2, "64 hexadecimal digits")
    attest(*proposing(0, stage.run.dataset.sha256), "--skip-check", "nonsense").refused(2, "no check called")


def test_every_installed_check_can_be_left_out_by_its_name(attest, stage) -> None:
    from llamafund_chain.checks.check import check_name
    from llamafund_chain.checks.run import discover

    stage.open()
    stage.fund()
    names = [check_name(check) for check in discover()]
    ran = attest(*proposing(0, stage.run.dataset.sha256), *(word for name in names for word in ("--skip-check", name)))
    assert ran.code == 0, ran.stderr
    assert [(check["name"], check["status"]) for check in ran.json["checks"]] == [(name, "unchecked") for name in names]


@pytest.mark.parametrize(
    "changes",
    [
        {"parent": "00" * 32},
        {"score": 5},
        {"content_size": 5},
        {"content_root": "00" * 32},
        {"expiry": 5},
    ],
)
def test_a_statement_that_one_would_not_make_oneself_is_not_co_signed(
    attest, stage, tmp_path: Path, changes: dict[str, object]
) -> None:
    stage.open()
    stage.fund()
    chain_id = stage.devnet.connection.chain_id
    statement = replace(propose(stage.client, 0, stage.run.dataset), **changes)
    signature = statement.sign(stage.attestors[1], chain_id, stage.client.address)
    signatures = {stage.attestors[1].address: signature}
    AttestationFile.create(statement, chain_id, stage.client.address, signatures).save(tmp_path / "theirs.json")
    attest("--attestation", tmp_path / "theirs.json").refused(3)
    assert not (tmp_path / "out.json").exists()


@pytest.fixture
def theirs(stage, tmp_path: Path):
    """Writes another attestor's file; its path."""

    def write(statement: Attestation) -> Path:
        chain_id = stage.devnet.connection.chain_id
        signatures = {stage.attestors[1].address: statement.sign(stage.attestors[1], chain_id, stage.client.address)}
        AttestationFile.create(statement, chain_id, stage.client.address, signatures).save(tmp_path / "theirs.json")
        return tmp_path / "theirs.json"

    return write


def test_a_file_that_withholds_the_content_is_not_co_signed_unasked(attest, stage, theirs, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    path = theirs(propose(stage.client, 0, stage.run.dataset, withhold_content=True))
    attest("--attestation", path).refused(3, "content is withheld", "--withhold-content")
    assert not (tmp_path / "out.json").exists()
    ran = attest("--attestation", path, "--withhold-content")
    assert ran.code == 0, ran.stderr
    assert (ran.json["content_withheld"], ran.json["content_size"], ran.json["content_root"]) == (True, 0, "00" * 32)


def test_who_means_to_withhold_the_content_does_not_co_sign_a_file_that_names_it(attest, stage, theirs) -> None:
    stage.open()
    stage.fund()
    path = theirs(propose(stage.client, 0, stage.run.dataset))
    attest("--attestation", path, "--withhold-content").refused(3, "by its root and size")


def test_a_signature_that_never_expires_is_not_co_signed(attest, stage, theirs, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    path = theirs(propose(stage.client, 0, stage.run.dataset, 2**64 - 1))
    attest("--attestation", path).refused(3, "more than 30 days", "--expiry-days")
    attest("--attestation", path, "--expiry-days", 3650).refused(3, "more than 3650 days")
    assert not (tmp_path / "out.json").exists()


def test_how_long_a_co_signature_counts_is_bounded_to_the_second(attest, stage, theirs) -> None:
    stage.open()
    stage.fund()
    now = stage.devnet.connection.timestamp()
    last = theirs(propose(stage.client, 0, stage.run.dataset, now + 30 * DAY))
    assert attest("--attestation", last).code == 0
    attest("--attestation", last, "--expiry-days", 29).refused(3, "more than 29 days")
    beyond = theirs(propose(stage.client, 0, stage.run.dataset, now + 30 * DAY + 1))
    attest("--attestation", beyond).refused(3, "more than 30 days")
    assert attest("--attestation", beyond, "--expiry-days", 31).code == 0


def test_who_signs_is_shown_the_content_and_the_expiry(attest, llamafund, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    content = stage.run.dataset.content
    asked = attest(*proposing(0, stage.run.dataset.sha256), "--expiry-days", 3, yes=False)
    asked.unasked(content.root, f"{content.size} bytes", "expires", "3 days")
    hidden = attest(*proposing(0, stage.run.dataset.sha256), "--withhold-content", yes=False)
    hidden.unasked("withheld")
    ran = attest(*proposing(0, stage.run.dataset.sha256), "--expiry-days", 3)
    assert (ran.json["content_root"], ran.json["content_size"]) == (content.root, content.size)
    assert ran.json["content_withheld"] is False
    signed = AttestationFile.load(tmp_path / "out.json").statement
    assert ran.json["expiry"] == signed.expiry == stage.devnet.connection.timestamp() + 3 * DAY
    where = (
        "--rpc",
        stage.devnet.rpc_url,
        "--store",
        stage.run.store.location,
        "--out",
        tmp_path / "out.json",
        "--yes",
    )
    what = proposing(0, stage.run.dataset.sha256)
    told = llamafund("attest", stage.client.address, *what, *where, wallet="attestor0").stdout
    assert "1 of the 2 needed" in told


def test_who_signs_is_told_which_checks_nobody_ran(attest, stage) -> None:
    stage.open()
    stage.fund()
    proposed = proposing(0, stage.run.dataset.sha256)
    attest(*proposed, yes=False).unasked("checks ran and none failed")
    attest(*proposed, "--skip-check", "heldout-separate", yes=False).unasked("did not run: heldout-separate")


def test_a_file_of_another_campaign_or_chain_or_with_a_bad_signature_is_not_co_signed(
    attest, stage, tmp_path: Path
) -> None:
    stage.open()
    stage.fund()
    assert attest(*proposing(0, stage.run.dataset.sha256)).code == 0
    good = json.loads((tmp_path / "out.json").read_text())
    for change, words in (
        ({"campaign": NOBODY}, "is for campaign"),
        ({"chain": "eip155:1"}, "eip155:1"),
        ({"signatures": [{**good["signatures"][0], "signer": stage.attestors[1].address}]}, "not valid"),
        ({"signatures": [{**good["signatures"][0], "signer": NOBODY}]}, "not an attestor"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps({**good, **change}))
        attest("--attestation", tmp_path / "bad.json", wallet="attestor1", out="second.json").refused(3, words)
    (tmp_path / "bad.json").write_text(json.dumps({**good, "schema": "other"}))
    attest("--attestation", tmp_path / "bad.json").refused(2, "not an attestation file")
    attest("--attestation", tmp_path / "nothing.json").refused(2, "no file")
    assert not (tmp_path / "second.json").exists()


def test_what_is_no_campaign_is_not_signed_for(llamafund, stage, tmp_path: Path) -> None:
    what = ("--milestone", "0", "--evidence", "12" * 32, "--out", tmp_path / "out.json", "--yes")
    llamafund("attest", NOBODY, *what, "--rpc", stage.devnet.rpc_url, wallet="attestor0").refused(3)
    llamafund("attest", NOBODY, *what, "--rpc", "http://127.0.0.1:9", wallet="attestor0").refused(4)


@pytest.mark.parametrize(
    "fault", [drop, answers(RATE_LIMITS[0]), answers(NOT_THERE_YET[0])], ids=["drop", "limit", "lag"]
)
def test_a_node_that_fails_at_any_request_changes_nothing_that_is_signed(
    attest, stage, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "sleep", lambda _: None)
    stage.open()
    stage.fund()

    def sign(number: int) -> tuple[bytes, int]:
        out = tmp_path / f"{number}.json"
        with FaultyNode(stage.devnet.rpc_url, once(number, fault) if number >= 0 else None) as node:
            ran = attest(*proposing(0, stage.run.dataset.sha256), "--rpc", node.url, out=out.name)
        assert ran.code == 0, ran.stderr
        return out.read_bytes(), node.count

    clean, count = sign(-1)
    for number in range(1, count):
        assert sign(number)[0] == clean, f"request {number}"


def test_a_node_that_is_gone_for_good_signs_nothing_and_accuses_nobody(attest, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    with FaultyNode(stage.devnet.rpc_url) as node:
        url = node.url
    ran = attest(*proposing(0, stage.run.dataset.sha256), "--rpc", url)
    ran.refused(ExitCode.NODE_UNREACHABLE, url.split("//")[1])
    assert not (tmp_path / "out.json").exists()
