"""`llamafund campaign activate`: close funding and start."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.events import Activated
from llamafund_chain.cli.options import (
    ADDRESS,
    agreement,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.shared import (
    open_campaign,
    report,
)
from llamafund_chain.cli.signer import Signer, signer_options


@click.command(short_help="Close funding and start a campaign.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@rpc_option
@signer_options
@yes_option
@json_option
def activate(address: str, rpc: str, signer: Signer, yes: bool, as_json: bool) -> None:
    """Close funding and start the campaign at ADDRESS. This publishes the training seed.

    The researcher may do this as soon as the goal is met. Anyone may once the cap is reached, or once the funding
    deadline has passed with the goal met.

    \b
    Example:
      llamafund campaign activate 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet rosa
    """
    client = open_campaign(rpc, address)
    account = signer.unlock()
    pledged = client.asset.format(client.state().pledged)
    question = f"Close funding with {pledged} and start the campaign? After that no pledge can be taken back"
    receipt = client.activate(account, agree=agreement(f"{question}.", yes=yes))
    event = next((event for event in client.events_in(receipt) if isinstance(event, Activated)), None)
    facts: dict[str, JsonValue] = {
        "pledged": None if event is None else client.asset.plain(event.pledged),
        "training_seed": None if event is None else event.training_seed,
    }
    sentence = "Active; the node does not show with what. See `llamafund campaign show`"
    if event is not None:
        sentence = f"Active with {client.asset.format(event.pledged)}. Training seed: {event.training_seed}"
    report("campaign activate", client, receipt, facts, sentence, as_json=as_json)
