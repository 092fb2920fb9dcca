"""What an audit says about an arbiter, a contest and its ruling, and about what can still be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.audit.timeline import Contest, contested_by_the_rules, tell
from llamafund_chain.campaign.arbiter import CourtClient
from llamafund_chain.campaign.terms import DAY
from llamafund_chain.checks.check import Finding
from llamafund_chain.checks.run import BUILT_IN
from llamafund_chain.deployment.court_arbiter import NO_DECISION, REFUSED
from llamafund_chain.times import when

ETHER = 10**18
WINDOW = 2 * DAY
RULING = 7 * DAY
LAST = "6.667200000000000005 ETH"


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits the stage's campaign at its latest block."""

    def run() -> AuditReport:
        return audit(
            stage.client,
            stage.run.store,
            finality="latest",
            replay_segments=0,
            workdir=tmp_path,
            progress=lambda _: None,
            checks=BUILT_IN,
        )

    return run


def steps(report: AuditReport, campaign: str) -> list[tuple[str, str, int | None]]:
    """Who can do what until when; the command without program and campaign."""
    return [
        (
            step.who,
            step.command.removeprefix("llamafund ").replace(f" {campaign}", ""),
            int(step.until.timestamp()) if step.until else None,
        )
        for step in report.verdict.next_steps
    ]


def detail(report: AuditReport, name: str) -> str:
    (found,) = [check.detail for check in report.checks if check.name == name]
    return found


def test_a_lie_that_a_court_could_refuse_names_the_command_and_the_last_second(stage, look) -> None:
    stage.lie_about_the_weights(**stage.arbiter_at_court())
    client, ends = stage.client, stage.client.state().attested_at + WINDOW
    report = look()

    (alarm,) = report.verdict.alarms
    assert (alarm.in_time, int(alarm.until.timestamp())) == (True, ends)
    assert "unless the arbiter refuses it before" in alarm.choices[0]
    assert f"llamafund dispute {client.address} --report audit.json asks the court {stage.court}" in alarm.choices[1]
    assert when(ends) in alarm.choices[1]
    assert steps(report, client.address) == [
        ("backers", "dispute --report audit.json", ends),
        ("backers", "challenge --chunk NUMBER", ends),
        ("payees", "claim", None),
    ]
    assert LAST in report.verdict.next_steps[0].what
    facts = report.facts
    assert facts is not None
    assert facts.arbiter is not None
    assert (facts.arbiter.court, facts.arbiter.dispute, facts.arbiter.has_code) == (stage.court, None, True)
    assert facts.arbiter.ruling_window == RULING
    assert f"asks the court {stage.court}" in detail(report, "arbiter-can-decide")
    assert "neither researcher nor payee nor attestor" in detail(report, "arbiter-independent")


