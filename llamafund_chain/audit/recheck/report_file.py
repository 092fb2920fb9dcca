"""A report as others get it: the document that `llamafund audit --json` prints, or the page that carries the same.

Both are read from strangers: bounded in length and depth, and unambiguous.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llamafund_chain.audit.model import AuditorSignature, AuditReport
from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests.encoding import MAX_SAFE_INTEGER, canonical
from llamafund_chain.files import read_spans
from llamafund_chain.strict_yaml import load_json
from llamafund_chain.text import printable

MAX_BYTES = 48 * 1024 * 1024

_EMBEDDED = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)
_SPECIAL = re.compile(r"[^ -~]|[<>&]")
_WRITER = "Name what `llamafund audit` wrote with --html, or printed with --json"


@dataclass(frozen=True)
class ReportFile:
    """A report and what came with it.

    Attributes:
        signature: The auditor's; `None` if nobody signed.
        page: The whole page, if it is one.
    """

    report: AuditReport
    signature: AuditorSignature | None
    page: str | None


def canonical_report(report: AuditReport) -> bytes:
    """The report's canonical JSON (RFC 8785), which is what an auditor signs.

    What RFC 8785 cannot carry is written otherwise: integers beyond ±(2^53 - 1) as decimal strings.
    """
    return canonical(_safe(report.model_dump(mode="json")))


def report_hash(report: AuditReport) -> str:
    """SHA-256 of the canonical report, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_report(report)).hexdigest()


def embedded(report: AuditReport, signature: AuditorSignature | None) -> str:
    """The report as a page carries it: canonical JSON, where only plain letters stand for themselves."""
    signed = None if signature is None else signature.model_dump(mode="json")
    text = canonical({"report": _safe(report.model_dump(mode="json")), "signature": signed}).decode("utf-8")
    return _SPECIAL.sub(_escaped, text)


def read_report(path: Path) -> ReportFile:
    """Read a report from a file.

    Raises:
        UsageError: It is too long, or carries no report.
    """
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > MAX_BYTES:
            raise UsageError(f"{str(path)!r} is longer than {MAX_BYTES} bytes", "No report is that long", _WRITER)
    name = f"{str(path)!r} is not a report"
    page = None
    document = bytes(data)
    if document.lstrip()[:9].lower() == b"<!doctype":
        try:
            page = document.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(name, "It is a page, but not in UTF-8", _WRITER) from error
        found = _EMBEDDED.findall(page)
        if len(found) != 1:
            why = f"The page carries {len(found)} reports. Pages of earlier versions carry none"
            raise UsageError(name, why, _WRITER)
        document = found[0].encode("utf-8")
    try:
        said = load_json(document)
    except ValueError as error:
        raise UsageError(name, printable(str(error), 300), _WRITER) from error
    if isinstance(said, dict) and "report" not in said and said.get("schema") == "llamafund/audit/1":
        said = {"report": said}
    if not isinstance(said, dict) or "report" not in said:
        raise UsageError(name, "It has no field named report", _WRITER)
    try:
        given = said.get("signature")
        signature = None if given is None else AuditorSignature.model_validate(given)
        return ReportFile(AuditReport.model_validate(said["report"]), signature, page)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(name, printable(f"{place}: {first['msg']}", 300), _WRITER) from error


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def _safe(value: Any) -> Any:
    """A value that RFC 8785 can carry: large integers as decimal strings, halves of surrogate pairs as `?`."""
    if isinstance(value, dict):
        return {name: _safe(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_safe(inner) for inner in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if type(value) is int and abs(value) > MAX_SAFE_INTEGER:
        return str(value)
    return value
