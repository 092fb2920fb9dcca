"""One account in all campaigns of a chain: what it has there, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llamafund_chain.campaign.events import (
    BondReturned,
    CampaignEvent,
    ChallengeAnswered,
    Challenged,
    Refunded,
)
from llamafund_chain.campaign.history import MOST_AT_ONCE, by_campaign, event_topics, events_of
from llamafund_chain.campaign.overview import Overview
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain.connection import Block, Connection, Read
from llamafund_chain.chain.tokens import coin_of

Urgency = Literal["money", "duty", "choice"]
"""Money waits to be collected; something must be done or the campaign suffers; or something can be done."""

_BY_BACKER = ("Pledged", "Unpledged", "Refunded", "StopVoted")
_BY_CHALLENGER = ("Challenged", "BondReturned")


@dataclass(frozen=True)
class Step:
    """Something that an account can do.

    Attributes:
        urgency: Why it should.
        what: One sentence.
        command: The arguments of `llamafund` that do it, without the wallet.
        opens: Unix seconds from which it is possible; 0 if it is now.
        until: Unix seconds before which it is possible; 0 if there is no end.
    """

    urgency: Urgency
    what: str
    command: str
    opens: int = 0
    until: int = 0


@dataclass(frozen=True)
class Bond:
    """The bond of an account's challenge that nobody has answered. Attributes: bond: wei."""

    milestone: int
    chunk: int
    bond: int


@dataclass(frozen=True)
class Payout:
    """What a payee has and can have, in the asset's smallest unit. Attributes: payee: its index in the terms."""

    payee: int
    claimable: int
    claimed: int


@dataclass(frozen=True)
class Part:
    """An account's part in one campaign. Amounts are in the asset's smallest unit.

    Attributes:
        seen: The campaign.
        roles: For example `backer`, `attestor 0`, `payee 1`.
        pledge: What it has pledged and not taken back.
        refundable: What it can get back now.
        refunded: What it got back after the campaign failed.
        votes_to_stop: Whether it votes to stop.
        votes_from: When voting to stop opens, unix seconds; 0 before activation.
        bonds: Of its challenges that nobody has answered.
        payouts: As a payee.
    """

    seen: Overview
    roles: tuple[str, ...]
    pledge: int
    refundable: int
    refunded: int
    votes_to_stop: bool
    votes_from: int
    bonds: tuple[Bond, ...]
    payouts: tuple[Payout, ...]

    def steps(self) -> Iterator[Step]:
        """What the account can do, what brings money first."""
        address, progress = self.seen.client.address, self.seen.progress
        failed = progress.status is Status.FAILED
        if self.refundable and failed:
            yield Step("money", f"Collect your refund of {self._money(self.refundable)}", f"refund {address}")
        if self.bonds and failed:
            total = coin_of(self.seen.client.connection).format(sum(one.bond for one in self.bonds))
            yield Step("money", f"Reclaim the bonds of your challenges, {total}", f"return-bond {address}")
        for one in self.payouts:
            if one.claimable:
                what = f"Claim {self._money(one.claimable)} as payee {one.payee}"
                yield Step("money", what, f"claim {address} --payee {one.payee}")
        yield from self._duties(address)
        yield from self._choices(address)

    def _duties(self, address: str) -> Iterator[Step]:
        terms, progress = self.seen.client.terms, self.seen.progress
        researcher = "researcher" in self.roles
        if researcher and progress.status is Status.FUNDING and progress.pledged >= terms.goal:
            until = progress.deadline(terms, 0)
            yield Step("duty", "The goal is met: close funding and start", f"campaign activate {address}", until=until)
        if progress.status is not Status.ACTIVE:
            return
        if progress.challenged_at and researcher:
            by = progress.challenged_at + terms.answer_window
            yield Step("duty", "Answer the open challenge, or the campaign fails", f"answer {address}", until=by)
        end = progress.window_end(terms)
        if progress.attested < len(terms.milestones):
            index = progress.attested
            opens, until = (end if end > progress.timestamp else 0), progress.deadline(terms, index)
            kind = terms.milestones[index].kind.name
            if any(role.startswith("attestor") for role in self.roles):
                command = f"attest {address} --milestone {index} --evidence HASH"
                yield Step("duty", f"Check milestone {index} ({kind}) and sign it", command, opens, until)
            if researcher:
                what = f"Have milestone {index} ({kind}) attested and submit it, or the campaign fails"
                yield Step("duty", what, f"submit {address} FILE", opens, until)
        elif "arbiter" in self.roles and progress.timestamp < end:
            if progress.contested:
                what = "Rule on the last attestation: add --uphold or --refuse"
                yield Step("duty", what, f"rule {address}", until=end)
            else:
                yield Step("choice", "Contest the last attestation", f"contest {address}", until=end)

    def _choices(self, address: str) -> Iterator[Step]:
        if not self.pledge:
            return
        terms, progress = self.seen.client.terms, self.seen.progress
        now = progress.timestamp
        if progress.status is Status.FUNDING:
            # What a met goal needs is locked.
            free = self.pledge if progress.pledged < terms.goal else min(self.pledge, progress.pledged - terms.goal)
            amount = "all" if free == self.pledge else self.seen.asset.plain(free)
            until = terms.funding_deadline if now < terms.funding_deadline else 0
            if free:
                what = f"Take back {self._money(free)} of your pledge"
                yield Step("choice", what, f"unpledge {address} {amount}", until=until)
        if progress.status is not Status.ACTIVE:
            return
        if progress.attested < len(terms.milestones):
            opens = self.votes_from if self.votes_from > now else 0
            if self.votes_to_stop:
                yield Step("choice", "Retract your vote to stop", f"vote-stop {address} --retract", opens)
            else:
                yield Step("choice", "Vote to stop the campaign", f"vote-stop {address}", opens)
        end = progress.window_end(terms)
        if now < end:
            what = "Challenge attested content that cannot be fetched"
            yield Step("choice", what, f"challenge {address} --chunk NUMBER", until=end)

    def _money(self, amount: int) -> str:
        return self.seen.asset.format(amount)