def test_a_running_dispute_is_told_with_its_end_and_what_can_be_added(stage, look) -> None:
    stage.lie_about_the_weights(**stage.arbiter_at_court())
    client, ends = stage.client, stage.client.state().attested_at + WINDOW + RULING
    CourtClient.of(client).dispute(stage.backers[0], "ab" * 32, ETHER // 10)
    report = look()

    (alarm,) = report.verdict.alarms
    assert int(alarm.until.timestamp()) == ends
    assert f"Dispute 0 about it waits for the court {stage.court}" in alarm.choices[1]
    assert f"llamafund dispute {client.address} --add --report audit.json" in alarm.choices[1]
    assert steps(report, client.address)[:2] == [
        ("anyone", "dispute --add --report audit.json", ends),
        ("court", "", ends),
    ]
    assert f"not ruled on yet: a ruling counts before {when(ends)}" in detail(report, "contested-by-the-rules")
    assert report.milestones[2].attested is not None
    assert report.milestones[2].attested.contested
    stage.devnet.rule_mock_court(stage.court, 0, NO_DECISION)
    assert steps(look(), client.address)[0] == ("backers", "dispute --report audit.json", ends)


def test_a_refusal_is_told_and_backers_are_told_to_collect(stage, look) -> None:
    stage.lie_about_the_weights(**stage.arbiter_at_court())
    client = stage.client
    CourtClient.of(client).dispute(stage.backers[0], "ab" * 32, ETHER // 10)
    stage.devnet.rule_mock_court(stage.court, 0, REFUSED)
    report = look()

    (alarm,) = report.verdict.alarms
    assert any("The arbiter refused this attestation" in choice for choice in alarm.choices)
    assert not any("stopped in time" in choice for choice in alarm.choices)
    assert steps(report, client.address) == [("backers", "refund", None), ("payees", "claim", None)]
    assert ", refused " in detail(report, "contested-by-the-rules")
    assert {check.name for check in report.checks if check.status == "fail"} == {"parent-links"}


def test_an_arbiter_that_is_a_key_is_told_what_to_do_and_flagged(stage, look) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=RULING)
    client, attested_at = stage.client, stage.client.state().attested_at
    report = look()
    (alarm,) = report.verdict.alarms
    assert f"Show this report to the arbiter, {stage.judge.address}" in alarm.choices[1]
    assert steps(report, client.address)[0] == ("arbiter", "contest", attested_at + WINDOW)
    assert "a single key" in detail(report, "arbiter-can-decide")

    client.contest(stage.judge)
    report = look()
    assert f"llamafund rule {client.address} --refuse" in report.verdict.alarms[0].choices[1]
    assert steps(report, client.address)[0] == ("arbiter", "rule --refuse", attested_at + WINDOW + RULING)

    client.rule(stage.judge, upheld=True)
    report = look()
    assert ", upheld " in detail(report, "contested-by-the-rules")
    assert steps(report, client.address)[0] == ("arbiter", "contest", attested_at + WINDOW)


def test_a_contest_without_a_ruling_ends_as_if_there_had_been_none(stage, look) -> None:
    stage.honest_until(2, arbiter=stage.judge.address, ruling_window=RULING)
    stage.attest(2, stage.run.export())
    stage.client.contest(stage.judge)
    stage.devnet.advance(WINDOW + RULING)
    report = look()
    assert "the attestation stands" in detail(report, "contested-by-the-rules")
    assert report.verdict.outcome == "holds"
    assert steps(report, stage.client.address) == [("payees", "claim", None)]


def test_a_campaign_without_an_arbiter_says_so(stage, look) -> None:
    stage.lie_about_the_weights()
    report = look()
    assert report.facts is not None
    assert report.facts.arbiter is None
    assert "nobody can hold back the last tranche" in detail(report, "arbiter-independent")
    assert not any("arbiter" in choice for choice in report.verdict.alarms[0].choices)
    assert [who for who, command, _ in steps(report, stage.client.address) if "dispute" in command] == []


def test_what_can_be_done_follows_the_campaigns_life(stage, look) -> None:
    client = stage.open()
    terms, address = client.terms, client.address
    assert steps(look(), address) == [("anyone", "pledge AMOUNT", terms.funding_deadline)]
    client.pledge(stage.backers[0], 3 * ETHER)
    assert steps(look(), address)[1] == ("backers", "unpledge all", terms.funding_deadline)
    client.pledge(stage.backers[1], 7 * ETHER)
    assert steps(look(), address)[1] == ("researcher", "campaign activate", terms.milestones[0].deadline)
    client.activate(stage.researcher)
    report = look()
    attest = "attest --milestone 0 --evidence HASH"
    assert steps(report, address) == [
        ("backers", "vote-stop", None),
        ("attestors", attest, terms.milestones[0].deadline),
    ]
    assert report.verdict.next_steps[0].opens is not None
    attested = stage.attest(0, stage.run.dataset)
    ends = client.state().attested_at + WINDOW
    assert ("backers", "challenge --chunk NUMBER", ends) in steps(look(), address)
    client.challenge(stage.backers[0], attested, 0, ETHER)
    by = client.state().challenged_at + terms.answer_window
    assert steps(look(), address)[0] == ("anyone", "answer", by)
    stage.devnet.advance(2 * DAY)
    assert steps(look(), address) == [("backers", "refund", None), ("challengers", "return-bond", None)]


def test_a_funded_campaign_at_its_cap_or_deadline_is_started_by_anyone(stage, look) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 20 * ETHER)
    assert steps(look(), client.address) == [("anyone", "campaign activate", client.terms.milestones[0].deadline)]


def found(stage, *contests: Contest) -> Finding | None:
    """What the check says of these contests of a campaign whose weights are attested."""
    story = tell(stage.client.terms, stage.client.events(), stage.devnet.connection.timestamp)
    now = stage.devnet.connection.timestamp()
    return contested_by_the_rules(stage.client.terms, replace(story, contests=contests), now)


def test_contests_and_rulings_against_the_terms_are_the_nodes_invention(stage) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=RULING)
    at = stage.client.state().attested_at
    good = Contest(at, at + WINDOW + RULING, at + WINDOW, upheld=False)
    assert found(stage) is None
    held = found(stage, good)
    assert held is not None
    assert held.status == "pass"
    for spoilt, words in (
        (replace(good, rule_by=good.rule_by + 1), "the terms do not"),
        (replace(good, at=at - 1), "when the window was not open"),
        (replace(good, at=at + WINDOW), "when the window was not open"),
        (replace(good, ruled_at=good.rule_by), "came too late"),
        (replace(good, at=at + 9, ruled_at=at + 8), "came too late"),
    ):
        wrong = found(stage, good, spoilt)
        assert wrong is not None
        assert (wrong.status, wrong.contradiction) == ("unchecked", "itself")
        assert words in wrong.detail


def test_a_contest_that_nobody_could_make_fails(stage) -> None:
    stage.honest_until(1)
    one = Contest(1, 2)
    wrong = found(stage, one)
    assert wrong is not None
    assert "the terms name no arbiter" in wrong.detail


def test_a_contest_before_the_weights_fails(stage) -> None:
    stage.honest_until(1, arbiter=stage.judge.address, ruling_window=RULING)
    wrong = found(stage, Contest(1, 2))
    assert wrong is not None
    assert "before the last milestone was attested" in wrong.detail
