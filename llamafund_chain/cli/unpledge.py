"""`llamafund unpledge`: take a pledge back during funding."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.cli.options import ADDRESS, json_option, rpc_option, unlock, wallet_options
from llamafund_chain.cli.shared import open_campaign, report
from llamafund_chain.errors import LlamafundError, UsageError


@click.command(short_help="Take a pledge back during funding.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("amount", metavar="AMOUNT|all")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send it to another account.")
@rpc_option
@wallet_options
@json_option
def unpledge(
    address: str,
    amount: str,
    recipient: str | None,
    rpc: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take AMOUNT whole coins of a pledge, or all of it, back from the campaign at ADDRESS.

    This works during funding. Once the goal is reached, you can take back only what is above the goal.

    \b
    Example:
      llamafund unpledge 0x5FbDB2315678afecb367f032d93F642f64180aa3 all --wallet alice
    """
    client = open_campaign(rpc, address)
    asset = client.asset
    units = None if amount == "all" else asset.parse(amount)
    if units == 0:
        raise UsageError(f"The amount is {amount}", "Taking nothing back changes nothing", "Name an amount, or all")
    account = unlock(wallet, keystore, passphrase_file)
    if units is None:
        units = client.pledge_of(account.address)
        if units == 0:
            raise LlamafundError(
                f"{account.address} has no pledge in this campaign", remedy="Use the wallet that pledged"
            )
    receipt = client.unpledge(account, units, recipient)
    rest = client.pledge_of(account.address, receipt.block)
    facts: dict[str, JsonValue] = {
        "backer": account.address,
        "recipient": recipient or account.address,
        "amount": asset.plain(units),
        "asset": asset.symbol,
        "pledge": asset.plain(rest),
    }
    sentence = f"Took back {asset.format(units)}; {asset.format(rest)} stay pledged"
    report("unpledge", client, receipt, facts, sentence, as_json=as_json)
