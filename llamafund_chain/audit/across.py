"""What other campaigns of the factory say about this one: paid for before, contradicted, and who did what there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.audit.findings import Findings
from llamafund_chain.audit.model import RecordLine
from llamafund_chain.campaign.attested import Attested, attested_in, contradictions
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.campaign.records import records_of_people
from llamafund_chain.campaign.terms import MilestoneKind
from llamafund_chain.chain.connection import Block
from llamafund_chain.checks.check import Finding

ACROSS = "across campaigns"
"""The group of these results."""

_LISTED = 20


def look_across(client: CampaignClient, at: Block, findings: Findings) -> tuple[RecordLine, ...]:
    """Compare a campaign with all others of its factory, and collect the records of its researcher and attestors.

    Args:
        client: The campaign, proven to be one.
        at: The block to look back from.
        findings: Where results go.
    """
    found = findings.attempt(ACROSS, "other-campaigns-readable", lambda: _read(client, at))
    if found is None:
        return ()
    attested, lines = found
    findings.check(ACROSS, paid_once, client.address, attested)
    findings.check(ACROSS, attestors_consistent, client.address, attested)
    return lines


def _read(client: CampaignClient, at: Block) -> tuple[list[Attested], tuple[RecordLine, ...]]:
    created = list_campaigns(client.connection, at)
    attested = attested_in(client.connection, created, at)
    records = records_of_people(client.connection, client.terms, created, at)
    lines = [
        RecordLine.model_validate(
            {"account": account, "role": record.role, "campaigns": len(record.campaigns), "text": record.brief()}
        )
        for account, record in records
    ]
    return attested, tuple(lines)


@dataclass(frozen=True)
class _Twice:
    """The same evidence or content in two campaigns. Attributes: same: people with a hand in both."""

    ours: Attested
    other: Attested
    same: tuple[str, ...]

    @property
    def later(self) -> bool:
        """Whether it was attested elsewhere before."""
        return self.other.place < self.ours.place

    @property
    def proof(self) -> bool:
        """Whether it can only be that the same people were paid twice for one thing.

        Data can serve twice. A checkpoint cannot: each campaign draws its own seed. That strangers attested it first
        proves nothing: evidence is public before its attestation.
        """
        return self.later and bool(self.same) and self.ours.event.attestation.kind is not MilestoneKind.DATASET


def paid_once(campaign: str, attested: Sequence[Attested]) -> Finding | None:
    """Whether another campaign attested the same evidence or content before; `None` if this one attested nothing.

    Args:
        campaign: Checksummed address.
        attested: All attestations of the factory's campaigns.
    """
    ours = [one for one in attested if one.campaign == campaign]
    if not ours:
        return None
    twice = [
        _Twice(one, other, _in_both(one, other))
        for one in ours
        for other in attested
        if other.campaign != campaign and _same(one, other)
    ]
    data: dict[str, JsonValue] = {
        "campaigns": len({one.campaign for one in attested}),
        "again": [_facts(one) for one in twice[:_LISTED]],
    }
    before = sorted((one for one in twice if one.later), key=lambda one: not one.proof)
    if not before:
        others = len({one.campaign for one in attested} - {campaign})
        after = f"; {len(twice)} attested the same later" if twice else ""
        detail = f"No other campaign of this factory attested the same before ({others} attested something){after}"
        return Finding("pass", detail, data)
    first = before[0]
    kind, place = first.ours.event.attestation.kind.name, first.ours.event.milestone
    who = f"{', '.join(first.same)} had a hand in both" if first.same else "nobody in these terms had a hand in that"
    detail = (
        f"The {kind} of milestone {place} was attested before, in campaign {first.other.campaign} at block "
        f"{first.other.event.block}; {who}"
    )
    return Finding("fail" if first.proof else "warn", detail, data)


def attestors_consistent(campaign: str, attested: Sequence[Attested]) -> Finding | None:
    """Whether an attestor of this campaign signed two statements that cannot both be true; `None` if nobody signed.

    Args:
        campaign: Checksummed address.
        attested: All attestations of the factory's campaigns.
    """
    ours = [one for one in attested if one.campaign == campaign]
    if not ours:
        return None
    signers = {who for one in ours for who in one.signers}
    signed = [one for one in attested if signers & {*one.signers}]
    found = [one for one in contradictions(signed) if signers & {*one.who}]
    data: dict[str, JsonValue] = {
        "signers": [*sorted(signers)],
        "attestations": len(signed),
        "contradictions": [
            {
                "why": one.why,
                "who": [*one.who],
                "campaigns": [one.one.campaign, one.other.campaign],
                "transactions": [one.one.event.tx_hash, one.other.event.tx_hash],
            }
            for one in found[:_LISTED]
        ],
    }
    if not found:
        detail = f"None of the {len(signers)} who signed here contradicts itself in {len(signed)} attestations"
        return Finding("pass", detail, data)
    first = found[0]
    detail = (
        f"{', '.join(first.who)} signed in {first.one.campaign} and in {first.other.campaign} what cannot both be "
        f"true: {first.why}"
    )
    return Finding("fail", detail, data)


def _same(one: Attested, other: Attested) -> bool:
    first, second = one.event.attestation, other.event.attestation
    content = first.content_size > 0 and (first.content_root, first.content_size) == (
        second.content_root,
        second.content_size,
    )
    return first.evidence == second.evidence or content


def _in_both(one: Attested, other: Attested) -> tuple[str, ...]:
    researcher = one.created.terms.researcher
    same = [researcher] if researcher == other.created.terms.researcher else []
    return tuple(dict.fromkeys([*same, *(who for who in one.signers if who in other.signers)]))


def _facts(one: _Twice) -> JsonValue:
    return {
        "milestone": one.ours.event.milestone,
        "before": one.later,
        "campaign": one.other.campaign,
        "block": one.other.event.block,
        "transaction": one.other.event.tx_hash,
        "same_people": [*one.same],
    }
