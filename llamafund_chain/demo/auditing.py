"""Act 6: the audit, from just a node, an address and a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.audit import AuditReport
from llamafund_chain.checks.check import Depth
from llamafund_chain.demo.cast import AUDITOR
from llamafund_chain.demo.facts import AuditFact
from llamafund_chain.demo.ledger import close_ledger
from llamafund_chain.errors import ExitCode

if TYPE_CHECKING:
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage


def audit_campaign(stage: Stage, plot: Plot) -> None:
    """Act 6: audit the finished campaign, check by check, and every unit of its money."""
    stage.narrator.say(
        f"{AUDITOR.title()} audits. She knows nobody and gets just three things: the node, the address and the store. "
        "She needs no key and no account. Her audit reads the chain, fetches every byte, replays a random part of the "
        "training and measures the model again. It adds up the money twice: from the events, and from the contract's "
        "state."
    )
    report = run_audit(
        stage,
        plot.campaign,
        "the honest campaign",
        stage.folder.audit_json,
        html=stage.folder.audit_html,
        depth="replay",
        expect=ExitCode.OK,
        waiting="Auditing: every byte, a replayed part of the training, the money twice",
    )
    for group, checks in report.by_group().items():
        names = [check.name for check in checks if check.status == "pass"]
        if names:
            stage.narrator.held(f"{group}: {', '.join(names)}")
        for check in checks:
            if check.status == "warn":
                stage.narrator.item(f"{group}: {check.name}: {check.detail}")
    verdict = report.verdict
    stage.expect(
        f"{AUDITOR.title()}'s verdict",
        verdict.outcome == "holds",
        f"{verdict.headline} ({verdict.passed} passed, {verdict.warned} for you to judge, {verdict.failed} failed)",
    )
    replayed = [check for check in report.checks if check.name.startswith("replay") and check.status == "pass"]
    stage.expect("The audit replayed a part of the training too", bool(replayed), silent=True)
    expect_ledgers_agree(stage, report)
    client = stage.client(plot.campaign)
    fact = close_ledger(
        stage, client, "honest", "A small Llama that has read the Python reference", "Delivered and paid in full"
    )
    stage.expect_equal("The campaign is", fact.status, "Completed")
    stage.expect_equal("Left in the contract", client.asset.format(client.state().balance), "0 ETH")


def expect_ledgers_agree(stage: Stage, report: AuditReport) -> None:
    """Expect that an audit found the same money in the events and in the contract's state, and none missing."""
    money = report.money
    checks = [check for check in report.checks if check.group == "money"]
    agree = money is not None and all(
        getattr(money.events, name) == getattr(money.state, name)
        for name in ("pledged", "released", "claimed", "refunded", "refundable", "locked")
    )
    stage.expect(
        "The audit finds the same money in the events and in the contract",
        agree and bool(checks) and all(check.status == "pass" for check in checks),
        "" if money is None else f"{money.state.claimed} paid, {money.state.refunded} refunded",
    )


def run_audit(
    stage: Stage,
    campaign: str,
    name: str,
    file: Path,
    *,
    html: Path | None,
    depth: Depth,
    expect: ExitCode,
    waiting: str,
) -> AuditReport:
    """Run `llamafund audit`, keep its report and record its verdict."""
    page: list[str | Path] = ["--html", html] if html is not None else []
    outcome = stage.run(
        "audit",
        campaign,
        "--depth",
        depth,
        *page,
        own_process=True,
        expect=expect,
        waiting=waiting,
    )
    report = AuditReport.model_validate_json(json.dumps(outcome.result["report"]))
    stage.keep(file, report.to_json().encode())
    verdict = report.verdict
    stage.facts.audits.append(
        AuditFact(
            campaign=name,
            verdict=verdict.headline,
            passed=verdict.passed,
            failed=verdict.failed,
            warnings=verdict.warned,
            report=str(file.relative_to(stage.folder.root)),
        )
    )
    return report
