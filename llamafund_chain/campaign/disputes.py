"""Disputes: reports about a campaign, bundled in a manifest for a court's jurors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.evidence.manifests import DisputeManifest, DisputeReport
from llamafund_chain.files import read_text
from llamafund_chain.http.answers import parse_json
from llamafund_chain.store import Store
from llamafund_chain.store.content import publish_manifest

MAX_REPORT_BYTES = 16 * 1024 * 1024
MAX_STATEMENT_BYTES = 256 * 1024
MAX_REPORTS = 16

_LONGEST_NAME = 300
_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class Report:
    """A report that a command printed with `--json`.

    Attributes:
        command: Which command.
        said: Its result in one sentence.
        accuses: Whether it found something wrong.
        data: The file.
    """

    command: str
    said: str
    accuses: bool
    data: bytes


def read_report(path: Path, client: CampaignClient, attestation: Attestation, evidence: Sequence[str]) -> Report:
    """Read a report, and make sure that it is about what is attested.

    Args:
        path: What `llamafund audit` or `llamafund replay` printed with `--json`.
        client: The campaign.
        attestation: The last one.
        evidence: The evidence that was attested to the campaign, hashes of manifests.

    Raises:
        UsageError: It is no such report, or one about something else.
    """
    data = read_text(path, MAX_REPORT_BYTES).encode()
    name = repr(str(path))
    try:
        said = parse_json(data)
        kind = str(said["command"]) if said["schema"] == "llamafund/cli/1" else ""
        if kind not in _READERS:
            raise UsageError(
                f"{name} is not a report that a dispute can use",
                f"It comes from `llamafund {kind}`" if kind else "No command of this program printed it with --json",
                "Name what `llamafund audit --json` or `llamafund replay --json` printed",
            )
        problem = _READERS[kind][0](said, client, attestation, evidence)
        if problem:
            raise UsageError(f"{name} is about something else", problem, "Make the report again, for this campaign")
        words, accuses = _READERS[kind][1](said)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(
            f"{name} is not a report",
            f"It cannot be read: {type(error).__name__}: {error}",
            "Name what `llamafund audit --json` or `llamafund replay --json` printed",
        ) from error
    return Report(kind, str(words)[:_LONGEST_TEXT], bool(accuses), data)


def read_statement(path: Path) -> str:
    """The text of a statement.

    Args:
        path: Markdown in UTF-8.

    Raises:
        UsageError: There is no such file, or it is too long or not text.
    """
    return read_text(path, MAX_STATEMENT_BYTES)


def write_dispute(
    client: CampaignClient, attestation: Attestation, reports: Sequence[Report], text: str = ""
) -> DisputeManifest:
    """The manifest that names reports.

    Args:
        client: The campaign.
        attestation: The last one.
        reports: At least one.
        text: Markdown. If its first line is a heading, that is the title. Without a text, the reports' results are.

    Raises:
        UsageError: There is no report, there are too many, or the text is too long.
    """
    if not 0 < len(reports) <= MAX_REPORTS:
        raise UsageError(
            f"There are {len(reports)} reports", f"A dispute names 1 to {MAX_REPORTS}", "Choose them with --report"
        )
    first, _, rest = text.partition("\n")
    title = first.removeprefix("# ").strip() if first.startswith("# ") else ""
    description = (rest if title else text).strip() or "\n".join(report.said for report in reports)
    title = title or reports[0].said
    if len(description) > _LONGEST_TEXT:
        raise UsageError(
            f"The statement has {len(description)} characters", f"It may have {_LONGEST_TEXT}", "Shorten it"
        )
    entries = [_entry(report) for report in reports]
    return DisputeManifest(
        campaign=client.caip10,
        milestone=attestation.milestone,
        attestation=attestation.evidence,
        name=title if len(title) <= _LONGEST_NAME else f"{title[: _LONGEST_NAME - 1]}…",
        description=description,
        file_uri=f"/ipfs/{entries[0].cid}",
        reports=tuple(entries),
    )


def publish_dispute(store: Store, manifest: DisputeManifest, reports: Sequence[Report]) -> None:
    """Put the reports and then their manifest into a store, and pin them.

    Args:
        store: Where to put them.
        manifest: From `write_dispute`.
        reports: The same reports.
    """
    for report in reports:
        store.pin(store.put_bytes(report.data).cid)
    publish_manifest(store, manifest)


def _entry(report: Report) -> DisputeReport:
    digest = hash_bytes(report.data)
    return DisputeReport(
        command=report.command, said=report.said, size=digest.size, sha256=digest.sha256, cid=digest.cid
    )


def _audit_problem(said: Mapping[str, Any], client: CampaignClient, attestation: Attestation, _: Sequence[str]) -> str:
    found = said["report"]
    if (found["chain"], found["campaign"].lower()) != (client.connection.caip2, client.address.lower()):
        return f"It is the audit of {found['chain']}:{found['campaign']}"
    attested = [one["attested"]["evidence"] for one in found["milestones"] if one["attested"] is not None]
    if attestation.evidence not in attested:
        return "When it was made, the last milestone was not attested yet"
    return ""


def _audit_result(said: Mapping[str, Any]) -> tuple[str, bool]:
    found = said["report"]
    failed = [f"{check['name']}: {check['detail']}" for check in found["checks"] if check["status"] == "fail"]
    return ". ".join([found["verdict"]["headline"], *failed]), found["verdict"]["outcome"] == "fails"


def _replay_problem(said: Mapping[str, Any], _: CampaignClient, __: Attestation, evidence: Sequence[str]) -> str:
    if said["checkpoint"] not in evidence:
        return f"It repeats the training of {said['checkpoint']}, which was not attested to this campaign"
    return ""


def _replay_result(said: Mapping[str, Any]) -> tuple[str, bool]:
    for segment in said["segments"]:
        if segment["verdict"] == "different":
            wrong = next((file for file in segment["files"] if file["published"] != file["repeated"]), None)
            steps = f"steps {segment['first_step']} to {segment['last_step']}"
            detail = segment["problem"] or (f"{wrong['path']} after step {wrong['step']}" if wrong else "")
            return f"Repeating {steps} of the training gives other bytes than those published: {detail}", True
    return f"Repeating {said['steps']} steps of the training: {said['verdict']}", False


_Problem = Callable[[Mapping[str, Any], CampaignClient, Attestation, Sequence[str]], str]
_Result = Callable[[Mapping[str, Any]], tuple[str, bool]]
_READERS: Mapping[str, tuple[_Problem, _Result]] = {
    "audit": (_audit_problem, _audit_result),
    "replay": (_replay_problem, _replay_result),
}
