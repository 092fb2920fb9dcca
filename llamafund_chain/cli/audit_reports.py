"""`llamafund audit verify-report`, `sign` and `diff`: what can be done with reports."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.audit.recheck.changes import changes
from llamafund_chain.audit.recheck.report_file import ReportFile, read_report, report_hash
from llamafund_chain.audit.recheck.reprove import Item
from llamafund_chain.audit.recheck.reverify import conclusion, reverify
from llamafund_chain.audit.recheck.signed import audit_to_eas, auditor_item, chain_id_of, sign_report
from llamafund_chain.audit.report import made_by, render_html
from llamafund_chain.cli.eas import eas_options, export_to_eas
from llamafund_chain.cli.options import HASH, FilePath, ask, json_option, rpc_option, yes_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.signer import Signer, optional_signer_options
from llamafund_chain.errors import UncheckedError, UsageError, VerificationError
from llamafund_chain.files import write_file

_SIGNS = {"holds": "ok  ", "broken": "FAIL", "unknown": "????"}


@click.command(name="verify-report")
@click.argument("file", type=FilePath(exists=True), metavar="FILE")
@click.option(
    "--allow-unchecked",
    is_flag=True,
    help="Exit with 0 although something could not be told from the file.",
)
@click.option(
    "--block-hash",
    type=HASH,
    metavar="HASH",
    default=None,
    help="Hash of the audited block, which you have from elsewhere.",
)
@json_option
def verify_report(file: Path, allow_unchecked: bool, block_hash: str | None, as_json: bool) -> None:
    """Check an audit's report from what it carries, without a node.

    FILE is the page that `llamafund audit` wrote with --html, or what it printed with --json. The books are added up
    again from the events, manifests are hashed, attestors' and the auditor's signatures recovered. Of a page, all that
    it shows is compared with the report that it carries. If the audit ran with --prove, the header's hash is computed
    from its fields, and what the campaign stores is proven from its state root.

    The exit code is 3 if anything does not hold. It is 7 if something could not be told from the file, for example
    whether the chain has these events.

    \b
    Example:
      llamafund audit verify-report audit.html
    """
    found = read_report(file)
    items = (*_page(found), *reverify(found.report, block_hash), *auditor_item(found.report, found.signature))
    outcome = conclusion(items)
    facts: dict[str, JsonValue] = {
        "campaign": found.report.campaign,
        "chain": found.report.chain,
        "block": found.report.block,
        "verdict": found.report.verdict.outcome,
        "report_sha256": report_hash(found.report),
        "auditor": None if found.signature is None else found.signature.auditor,
        "outcome": outcome,
        "items": [{"item": one.item, "status": one.status, "detail": one.detail} for one in items],
    }
    lines = [f"{_SIGNS[one.status]}  {one.item}: {one.detail}" for one in items]
    emit("audit verify-report", facts, [*lines, f"The report says: {found.report.verdict.headline}"], as_json=as_json)
    broken = [one.item for one in items if one.status == "broken"]
    unknown = [one.item for one in items if one.status == "unknown"]
    if broken:
        raise VerificationError(f"The report does not hold: {', '.join(broken)}")
    if unknown and not allow_unchecked:
        raise UncheckedError(
            f"What could be checked holds, but some things could not be told: {', '.join(unknown)}",
            "A file cannot show everything, and this says nothing about the campaign or its people",
            "Audit it yourself, or accept that with --allow-unchecked",
        )


@click.command()
@click.argument("file", type=FilePath(exists=True), metavar="FILE")
@click.option(
    "--out",
    type=FilePath(),
    required=True,
    metavar="FILE",
    help="Where to write the signed report: a page if it ends in .html, else JSON.",
)
@eas_options(required=False)
@rpc_option
@optional_signer_options
@yes_option
@json_option
def sign(
    file: Path,
    out: Path,
    eas: Path | None,
    eas_contract: str | None,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Sign an audit's report, as its auditor.

    FILE is the page that `llamafund audit` wrote with --html, or what it printed with --json. The report is checked as
    by `audit verify-report` first, and one that does not hold is not signed. The signature (EIP-712) names the report's
    hash, the campaign, the block with its hash, and the verdict. It needs no gas.

    With --eas it also writes the same as an off-chain attestation of EAS, which its SDK and explorers read. That is a
    second signature, and needs a node of the chain for the version of EAS there.

    \b
    Example:
      llamafund audit sign audit.html --out signed.html --wallet audrey
    """
    signer.check()
    found = read_report(file)
    report = found.report
    broken = [one for one in (*_page(found), *reverify(report)) if one.status == "broken"]
    if broken:
        raise VerificationError(f"The report does not hold: {broken[0].detail}", "Nothing was signed")
    account = signer.unlock_to_sign()
    chain = f"block {report.block} of {report.chain}"
    ask(
        f"The report is about {report.campaign} at {chain} and says: {report.verdict.headline}. Its hash is "
        f"{report_hash(report)}. Sign it as {account.address}?",
        yes=yes,
    )
    signature = sign_report(report, account)
    if out.suffix.lower() in (".html", ".htm"):
        write_file(out, render_html(report, signature).encode())
    else:
        document = {"report": report.model_dump(mode="json"), "signature": signature.model_dump(mode="json")}
        write_file(out, (json.dumps(document, indent=2) + "\n").encode())
    uid = None
    if eas is not None:
        uid = export_to_eas(audit_to_eas(report), account, rpc, chain_id_of(report), eas_contract, eas)
    facts: dict[str, JsonValue] = {
        "campaign": report.campaign,
        "chain": report.chain,
        "auditor": signature.auditor,
        "signature": signature.signature,
        "report_sha256": report_hash(report),
        "file": str(out),
        "eas_uid": uid,
        "eas_file": None if eas is None else str(eas),
    }
    pairs = [("report", str(out)), ("hash", report_hash(report)), ("auditor", signature.auditor)]
    pairs += [("EAS", f"{eas}, {uid}")] if uid is not None else []
    emit("audit sign", facts, rows(pairs), as_json=as_json)


