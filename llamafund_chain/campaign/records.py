"""Track records: what accounts did in all campaigns of a chain, from its events alone.

Each number has the events that it counts, so that anybody can look them up. A record says what happened, not why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamafund_chain.campaign.attested import Attested, contradictions
from llamafund_chain.campaign.events import (
    BondReturned,
    CampaignCreated,
    CampaignEvent,
    ChallengeAnswered,
    Challenged,
    Claimed,
    DeadlinesExtended,
    Event,
    MilestoneAttested,
    Pledged,
    Refunded,
    Ruled,
    Stopped,
    StopVoted,
    Unpledged,
)
from llamafund_chain.campaign.history import by_campaign, event_topics, events_of
from llamafund_chain.campaign.overview import Overview, overview_of
from llamafund_chain.campaign.state import CampaignProgress
from llamafund_chain.campaign.terms import BPS, Status, Terms
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.tokens import Asset, coin_of
from llamafund_chain.text import counted
from llamafund_chain.times import when

Role = Literal["researcher", "attestor", "payee", "backer"]
Unit = Literal["count", "seconds", "money"]

ROLES: tuple[Role, ...] = ("researcher", "attestor", "payee", "backer")

NUMBERS: Mapping[str, str] = {
    "campaigns": "campaigns",
    "completed": "completed",
    "failed": "failed",
    "deadlines-kept": "milestones attested in time",
    "deadlines-moved": "of them after the first deadline, with slack",
    "deadlines-missed": "deadlines missed",
    "slack-used": "slack used",
    "challenges": "challenges of the content",
    "challenges-answered": "challenges answered",
    "challenges-lost": "challenges lost: nobody answered in time",
    "refused": "attestations refused by an arbiter",
    "stopped": "stopped by the backers",
    "released": "released",
    "signed": "milestones signed",
    "contradicted": "signed, and contradicted later",
    "claimed": "claimed",
    "pledged": "pledged",
    "taken-back": "taken back while funding",
    "refunded": "refunded",
    "stop-votes": "votes to stop",
    "challenges-made": "challenges made",
    "bonds-earned": "bonds earned with answers",
    "bonds-reclaimed": "bonds reclaimed",
}
"""What is counted, in words, by name."""

MOST_CAMPAIGNS = 1_000
"""Campaigns of an account whose events are read, newest first. Anybody can name anybody in the terms of many."""

_STORY = (
    *("MilestoneAttested", "Claimed", "DeadlinesExtended", "Stopped"),
    *("Challenged", "ChallengeAnswered", "Ruled"),
)
_OWN = ("Pledged", "Unpledged", "Refunded", "StopVoted")
_OWN_IN_CHALLENGES = ("Challenged", "ChallengeAnswered", "BondReturned")


@dataclass(frozen=True)
class Happened:
    """An event behind a number.

    Attributes:
        campaign: Checksummed address.
        what: The event's name, and what of it counts.
        block: Its number.
        tx_hash: 64 hexadecimal digits.
    """

    campaign: str
    what: str
    block: int
    tx_hash: str


@dataclass(frozen=True)
class Number:
    """A number with what it counts.

    Attributes:
        name: One of `NUMBERS`.
        value: A count, seconds, or an amount in the asset's smallest unit.
        asset: Of an amount.
        events: In order.
    """

    name: str
    unit: Unit
    value: int
    asset: Asset | None
    events: tuple[Happened, ...]

    @property
    def shown(self) -> str:
        """An amount with its unit, or the number."""
        return str(self.value) if self.asset is None else self.asset.format(self.value)


@dataclass(frozen=True)
class Record:
    """What an account did in one role.

    Attributes:
        role: The role.
        campaigns: Checksummed addresses, oldest first.
        numbers: Those that are not zero.
    """

    role: Role
    campaigns: tuple[str, ...]
    numbers: tuple[Number, ...]

    def value(self, name: str) -> int:
        """A count or seconds by its name; 0 if there is none."""
        return sum(number.value for number in self.numbers if number.name == name and number.asset is None)

    def brief(self) -> str:
        """The record in one line."""
        words = [counted(len(self.campaigns), "campaign")]
        words += [f"{self.value(name)} {what}" for name, what in _BRIEF[self.role] if name in _KEPT or self.value(name)]
        paid = [number for number in self.numbers if number.name in ("released", "claimed")]
        money = [f"{number.shown} {NUMBERS[number.name]}" for number in paid]
        return ", ".join([*words, *money])


_KEPT = ("signed", "deadlines-kept")
_BRIEF: Mapping[Role, tuple[tuple[str, str], ...]] = {
    "researcher": (
        ("completed", "completed"),
        ("failed", "failed"),
        ("deadlines-kept", "deadlines kept"),
        ("deadlines-moved", "with slack"),
        ("deadlines-missed", "missed"),
        ("challenges-lost", "challenges lost"),
        ("refused", "refused by an arbiter"),
    ),
    "attestor": (("signed", "signed"), ("contradicted", "contradicted later")),
    "payee": (),
    "backer": (),
}


def records_of(
    connection: Connection, campaigns: Sequence[Overview], accounts: Sequence[str], at: Block, *, own: bool = True
) -> dict[str, tuple[Record, ...]]:
    """The track records of accounts.

    Args:
        connection: The chain.
        campaigns: From `overview` at the same block, oldest first.
        accounts: Checksummed addresses.
        at: The block.
        own: Whether to search for what they did as backers and challengers too.

    Returns:
        By account; for each role that it has.
    """
    seen = {one.client.address: one for one in campaigns}
    if not seen:
        return dict.fromkeys(accounts, ())
    named = [one for one in campaigns if any(_is(one.client.terms, account, None) for account in accounts)]
    named = named[-MOST_CAMPAIGNS:]
    story = _read(connection, [one.client.address for one in named], [event_topics(_STORY)], named, at)
    mine = _own_events(connection, list(seen), accounts, campaigns, at) if own else {}
    times = _times(connection, story, at)
    return {
        account: tuple(_Teller(account, named, seen, story, mine.get(account, {}), times).tell())
        for account in accounts
    }


def records_of_people(
    connection: Connection, terms: Terms, created: Sequence[CampaignCreated], at: Block
) -> list[tuple[str, Record]]:
    """What a campaign's researcher and attestors did in all campaigns, each in that role.

    Args:
        connection: The chain.
        terms: The campaign's terms.
        created: The events that opened all campaigns, oldest first.
        at: The block.
    """
    people = tuple(dict.fromkeys((terms.researcher, *terms.attestors)))
    naming = [one for one in created if any(_is(one.terms, account, None) for account in people)][-MOST_CAMPAIGNS:]
    readable = [one for one in overview_of(connection, naming, at) if isinstance(one, Overview)]
    found = records_of(connection, readable, people, at, own=False)
    roles: tuple[Role, ...] = ("researcher", "attestor")
    return [
        (account, record)
        for account in people
        for record in found[account]
        if record.role in roles and _is(terms, account, record.role)
    ]


def _read(
    connection: Connection,
    addresses: Sequence[str],
    topics: Sequence[str | Sequence[str] | None],
    among: Sequence[Overview],
    at: Block,
) -> dict[str, list[CampaignEvent]]:
    if not among:
        return {}
    first = min(one.created.block for one in among)
    return by_campaign(events_of(connection, addresses, topics, first=first, last=at))


def _own_events(
    connection: Connection, addresses: Sequence[str], accounts: Sequence[str], among: Sequence[Overview], at: Block
) -> dict[str, dict[str, list[CampaignEvent]]]:
    """What accounts did as backers, challengers and answerers, by account and campaign."""
    topics = [f"0x{bytes(12).hex()}{account[2:].lower()}" for account in accounts]
    pledges = _read(connection, addresses, [event_topics(_OWN), topics], among, at)
    bonds = _read(connection, addresses, [event_topics(_OWN_IN_CHALLENGES), None, None, topics], among, at)
    found: dict[str, dict[str, list[CampaignEvent]]] = {account: {} for account in accounts}
    for events_by in (pledges, bonds):
        for campaign, events in events_by.items():
            for event in events:
                found[_whose(event)].setdefault(campaign, []).append(event)
    return found


def _whose(event: CampaignEvent) -> str:
    match event:
        case ChallengeAnswered():
            return event.answerer
        case Challenged() | BondReturned():
            return event.challenger
        case Pledged() | Unpledged() | Refunded() | StopVoted():
            return event.backer
        case _:
            raise ValueError("nobody's own event")


def _times(connection: Connection, story: Mapping[str, Sequence[CampaignEvent]], at: Block) -> dict[int, int]:
    """Unix seconds of the blocks with attestations."""
    numbers = sorted({one.block for events in story.values() for one in events if isinstance(one, MilestoneAttested)})
    times = {at.number: at.timestamp}
    wanted = [number for number in numbers if number != at.number]
    if wanted:
        times |= {block.number: block.timestamp for block in connection.blocks(*wanted)}
    return times


def _is(terms: Terms, account: str, role: Role | None) -> bool:
    """Whether the terms give an account a role, or any if it is `None`."""
    return (
        (role in (None, "researcher") and terms.researcher == account)
        or (role in (None, "attestor") and account in terms.attestors)
        or (role in (None, "payee") and any(payee.account == account for payee in terms.payees))
    )


class _Teller:
    """Counts what one account did."""

    def __init__(
        self,
        account: str,
        named: Sequence[Overview],
        seen: Mapping[str, Overview],
        story: Mapping[str, Sequence[CampaignEvent]],
        own: Mapping[str, Sequence[CampaignEvent]],
        times: Mapping[int, int],
    ) -> None:
        self._account, self._named, self._seen = account, named, seen
        self._story, self._own, self._times = story, own, times

    def tell(self) -> Iterator[Record]:
        tellers: Mapping[Role, Callable[[_Sheet, Overview, Sequence[CampaignEvent]], None]] = {
            "researcher": self._researcher,
            "attestor": self._attestor,
            "payee": self._payee,
        }
        for role, count in tellers.items():
            mine = [one for one in self._named if _is(one.client.terms, self._account, role)]
            sheet = _Sheet()
            for one in mine:
                sheet.add("campaigns", one, one.created, "opened")
                count(sheet, one, self._story.get(one.client.address, ()))
            if role == "attestor":
                self._contradicting(sheet, mine)
            if mine:
                yield Record(role, tuple(one.client.address for one in mine), sheet.numbers())
        if self._own:
            yield self._backer()

    def _researcher(self, sheet: _Sheet, seen: Overview, events: Sequence[CampaignEvent]) -> None:
        terms = seen.client.terms
        self._ending(sheet, seen, events)
        for event in events:
            match event:
                case MilestoneAttested():
                    sheet.add("deadlines-kept", seen, event, f"milestone {event.milestone} attested")
                    late = self._times[event.block] >= terms.milestones[event.milestone].deadline
                    if late:
                        sheet.add("deadlines-moved", seen, event, f"milestone {event.milestone} attested with slack")
                case DeadlinesExtended():
                    sheet.add("slack-used", seen, event, "deadlines extended", event.by_seconds, "seconds")
                case Challenged():
                    sheet.add("challenges", seen, event, f"chunk {event.chunk} challenged")
                case ChallengeAnswered():
                    sheet.add("challenges-answered", seen, event, f"chunk {event.chunk} answered")
                case Ruled(upheld=False):
                    sheet.add("refused", seen, event, "the last attestation refused")
                case Stopped():
                    sheet.add("stopped", seen, event, "stopped")
                case _:
                    continue
        for place, event, amount in _released(seen, events):
            sheet.add("released", seen, event, f"the tranche of milestone {place}", amount, seen.asset)

    def _ending(self, sheet: _Sheet, seen: Overview, events: Sequence[CampaignEvent]) -> None:
        """How a campaign ended. It does so without an event, so its last milestone stands for that, or its opening."""
        terms, progress = seen.client.terms, seen.progress
        last = next((one for one in reversed(events) if isinstance(one, MilestoneAttested)), seen.created)
        if progress.status is Status.COMPLETED:
            sheet.add("completed", seen, last, "the last milestone attested")
        failure = progress.failure(terms)
        if failure is not None:
            sheet.add("failed", seen, last, f"failed: {failure.cause}")
            if failure.cause in ("milestone", "start"):
                sheet.add("deadlines-missed", seen, last, f"milestone {progress.attested} was due {when(failure.at)}")
        lost = _unanswered(progress, terms, events)
        if lost is not None:
            sheet.add("challenges-lost", seen, lost, f"chunk {lost.chunk} was never shown")

    def _attestor(self, sheet: _Sheet, seen: Overview, events: Sequence[CampaignEvent]) -> None:
        terms, progress = seen.client.terms, seen.progress
        place = terms.attestors.index(self._account)
        signed = [one for one in events if isinstance(one, MilestoneAttested) and one.signers >> place & 1]
        for event in signed:
            sheet.add("signed", seen, event, f"milestone {event.milestone} signed")
        mine = {event.milestone for event in signed}
        refused = next((one for one in events if isinstance(one, Ruled) and not one.upheld), None)
        if refused is not None and len(terms.milestones) - 1 in mine:
            sheet.add("contradicted", seen, refused, "refused by the arbiter")
        lost = _unanswered(progress, terms, events)
        if lost is not None and lost.milestone in mine:
            sheet.add("contradicted", seen, lost, f"chunk {lost.chunk} was never shown")
        for released, event, amount in _released(seen, events):
            if released in mine:
                sheet.add("released", seen, event, f"the tranche of milestone {released}", amount, seen.asset)

    def _contradicting(self, sheet: _Sheet, mine: Sequence[Overview]) -> None:
        listed = [
            Attested(one.created, event)
            for one in mine
            for event in self._story.get(one.client.address, ())
            if isinstance(event, MilestoneAttested)
        ]
        listed.sort(key=lambda one: one.place)
        for found in contradictions(listed):
            if self._account in found.who:
                sheet.add("contradicted", self._seen[found.other.campaign], found.other.event, found.why)

    def _payee(self, sheet: _Sheet, seen: Overview, events: Sequence[CampaignEvent]) -> None:
        payees = seen.client.terms.payees
        mine = {place for place, payee in enumerate(payees) if payee.account == self._account}
        for event in events:
            if isinstance(event, Claimed) and event.payee in mine:
                what = f"payee {event.payee}, sent to {event.recipient}"
                sheet.add("claimed", seen, event, what, event.amount, seen.asset)

    def _backer(self) -> Record:
        sheet = _Sheet()
        for campaign, events in self._own.items():
            seen = self._seen[campaign]
            coin = coin_of(seen.client.connection)
            sheet.add("campaigns", seen, events[0], "took part")
            for event in events:
                match event:
                    case Pledged():
                        sheet.add("pledged", seen, event, f"paid by {event.payer}", event.amount, seen.asset)
                    case Unpledged():
                        sheet.add("taken-back", seen, event, f"sent to {event.recipient}", event.amount, seen.asset)
                    case Refunded():
                        sheet.add("refunded", seen, event, f"sent to {event.recipient}", event.amount, seen.asset)
                    case StopVoted(support=True):
                        sheet.add("stop-votes", seen, event, "voted to stop")
                    case Challenged():
                        sheet.add("challenges-made", seen, event, f"chunk {event.chunk} challenged")
                    case ChallengeAnswered():
                        sheet.add("bonds-earned", seen, event, f"chunk {event.chunk} answered", event.bond, coin)
                    case BondReturned():
                        sheet.add("bonds-reclaimed", seen, event, f"chunk {event.chunk}", event.bond, coin)
                    case _:
                        continue
        return Record("backer", tuple(self._own), sheet.numbers())


class _Sheet:
    """Numbers that grow."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[Unit, Asset | None, int, list[Happened]]] = {}

    def add(
        self,
        name: str,
        seen: Overview,
        event: Event | CampaignCreated,
        what: str,
        amount: int = 1,
        unit: Asset | Literal["count", "seconds"] = "count",
    ) -> None:
        asset = unit if isinstance(unit, Asset) else None
        kind: Unit = unit if isinstance(unit, str) else "money"
        key = name, "" if asset is None else asset.address
        _, _, before, events = self._entries.setdefault(key, (kind, asset, 0, []))
        events.append(Happened(seen.client.address, what, event.block, event.tx_hash))
        self._entries[key] = kind, asset, before + amount, events

    def numbers(self) -> tuple[Number, ...]:
        order = list(NUMBERS)
        found = [
            Number(name, kind, value, asset, tuple(events))
            for (name, _), (kind, asset, value, events) in self._entries.items()
        ]
        return tuple(sorted(found, key=lambda one: order.index(one.name)))


