"""Rug pull 4: a quorum lies about the weights, and a court refuses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llamafund_chain.cli.output import SCHEMA
from llamafund_chain.demo import cast
from llamafund_chain.demo.auditing import run_audit
from llamafund_chain.demo.cast import Plan
from llamafund_chain.demo.facts import FraudFact
from llamafund_chain.demo.ledger import close_ledger
from llamafund_chain.demo.milestones import attest, claim_share, collude, pass_window, refund_backers, submit
from llamafund_chain.demo.opening import open_campaign
from llamafund_chain.demo.training import load_weights
from llamafund_chain.deployment import court_arbiter
from llamafund_chain.deployment.court_arbiter import CourtArbiter
from llamafund_chain.errors import ExitCode
from llamafund_chain.store import LocalStore

if TYPE_CHECKING:
    from llamafund_chain.audit import AuditReport
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage

_TITLE = "Trudy's best Llama of all"
_FEE = 5 * 10**16
"""Wei that a dispute costs at the mock court."""


def lie_at_the_end(stage: Stage, plot: Plot) -> None:
    """Attest other weights than the trained ones after the last vote; audit, dispute, refuse and refund them."""
    stage.narrator.scene("Rug pull 4: the quorum lies about the weights, where no vote can stop it")
    court = _open_campaign_with_arbiter(stage, plot)
    stage.narrator.say(
        "Trudy trains nothing. She hands in the changed copy of Rosa's model that Vera refused in the drill. Igor and "
        "Ivan sign without looking. This is the last milestone, and from here on nobody can vote."
    )
    manifest = load_weights(stage, plot.changed_weights)
    submit(stage, plot.lied_campaign, collude(stage, plot.lied_campaign, 1, manifest, "trudy-weights"))
    report = _audit(stage, plot)
    _dispute(stage, plot, court, report)
    stage.facts.frauds.append(
        FraudFact(
            name="A quorum that lies about the weights, after the last vote",
            caught_by=sorted({check.name for check in report.checks if check.status == "fail"}),
            said=report.verdict.headline,
            outcome="Refused by the court that the arbiter asks; the last tranche went back to every backer",
        )
    )


def _open_campaign_with_arbiter(stage: Stage, plot: Plot) -> str:
    """Open, fund and start the liar's campaign, up to its last milestone.

    Returns:
        Address of the mock court.
    """
    LocalStore(stage.folder.store).put_bytes(court_arbiter.question())
    court = stage.devnet.deploy_mock_court(_FEE)
    arbiter = stage.devnet.deploy_arbiter(CourtArbiter(court))
    stage.narrator.say(
        "Alice and Bob have learned, and pledge only to terms that name an arbiter. It can refuse the last tranche and "
        "nothing else. This one asks a court, for any backer who pays the court's fee. There is no court on this "
        "chain, so the demo deploys a mock court: a contract in which anybody rules, worth nothing elsewhere. The "
        "arbiter that asks it is the real one."
    )
    stage.name("MOCK_COURT", court)
    plan = Plan(
        title=_TITLE,
        summary="Like Rosa's, but best of all, says Trudy.",
        researcher=cast.LIAR,
        goal="5",
        cap="10",
        asset=None,
        attestors=(cast.VERIFIER, *cast.ACCOMPLICES),
        payees=((cast.LIAR, 10_000),),
        milestone_bps=(1_000, 0, 9_000),
        recipe=plot.recipe_sha256,
        dataset=plot.dataset,
        bits_per_byte=plot.bits_per_byte,
        arbiter=arbiter,
    )
    plot.lied_campaign = open_campaign(stage, plan, "lied", "TRUDYS")
    stage.run("pledge", plot.lied_campaign, "4.00000000000000003", wallet="alice", show=False)
    stage.run("pledge", plot.lied_campaign, "2.3", wallet="bob", show=False)
    stage.run("campaign", "activate", plot.lied_campaign, wallet=cast.LIAR, show=False)
    stage.settle()
    files = attest(stage, plot.lied_campaign, 0, plot.dataset, (cast.VERIFIER, "igor"), "trudy-dataset", show=False)
    submit(stage, plot.lied_campaign, files, show=False)
    pass_window(stage, stage.client(plot.lied_campaign))
    claim_share(stage, plot.lied_campaign, 0, cast.LIAR, "trudy-savings", show=False)
    return court


def _audit(stage: Stage, plot: Plot) -> AuditReport:
    report = run_audit(
        stage,
        plot.lied_campaign,
        "Trudy's campaign",
        stage.folder.frauds / "audit-trudy.json",
        html=stage.folder.frauds / "audit-trudy.html",
        depth="weights",
        expect=ExitCode.VERIFICATION_FAILED,
        waiting="Auditing Trudy's campaign",
    )
    stage.narrator.caught(report.verdict.headline)
    for check in report.checks:
        if check.status == "fail":
            stage.narrator.quote(f"{check.name}: {check.detail}")
    choices = [choice for alarm in report.verdict.alarms for choice in alarm.choices]
    stage.expect(
        "The audit names the command that can still stop it",
        any(f"llamafund dispute {plot.lied_campaign}" in choice for choice in choices),
        silent=True,
    )
    return report


def _dispute(stage: Stage, plot: Plot, court: str, report: AuditReport) -> None:
    """Bring the lie before the mock court, which refuses it, and refund the backers."""
    client = stage.client(plot.lied_campaign)
    file = stage.folder.frauds / "audit-trudy-printed.json"
    printed = {"schema": SCHEMA, "command": "audit", "report": report.model_dump(mode="json")}
    stage.keep(file, json.dumps(printed, indent=2).encode())
    stage.narrator.say(
        f"Bob takes what the audit printed with --json to court, for the fee of {client.coin.format(_FEE)}. One "
        "command publishes the report, contests the attestation and asks for a ruling."
    )
    made = stage.run("dispute", plot.lied_campaign, "--report", file, wallet="bob").result
    stage.settle()
    stage.expect_equal("The mock court has its fee", stage.balance(court), _FEE, silent=True)
    ends = client.state().attested_at + client.terms.challenge_window
    stage.advance(ends - stage.connection.timestamp() + 1)
    stage.narrator.say("Three days pass. Without the contest Trudy would be paid now. She tries:")
    stage.run("claim", plot.lied_campaign, wallet=cast.LIAR, expect=ExitCode.REVERTED)
    stage.expect_equal("The money waits; the campaign is", client.state().status.label, "Active")
    stage.narrator.say("The demo plays the jurors of the mock court. They repeat the audit and refuse the attestation.")
    stage.devnet.rule_mock_court(court, made["dispute"], court_arbiter.REFUSED)
    stage.settle()
    stage.expect_equal("The campaign is", client.state().status.label, "Failed")
    refund_backers(stage, plot.lied_campaign, cast.BACKERS)
    close_ledger(stage, client, "lied", _TITLE, "Refused by a mock court after the audit; only the data was paid for")
    stage.narrator.say(
        "An honest limit: whoever names an arbiter trusts it. A bribed one can rob a researcher of the last tranche, "
        "though it never gets the money. One that never answers changes nothing."
    )
