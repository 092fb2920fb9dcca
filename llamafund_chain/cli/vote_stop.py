"""`llamafund vote-stop`: backers stop a campaign."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.terms import BPS, Status
from llamafund_chain.cli.options import ADDRESS, json_option, rpc_option, unlock, wallet_options
from llamafund_chain.cli.shared import open_campaign, report


@click.command("vote-stop", short_help="Vote to stop a campaign.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--retract", is_flag=True, help="Retract an earlier vote.")
@rpc_option
@wallet_options
@json_option
def vote_stop(
    address: str,
    retract: bool,
    rpc: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
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
    account = unlock(wallet, keystore, passphrase_file)
    receipt = client.vote_stop(account, not retract)
    state = client.state(receipt.block)
    asset = client.asset
    needed = -(-state.pledged * client.terms.stop_bps // BPS)
    stopped = state.status is Status.FAILED
    facts: dict[str, JsonValue] = {
        "backer": account.address,
        "support": not retract,
        "stop_support": asset.plain(state.stop_support),
        "needed": asset.plain(needed),
        "asset": asset.symbol,
        "stopped": stopped,
    }
    vote = "Retracted the vote" if retract else "Voted to stop"
    outcome = "the campaign is stopped, refunds are open" if stopped else f"{asset.format(needed)} are needed"
    sentence = f"{vote}; {asset.format(state.stop_support)} want to stop, {outcome}"
    report("vote-stop", client, receipt, facts, sentence, as_json=as_json)
