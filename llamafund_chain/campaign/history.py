"""What happened in many campaigns, in few requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from llamafund_chain.campaign.events import CampaignEvent, campaign_event
from llamafund_chain.chain import abi
from llamafund_chain.chain.connection import At, Connection

MOST_AT_ONCE = 500
"""Most addresses, and most topics, of one search for logs: geth takes up to 1 000."""


def event_topics(names: Iterable[str]) -> list[str]:
    """The first topics of a campaign's events."""
    interface = abi.contract("Campaign")
    return [interface.topic(name) for name in names]


def events_of(
    connection: Connection,
    campaigns: Collection[str],
    topics: Sequence[str | Sequence[str] | None],
    *,
    first: int,
    last: At,
) -> Iterator[tuple[str, CampaignEvent]]:
    """Events of campaigns with the campaign of each. They are in order within each search, not across several.

    Args:
        connection: The chain.
        campaigns: Checksummed addresses.
        topics: Requested topics by position; see `Connection.logs`.
        first: First block.
        last: Last block.
    """
    places = list(campaigns)
    for start in range(0, len(places), MOST_AT_ONCE):
        part = places[start : start + MOST_AT_ONCE]
        for log in connection.logs(part, topics=topics, first=first, last=last):
            event = campaign_event(log)
            if event is not None:
                yield abi.checksum(log.address), event


def by_campaign(found: Iterable[tuple[str, CampaignEvent]]) -> dict[str, list[CampaignEvent]]:
    """Events of several searches by campaign, in the order in which they happened, each once."""
    sorted_: dict[str, dict[tuple[int, int], CampaignEvent]] = defaultdict(dict)
    for campaign, event in found:
        sorted_[campaign][event.block, event.log_index] = event
    return {campaign: [events[place] for place in sorted(events)] for campaign, events in sorted_.items()}