def parts_of(connection: Connection, campaigns: Sequence[Overview], account: str, at: Block) -> list[Part]:
    """An account's parts in campaigns, oldest campaign first; none for those that it has nothing to do with.

    Args:
        connection: The chain.
        campaigns: From `overview` at the same block.
        account: Checksummed address.
        at: The block.
    """
    if not campaigns:
        return []
    first = min(one.created.block for one in campaigns)
    events = _events(connection, [one.client.address for one in campaigns], account, first, at)
    involved = [(one, one.client.terms.roles_of(account)) for one in campaigns]
    involved = [(one, roles) for one, roles in involved if roles or one.client.address in events]
    asked = [_reads(one, roles, account) for one, roles in involved]
    answers = iter(connection.read([read for reads in asked for _, read in reads], at) if asked else [])
    parts = [
        _part(one, roles, {name: one.client.shown(name[0], next(answers)) for name, _ in reads}, events)
        for (one, roles), reads in zip(involved, asked, strict=True)
    ]
    # A pledge that was taken back leaves nothing.
    return [part for part in parts if part.roles]


_Name = tuple[Any, ...]


def _reads(seen: Overview, roles: Iterable[str], account: str) -> list[tuple[_Name, Read]]:
    names: list[_Name] = [(name, account) for name in ("pledgeOf", "refundable", "hasVotedStop")]
    names.append(("votesFrom",))
    payees = [int(role.split()[1]) for role in roles if role.startswith("payee")]
    names += [(name, place) for place in payees for name in ("claimable", "claimed")]
    return [(name, seen.client.view(*name)) for name in names]


def _events(
    connection: Connection, addresses: Sequence[str], account: str, first: int, at: Block
) -> dict[str, list[CampaignEvent]]:
    """What an account did in campaigns, and what became of its challenges, by campaign and in order."""
    me = f"0x{bytes(12).hex()}{account[2:].lower()}"
    found = [
        *events_of(connection, addresses, [event_topics(_BY_BACKER), me], first=first, last=at),
        *events_of(connection, addresses, [event_topics(_BY_CHALLENGER), None, None, me], first=first, last=at),
    ]
    challenged = {campaign for campaign, event in found if isinstance(event, Challenged)}
    if challenged:
        # By chunk: a flood of others' challenges must not matter.
        chunks = sorted({f"0x{event.chunk:064x}" for _, event in found if isinstance(event, Challenged)})
        few = chunks if len(chunks) <= MOST_AT_ONCE else None
        topics = [event_topics(["ChallengeAnswered"]), None, few]
        found += events_of(connection, challenged, topics, first=first, last=at)
    return by_campaign(found)


def _part(
    seen: Overview, roles: list[str], read: Mapping[_Name, Any], events: Mapping[str, list[CampaignEvent]]
) -> Part:
    by_name = {name[0]: value for name, value in read.items() if name[0] not in ("claimable", "claimed")}
    done = events.get(seen.client.address, [])
    refunded = sum(event.amount for event in done if isinstance(event, Refunded))
    if by_name["pledgeOf"] or refunded:
        roles = ["backer", *roles]
    bonds = tuple(_open_bonds(done))
    if bonds:
        roles = [*roles, "challenger"]
    payees = [name[1] for name in read if name[0] == "claimable"]
    return Part(
        seen=seen,
        roles=tuple(roles),
        pledge=by_name["pledgeOf"],
        refundable=by_name["refundable"],
        refunded=refunded,
        votes_to_stop=by_name["hasVotedStop"],
        votes_from=by_name["votesFrom"],
        bonds=bonds,
        payouts=tuple(Payout(place, read["claimable", place], read["claimed", place]) for place in payees),
    )


def _open_bonds(events: Iterable[CampaignEvent]) -> Iterable[Bond]:
    open_: dict[tuple[int, int], Bond] = {}
    for event in events:
        if isinstance(event, Challenged):
            open_[event.milestone, event.chunk] = Bond(event.milestone, event.chunk, event.bond)
        elif isinstance(event, ChallengeAnswered | BondReturned):
            open_.pop((event.milestone, event.chunk), None)
    return open_.values()
