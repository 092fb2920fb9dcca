"""`llamafund audit`: verify a campaign from just a node, its address and a store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from llamafund_chain.audit import AuditReport
from llamafund_chain.audit import audit as run_audit
from llamafund_chain.audit.model import NextStep
from llamafund_chain.audit.report import render_html
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.chain.connection import Finality
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    ADDRESS,
    FilePath,
    WholeNumber,
    finality_option,
    from_block,
    json_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.errors import VerificationError
from llamafund_chain.files import write_file
from llamafund_chain.store.several import open_stores
from llamafund_chain.times import when

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "skip": "skip"}


@click.command()
@click.argument("address", type=ADDRESS)
@rpc_option
@stores_option
@finality_option
@click.option(
    "--segments",
    "replay_segments",
    type=WholeNumber(min=0),
    metavar="N",
    default=1,
    show_default=True,
    help="Number of random segments of each training run to replay and compare; 0 for none.",
)
@click.option(
    "--html",
    type=FilePath(),
    metavar="FILE",
    default=None,
    help="Also write the report as one self-contained HTML page.",
)
@json_option
def audit(
    address: str,
    rpc: str,
    stores: tuple[str, ...],
    finality: Finality,
    replay_segments: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Verify everything about the campaign at ADDRESS, trusting nobody.

    Reads the contract, its events and its money at one settled block, fetches all evidence from the store and replays
    random segments of the training. Prints the verdict, check by check. The exit code is 3 if anything does not hold.

    \b
    Example:
      llamafund audit 0x5FbDB2315678afecb367f032d93F642f64180aa3 \\
          --rpc https://node.example --store ./store --html audit.html
    """
    if_interrupted("the audit reached no verdict")
    opened = open_stores(stores)
    client = CampaignClient(connect(rpc), address)
    client.connection.since = from_block()
    with tempfile.TemporaryDirectory(prefix="llamafund-audit-") as workdir:
        report = run_audit(
            client,
            opened,
            finality=finality,
            replay_segments=replay_segments,
            workdir=Path(workdir),
            progress=progress,
        )
    if html is not None:
        write_file(html, render_html(report).encode())
        note(f"Wrote {html}")
    emit("audit", {"report": report.model_dump(mode="json")}, _lines(report), as_json=as_json)
    if not report.verdict.holds:
        raise VerificationError(report.verdict.headline)


def _lines(report: AuditReport) -> Iterator[str]:
    facts, money = report.facts, report.money
    yield f"Campaign {report.campaign} on {report.chain}"
    yield f"at block {report.block} ({report.finality}), {report.time:%Y-%m-%d %H:%M:%S} UTC"
    if facts is not None:
        yield f"{facts.title}: {facts.status}"
    for group, checks in report.by_group().items():
        yield ""
        yield group.capitalize()
        for check in checks:
            yield f"  {_SIGNS[check.status]}  {check.name}: {check.detail}"
    if facts is not None and money is not None:
        yield ""
        yield f"Money, in {facts.asset.name} (by the events, by the contract)"
        for name, by_events in money.events.model_dump().items():
            by_state = getattr(money.state, name)
            yield f"  {name:<11} {by_events or '-'}   {by_state or '-'}"
    for alarm in report.verdict.alarms:
        yield ""
        yield alarm.headline
        yield from (f"  found: {reason}" for reason in alarm.reasons)
        yield from (f"  do:    {choice}" for choice in alarm.choices)
    verdict = report.verdict
    if verdict.next_steps:
        yield ""
        yield "What can be done now"
        yield from (f"  {words}" for words in map(_step, verdict.next_steps))
    yield ""
    yield (
        f"{verdict.passed} passed, {verdict.failed} failed, {verdict.warned} for you to judge, "
        f"{verdict.skipped} skipped"
    )
    yield f"Verdict: {verdict.headline}"


def _step(step: NextStep) -> str:
    opens = f" from {when(int(step.opens.timestamp()))}" if step.opens else ""
    until = f" before {when(int(step.until.timestamp()))}" if step.until else ""
    command = f": {step.command}" if step.command else ""
    return f"{step.who}{opens}{until}: {step.what}{command}"
