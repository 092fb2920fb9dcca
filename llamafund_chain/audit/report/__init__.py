"""An audit as one HTML page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from llamafund_chain.audit.proof_pack import HASH_WORDS
from llamafund_chain.audit.recheck.report_file import embedded
from llamafund_chain.audit.report.drawings import draw_curves, draw_money
from llamafund_chain.audit.report.glossary import GLOSSARY
from llamafund_chain.audit.report.people_drawing import draw_people
from llamafund_chain.name import PROJECT
from llamafund_chain.text import from_millionths, printable

if TYPE_CHECKING:
    from llamafund_chain.audit import AuditReport
    from llamafund_chain.audit.model import AuditorSignature

_WORDS = {
    "pass": ("✓", "holds"),
    "warn": ("!", "for you to judge"),
    "fail": ("✗", "does not hold"),
    "unchecked": ("?", "could not be checked"),
}
_STATES = {
    "pending": "to come",
    "window-open": "attested, challenge window open",
    "released": "released",
    "withheld": "attested, then withheld",
    "missed": "not delivered",
}
_GROUPS = {
    "contract": "The contract",
    "proposal": "The proposal",
    "timeline": "The timeline",
    "money": "The money",
    "risks": "Risks",
    "node": "The node",
    "across campaigns": "Other campaigns",
}
_MEANING = {
    "holds": "Every rule that protects the money was kept so far, as far as this audit went. That does not mean that "
    "the model will be good.",
    "fails": "At least one thing is not as it was promised. Read what was found before you pledge, vote or wait.",
    "contradicted": "The nodes that were asked contradict themselves or each other. So nothing that they said decides, "
    "and nobody else is accused. Ask other nodes, and repeat the audit.",
    "unchecked": "Nothing wrong was found, but the auditor could not look at everything. That accuses nobody; the "
    "page says below what is missing and why.",
}
"""What an outcome means to somebody who has, or may pledge, money."""

_LEFT_OUT = {
    "books": "This audit looked at the contract, its events and its money. It looked at no evidence.",
    "evidence": "This audit did not measure the weights and repeated no training.",
    "weights": "This audit repeated no training.",
    "replay": "",
}
"""What an audit of a depth leaves out."""

_STYLES = ("tokens.css", "report.css")
_DECIMALS = 4
_NARROW = 360.0
"""Pixels; the width for which a second drawing of each curve is made."""


def render_html(report: AuditReport, signature: AuditorSignature | None = None) -> str:
    """The report as a self-contained HTML page, which carries the report's data and a script that checks it.

    Args:
        report: From `llamafund_chain.audit.audit`, or read back from its JSON.
        signature: The auditor's.

    Returns:
        The page. Strangers' texts in it are escaped, and their invisible characters are spelled out.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("llamafund_chain.audit.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        millionths=from_millionths,
        minute=_minute,
        iso=_iso,
        duration=_duration,
        percent=_percent,
        rounded=rounded,
        group=_group,
    )
    script = f"\n{_own_file('verifier.js')}"
    style = "\n" + "".join(_own_file(name) for name in _STYLES)
    return environment.get_template("audit.html.j2").render(
        report=report,
        project=PROJECT,
        # Markup of ours, and only that: everything else is escaped.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        generator=Markup(made_by()),  # noqa: S704
        carried=Markup(embedded(report, signature)),  # noqa: S704
        policy=Markup(  # noqa: S704
            f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        signature=signature,
        words=_WORDS,
        states=_STATES,
        glossary=GLOSSARY,
        meaning=_MEANING[report.verdict.outcome],
        hash_words=HASH_WORDS[report.hash_from],
        left_out=_LEFT_OUT[report.depth],
        track=_track(report),
        money_drawing=draw_money(report.flows),
        charts=list(
            zip(
                draw_curves(report.curves, report.references),
                draw_curves(report.curves, report.references, width=_NARROW),
                strict=True,
            )
        ),
        people_drawing=draw_people(report.people),
        ledger=_ledger(report),
        repeat=repeat_command(report),
    )


def repeat_command(report: AuditReport) -> str:
    """The command that repeats an audit."""
    prove = "" if report.proofs is None else " --prove" if report.proofs.linked_from is None else " --prove-logs"
    backer = f" --backer {report.backer.address}" if report.backer is not None else ""
    return (
        f"llamafund audit {report.campaign} --rpc URL --store STORE --finality {report.finality} "
        f"--block-hash 0x{report.block_hash} --depth {report.depth}{prove}{backer}"
    )


def made_by() -> str:
    """What a page says about the files that it is made of: a page of the same files differs only if it was changed."""
    digest = hashlib.sha256("".join(map(_own_file, (*_STYLES, "audit.html.j2", "verifier.js"))).encode())
    return f'<meta name="generator" content="llamafund {digest.hexdigest()[:32]}">'


def rounded(amount: str) -> str:
    """An amount with at most four decimals: itself if it has no more, else marked as about that much.

    Args:
        amount: A decimal number in whole coins, exact.
    """
    whole, _, fraction = amount.partition(".")
    if len(fraction) <= _DECIMALS:
        return amount
    kept = fraction[:_DECIMALS].rstrip("0")
    if not kept and not whole.lstrip("-0"):
        return f"under 0.{'0' * (_DECIMALS - 1)}1"
    return f"≈ {whole}.{kept}" if kept else f"≈ {whole}"


def _own_file(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a content security policy calls an inline text that it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _track(report: AuditReport) -> list[tuple[int, int, str]]:
    """The milestones' shares as parts of a bar: start, width, state."""
    parts: list[tuple[int, int, str]] = []
    start = 0
    for milestone in report.milestones:
        parts.append((start, milestone.bps, milestone.state))
        start += milestone.bps
    return parts


def _finalize(value: object) -> object:
    return printable(value, 20_000) if type(value) is str else value


def _minute(value: datetime) -> str:
    """A point in time to the minute, or to the second if it has seconds; the same in every locale."""
    utc = value.astimezone(UTC)
    return utc.strftime("%Y-%m-%d %H:%M:%S UTC" if utc.second else "%Y-%m-%d %H:%M UTC")


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _percent(bps: int) -> str:
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02} %" if rest else f"{whole} %"


def _group(name: str) -> str:
    if name.startswith("milestone "):
        return f"Milestone {name.removeprefix('milestone ')}"
    return _GROUPS.get(name, name)


def _ledger(report: AuditReport) -> list[tuple[str, str, str | None, str | None]]:
    """Rows of the ledger: label, meaning, by events, by state."""
    if report.money is None:
        return []
    events, state = report.money.events, report.money.state
    rows = (
        ("deposited", "everything that backers ever pledged"),
        ("withdrawn", "taken back before the goal locked it"),
        ("pledged", "the pool"),
        ("released", "what payees are entitled to"),
        ("claimed", "collected by payees"),
        ("claimable", "waiting for payees"),
        ("refunded", "collected by backers"),
        ("refundable", "waiting for backers"),
        ("locked", "not yet the payees' or the backers'"),
        ("rounding", "cannot be divided, stays in the escrow"),
        ("held", "what the escrow must hold"),
        ("balance", "what it really holds"),
    )
    return [(name, meaning, getattr(events, name), getattr(state, name)) for name, meaning in rows]
