"""`llamafund vote-stop`: backers stop a campaign."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import Stopped, StopVoted
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import BPS
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.shared import afterwards, open_campaign, report, shown_amount
from llamafund_chain.cli.signer import Signer, signer_options


@click.command("vote-stop", short_help="Vote to stop a campaign.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--retract", is_flag=True, help="Retract an earlier vote.")
@rpc_option
@signer_options
@yes_option
@json_option
def vote_stop(
    address: str,
    retract: bool,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Vote, with the whole pledge, to stop the campaign at ADDRESS.

    Once enough of the pledges agree, the campaign fails at once, and backers get back what was not released. Voting is
    open from a day after activation until the weights are attested.

    \b
    Example:
      llamafund vote-stop 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet alice
    """
    client = open_campaign(rpc, address)
    account = signer.unlock()
    asset = client.asset
    question = _question(client, account.address, retract=retract)
    receipt = client.vote_stop(account, not retract, agree=agreement(question, yes=yes))
    happened = client.events_in(receipt)
    support = next((event.total_support for event in happened if isinstance(event, StopVoted)), None)
    stopped = any(isinstance(event, Stopped) for event in happened)
    state = afterwards(lambda: client.state(receipt.block))
    needed = None if state is None else _needed(client, state)
    facts: dict[str, JsonValue] = {
        "backer": account.address,
        "support": not retract,
        "stop_support": None if support is None else asset.plain(support),
        "needed": None if needed is None else asset.plain(needed),
        "asset": asset.symbol,
        "stopped": stopped,
    }
    vote = "Retracted the vote" if retract else "Voted to stop"
    takes = "" if needed is None else f"; it takes {asset.format(needed)}"
    backing = f"backers of {shown_amount(asset, support)} want to stop{takes}"
    outcome = ": this vote decided. The campaign is stopped and refunds are open" if stopped else ""
    sentence = f"{vote}; {backing}{outcome}"
    report("vote-stop", client, receipt, facts, sentence, as_json=as_json)


def _question(client: CampaignClient, backer: str, *, retract: bool) -> str:
    """What a vote does, and whether it decides now."""
    state, asset, own = client.state(), client.asset, client.pledge_of(backer)
    if retract:
        return f"Retract the vote of {backer} to stop the campaign, with {asset.format(own)}?"
    support, needed = state.stop_support + own, _needed(client, state)
    vote = f"Vote with the {asset.format(own)} of {backer} to stop the campaign?"
    shown = f"Backers of {asset.format(support)} would want to stop; it takes {asset.format(needed)}"
    if support < needed:
        return f"{shown}. {vote}"
    rest = asset.format(state.pledged - state.released)
    return f"{shown}: THIS VOTE DECIDES. The campaign fails at once, and its backers get back {rest}. {vote}"


def _needed(client: CampaignClient, state: CampaignState) -> int:
    """Smallest units of the pledges that stop the campaign."""
    return -(-state.pledged * client.terms.stop_bps // BPS)
