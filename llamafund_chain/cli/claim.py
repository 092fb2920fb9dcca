"""`llamafund claim`: a payee collects its released money."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import Claimed
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.cli.options import (
    ADDRESS,
    WholeNumber,
    agreement,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.shared import moved, open_campaign, report, shown_amount
from llamafund_chain.cli.signer import Signer, signer_options


@click.command(short_help="Collect a payee's released money.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--payee", type=WholeNumber(0, 255), help="The payee's number, from 0; by default found by the wallet.")
@click.option("--to", "recipient", type=ADDRESS, metavar="RECIPIENT", help="Send it to another account.")
@rpc_option
@signer_options
@yes_option
@json_option
def claim(
    address: str,
    payee: int | None,
    recipient: str | None,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Collect the money that the campaign at ADDRESS has released to the wallet as a payee.

    A milestone's money is released once the milestone is attested and its challenge window has passed.

    \b
    Example:
      llamafund claim 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet rosa
    """
    client = open_campaign(rpc, address)
    if payee is not None and payee >= len(client.terms.payees):
        raise ContractRefusedError(
            f"There is no payee {payee}", f"The campaign has {len(client.terms.payees)}, counted from 0"
        )
    account = signer.unlock()
    number = _payee_of(client, account.address) if payee is None else payee
    asset, target = client.asset, recipient or account.address
    claimable = asset.format(client.state().claimable[number])
    elsewhere = "" if target == account.address else f", sent to {target}"
    question = f"Claim {claimable} for payee {number}{elsewhere}?"
    receipt = client.claim(account, number, target, agree=agreement(question, yes=yes))
    amount = moved(client, receipt, Claimed)
    facts: dict[str, JsonValue] = {
        "payee": number,
        "recipient": target,
        "amount": None if amount is None else asset.plain(amount),
        "asset": asset.symbol,
    }
    sentence = f"Claimed {shown_amount(asset, amount)} for payee {number}{elsewhere}"
    report("claim", client, receipt, facts, sentence, as_json=as_json)


def _payee_of(client: CampaignClient, address: str) -> int:
    """The payee with this account; if there are several, the first with something to claim."""
    mine = [number for number, payee in enumerate(client.terms.payees) if payee.account == address]
    if not mine:
        listed = ", ".join(f"{number}: {payee.account}" for number, payee in enumerate(client.terms.payees))
        raise ContractRefusedError(
            f"{address} is not a payee of this campaign", f"Its payees are {listed}", "Use a payee's wallet"
        )
    claimable = client.state().claimable
    return next((number for number in mine if claimable[number]), mine[0])