@click.command()
@click.argument("old", type=FilePath(exists=True), metavar="OLD")
@click.argument("new", type=FilePath(exists=True), metavar="NEW")
@json_option
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Say what changed between two reports of one campaign.

    OLD and NEW are pages that `llamafund audit` wrote with --html, or what it printed with --json. Compared are the
    verdict, the checks, the milestones, the money and the people. Neither report is checked; `audit verify-report` does
    that.

    As with diff, the exit code is 0 if nothing changed, 1 if something did, and 2 if the two cannot be compared.

    \b
    Example:
      llamafund audit diff last-week.json audit.html
    """
    before, after = read_report(old).report, read_report(new).report
    if (before.chain, before.campaign.lower()) != (after.chain, after.campaign.lower()):
        raise UsageError(
            "The two reports are of different campaigns",
            f"{before.chain}:{before.campaign} and {after.chain}:{after.campaign}",
            "Name two reports of one campaign",
        )
    found = changes(before, after)
    facts: dict[str, JsonValue] = {
        "campaign": after.campaign,
        "chain": after.chain,
        "old_block": before.block,
        "new_block": after.block,
        "changes": [{"part": one.part, "what": one.what, "before": one.before, "after": one.after} for one in found],
    }
    lines = [f"From block {before.block} to block {after.block} of {after.chain}"]
    lines += [f"  {one.part} {one.what}: {_shown(one.before)} → {_shown(one.after)}" for one in found]
    lines.append(f"{len(found)} changes" if found else "Nothing changed")
    emit("audit diff", facts, lines, as_json=as_json)
    if found:
        click.get_current_context().exit(1)


def _page(found: ReportFile) -> tuple[Item, ...]:
    """Whether a page shows what its report says; nothing for other files."""
    if found.page is None:
        return ()
    if found.page == render_html(found.report, found.signature):
        return (Item("page", "holds", "The page is, to the last character, what this program makes of its report"),)
    if made_by() in found.page:
        return (Item("page", "broken", "The page does not show its report: somebody has changed it"),)
    detail = (
        "The page differs from what this program makes of its report: another version has written it, or somebody has "
        "changed it. Rely on what is told here, not on what the page shows"
    )
    return (Item("page", "unknown", detail),)


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
