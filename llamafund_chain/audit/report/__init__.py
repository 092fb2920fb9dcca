"""An audit as one HTML page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from llamafund_chain.audit.report.drawings import draw_curves, draw_money
from llamafund_chain.text import from_millionths, printable

if TYPE_CHECKING:
    from llamafund_chain.audit import AuditReport

_WORDS = {
    "pass": ("✓", "holds"),
    "warn": ("!", "for you to judge"),
    "fail": ("✗", "does not hold"),
    "skip": ("–", "skipped"),
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
}


def render_html(report: AuditReport) -> str:
    """The report as a self-contained HTML page.

    Args:
        report: From `llamafund_chain.audit.audit`, or read back from its JSON.

    Returns:
        The page. Strangers' texts in it are escaped, and their invisible characters are spelled out.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

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
        moment=_moment,
        minute=_minute,
        duration=_duration,
        percent=_percent,
        short=_short,
        group=_group,
    )
    return environment.get_template("audit.html.j2").render(
        report=report,
        words=_WORDS,
        states=_STATES,
        money_drawing=draw_money(report.flows),
        charts=draw_curves(report.curves, report.references),
        ledger=_ledger(report),
    )


def _finalize(value: object) -> object:
    return printable(value, 20_000) if type(value) is str else value


def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S UTC")


def _minute(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _percent(bps: int) -> str:
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02} %" if rest else f"{whole} %"


def _short(value: str) -> str:
    return f"{value[:10]}…{value[-6:]}" if len(value) > 24 else value


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
