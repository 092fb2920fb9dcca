"""The verdict on all checks, and what can still be done."""

from __future__ import annotations

from collections.abc import Sequence

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
from llamafund_chain.times import when

_REASONS = 6
_SO_FAR = {
    "": "",
    "Funding": " so far: the campaign is still collecting, and nothing is paid yet",
    "Active": " so far: the campaign is under way",
    "Completed": ": the weights are published, and every unit of money is accounted for",
    "Failed": ": the campaign has failed, and backers get back what was not released",
}
"""The end of the headline, by the campaign's status."""


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
) -> Verdict:
    """The verdict, computed from the checks alone.

    Args:
        checks: All of them.
        facts: `None` if the campaign could not be read.
        milestones: All of them, attested or not.
        campaign: Its address, for the commands that the verdict suggests.
        genuine: Whether the address is a campaign of the known factory.
        stop_missing: Pledges that a stop vote still lacks, in whole coins.
        unreleased: What is neither released nor refundable yet, in whole coins.
        votes_from: Unix seconds at which voting to stop opens; 0 if it is open.
        steps: What can still be done.
    """
    counts = {status: sum(check.status == status for check in checks) for status in ("pass", "warn", "fail", "skip")}
    alarms = tuple(
        _alarm(milestone, failures, facts, len(milestones), campaign, stop_missing, unreleased, votes_from)
        for milestone in milestones
        if facts is not None
        and milestone.attested is not None
        and (failures := _failures(checks, f"milestone {milestone.index}"))
    )
    return Verdict(
        holds=counts["fail"] == 0,
        headline=_headline(checks, alarms, counts, facts.status if facts is not None else "", genuine=genuine),
        passed=counts["pass"],
        warned=counts["warn"],
        failed=counts["fail"],
        skipped=counts["skip"],
        alarms=alarms,
        next_steps=tuple(steps),
    )


def _failures(checks: Sequence[ReportCheck], group: str) -> list[ReportCheck]:
    return [check for check in checks if check.group == group and check.status == "fail"]


def _headline(
    checks: Sequence[ReportCheck], alarms: Sequence[Alarm], counts: dict[str, int], status: str, *, genuine: bool
) -> str:
    if not genuine:
        return "This is not a genuine LlamaFund campaign: do not send money to it"
    if any(alarm.in_time for alarm in alarms):
        which = ", ".join(str(alarm.milestone) for alarm in alarms if alarm.in_time)
        return f"Fraud or negligence, caught before the money is released: milestone {which} was wrongly attested"
    if alarms:
        which = ", ".join(str(alarm.milestone) for alarm in alarms)
        return f"Milestone {which} was attested although its evidence does not hold"
    if counts["fail"]:
        names = ", ".join(sorted({check.name for check in checks if check.status == "fail"}))
        return f"{counts['fail']} of {len(checks)} checks failed: {names}"
    if counts["skip"]:
        return f"Everything that was checked holds, but {counts['skip']} checks were skipped{_SO_FAR[status]}"
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
