"""`llamafund audit`: verify a campaign from just a node, its address and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.audit import Asset, AuditReport, BackerReport
from llamafund_chain.audit import audit as run_audit
from llamafund_chain.audit.model import NextStep
from llamafund_chain.audit.node.settings import Demands
from llamafund_chain.audit.proof_pack import HASH_WORDS
from llamafund_chain.audit.report import render_html
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain.connection import Finality
from llamafund_chain.checks.check import DEPTHS, Depth
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.groups import CommandWithMore
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    FilePath,
    WholeNumber,
    finality_option,
    json_option,
    replay_jobs_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.cli.shared import open_chain
from llamafund_chain.cli.system import UNBOUNDED, warn
from llamafund_chain.cli.table import BELOW_AUDIT
from llamafund_chain.errors import NodeError, UncheckedError, VerificationError
from llamafund_chain.files import write_file
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store.several import open_stores
from llamafund_chain.store.witness import Record
from llamafund_chain.times import when

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "unchecked": "????"}


@click.command(cls=CommandWithMore, table=BELOW_AUDIT)
@click.argument("address", type=ADDRESS)
@rpc_option
@stores_option
@finality_option
@facts_option
@click.option(
    "--depth",
    type=click.Choice(DEPTHS),
    default="replay",
    show_default=True,
    help="How far to go: contract and money; published evidence; weights and score; the training, repeated in part.",
)
@click.option(
    "--segments",
    "replay_segments",
    type=WholeNumber(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="Number of random segments of each training run to replay and compare.",
)
@replay_jobs_option
@click.option(
    "--allow-unchecked",
    is_flag=True,
    help="Exit with 0 although something could not be checked. The verdict says so.",
)
@click.option(
    "--backer",
    type=ADDRESS,
    metavar="ADDRESS",
    default=None,
    help="Also say where this backer's money is, and what that backer can do until when.",
)
@click.option(
    "--workdir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    default=None,
    help="Where fetched files go while the audit runs; the system's folder for temporary files by default.",
)
@click.option(
    "--html",
    type=FilePath(),
    metavar="FILE",
    default=None,
    help="Also write the report as one self-contained HTML page.",
)
@click.option(
    "--prove",
    is_flag=True,
    help="Prove terms, books and balance with eth_getProof against the state root of the block.",
)
@click.option(
    "--prove-logs",
    is_flag=True,
    help="The same; and hash every header since the campaign was opened, and every receipt with a log of it.",
)
@click.option(
    "--block-hash",
    type=HASH,
    metavar="HASH",
    default=None,
    help="Read at the block with this hash, which you have from elsewhere.",
)
@json_option
def audit(
    address: str,
    rpc: str,
    stores: tuple[str, ...],
    finality: Finality,
    depth: Depth,
    replay_segments: int,
    jobs: int,
    allow_unchecked: bool,
    backer: str | None,
    workdir: Path | None,
    html: Path | None,
    prove: bool,
    prove_logs: bool,
    block_hash: str | None,
    as_json: bool,
) -> None:
    """Verify everything about the campaign at ADDRESS, trusting nobody.

    Reads the contract, its events and its money at one settled block, fetches all evidence from the store and replays
    random segments of the training. Prints the verdict, check by check.

    With several --rpc, each other node must say the same as the one that answers. If nodes contradict themselves or
    each other, that is the verdict, the exit code is 4, and nobody else is accused.

    The exit code is 3 if anything does not hold. It is 7 if nothing was found wrong, but something could not be
    checked: a store that does not answer or lacks a file, a full disk, too little memory. That accuses nobody; run it
    again, or name another store.

    \b
    Example:
      llamafund audit 0x5FbDB2315678afecb367f032d93F642f64180aa3 \\
          --rpc https://node.example --store ./store --html audit.html
    """
    if_interrupted("the audit reached no verdict")
    if depth in ("weights", "replay"):
        warn(UNBOUNDED)
    record = Record()
    opened = open_stores(stores, record)
    client = CampaignClient(open_chain(rpc), address)
    demands = Demands(prove or prove_logs, prove_logs, block_hash, client.connection.other_urls)
    with ScratchFolder("audit", workdir) as folder:
        report = run_audit(
            client,
            opened,
            finality=finality,
            depth=depth,
            replay_segments=replay_segments,
            jobs=jobs,
            allow_unchecked=allow_unchecked,
            backer=backer,
            demands=demands,
            workdir=folder,
            progress=progress,
        )
    if html is not None:
        write_file(html, render_html(report).encode())
        note(f"Wrote {html}")
    # Beside the report: another auditor's report is the same, though it was fetched elsewhere and at another time.
    fetched: list[JsonValue] = [{"cid": one.cid, "store": one.place, "at": one.at} for one in record.deliveries]
    facts: dict[str, JsonValue] = {"report": report.model_dump(mode="json"), "fetched": fetched}
    emit("audit", facts, _lines(report), as_json=as_json)
    verdict = report.verdict
    if verdict.outcome == "contradicted":
        raise NodeError(verdict.headline, remedy="Ask other nodes with --rpc, and repeat the audit")
    if verdict.outcome == "fails":
        raise VerificationError(verdict.headline)
    if verdict.outcome == "unchecked" and not allow_unchecked:
        raise UncheckedError(
            verdict.headline,
            "This says nothing about the campaign or its people",
            "The checks above say what got in the way. Run it again, or accept it with --allow-unchecked",
        )


def _lines(report: AuditReport) -> Iterator[str]:
    facts, money = report.facts, report.money
    yield f"Campaign {report.campaign} on {report.chain}"
    yield f"at block {report.block} ({report.finality}), {report.time:%Y-%m-%d %H:%M:%S} UTC"
    yield f"with the hash 0x{report.block_hash}, {HASH_WORDS[report.hash_from]}"
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
    if facts is not None and report.backer is not None:
        yield ""
        yield from _backer(report.backer, facts.asset)
    if report.people is not None and report.people.ties:
        yield ""
        yield "Ties between people (facts, no proofs)"
        yield from (f"  {tie.text}" for tie in report.people.ties)
    if report.records:
        yield ""
        yield "Track records (`llamafund people ADDRESS` lists the events)"
        yield from (f"  {one.account}  {one.role}: {one.text}" for one in report.records)
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
        f"{verdict.unchecked} could not be checked"
    )
    yield f"Verdict: {verdict.headline}"


def _backer(backer: BackerReport, asset: Asset) -> Iterator[str]:
    yield f"The money of {backer.address}, in {asset.name}"
    for name in ("pledged", "released", "locked", "refundable", "refunded"):
        yield f"  {name:<11} {getattr(backer, name)}"
    yield f"  {'bonds':<11} {backer.bonds}"
    yield from (f"  {_step(step)}" for step in backer.next_steps)


def _step(step: NextStep) -> str:
    opens = f" from {when(int(step.opens.timestamp()))}" if step.opens else ""
    until = f" before {when(int(step.until.timestamp()))}" if step.until else ""
    command = f": {step.command}" if step.command else ""
    return f"{step.who}{opens}{until}: {step.what}{command}"
