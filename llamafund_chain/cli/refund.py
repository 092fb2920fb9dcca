"""`llamafund refund`: get back the unreleased money of a failed campaign."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.events import Refunded
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.shared import moved, open_campaign, report, shown_amount
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError


@click.command(short_help="Collect the refund of a failed campaign.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--backer", type=ADDRESS, metavar="ADDRESS", help="Push the refund to this backer; anyone may.")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send your own refund to another account.")
@rpc_option
@signer_options
@yes_option
@json_option
def refund(
    address: str,
    backer: str | None,
    recipient: str | None,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Collect the refund that the failed campaign at ADDRESS owes.

    A campaign fails if its goal is not met, a milestone is overdue, a challenge stays unanswered, or its backers stop
    it. Backers get back what was not released, in proportion to their pledges.

    \b
    Example:
      llamafund refund 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet alice
    """
    client = open_campaign(rpc, address)
    account = signer.unlock()
    owner = backer or account.address
    if recipient is not None and owner != account.address:
        raise UsageError(
            f"The refund of {owner} cannot be sent to {recipient}",
            "Only the backer may send its refund elsewhere",
            "Drop --to, or use that backer's wallet",
        )
    asset = client.asset
    question = f"Collect the refund of {asset.format(client.refundable(owner))} for {owner}"
    elsewhere = "" if recipient in (None, owner) else f", sent to {recipient}"
    agree = agreement(f"{question}{elsewhere}?", yes=yes)
    if recipient is None:
        receipt = client.refund(account, owner, agree=agree)
    else:
        receipt = client.refund_to(account, recipient, agree=agree)
    amount = moved(client, receipt, Refunded)
    facts: dict[str, JsonValue] = {
        "backer": owner,
        "recipient": recipient or owner,
        "amount": None if amount is None else asset.plain(amount),
        "asset": asset.symbol,
    }
    sentence = f"Refunded {shown_amount(asset, amount)} to {recipient or owner}"
    report("refund", client, receipt, facts, sentence, as_json=as_json)
