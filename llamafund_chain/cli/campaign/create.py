"""`llamafund campaign create`: publish a proposal and open a campaign."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, told_cost
from llamafund_chain.campaign.arbiter import arbiter_at
from llamafund_chain.campaign.client import connect
from llamafund_chain.campaign.factory import create_campaign
from llamafund_chain.campaign.file import read
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.tokens import asset_at
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.risks import arbiter_risks
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    HASH,
    ask,
    json_option,
    rpc_option,
    store_option,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.cli.shared import (
    receipt_facts,
    receipt_rows,
    risks_of,
    sent_through,
    terms_facts,
    terms_lines,
)
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError
from llamafund_chain.store import open_store
from llamafund_chain.store.content import publish_manifest


@click.command(short_help="Publish a proposal and open a campaign.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--salt", type=HASH, default=None, help="Tells campaigns with equal terms apart; random by default.")
@click.option(
    "--accept-low-bond", is_flag=True, help="Open the campaign even if min_bond is less than an answer costs today."
)
@rpc_option
@signer_options
@store_option
@yes_option
@json_option
def create(
    file: Path,
    salt: str | None,
    accept_low_bond: bool,
    rpc: str,
    signer: Signer,
    store: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish the proposal in FILE and open a campaign with its terms.

    FILE is YAML with the sections proposal and terms. The wallet must be the proposal's researcher. Nobody can ever
    change the terms afterwards. Times such as +30d are relative to the chain's clock.

    If FILE gives no min_bond, it is 1.5 times what an answer to a challenge costs on this chain today, data fee
    included. If it gives less than that cost, nothing is opened: whoever answers would lose money.

    \b
    Example:
      llamafund campaign create llama.yaml --wallet rosa
    """
    draft, place = read(file), open_store(store)
    connection = connect(rpc)
    if_interrupted(sent_through(connection))
    connection.deployment()
    now = connection.timestamp()
    cost = told_cost(connection)
    proposal, terms = draft.complete(
        now=now,
        asset_of=lambda address: asset_at(connection, address),
        propose_bond=lambda: _proposed_bond(cost),
    )
    if not accept_low_bond:
        _check_bond(terms.min_bond, cost, connection.chain_id)
    asset = asset_at(connection, terms.asset)
    account = signer.unlock()
    if account.address != terms.researcher:
        raise ContractRefusedError(
            f"The wallet is {account.address}",
            f"The proposal's researcher is {terms.researcher}, and only the researcher may open the campaign",
            "Use the researcher's wallet, or correct the file",
        )
    note("\n".join([f"“{proposal.title}”", *terms_lines(terms, asset, connection.chain_id)]))
    judged: list[CheckResult] = []
    if terms.arbiter is not None:
        arbiter = arbiter_at(connection, terms.arbiter)
        judged = list(arbiter_risks(terms, arbiter, pledge=0, money=asset.format))
    risks = risks_of(terms, asset, connection.chain_id, cost=cost, unreleased=terms.goal, arbiter=judged)
    note("\n".join(risks.lines))
    ask("Open this campaign? Its terms can never change", yes=yes)
    progress("Publishing the proposal")
    publish_manifest(place, proposal)
    if_interrupted(sent_through(connection, f"the proposal is published in {place.location}, but nothing was sent"))
    progress("Opening the campaign")
    chosen = secrets.token_hex(32) if salt is None else salt
    address, receipt = create_campaign(connection, account, terms, chosen)
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "campaign": address,
        "proposal": proposal.sha256,
        "salt": chosen,
        "terms": terms_facts(terms, asset),
        **receipt_facts(receipt),
    }
    lines = rows(
        (
            ("campaign", address),
            ("proposal", proposal.sha256),
            ("salt", chosen),
            *receipt_rows(receipt, connection.chain_id),
        )
    )
    emit("campaign create", facts, lines, as_json=as_json)


def _proposed_bond(cost: AnswerCost | DataFeeUnknownError) -> int:
    """The least bond for a file that gives none, in wei.

    Raises:
        DataFeeUnknownError: What an answer costs could not be told.
    """
    if isinstance(cost, DataFeeUnknownError):
        raise cost
    return cost.proposed_bond


def _check_bond(min_bond: int, cost: AnswerCost | DataFeeUnknownError, chain_id: int) -> None:
    """Refuse a least bond that does not pay for an answer; what could not be told is no reason.

    Raises:
        UsageError: It is less than an answer costs today.
    """
    if isinstance(cost, AnswerCost) and min_bond < cost.wei:
        raise UsageError(
            f"terms.min_bond is {format_coin(min_bond, chain_id)}, but an answer costs "
            f"{format_coin(cost.wei, chain_id)} on this chain today",
            "Whoever answers challenges would lose money, so that a flood of them could fail the campaign",
            f"Leave min_bond out, or write {format_coin(cost.proposed_bond, chain_id)}. Or pass --accept-low-bond",
        )
