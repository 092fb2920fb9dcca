"""`llamafund campaign list`: the campaigns of a chain."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.cli.options import (
    from_block,
    json_option,
    rpc_option,
)
from llamafund_chain.cli.output import emit
from llamafund_chain.errors import LlamafundError, NodeError


@click.command("list", short_help="List the campaigns of a chain.")
@rpc_option
@json_option
def list_(rpc: str, as_json: bool) -> None:
    """List the campaigns that the factory opened on this chain, oldest first.

    \b
    Example:
      llamafund campaign list --rpc http://127.0.0.1:8545
    """
    connection = connect(rpc)
    connection.since = from_block()
    entries: list[JsonValue] = []
    lines: list[str] = []
    for event in list_campaigns(connection):
        client = CampaignClient(connection, event.campaign, event.salt)
        entry: dict[str, JsonValue] = {
            "campaign": event.campaign,
            "researcher": event.researcher,
            "proposal": event.proposal,
            "salt": event.salt,
            "block": event.block,
            "status": None,
            "pledged": None,
            "goal": None,
            "asset": None,
        }
        try:
            client.verify_code()
            state, asset = client.state(), client.asset
        except NodeError:
            raise
        except LlamafundError as error:
            # One campaign with a broken token must not hide the others.
            lines.append(f"{event.campaign}  cannot be read: {error}")
        else:
            entry |= {
                "status": state.status.label,
                "pledged": asset.plain(state.pledged),
                "goal": asset.plain(client.terms.goal),
                "asset": asset.symbol,
            }
            amounts = f"{asset.plain(state.pledged)} of {asset.format(client.terms.goal)}"
            lines.append(f"{event.campaign}  {state.status.label:<9}  {amounts}  by {event.researcher}")
        entries.append(entry)
    facts: dict[str, JsonValue] = {"chain": connection.caip2, "campaigns": entries}
    emit("campaign list", facts, lines or ["There are no campaigns on this chain."], as_json=as_json)
