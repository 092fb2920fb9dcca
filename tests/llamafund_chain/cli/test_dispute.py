"""`llamafund dispute`: a lying quorum at the weights is brought before a court, and backers get their money back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_scenes import Place, audited
from eth_abi.abi import encode

from llamafund_chain.campaign.arbiter import CourtClient, arbiter_of
from llamafund_chain.campaign.disputes import MAX_REPORTS
from llamafund_chain.campaign.terms import DAY, Status
from llamafund_chain.chain.abi import checksum
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.court_arbiter import NO_DECISION, REFUSED, UPHELD, question_path
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import DisputeManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.times import when

ETHER = 10**18
WINDOW = 2 * DAY
RULING = 7 * DAY


@pytest.fixture
def lied(stage):
    """A quorum has attested other weights than the trained ones; the arbiter asks a court."""
    stage.lie_about_the_weights(**stage.arbiter_at_court())
    return stage


@pytest.fixture
def report(lied, tmp_path: Path) -> Path:
    """The audit that found it."""
    return audited(Place(lied, tmp_path, lambda: tmp_path))


def replay(stage, path: Path, **changes: Any) -> Path:
    """What a failed `llamafund replay --json` prints about the stage's run."""
    file = {"step": 40, "path": "model.safetensors", "published": "a" * 64, "repeated": "b" * 64}
    segment = {
        "segment": 1,
        "first_step": 20,
        "last_step": 40,
        "verdict": "different",
        "files": [{**file, "repeated": file["published"], "path": "README.md"}, file],
        "problem": None,
    }
    found = {
        "schema": "llamafund/cli/1",
        "command": "replay",
        "checkpoint": stage.run.checkpoints[-1].sha256,
        "verdict": "different",
        "steps": 20,
        "segments": [segment],
        **changes,
    }
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def dispute(llamafund, stage, *more: object, wallet: str = "backer1"):
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, "--yes", "--json")
    return llamafund("dispute", stage.client.address, *more, *where, wallet=wallet)