def _unanswered(progress: CampaignProgress, terms: Terms, events: Sequence[CampaignEvent]) -> Challenged | None:
    """The challenge that failed a campaign; `None` if none did."""
    failure = progress.failure(terms)
    if failure is None or failure.cause != "answer":
        return None
    answered = {(one.milestone, one.chunk) for one in events if isinstance(one, ChallengeAnswered)}
    asked = [one for one in events if isinstance(one, Challenged)]
    return next((one for one in asked if (one.milestone, one.chunk) not in answered), None)


def _released(seen: Overview, events: Sequence[CampaignEvent]) -> Iterator[tuple[int, MilestoneAttested, int]]:
    """The milestones whose tranches are released, with the attestation's event and the tranche in units."""
    terms, progress = seen.client.terms, seen.progress
    attested = {one.milestone: one for one in events if isinstance(one, MilestoneAttested)}
    released = progress.attested - (1 if _last_is_kept_back(progress, terms) else 0)
    cumulative = before = 0
    for place, milestone in enumerate(terms.milestones[:released]):
        cumulative += milestone.bps
        total = progress.pledged * cumulative // BPS
        if place in attested:
            yield place, attested[place], total - before
        before = total


def _last_is_kept_back(progress: CampaignProgress, terms: Terms) -> bool:
    """Whether the latest attestation's tranche is not released."""
    if not progress.attested or progress.status is Status.COMPLETED:
        return False
    return bool(progress.withheld or progress.challenged_at or progress.timestamp < progress.window_end(terms))
