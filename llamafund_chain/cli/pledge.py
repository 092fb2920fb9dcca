"""`llamafund pledge`: put money into a campaign's escrow."""

from __future__ import annotations

from collections.abc import Iterator

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import arbiter_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain.connection import Finality
from llamafund_chain.checks.inspection import Asked, inspect_terms
from llamafund_chain.checks.risks import CHALLENGE_BOND, challenge_bond, unreleased_of
from llamafund_chain.checks.rules import published
from llamafund_chain.cli.inspect import finding_lines
from llamafund_chain.cli.numbers import AmountType, NumericCommand, amount_above_zero
from llamafund_chain.cli.options import (
    ADDRESS,
    agreement,
    finality_option,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.output import note
from llamafund_chain.cli.shared import afterwards, open_campaign, report, terms_lines
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

    First proves that the address is a campaign, and shows the terms and their risks before anything is sent. Until the
    goal is reached a pledge can be taken back. Tokens are paid with a permit (EIP-2612) if the token supports it,
    otherwise with an approval of exactly this amount.

    \b
    Example:
      llamafund pledge 0x5FbDB2315678afecb367f032d93F642f64180aa3 0.5 --wallet alice
    """
    client = open_campaign(rpc, address)
    asset = client.asset
    units = amount_above_zero(amount, asset)
    client.settled_block(finality)
    note("\n".join(terms_lines(client.terms, asset, client.connection.chain_id)))
    note("\n".join(_risk_lines(client)))
    # After the terms: whoever does not like them need not type a passphrase.
    account = signer.unlock()
    credited = backer or account.address
    elsewhere = "" if credited == account.address else f", credited to {credited}"
    agree = agreement(f"Pledge {asset.format(units)} from {account.address}{elsewhere}?", yes=yes)
    receipt, means = client.pledge_any(account, units, credited, agree=agree)
    total = afterwards(lambda: client.pledge_of(credited, receipt.block))
    facts: dict[str, JsonValue] = {
        "backer": credited,
        "payer": account.address,
        "amount": asset.plain(units),
        "asset": asset.symbol,
        "means": means,
        "pledge": None if total is None else asset.plain(total),
    }
    now = "" if total is None else f"; {credited} now has {asset.format(total)} in this campaign"
    sentence = f"Pledged {asset.format(units)} {_MEANS[means]}{now}"
    report("pledge", client, receipt, facts, sentence, as_json=as_json)


def _risk_lines(client: CampaignClient) -> Iterator[str]:
    """The short form of `llamafund inspect`: what the chain's plain answers tell."""
    at, terms = client.heads[0], client.terms
    state = client.state(at)
    asked = Asked(state, at, arbiter_of(client, at.number), told_cost(client.connection))
    found = inspect_terms(client, asked)
    worst = found.grade == published().grades[0]
    yield ""
    yield f"Risk grade {found.grade.grade}{'' if worst else ' at best'}: {found.grade.means}"
    yield from finding_lines([one for one in found.judged if one.rule.id != CHALLENGE_BOND], asks=False)
    bond = challenge_bond(
        terms,
        client.connection.chain_id,
        cost=asked.cost,
        unreleased=unreleased_of(terms, state),
        money=client.asset.format,
    )
    yield f"Note: {bond.detail}."
    more = "reads the proposal, too" if terms.is_native else "reads the proposal and tries the token out, too"
    yield f"Note: `llamafund inspect {client.address}` {more}."