def test_threat_a_quorum_that_lies_about_the_weights_is_refused_and_every_backer_is_repaid(
    llamafund, lied, tmp_path: Path
) -> None:
    """Found by `audit`, disputed by one command, refused by the court, refunded."""
    stage, client = lied, lied.client
    audit = llamafund(
        *("audit", client.address, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location),
        *("--depth", "evidence", "--json"),
    )
    assert audit.code == 3
    file = tmp_path / "audit.json"
    file.write_text(audit.stdout, encoding="utf-8")
    alarm = audit.json["report"]["verdict"]["alarms"][-1]
    assert any(f"llamafund dispute {client.address}" in choice for choice in alarm["choices"])
    steps = {step["command"]: step for step in audit.json["report"]["verdict"]["next_steps"]}
    assert steps[f"llamafund dispute {client.address} --report audit.json"]["who"] == "backers"

    made = dispute(llamafund, stage, "--report", file).json

    assert (made["dispute"], made["court"], made["court_fee_wei"]) == (0, stage.court, str(ETHER // 10))
    assert made["rule_by"] == client.state().attested_at + WINDOW + RULING
    stage.devnet.advance(WINDOW + DAY)
    assert client.status() is Status.ACTIVE
    stage.devnet.rule_mock_court(stage.court, 0, REFUSED)
    assert client.status() is Status.FAILED
    state = client.state()
    for backer in stage.backers:
        due = client.refundable(backer.address)
        assert due == client.pledge_of(backer.address) * (state.pledged - state.released) // state.pledged > 0
        llamafund("refund", client.address, "--rpc", stage.devnet.rpc_url, "--yes", wallet="stranger")
        client.refund(backer, backer.address)
        assert client.refundable(backer.address) == 0


def test_jurors_find_the_reports_by_what_is_on_chain(llamafund, lied, report, tmp_path: Path) -> None:
    second = replay(lied, tmp_path / "replay.json")
    made = dispute(llamafund, lied, "--report", report, "--report", second).json

    (submitted,) = CourtClient.of(lied.client).submissions()
    assert (submitted.party, submitted.manifest) == (lied.backers[1].address, made["manifest"])
    manifest = fetch_manifest(lied.run.store, submitted.manifest, DisputeManifest)
    assert made["cid"] == raw_cid(made["manifest"])
    assert manifest.campaign == lied.client.caip10
    assert (manifest.milestone, manifest.attestation) == (2, lied.run.weights.sha256)
    assert [one.command for one in manifest.reports] == ["audit", "replay"]
    for one, file in zip(manifest.reports, (report, second), strict=True):
        assert lied.run.store.read(one.cid, limit=one.size) == file.read_bytes()
    assert manifest.file_uri == f"/ipfs/{manifest.reports[0].cid}"
    assert "parent-links" in manifest.description
    assert "steps 20 to 40 of the training gives other bytes" in manifest.description
    assert "model.safetensors after step 40" in manifest.description


def test_a_statement_is_what_a_court_shows(llamafund, lied, report, tmp_path: Path) -> None:
    words = tmp_path / "statement.md"
    words.write_text("# Not the funded weights\n\nCompare the parents.\n", encoding="utf-8")
    made = dispute(llamafund, lied, "--report", report, "--statement", words).json
    manifest = fetch_manifest(lied.run.store, made["manifest"], DisputeManifest)
    assert (manifest.name, manifest.description) == ("Not the funded weights", "Compare the parents.")


def test_every_side_adds_evidence_and_appeals(llamafund, lied, report) -> None:
    dispute(llamafund, lied, "--report", report)
    added = dispute(llamafund, lied, "--add", "--report", report, wallet="researcher").json
    assert (added["dispute"], added["court_fee_wei"]) == (0, "0")
    parties = [one.party for one in CourtClient.of(lied.client).submissions()]
    assert parties == [lied.backers[1].address, lied.researcher.address]
    appealed = dispute(llamafund, lied, "--appeal", wallet="compute").json
    assert (appealed["dispute"], appealed["court_fee_wei"]) == (0, str(ETHER // 5))


def test_a_court_that_did_not_decide_is_asked_again(llamafund, lied, report) -> None:
    dispute(llamafund, lied, "--report", report)
    lied.devnet.rule_mock_court(lied.court, 0, NO_DECISION)
    lied.devnet.advance(WINDOW)
    assert dispute(llamafund, lied, "--report", report).json["dispute"] == 1


def test_a_dispute_that_runs_is_not_started_twice(llamafund, lied, report, untouched) -> None:
    dispute(llamafund, lied, "--report", report)
    with untouched():
        again = dispute(llamafund, lied, "--report", report, wallet="backer0")
        again.refused(5, "CourtArbiter_AlreadyDisputed", "llamafund dispute --add")


def test_only_backers_dispute_and_nothing_is_published_for_others(llamafund, lied, report, untouched) -> None:
    before = lied.run.store.pins()
    with untouched():
        dispute(llamafund, lied, "--report", report, wallet="compute").refused(5, "CourtArbiter_NotBacker")
    assert lied.run.store.pins() == before


def test_too_late_is_too_late(llamafund, lied, report, untouched) -> None:
    lied.devnet.advance(WINDOW)
    with untouched():
        dispute(llamafund, lied, "--report", report).refused(5, "The campaign is Completed")


def test_before_the_weights_backers_vote(llamafund, stage, tmp_path: Path, untouched) -> None:
    stage.honest_until(1, **stage.arbiter_at_court())
    file = tmp_path / "report.json"
    file.write_text("{}", encoding="utf-8")
    with untouched():
        ran = dispute(llamafund, stage, "--report", file)
        ran.refused(1, "The last milestone is not attested yet", "1 of 3", "llamafund vote-stop")


def test_a_campaign_without_an_arbiter_or_with_a_key_as_its_arbiter_has_no_court(llamafund, stage, tmp_path) -> None:
    stage.lie_about_the_weights()
    file = audited(Place(stage, tmp_path, lambda: tmp_path))
    assert arbiter_of(stage.client) is None
    dispute(llamafund, stage, "--report", file).refused(1, "This campaign has no arbiter", "llamafund challenge")


def test_an_arbiter_that_is_a_key_or_another_contract_asks_no_court(llamafund, stage, tmp_path: Path) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=RULING)
    file = audited(Place(stage, tmp_path, lambda: tmp_path))
    dispute(llamafund, stage, "--report", file).refused(1, stage.judge.address, "asks no court", "a single key")
    stage.devnet.connection.request("anvil_setCode", stage.judge.address, "0x6000")
    dispute(llamafund, stage, "--report", file).refused(1, "asks no court", "a contract, for example a Safe")


def test_what_holds_is_not_disputed_but_may_be_shown_to_the_court(llamafund, stage, tmp_path: Path) -> None:
    stage.honest_until(2, **stage.arbiter_at_court())
    stage.attest(2, stage.run.export())
    good = audited(Place(stage, tmp_path, lambda: tmp_path))
    dispute(llamafund, stage, "--report", good).refused(2, "No report found anything wrong", "Everything", "--add")
    same = replay(stage, tmp_path / "replay.json", verdict="same", segments=[])
    dispute(llamafund, stage, "--report", same).refused(2, "No report found anything wrong")
    CourtClient.of(stage.client).dispute(stage.backers[0], "ab" * 32, ETHER // 10)
    assert dispute(llamafund, stage, "--add", "--report", good, wallet="researcher").json["dispute"] == 0


def test_a_report_about_something_else_is_refused(llamafund, lied, report, tmp_path: Path) -> None:
    found = json.loads(report.read_text())

    def changed(name: str, **changes: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({**found, "report": {**found["report"], **changes}}), encoding="utf-8")
        return path

    elsewhere = changed("elsewhere.json", chain="eip155:1")
    dispute(llamafund, lied, "--report", elsewhere).refused(2, "is about something else", "the audit of eip155:1:")
    other = changed("other.json", campaign="0x" + "12" * 20)
    dispute(llamafund, lied, "--report", other).refused(2, "is about something else", "0x1212")
    early = changed("early.json", milestones=found["report"]["milestones"][:2])
    dispute(llamafund, lied, "--report", early).refused(2, "the last milestone was not attested yet")
    foreign = replay(lied, tmp_path / "foreign.json", checkpoint="cd" * 32)
    dispute(llamafund, lied, "--report", foreign).refused(2, "which was not attested to this campaign")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a report"),
        ("[]", "is not a report"),
        ("[" * 100_000, "is not a report"),
        ("{}", "is not a report"),
        ('{"schema": "llamafund/cli/2", "command": "audit"}', "No command of this program printed it"),
        ('{"schema": "llamafund/cli/1", "command": "pledge"}', "It comes from `llamafund pledge`"),
        ('{"schema": "llamafund/cli/1", "command": "audit", "report": 7}', "is not a report"),
        ('{"schema": "llamafund/cli/1", "command": "replay", "checkpoint": []}', "which was not attested"),
    ],
)
def test_what_is_no_report_is_refused(llamafund, lied, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    dispute(llamafund, lied, "--report", path).refused(2, words)


def test_what_is_asked_for_must_make_sense(llamafund, lied, report, tmp_path: Path) -> None:
    dispute(llamafund, lied).refused(2, "There is no report")
    dispute(llamafund, lied, "--appeal", "--add").refused(2, "--appeal comes alone")
    dispute(llamafund, lied, "--appeal", "--report", report).refused(2, "--appeal comes alone")
    dispute(llamafund, lied, "--report", tmp_path / "absent.json").refused(2, "absent.json")
    many = [word for _ in range(MAX_REPORTS + 1) for word in ("--report", report)]
    dispute(llamafund, lied, *many).refused(2, f"There are {MAX_REPORTS + 1} reports")
    long = tmp_path / "long.md"
    long.write_text("x" * 20_001)
    dispute(llamafund, lied, "--report", report, "--statement", long).refused(2, "has 20001 characters")
    long.write_bytes(b"\xff")
    dispute(llamafund, lied, "--report", report, "--statement", long).refused(2, "is not text")
    long.write_bytes(b"x" * (256 * 1024 + 1))
    dispute(llamafund, lied, "--report", report, "--statement", long).refused(2, "is longer than 262144 bytes")


def test_nothing_runs_that_could_be_added_to_or_appealed(llamafund, lied, report, untouched) -> None:
    with untouched():
        dispute(llamafund, lied, "--add", "--report", report).refused(5, "CourtArbiter_NoDispute")
        dispute(llamafund, lied, "--appeal").refused(5, "CourtArbiter_NoDispute")


def test_an_upheld_attestation_can_be_disputed_again_while_its_window_is_open(llamafund, lied, report) -> None:
    dispute(llamafund, lied, "--report", report)
    lied.devnet.rule_mock_court(lied.court, 0, UPHELD)
    assert arbiter_of(lied.client).dispute is None
    assert dispute(llamafund, lied, "--report", report).json["dispute"] == 1
    assert arbiter_of(lied.client).dispute == 1


def show(llamafund, stage, *more: str):
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location)
    return llamafund("campaign", "show", stage.client.address, *where, *more)


def test_show_says_who_the_arbiter_is_and_until_when_a_ruling_counts(llamafund, lied, report) -> None:
    arbiter, ends = lied.client.terms.arbiter, lied.client.state().attested_at + WINDOW + RULING
    before = show(llamafund, lied).stdout
    assert f"asks the court {lied.court}, for any backer who pays its fee" in before
    assert "can contest the weights' attestation and refuse it within 7 days" in before
    assert "2 days after each attestation; the last one up to 7 days later if the arbiter contests it" in before
    assert "contested by its arbiter" not in before
    dispute(llamafund, lied, "--report", report)
    told = show(llamafund, lied, "--json").json
    asked = {"question": question_path(), "extra_data": "0x", "appeal_reserve": 3 * DAY}
    assert told["arbiter"] == {"address": arbiter, "has_code": True, "court": lied.court, "dispute": 0, **asked}
    assert (told["terms"]["arbiter"], told["terms"]["ruling_window"]) == (arbiter, RULING)
    assert (told["contested"], told["refused"], told["window_end"]) == (True, False, ends)
    shown = show(llamafund, lied).stdout
    assert f"contested by its arbiter: a ruling counts before {when(ends)}" in shown
    assert "dispute 0 about this campaign waits for the court's ruling" in shown
    lied.devnet.rule_mock_court(lied.court, 0, REFUSED)
    assert show(llamafund, lied, "--json").json["refused"] is True
    assert "refused by its arbiter: backers can take the last tranche back" in show(llamafund, lied).stdout


def warned(llamafund, stage, tmp_path: Path) -> list[str]:
    """What `show`, `pledge`, `audit` and `dispute` each say about the stage's campaign, whose weights are attested."""
    where = ("--rpc", stage.devnet.rpc_url)
    pledged = llamafund("pledge", stage.client.address, "1", *where, "--yes", wallet="backer0")
    checked = llamafund(
        *("audit", stage.client.address, *where, "--store", stage.run.store.location, "--depth", "evidence", "--json")
    )
    warnings = [check["detail"] for check in checked.json["report"]["checks"] if check["status"] == "warn"]
    file = tmp_path / "found.json"
    file.write_text(checked.stdout, encoding="utf-8")
    shown = "\n".join(show(llamafund, stage, "--json").json["warnings"])
    return [shown, pledged.stderr, "\n".join(warnings), dispute(llamafund, stage, "--report", file).stderr]


def test_threat_a_rigged_question_at_a_genuine_court_is_told_by_every_command(llamafund, stage, tmp_path: Path) -> None:
    """The researcher deploys an arbiter with swapped answers and its friends' subcourt: its code is the genuine one."""
    rigged = {"meta_evidence": "/ipfs/swapped-answers", "extra_data": bytes(31) + b"\x12" + bytes(31) + b"\1"}
    stage.lie_about_the_weights(**stage.arbiter_at_court(**rigged))
    for said in warned(llamafund, stage, tmp_path):
        assert "does not ask the question that this package ships, but the one at '/ipfs/swapped-answers'" in said
        assert "Which jurors rule could not be told: with each dispute, the court is told 0x0000" in said
        assert f"asks the court {stage.court}" in said
        assert "a mock court, in which anybody rules as they like" in said


def test_threat_a_court_that_nobody_knows_is_told_by_every_command(llamafund, stage, tmp_path: Path) -> None:
    named = stage.arbiter_at_court(appeal_reserve=RULING)
    stage.lie_about_the_weights(**named)
    # A court that behaves like the mock, and is not: one byte of the code's unused end differs.
    code = stage.devnet.connection.code(stage.court)
    stage.devnet.connection.request("anvil_setCode", stage.court, f"0x{code[:-1].hex()}{code[-1] ^ 1:02x}")
    stage.devnet.finalize()
    for said in warned(llamafund, stage, tmp_path):
        assert "not on this package's list, so whether anybody honest rules there could not be told" in said
        assert "does not ask the question" not in said
        assert "a wrong ruling may stay without appeal" in said


def test_threat_an_arbiter_with_disputes_that_never_were_in_its_storage_is_told(llamafund, stage) -> None:
    """Its code is genuine and its views tell the truth, but something else than its constructor wrote its storage."""
    named = stage.arbiter_at_court()
    copy = "0x" + "c0" * 20
    code = stage.devnet.connection.code(str(named["arbiter"]))
    stage.devnet.connection.request("anvil_setCode", copy, f"0x{code.hex()}")
    stage.open(**{**named, "arbiter": checksum(copy)})
    assert arbiter_of(stage.client).court is None
    told = show(llamafund, stage, "--json").json
    assert told["arbiter"]["court"] is None
    assert any("is a copy of an arbiter for courts" in note for note in told["warnings"])


def test_an_arbiter_whose_question_is_no_text_is_told(llamafund, stage) -> None:
    court = stage.devnet.deploy_mock_court(1)
    types = ["address", "address", "bytes", "bytes", "uint256"]
    values = [addresses.predicted().factory, court, b"", b"\xff\xfe", 3 * DAY]
    arbiter = stage.devnet.deploy(artifacts.load("CourtArbiter").bytecode + encode(types, values))
    stage.open(arbiter=arbiter, ruling_window=RULING)
    told = show(llamafund, stage, "--json").json
    assert told["arbiter"]["court"] is None
    assert any("at an address that follows from no question that can be read" in note for note in told["warnings"])


def test_threat_a_key_with_delegated_code_is_told_as_a_single_key(llamafund, stage) -> None:
    stage.open(arbiter=stage.judge.address, ruling_window=RULING)
    stage.devnet.connection.request("anvil_setCode", stage.judge.address, f"0xef0100{'ab' * 20}")
    told = show(llamafund, stage, "--json").json
    assert told["arbiter"]["has_code"] is False
    assert any("(EIP-7702): a single key, so whoever holds it decides alone" in note for note in told["warnings"])


def test_threat_an_arbiter_that_is_a_backer_is_told(llamafund, stage) -> None:
    stage.open(arbiter=stage.judge.address, ruling_window=RULING)
    stage.client.pledge(stage.judge, ETHER)
    notes = show(llamafund, stage, "--json").json["warnings"]
    assert any("has pledged 1 ETH, so it gets money back if it refuses" in note for note in notes)


def test_an_appeal_that_would_put_the_ruling_off_for_too_long_is_refused(llamafund, lied, report, untouched) -> None:
    dispute(llamafund, lied, "--report", report)
    lied.devnet.advance(WINDOW + RULING - 3 * DAY)
    with untouched():
        ran = dispute(llamafund, lied, "--appeal", wallet="compute")
        ran.refused(5, "CourtArbiter_TooLateToAppeal", "Appeals were taken until")


def test_a_refused_campaign_is_disputed_no_more_and_no_future_time_is_named(llamafund, lied, report) -> None:
    dispute(llamafund, lied, "--report", report)
    lied.devnet.rule_mock_court(lied.court, 0, REFUSED)
    dispute(llamafund, lied, "--report", report).refused(5, "The campaign is Failed")


def test_show_flags_an_arbiter_that_is_a_key_or_a_party_and_that_there_is_none(llamafund, stage) -> None:
    stage.open(arbiter=stage.researcher.address, ruling_window=RULING)
    notes = show(llamafund, stage, "--json").json["warnings"]
    assert any("is the researcher and a payee, so it would judge its own work" in note for note in notes)
    shown = show(llamafund, stage).stdout
    assert "is an account without code: a single key" in shown
    assert "Note: The arbiter is an account without code: a single key" in shown
    stage.open(proposal={"title": "Another"})
    told = show(llamafund, stage, "--json").json
    assert (told["arbiter"], told["terms"]["arbiter"], told["terms"]["ruling_window"]) == (None, None, 0)
    assert any("There is no arbiter" in note for note in told["warnings"])
