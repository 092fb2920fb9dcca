"""The verdict on all checks, and what can still be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from llamafund_chain.amounts import format_share
from llamafund_chain.audit.model import (
    Alarm,
    ArbiterFacts,
    CampaignFacts,
    MilestoneReport,
    NextStep,
    ReportCheck,
    Verdict,
)
from llamafund_chain.checks.check import Depth
from llamafund_chain.name import PROJECT
from llamafund_chain.times import when

RISKS = "risks"
"""The group whose results are for a person to judge, and decide nothing."""

_REASONS = 6
_SO_FAR = {
    "": "",
    "Funding": " so far: the campaign is still collecting, and nothing is paid yet",
    "Active": " so far: the campaign is under way",
    "Completed": ": the weights are published, and every unit of money is accounted for",
    "Failed": ": the campaign has failed, and backers get back what was not released",
}
"""The end of the headline, by the campaign's status."""


_BEYOND: dict[Depth, str] = {
    "books": ". Only the contract, its events and its money were checked, and no evidence",
    "evidence": ". Weights and training were not checked",
    "weights": ". No training was repeated",
    "replay": "",
}
"""What an audit of a depth leaves out, as a sentence after the headline's."""


def conclude(
    checks: Sequence[ReportCheck],
    facts: CampaignFacts | None,
    milestones: Sequence[MilestoneReport],
    *,
    campaign: str,
    genuine: bool = True,
    stop_missing: str = "0",
    unreleased: str = "0",
    votes_from: int = 0,
    steps: Sequence[NextStep] = (),
    depth: Depth = "replay",
    caveat: str = "",
    allow_unchecked: bool = False,
) -> Verdict:
    """The verdict, computed from the checks alone.

    Args:
        checks: All of them; none failed if a node contradicts itself.
        facts: `None` if the campaign could not be read.
        milestones: All of them, attested or not.
        campaign: Its address, for the commands that the verdict suggests.
        genuine: `False` if the address was shown to be no campaign of the known factory.
        stop_missing: Pledges that a stop vote still lacks, in whole coins.
        unreleased: What is neither released nor refundable yet, in whole coins.
        votes_from: Unix seconds at which voting to stop opens; 0 if it is open.
        steps: What can still be done.
        depth: How far the audit went.
        caveat: What is to be said about the node, as sentences after the headline's.
        allow_unchecked: Whether the auditor accepts checks without a result.
    """
    counts = Counter(check.status for check in checks)
    contradictions = [check for check in checks if check.contradiction]
    if contradictions:
        return Verdict(
            outcome="contradicted",
            headline=_contradiction(contradictions),
            passed=counts["pass"],
            warned=counts["warn"],
            failed=counts["fail"],
            unchecked=counts["unchecked"],
            unchecked_allowed=allow_unchecked,
        )
    alarms = tuple(
        _alarm(milestone, failures, facts, len(milestones), campaign, stop_missing, unreleased, votes_from)
        for milestone in milestones
        if facts is not None
        and milestone.attested is not None
        and (failures := _failures(checks, f"milestone {milestone.index}"))
    )
    undecided = _undecided(checks)
    return Verdict(
        outcome=outcome_of(checks),
        headline=_headline(checks, alarms, undecided, facts.status if facts is not None else "", genuine=genuine)
        + (_BEYOND[depth] if genuine and not counts["fail"] else "")
        + caveat
        + (". The auditor accepts that" if undecided and allow_unchecked and not counts["fail"] else ""),
        passed=counts["pass"],
        warned=counts["warn"],
        failed=counts["fail"],
        unchecked=counts["unchecked"],
        unchecked_allowed=allow_unchecked,
        alarms=alarms,
        next_steps=tuple(steps),
    )


def _contradiction(found: Sequence[ReportCheck]) -> str:
    first = next((check for check in found if check.contradiction == "each other"), found[0])
    who = "The nodes disagree" if first.contradiction == "each other" else "The node contradicts itself"
    return f"{who}: {first.detail}. This says nothing about the campaign or its people"


def outcome_of(checks: Sequence[ReportCheck]) -> Literal["holds", "fails", "unchecked", "contradicted"]:
    """What checks amount to."""
    if any(check.contradiction for check in checks):
        return "contradicted"
    failed = any(check.status == "fail" for check in checks)
    return "fails" if failed else "unchecked" if _undecided(checks) else "holds"


def _undecided(checks: Sequence[ReportCheck]) -> tuple[str, ...]:
    """The names of the checks that decide and came to no result."""
    names = (check.name for check in checks if check.status == "unchecked" and check.group != RISKS)
    return tuple(dict.fromkeys(names))


def _failures(checks: Sequence[ReportCheck], group: str) -> list[ReportCheck]:
    return [check for check in checks if check.group == group and check.status == "fail"]


def _headline(
    checks: Sequence[ReportCheck], alarms: Sequence[Alarm], undecided: Sequence[str], status: str, *, genuine: bool
) -> str:
    if not genuine:
        return f"This is not a genuine {PROJECT} campaign: do not send money to it"
    if any(alarm.in_time for alarm in alarms):
        which = ", ".join(str(alarm.milestone) for alarm in alarms if alarm.in_time)
        return f"Fraud or negligence, caught before the money is released: milestone {which} was wrongly attested"
    if alarms:
        which = ", ".join(str(alarm.milestone) for alarm in alarms)
        return f"Milestone {which} was attested although its evidence does not hold"
    failed = [check.name for check in checks if check.status == "fail"]
    if failed:
        return f"{len(failed)} of {len(checks)} checks failed: {', '.join(sorted(set(failed)))}"
    if undecided:
        return f"No fault was found, but not everything could be checked: {', '.join(undecided)}"
    return f"Everything holds{_SO_FAR[status]}"


