"""Many campaigns in a few requests: which there are, and how far each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import CampaignCreated
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.campaign.state import CampaignProgress
from llamafund_chain.chain.connection import Block, Connection
from llamafund_chain.chain.tokens import Asset, assets_at
from llamafund_chain.errors import LlamafundError, NodeError


@dataclass(frozen=True)
class Overview:
    """A campaign among many.

    Attributes:
        created: The event that opened it.
        client: The campaign, proven to be one of the factory.
        asset: What its amounts are counted in.
        progress: How far it is.
    """

    created: CampaignCreated
    client: CampaignClient
    asset: Asset
    progress: CampaignProgress


@dataclass(frozen=True)
class Unreadable:
    """A campaign that cannot be read, for example because its token is none.

    Attributes:
        created: The event that opened it.
        problem: Why.
    """

    created: CampaignCreated
    problem: str


def overview(connection: Connection, at: Block) -> list[Overview | Unreadable]:
    """All campaigns of a chain at one block, oldest first. One that cannot be read hides no other.

    Args:
        connection: The chain.
        at: The block.

    Raises:
        NodeError: The node does not answer.
        VerificationError: The contracts are not on this chain.
    """
    return overview_of(connection, list_campaigns(connection, at), at)


def overview_of(connection: Connection, events: Sequence[CampaignCreated], at: Block) -> list[Overview | Unreadable]:
    """Some campaigns at one block, in the order of the events that opened them.

    Args:
        connection: The chain.
        events: Of the factory.
        at: The block.

    Raises:
        NodeError: The node does not answer.
        VerificationError: The contracts are not on this chain.
    """
    clients: list[CampaignClient | Unreadable] = []
    for created in events:
        try:
            clients.append(CampaignClient.of_event(connection, created))
        except LlamafundError as error:
            clients.append(Unreadable(created, str(error)))
    assets = assets_at(connection, (event.terms.asset for event in events))
    genuine = [client for client in clients if isinstance(client, CampaignClient)]
    answers = connection.read([read for client in genuine for read in client.progress_reads()], at) if genuine else []
    each = len(answers) // len(genuine) if genuine else 0
    read = {client.address: answers[place * each : (place + 1) * each] for place, client in enumerate(genuine)}
    return [
        client if isinstance(client, Unreadable) else _overview(created, client, at, read[client.address], assets)
        for created, client in zip(events, clients, strict=True)
    ]


def _overview(
    created: CampaignCreated,
    client: CampaignClient,
    at: Block,
    answers: Sequence[object],
    assets: Mapping[str, Asset | LlamafundError],
) -> Overview | Unreadable:
    asset = assets[created.terms.asset]
    if isinstance(asset, LlamafundError):
        return Unreadable(created, str(asset))
    try:
        return Overview(created, client, asset, client.progress_from(at, answers))
    except NodeError:
        raise
    except LlamafundError as error:
        return Unreadable(created, str(error))
