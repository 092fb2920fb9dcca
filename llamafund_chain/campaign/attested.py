"""What attestors signed in all campaigns of a chain, and where two of their words cannot both be true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from llamafund_chain.campaign.events import CampaignCreated, MilestoneAttested
from llamafund_chain.campaign.history import by_campaign, event_topics, events_of
from llamafund_chain.chain.connection import Block, Connection

_MOST_OF_A_KIND = 64
"""Attestations of one evidence, or of one milestone, that are compared with each other."""


@dataclass(frozen=True)
class Attested:
    """An attestation on chain, with its campaign.

    Attributes:
        created: The event that opened the campaign.
        event: The attestation's event.
    """

    created: CampaignCreated
    event: MilestoneAttested

    @property
    def campaign(self) -> str:
        """The campaign's checksummed address."""
        return self.created.campaign

    @property
    def signers(self) -> tuple[str, ...]:
        """Checksummed addresses of the attestors who signed, in the order of the terms."""
        named = self.created.terms.attestors
        return tuple(account for place, account in enumerate(named) if self.event.signers >> place & 1)

    @property
    def place(self) -> tuple[int, int]:
        """Block and position in it."""
        return self.event.block, self.event.log_index


def attested_in(connection: Connection, campaigns: Sequence[CampaignCreated], at: Block) -> list[Attested]:
    """All attestations in campaigns, oldest first.

    Args:
        connection: The chain.
        campaigns: Of the factory, as its events name them.
        at: The block to look back from.
    """
    if not campaigns:
        return []
    opened = {one.campaign: one for one in campaigns}
    first = min(one.block for one in campaigns)
    found = by_campaign(events_of(connection, opened, [event_topics(["MilestoneAttested"])], first=first, last=at))
    listed = [
        Attested(opened[campaign], event)
        for campaign, events in found.items()
        for event in events
        if isinstance(event, MilestoneAttested)
    ]
    return sorted(listed, key=lambda one: one.place)


@dataclass(frozen=True)
class Contradiction:
    """Two attestations that cannot both be true. Attributes: who: those who signed both; why: in words."""

    one: Attested
    other: Attested
    who: tuple[str, ...]
    why: str


def contradictions(attested: Iterable[Attested]) -> Iterator[Contradiction]:
    """Pairs of attestations that cannot both be true.

    The hash of evidence fixes a manifest, and the manifest fixes its kind, its content and its score. And a milestone
    has one evidence.

    Args:
        attested: In order.
    """
    by_evidence: dict[str, list[Attested]] = {}
    by_milestone: dict[tuple[str, int], list[Attested]] = {}
    for one in attested:
        by_evidence.setdefault(one.event.evidence, []).append(one)
        by_milestone.setdefault((one.campaign, one.event.milestone), []).append(one)
    for group in (*by_evidence.values(), *by_milestone.values()):
        for one, other in combinations(group[:_MOST_OF_A_KIND], 2):
            why = _difference(one, other)
            if why:
                yield Contradiction(one, other, tuple(who for who in one.signers if who in other.signers), why)


def _difference(one: Attested, other: Attested) -> str:
    first, second = one.event.attestation, other.event.attestation
    if first.evidence != second.evidence:
        return f"milestone {first.milestone} of {one.campaign} has two evidences"
    if first.kind is not second.kind:
        return f"the same evidence is a {first.kind.name} in one and a {second.kind.name} in the other"
    if first.score != second.score:
        return f"the same evidence has the score {first.score} in one and {second.score} in the other"
    if first.withholds_content or second.withholds_content:
        return ""
    if (first.content_root, first.content_size) != (second.content_root, second.content_size):
        return "the same evidence stands for other content"
    return ""
