"""`llamafund unpledge`: take a pledge back during funding."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.cli.numbers import AmountType, NumericCommand, amount_above_zero
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.shared import afterwards, open_campaign, report, require_pledge
from llamafund_chain.cli.signer import Signer, signer_options


@click.command(cls=NumericCommand, short_help="Take a pledge back during funding.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("amount", type=AmountType("all"), metavar="AMOUNT|all")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send it to another account.")
@rpc_option
@signer_options
@yes_option
@json_option
def unpledge(
    address: str,
    amount: str,
    recipient: str | None,
    rpc: str,
    signer: Signer,
    yes: bool,
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
    units = None if amount == "all" else amount_above_zero(amount, asset)
    account = signer.unlock()
    pledged = require_pledge(client, account.address)
    units = pledged if units is None else units
    target = recipient or account.address
    question = f"Take back {asset.format(units)} of the {asset.format(pledged)} that {account.address} pledged"
    elsewhere = "" if target == account.address else f", sent to {target}"
    receipt = client.unpledge(account, units, target, agree=agreement(f"{question}{elsewhere}?", yes=yes))
    rest = afterwards(lambda: client.pledge_of(account.address, receipt.block))
    facts: dict[str, JsonValue] = {
        "backer": account.address,
        "recipient": target,
        "amount": asset.plain(units),
        "asset": asset.symbol,
        "pledge": None if rest is None else asset.plain(rest),
    }
    sentence = f"Took back {asset.format(units)}" + ("" if rest is None else f"; {asset.format(rest)} stays pledged")
    report("unpledge", client, receipt, facts, sentence, as_json=as_json)
