"""Who paid for whom, and where money went: the accounts beside those that a campaign counts for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from llamafund_chain.campaign.events import CampaignEvent, Claimed, Pledged, Refunded, Unpledged
from llamafund_chain.campaign.terms import Terms

Kind = Literal["pledge", "unpledge", "refund", "claim"]


@dataclass
class Movement:
    """Money between two accounts that are not the same.

    Attributes:
        kind: Paid for a pledge of another account; or taken back, refunded or claimed to another one.
        owner: Whose pledge or share it is.
        other: Who paid for it, or got it.
        amount: In all, in the asset's smallest unit.
        block: Of the first time.
        tx_hash: Of the first time, 64 hexadecimal digits.
    """

    kind: Kind
    owner: str
    other: str
    amount: int
    block: int
    tx_hash: str


@dataclass
class Movements:
    """Movements that events tell, added up as they pass."""

    terms: Terms
    _found: dict[tuple[Kind, str, str], Movement] = field(default_factory=dict)

    def passing(self, events: Iterable[CampaignEvent]) -> Iterator[CampaignEvent]:
        """The events, unchanged, while they are added up."""
        for event in events:
            self._note(event)
            yield event

    def largest(self, number: int) -> list[Movement]:
        """The largest movements, the largest first."""
        return sorted(self._found.values(), key=lambda one: -one.amount)[:number]

    def __len__(self) -> int:
        return len(self._found)

    def _note(self, event: CampaignEvent) -> None:
        match event:
            case Pledged():
                self._add("pledge", event.backer, event.payer, event)
            case Unpledged():
                self._add("unpledge", event.backer, event.recipient, event)
            case Refunded():
                self._add("refund", event.backer, event.recipient, event)
            case Claimed() if event.payee < len(self.terms.payees):
                self._add("claim", self.terms.payees[event.payee].account, event.recipient, event)
            case _:
                return

    def _add(self, kind: Kind, owner: str, other: str, event: Pledged | Unpledged | Refunded | Claimed) -> None:
        if owner == other:
            return
        new = Movement(kind, owner, other, 0, event.block, event.tx_hash)
        self._found.setdefault((kind, owner, other), new).amount += event.amount
