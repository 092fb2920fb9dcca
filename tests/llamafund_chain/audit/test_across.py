"""What other campaigns say about an audited one, on a real chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llamafund_chain.audit import AuditReport, ReportCheck, audit
from llamafund_chain.campaign.attestation import propose
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.checks.run import BUILT_IN

DAY = 86_400


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits a campaign of the stage, without its evidence."""

    def run(client: CampaignClient | None = None) -> AuditReport:
        return audit(
            client or stage.client,
            stage.run.store,
            depth="books",
            replay_segments=0,
            workdir=tmp_path,
            progress=lambda _: None,
            checks=BUILT_IN,
        )

    return run


def across(report: AuditReport) -> dict[str, ReportCheck]:
    return {check.name: check for check in report.checks if check.group == "across campaigns"}


def again(stage, **terms: object) -> CampaignClient:
    """Another campaign of the same researcher and attestors, funded."""
    stage.open(proposal={"title": "Once more"}, **terms)
    stage.fund()
    return stage.client


def strangers(stage) -> None:
    """Let other people than before open and sign what comes next."""
    from eth_account import Account

    stage.attestors = tuple(Account.from_key(number.to_bytes(32, "big")) for number in (51, 52, 53))
    stage.researcher = stage.judge


def test_a_campaign_alone_has_paid_for_nothing_twice(stage, look) -> None:
    stage.honest_until(3)
    found = across(look())
    assert {name: check.status for name, check in found.items()} == {
        "paid-once": "pass",
        "attestors-consistent": "pass",
    }


def test_before_the_first_attestation_there_is_nothing_to_compare(stage, look) -> None:
    stage.open()
    assert across(look()) == {}


def test_threat_a_checkpoint_paid_for_by_two_campaigns_of_one_researcher_is_caught(stage, look) -> None:
    stage.honest_until(2)
    first, checkpoint = stage.client, stage.run.checkpoints[-1]
    again(stage)
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.attest(1, checkpoint)
    paid = across(look())["paid-once"]
    assert paid.status == "fail"
    assert f"The CHECKPOINT of milestone 1 was attested before, in campaign {first.address}" in paid.detail
    assert stage.researcher.address in paid.detail
    # Who came first did nothing wrong.
    assert across(look(first))["paid-once"].status == "pass"


def test_a_dataset_that_serves_twice_is_for_a_person_to_judge(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    again(stage)
    stage.attest(0, stage.run.dataset)
    report = look()
    assert across(report)["paid-once"].status == "warn"
    assert "paid-once" not in {check.name for check in report.checks if check.status == "fail"}


def test_threat_strangers_who_attest_somebodys_work_first_prove_nothing_against_it(stage, look) -> None:
    """Evidence is public before its attestation: others can put it into a campaign of their own."""
    stage.honest_until(1)
    victim, seed = stage.client, stage.seed
    checkpoint = stage.run.train(seed)
    ours = stage.researcher, stage.attestors
    strangers(stage)
    again(stage)
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.attest(1, checkpoint)
    stage.client = victim
    stage.researcher, stage.attestors = ours
    stage.attest(1, checkpoint)
    paid = across(look())["paid-once"]
    assert paid.status == "warn"
    assert "nobody in these terms had a hand in that" in paid.detail


def test_threat_an_attestor_that_signs_two_contents_for_one_evidence_is_caught(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    first = stage.client
    again(stage)
    stage.attest(0, stage.run.dataset, content_root="ab" * 32)
    for client in (first, stage.client):
        found = across(look(client))["attestors-consistent"]
        assert found.status == "fail"
        assert "the same evidence stands for other content" in found.detail
        assert found.data["contradictions"][0]["who"] == [stage.attestors[0].address, stage.attestors[2].address]
    # Content that one of them keeps back is no other content.
    report = look(stage.client)
    assert [one.role for one in report.records] == ["researcher", "attestor", "attestor", "attestor"]
    assert report.records[1].text.startswith("2 campaigns, 2 signed, 1 contradicted later")


def test_content_that_is_kept_back_contradicts_nothing(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    again(stage)
    withheld = replace(propose(stage.client, 0, stage.run.dataset), content_root="00" * 32, content_size=0)
    stage.attest(0, stage.run.dataset, content_root=withheld.content_root, content_size=0)
    assert across(look())["attestors-consistent"].status == "pass"


def test_threat_what_strangers_sign_about_the_same_evidence_accuses_nobody_else(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    honest = stage.client
    strangers(stage)
    again(stage)
    stage.attest(0, stage.run.dataset, content_root="ab" * 32)
    assert {check.status for check in across(look(honest)).values()} == {"pass"}


def test_records_are_in_the_report(stage, look) -> None:
    stage.honest_until(3)
    report = look()
    assert report.records[0].text.startswith("1 campaign, 1 completed, 3 deadlines kept")
    assert AuditReport.model_validate_json(report.to_json()) == report
