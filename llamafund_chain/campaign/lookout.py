"""What somebody should hear about many campaigns: read in few requests, once for each look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from llamafund_chain.campaign.attestation import EVIDENCE
from llamafund_chain.campaign.mine import Part, parts_of
from llamafund_chain.campaign.overview import Overview, Unreadable, overview
from llamafund_chain.campaign.terms import VOTE_DELAY, Status
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.errors import LlamafundError, accuses
from llamafund_chain.store.base import Source
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.times import duration, when

Urgency = Literal["act", "soon", "info"]
"""Somebody must act now or loses something; something comes up; or something happened."""

AlertKind = Literal[
    "attested",
    "audited",
    "window-closing",
    "challenged",
    "evidence-unreachable",
    "evidence-false",
    "deadline-near",
    "slack-used",
    "stop-vote-near",
    "contested",
    "activated",
    "completed",
    "failed",
    "refund-waiting",
    "claim-waiting",
    "bond-waiting",
    "unreadable",
    "node-standing-still",
]

SOON = 2 * 86_400
"""Seconds before an end from which on it is near, unless told otherwise."""

_NEAR_STOP = 80
"""Percent of the votes that stop a campaign from which on it is near."""


@dataclass(frozen=True)
class Alert:
    """Something to hear.

    Attributes:
        kind: What it is about.
        urgency: How urgent it is.
        campaign: Checksummed address; empty for what is about the node.
        what: Tells it from others of its kind and campaign, and stays the same as long as it is the same.
        sentence: For people, without its full stop.
        until: Unix seconds before which something can be done; 0 if there is no such time.
        facts: More, as JSON.
    """

    kind: AlertKind
    urgency: Urgency
    campaign: str
    what: str
    sentence: str
    until: int = 0
    facts: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What is said once."""
        return f"{self.kind} {self.campaign} {self.what}"


@dataclass(frozen=True)
class Sight:
    """What one look showed.

    Attributes:
        at: The block.
        campaigns: How many are followed.
        alerts: All that holds at that block, said before or not.
    """

    at: Block
    campaigns: int
    alerts: tuple[Alert, ...]


@dataclass(frozen=True)
class _Seen:
    """A campaign with what was read beside its progress."""

    overview: Overview
    stop_support: int
    evidence: str
    claimable: int
    part: Part | None


