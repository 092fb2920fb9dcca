"""What changed between two reports of one campaign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from llamafund_chain.audit.model import AuditReport

Part = Literal["verdict", "check", "milestone", "money", "people", "backer"]


@dataclass(frozen=True)
class Change:
    """One difference; `None` where a report has nothing.

    Attributes:
        part: Which part of the report.
        what: What differs there, for example `milestone 1 state`.
        before: In the older report.
        after: In the newer one.
    """

    part: Part
    what: str
    before: str | None
    after: str | None


def changes(old: AuditReport, new: AuditReport) -> tuple[Change, ...]:
    """All differences but those of the block and of wording that says the same of another block.

    Args:
        old: The older report.
        new: The newer one, of the same campaign.
    """
    return tuple(
        Change(part, what, before, after)
        for part, pairs in _parts(old, new)
        for what, (before, after) in pairs.items()
        if before != after
    )


_Pairs = dict[str, tuple[str | None, str | None]]


def _parts(old: AuditReport, new: AuditReport) -> Iterator[tuple[Part, _Pairs]]:
    yield "verdict", _paired(_verdict(old), _verdict(new))
    yield "check", _paired(_checks(old), _checks(new))
    yield "milestone", _paired(_milestones(old), _milestones(new))
    yield "money", _paired(_money(old), _money(new))
    yield "people", _paired(_people(old), _people(new))
    if old.backer is not None and new.backer is not None and old.backer.address == new.backer.address:
        yield "backer", _paired(_flat(old.backer.model_dump()), _flat(new.backer.model_dump()))


def _paired(old: dict[str, str], new: dict[str, str]) -> _Pairs:
    return {name: (old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new))}


def _verdict(report: AuditReport) -> dict[str, str]:
    said = report.verdict
    status = {} if report.facts is None else {"status": report.facts.status}
    return {"outcome": said.outcome, "headline": said.headline, "depth": report.depth, **status}


def _checks(report: AuditReport) -> dict[str, str]:
    """The status of each check; of several with one name in one group, each by its place."""
    found: dict[str, str] = {}
    for check in report.checks:
        name, number = f"{check.group}: {check.name}", 1
        while name in found:
            number += 1
            name = f"{check.group}: {check.name} ({number})"
        found[name] = check.status
    return found


def _milestones(report: AuditReport) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in report.milestones:
        told = {"state": one.state, "tranche": one.tranche, "deadline": f"{one.deadline:%Y-%m-%d %H:%M:%S} UTC"}
        if one.attested is not None:
            told["evidence"] = one.attested.evidence
            told["signers"] = ", ".join(signer.person.address for signer in one.attested.signers)
            told["contested"] = "yes" if one.attested.contested else "no"
        found.update({f"{one.index} {name}": value for name, value in told.items()})
    return found


def _money(report: AuditReport) -> dict[str, str]:
    if report.money is None:
        return {}
    found = {"backers": str(report.money.backers)}
    for source, column in (("by events", report.money.events), ("by state", report.money.state)):
        found.update({f"{name} {source}": value for name, value in _flat(column.model_dump()).items()})
    return found


def _people(report: AuditReport) -> dict[str, str]:
    facts = report.facts
    if facts is None:
        return {}
    found = {facts.researcher.address: f"researcher {facts.researcher.name}".rstrip()}
    found.update({one.address: f"attestor {one.name}".rstrip() for one in facts.attestors})
    if facts.arbiter is not None:
        found[facts.arbiter.person.address] = f"arbiter {facts.arbiter.person.name}".rstrip()
    return found


def _flat(fields: dict[str, Any]) -> dict[str, str]:
    plain = {name: value for name, value in fields.items() if isinstance(value, str | int)}
    return {name.replace("_", " "): str(value) for name, value in plain.items()}
