"""`llamafund return-bond`: reclaim the bonds of unanswered challenges."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.state import OpenChallenge
from llamafund_chain.campaign.terms import Status
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.transactions import Receipt
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.output import emit, note, progress
from llamafund_chain.cli.shared import open_campaign
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import LlamafundError


@click.command(name="return-bond", short_help="Reclaim bonds of unanswered challenges.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send them to another account.")
@rpc_option
@signer_options
@yes_option
@json_option
def return_bond(
    address: str,
    recipient: str | None,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Reclaim the bonds of the wallet's unanswered challenges after the campaign at ADDRESS has failed.

    \b
    Example:
      llamafund return-bond 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet alice
    """
    client = open_campaign(rpc, address)
    status = client.state().status
    if status is not Status.FAILED:
        raise ContractRefusedError(
            "No bond can be reclaimed now",
            f"The campaign is {status.label}; until it fails, bonds are kept for whoever answers",
        )
    account = signer.unlock()
    mine = [one for one in client.open_challenges() if one.challenger == account.address and one.bond]
    if not mine:
        raise ContractRefusedError(
            f"{account.address} has no bond to reclaim", "Its challenges were answered, or their bonds were returned"
        )
    target = recipient or account.address
    total = client.coin.format(sum(one.bond for one in mine))
    bonds = f"the bond of {total} for chunk {mine[0].chunk}"
    if len(mine) > 1:
        bonds = f"bonds of {total} in all for the chunks {', '.join(str(one.chunk) for one in mine)}"
    elsewhere = "" if target == account.address else f", sent to {target}"
    receipts: list[tuple[OpenChallenge, Receipt]] = []
    try:
        for one in mine:
            agree = None if receipts else agreement(f"Reclaim {bonds}{elsewhere}?", yes=yes)
            receipts.append((one, client.return_bond(account, one.chunk, recipient, agree=agree)))
            progress(f"Returned the bond for chunk {one.chunk}")
    except LlamafundError:
        for one, receipt in receipts:
            bond = client.coin.format(one.bond)
            note(f"Returned before the error: {bond} for chunk {one.chunk} in 0x{receipt.tx_hash}")
        raise
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": client.address,
        "recipient": target,
        "returned": [
            {"chunk": one.chunk, "bond": client.coin.plain(one.bond), "transaction": receipt.tx_hash}
            for one, receipt in receipts
        ],
    }
    lines = [
        f"Returned {client.coin.format(one.bond)} for chunk {one.chunk}{elsewhere} in transaction 0x{receipt.tx_hash}"
        for one, receipt in receipts
    ]
    emit("return-bond", facts, lines, as_json=as_json)