class Lookout:
    """Looks at many campaigns.

    Args:
        connection: The chain.
        source: Where evidence should be; `None` to fetch none.
        backer: Whose campaigns to follow, as backer or in any other role, checksummed; `None` for all.
        soon: Seconds before an end from which on it is near.
    """

    def __init__(
        self, connection: Connection, source: Source | None, *, backer: str | None = None, soon: int = SOON
    ) -> None:
        self._connection = connection
        self._source = source
        self._backer = backer
        self._soon = soon

    def look(self, at: Block) -> Sight:
        """Everything that holds at a block.

        Raises:
            NodeError: The node does not answer.
            VerificationError: The contracts are not on this chain.
        """
        found = overview(self._connection, at)
        readable = [one for one in found if isinstance(one, Overview)]
        parts: dict[str, Part] = {}
        if self._backer is not None:
            parts = {one.seen.client.address: one for one in parts_of(self._connection, readable, self._backer, at)}
            readable = [one for one in readable if one.client.address in parts]
        seen = self._read(readable, parts, at)
        alerts = [alert for one in seen for alert in self._alerts(one)]
        if self._backer is None:
            alerts += [_unreadable(one) for one in found if isinstance(one, Unreadable)]
        return Sight(at, len(seen), tuple(alerts))

    def _read(self, campaigns: Sequence[Overview], parts: Mapping[str, Part], at: Block) -> list[_Seen]:
        """What `Overview` lacks, in one go."""
        names: list[list[tuple[Any, ...]]] = [
            [("stopSupport",), ("latestEvidence",)]
            + [("claimable", place) for place in range(len(one.client.terms.payees))]
            for one in campaigns
        ]
        reads = [one.client.view(*name) for one, wanted in zip(campaigns, names, strict=True) for name in wanted]
        answers = iter(self._connection.read(reads, at) if reads else [])
        seen = []
        for one, wanted in zip(campaigns, names, strict=True):
            support, evidence, *claimable = (one.client.shown(name[0], next(answers)) for name in wanted)
            seen.append(_Seen(one, support, evidence.hex(), sum(claimable), parts.get(one.client.address)))
        return seen

    def _alerts(self, seen: _Seen) -> Iterator[Alert]:
        status = seen.overview.progress.status
        if status is Status.ACTIVE:
            yield from self._active(seen)
        if status in (Status.FUNDING, Status.ACTIVE):
            yield from self._deadline(seen)
        yield from self._happened(seen)
        yield from self._waiting(seen)

    def _active(self, seen: _Seen) -> Iterator[Alert]:
        terms, progress, address = seen.overview.client.terms, seen.overview.progress, seen.overview.client.address
        now, end = progress.timestamp, progress.window_end(terms)
        place = progress.attested - 1
        if progress.challenged_at:
            by = progress.challenged_at + terms.answer_window
            urgency: Urgency = "act" if by - now < self._soon else "soon"
            sentence = f"Milestone {place} is challenged: the chunk must be shown before {when(by)}, or it fails"
            yield Alert("challenged", urgency, address, str(progress.challenged_at), sentence, by)
        if progress.attested and now < end:
            kind = terms.milestones[place].kind.name
            facts: dict[str, JsonValue] = {"milestone": place, "evidence": seen.evidence}
            sentence = f"Milestone {place} ({kind}) was attested {when(progress.attested_at)}, open until {when(end)}"
            yield Alert("attested", "soon", address, seen.evidence, sentence, end, facts)
            if progress.contested:
                sentence = f"The arbiter contests milestone {place}: a ruling counts before {when(end)}"
                yield Alert("contested", "soon", address, str(end), sentence, end)
            if end - now < self._soon:
                sentence = f"The window of milestone {place} ({kind}) closes in {duration(end - now)}; then it is paid"
                yield Alert("window-closing", "act", address, f"{place} {end}", sentence, end)
            yield from self._evidence(seen, place, end)
        needed = terms.stop_threshold(progress.pledged)
        if seen.stop_support and seen.stop_support * 100 >= needed * _NEAR_STOP:
            money = seen.overview.asset.format
            sentence = f"{money(seen.stop_support)} vote to stop, and {money(needed)} stop it"
            yield Alert("stop-vote-near", "act", address, str(seen.stop_support), sentence)

    def _evidence(self, seen: _Seen, place: int, end: int) -> Iterator[Alert]:
        """Whether the manifest that was attested can be fetched, and is what its hash stands for."""
        if self._source is None:
            return
        address, kind = seen.overview.client.address, seen.overview.client.terms.milestones[place].kind
        try:
            fetch_manifest(self._source, seen.evidence, EVIDENCE[kind])
        except LlamafundError as error:
            facts: dict[str, JsonValue] = {"milestone": place, "evidence": seen.evidence, "problem": error.what}
            if accuses(error):
                sentence = f"The evidence of milestone {place} is not what its hash stands for: {error.what}"
                yield Alert("evidence-false", "act", address, seen.evidence, sentence, end, facts)
            else:
                sentence = f"The evidence of milestone {place} could not be fetched: {error.what}"
                yield Alert("evidence-unreachable", "act", address, seen.evidence, sentence, end, facts)

    def _deadline(self, seen: _Seen) -> Iterator[Alert]:
        terms, progress = seen.overview.client.terms, seen.overview.progress
        near = progress.next_deadline(terms)
        if near is None or near.what not in ("funding", "milestone") or near.at - progress.timestamp >= self._soon:
            return
        left = duration(max(near.at - progress.timestamp, 0))
        if near.what == "funding":
            sentence = f"Funding ends in {left}"
        else:
            sentence = f"Milestone {progress.attested} is due in {left}, or the campaign fails"
        yield Alert("deadline-near", "soon", seen.overview.client.address, str(near.at), sentence, near.at)

    def _happened(self, seen: _Seen) -> Iterator[Alert]:
        terms, progress, address = seen.overview.client.terms, seen.overview.progress, seen.overview.client.address
        if progress.slack_used:
            sentence = (
                f"Deadlines were pushed back by {duration(progress.slack_used)} of {duration(terms.slack)} in all"
            )
            yield Alert("slack-used", "info", address, str(progress.slack_used), sentence)
        if progress.status is Status.ACTIVE and not progress.attested:
            sentence = f"It was activated; voting to stop opens {duration(VOTE_DELAY)} after that"
            yield Alert("activated", "info", address, "", sentence)
        if progress.status is Status.COMPLETED:
            yield Alert("completed", "info", address, "", "It is completed: the weights are attested and paid for")
        failure = progress.failure(terms)
        if failure is not None:
            sentence = "It has failed, and backers get back what was not released"
            yield Alert("failed", "info", address, failure.cause, sentence, 0, {"cause": failure.cause})

    def _waiting(self, seen: _Seen) -> Iterator[Alert]:
        """Money that waits: for whoever is followed; else for any payee."""
        address, money = seen.overview.client.address, seen.overview.asset.format
        if seen.part is None:
            if seen.claimable:
                sentence = f"{money(seen.claimable)} wait for the payees: llamafund claim {address}"
                yield Alert("claim-waiting", "info", address, str(seen.claimable), sentence)
            return
        kinds: Mapping[str, AlertKind] = {
            "refund": "refund-waiting",
            "claim": "claim-waiting",
            "return-bond": "bond-waiting",
        }
        for step in seen.part.steps():
            if step.urgency == "money":
                kind = kinds[step.command.split()[0]]
                yield Alert(kind, "act", address, step.what, f"{step.what}: llamafund {step.command}")


def _unreadable(one: Unreadable) -> Alert:
    address = one.created.campaign
    return Alert("unreadable", "info", address, "", f"It cannot be read: {one.problem}")


def standing_still(at: Block, age: float) -> Alert:
    """The alert about a node that shows no new blocks: it hides what happens on the chain.

    Args:
        at: Its latest block.
        age: Seconds for which there was none.
    """
    sentence = f"The node is stuck: its latest block, {at.number}, is {duration(int(age))} old. Nothing newer is seen"
    return Alert("node-standing-still", "act", "", str(at.number), sentence, 0, {"block": at.number})
