"""`llamafund pledge`: put money into a campaign's escrow."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import arbiter_of
from llamafund_chain.chain.connection import Finality
from llamafund_chain.checks.risks import unreleased_of
from llamafund_chain.cli.numbers import AmountType, NumericCommand, amount_above_zero
from llamafund_chain.cli.options import (
    ADDRESS,
    ask,
    finality_option,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.output import note, progress
from llamafund_chain.cli.shared import arbiter_results, open_campaign, report, risks_of, terms_lines
from llamafund_chain.cli.signer import Signer, signer_options

_MEANS = {
    "native": "in the chain's coin",
    "allowance": "with an existing allowance",
    "permit": "with a permit",
    "approval": "with an approval",
}


@click.command(cls=NumericCommand, short_help="Put money into a campaign's escrow.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("amount", type=AmountType(), metavar="AMOUNT")
@click.option("--backer", type=ADDRESS, metavar="ADDRESS", help="Credit the pledge to another account.")
@rpc_option
@finality_option
@signer_options
@yes_option
@json_option
def pledge(
    address: str,
    amount: str,
    backer: str | None,
    rpc: str,
    finality: Finality,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Pledge AMOUNT whole coins to the campaign at ADDRESS.

    First proves that the address is a campaign, and shows the terms before anything is sent. Until the goal is reached
    a pledge can be taken back. Tokens are paid with a permit (EIP-2612) if the token supports it, otherwise with an
    approval of exactly this amount.

    \b
    Example:
      llamafund pledge 0x5FbDB2315678afecb367f032d93F642f64180aa3 0.5 --wallet alice
    """
    client = open_campaign(rpc, address)
    asset = client.asset
    units = amount_above_zero(amount, asset)
    client.settled_block(finality)
    note("\n".join(terms_lines(client.terms, asset, client.connection.chain_id)))
    unreleased = unreleased_of(client.terms, client.state())
    cost = told_cost(client.connection)
    judged = arbiter_results(client, arbiter_of(client))
    risks = risks_of(client.terms, asset, client.connection.chain_id, cost=cost, unreleased=unreleased, arbiter=judged)
    note("\n".join(risks.lines))
    # After the terms: whoever does not like them need not type a passphrase.
    account = signer.unlock()
    credited = backer or account.address
    elsewhere = "" if credited == account.address else f", credited to {credited}"
    ask(f"Pledge {asset.format(units)} from {account.address}{elsewhere}?", yes=yes)
    progress("Sending the pledge")
    receipt, means = client.pledge_any(account, units, credited)
    total = client.pledge_of(credited, receipt.block)
    facts: dict[str, JsonValue] = {
        "backer": credited,
        "payer": account.address,
        "amount": asset.plain(units),
        "asset": asset.symbol,
        "means": means,
        "pledge": asset.plain(total),
    }
    sentence = (
        f"Pledged {asset.format(units)} {_MEANS[means]}; {credited} now has {asset.format(total)} in this campaign"
    )
    report("pledge", client, receipt, facts, sentence, as_json=as_json)
