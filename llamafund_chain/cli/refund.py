"""`llamafund refund`: get the unreleased money of a failed campaign back."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.events import Refunded
from llamafund_chain.cli.options import ADDRESS, json_option, rpc_option, unlock, wallet_options
from llamafund_chain.cli.shared import open_campaign, report
from llamafund_chain.errors import UsageError


@click.command(short_help="Collect a failed campaign's refund.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--backer", type=ADDRESS, help="Push this backer's refund to it; anyone may.")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send one's own refund elsewhere.")
@rpc_option
@wallet_options
@json_option
def refund(
    address: str,
    backer: str | None,
    recipient: str | None,
    rpc: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Collect the refund that the failed campaign at ADDRESS owes.

    A campaign fails when its goal is not met, a milestone is overdue, or its backers stop it. Each backer gets its
    share of what was not released.

    \b
    Example:
      llamafund refund 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet ada
    """
    client = open_campaign(rpc, address)
    account = unlock(wallet, keystore, passphrase_file)
    owner = backer or account.address
    if recipient is not None and owner != account.address:
        raise UsageError(
            f"The refund of {owner} cannot be sent to {recipient}",
            "Only the backer itself may send its refund elsewhere",
            "Leave out --to, or use that backer's wallet",
        )
    receipt = client.refund(account, owner) if recipient is None else client.refund_to(account, recipient)
    events = client.events(receipt.block, receipt.block)
    amount = sum(e.amount for e in events if isinstance(e, Refunded) and e.tx_hash == receipt.tx_hash)
    asset = client.asset
    facts: dict[str, JsonValue] = {
        "backer": owner,
        "recipient": recipient or owner,
        "amount": asset.plain(amount),
        "asset": asset.symbol,
    }
    sentence = f"Refunded {asset.format(amount)} to {recipient or owner}"
    report("refund", client, receipt, facts, sentence, as_json=as_json)