def _alarm(
    milestone: MilestoneReport,
    failures: Sequence[ReportCheck],
    facts: CampaignFacts | None,
    milestones: int,
    campaign: str,
    stop_missing: str,
    unreleased: str,
    votes_from: int,
) -> Alarm:
    attested = milestone.attested
    if attested is None or facts is None:
        raise ValueError("an alarm is about an attested milestone of a genuine campaign")
    reasons = [f"{check.name}: {check.detail}" for check in failures[:_REASONS]]
    if len(failures) > _REASONS:
        reasons.append(f"and {len(failures) - _REASONS} more checks, listed below")
    in_time = milestone.state == "window-open"
    return Alarm(
        milestone=milestone.index,
        in_time=in_time,
        until=attested.window_ends,
        headline=(
            f"Milestone {milestone.index} ({milestone.kind}): a quorum attested evidence that does not hold"
            + (", and its tranche is not released yet" if in_time else "")
        ),
        reasons=tuple(reasons),
        choices=tuple(_choices(milestone, facts, milestones, campaign, stop_missing, unreleased, votes_from)),
    )


def _choices(
    milestone: MilestoneReport,
    facts: CampaignFacts,
    milestones: int,
    campaign: str,
    stop_missing: str,
    unreleased: str,
    votes_from: int,
) -> list[str]:
    attested = milestone.attested
    if attested is None:
        raise ValueError("an alarm is about an attested milestone")
    tranche = f"{milestone.tranche} {facts.asset.unit}"
    until = f"{attested.window_ends:%Y-%m-%d %H:%M:%S} UTC"
    signers = ", ".join(signer.person.name or signer.person.address for signer in attested.signers)
    voting = milestone.index + 1 < milestones
    stop = (
        f"llamafund vote-stop {campaign}: backers of {stop_missing} {facts.asset.unit} more must support a "
        f"stop ({format_share(facts.stop_bps)} of the pledges in all)"
    )
    if votes_from:
        stop += f", and voting opens at {when(votes_from)}"
    choices = []
    if facts.status == "Failed":
        choices.append(f"The campaign has failed. Backers get back what was not released: llamafund refund {campaign}")
    if milestone.state == "window-open" and voting:
        choices.append(f"Backers: {stop}. Before {until} a stop withholds this tranche, {tranche}, and all later ones.")
        choices.append(f"From {until} this tranche counts as released, and nothing brings it back.")
    elif milestone.state == "window-open":
        choices.append(
            f"No vote can hold back this tranche, {tranche}: voting closed with this attestation. "
            f"From {until} it counts as released{', unless the arbiter refuses it before' if facts.arbiter else ''}."
        )
        if facts.arbiter is not None:
            choices.append(_appeal_to_arbiter(facts.arbiter, campaign, until, contested=attested.contested))
        choices.append(
            "Backers who cannot fetch a part of the content can challenge it until then: "
            f"llamafund challenge {campaign}. If nobody answers, the campaign fails and refunds them. "
            "Content that can be fetched is no reason for a challenge."
        )
    elif milestone.state == "released":
        choices.append(f"The tranche, {tranche}, was released at {until}; nothing brings it back.")
        if facts.status == "Active" and voting:
            choices.append(f"{unreleased} {facts.asset.unit} are not released yet. Backers: {stop}.")
    elif milestone.state == "withheld" and attested.contested:
        choices.append(f"The arbiter refused this attestation: the tranche, {tranche}, goes back to the backers.")
    elif milestone.state == "withheld":
        choices.append(f"The campaign was stopped in time: the tranche, {tranche}, goes back to the backers.")
    if not voting:
        choices.append("Do not use these weights for anything that relies on how they were made.")
    choices.append(f"This report proves who vouched for it: {signers or 'nobody'}.")
    return choices


def _appeal_to_arbiter(arbiter: ArbiterFacts, campaign: str, until: str, *, contested: bool) -> str:
    """What can be done so that the arbiter refuses the last tranche."""
    if arbiter.court is None:
        who = arbiter.person.name or arbiter.person.address
        if contested:
            return (
                f"The arbiter, {who}, contests this attestation and can refuse it before {until}: "
                f"llamafund rule {campaign} --refuse. Show it this report."
            )
        return (
            f"Show this report to the arbiter, {who}, before {until}: it can contest the attestation "
            f"(llamafund contest {campaign}) and then refuse it (llamafund rule {campaign} --refuse)."
        )
    if arbiter.dispute is not None:
        return (
            f"Dispute {arbiter.dispute} about it waits for the court {arbiter.court}, whose ruling counts before "
            f"{until}. Anyone can add this report: llamafund dispute {campaign} --add --report audit.json."
        )
    return (
        f"Backers: llamafund dispute {campaign} --report audit.json asks the court {arbiter.court} to refuse it, for "
        f"the court's fee. That is possible before {until}; the report is what llamafund audit --json prints."
    )
