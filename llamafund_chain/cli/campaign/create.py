"""`llamafund campaign create`: publish a proposal and open a campaign."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import AnswerCost, told_cost
from llamafund_chain.campaign.arbiter import arbiter_at
from llamafund_chain.campaign.factory import create_campaign, created_in
from llamafund_chain.campaign.file import read
from llamafund_chain.chain.coins import format_coin
from llamafund_chain.chain.data_fees import DataFeeUnknownError
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.tokens import asset_at
from llamafund_chain.checks.baselines import check_promise
from llamafund_chain.checks.check import CheckResult
from llamafund_chain.checks.proposal import named_recipe, require_secret_keys
from llamafund_chain.checks.risks import arbiter_risks
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    DEFAULT_RECIPE,
    HASH,
    ask,
    json_option,
    recipe_option,
    rpc_option,
    store_option,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.cli.sending import sender_for
from llamafund_chain.cli.shared import (
    open_chain,
    receipt_facts,
    receipt_rows,
    risks_of,
    sent_through,
    terms_facts,
    terms_lines,
)
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, ProposalManifest
from llamafund_chain.store import MissingContentError, Store, open_store
from llamafund_chain.store.content import publish_manifest


@click.command(short_help="Publish a proposal and open a campaign.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--salt", type=HASH, default=None, help="Tells campaigns with equal terms apart; random by default.")
@click.option(
    "--accept-low-bond", is_flag=True, help="Open the campaign even if min_bond is less than an answer costs today."
)
@click.option(
    "--accept-weak-promise",
    is_flag=True,
    help="Open the campaign even if a model that only counts letters keeps its promise.",
)
@recipe_option
@rpc_option
@signer_options
@store_option
@yes_option
@json_option
def create(
    file: Path,
    salt: str | None,
    accept_low_bond: bool,
    accept_weak_promise: bool,
    recipe: Path | None,
    rpc: str,
    signer: Signer,
    store: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish the proposal in FILE with the recipe that it names, and open a campaign with its terms.

    FILE is YAML with the sections proposal and terms. The wallet must be the proposal's researcher. Nobody can ever
    change the terms afterwards. Times such as +30d are relative to the chain's clock.

    If FILE gives no min_bond, it is 1.5 times what an answer to a challenge costs on this chain today, data fee
    included. If it gives less than that cost, nothing is opened: whoever answers would lose money.

    The last milestone's min_score must be beyond what counting letters reaches on the dataset in the store, or on
    English text if there is none. A promise that a model without training keeps binds nobody.

    \b
    Example:
      llamafund campaign create llama.yaml --wallet rosa
    """
    draft, place = read(file), open_store(store)
    connection = open_chain(rpc)
    sender = sender_for(connection)
    if_interrupted(sent_through(sender))
    connection.deployment()
    now = connection.timestamp()
    cost = told_cost(connection)
    proposal, terms = draft.complete(
        now=now,
        asset_of=lambda address: asset_at(connection, address),
        propose_bond=lambda: _proposed_bond(cost),
    )
    training = _recipe_of(proposal, recipe or file.parent / DEFAULT_RECIPE, place)
    chain_id = connection.chain_id
    require_secret_keys(terms, chain_id)
    if not accept_low_bond:
        _check_bond(terms.min_bond, cost, chain_id)
    if not accept_weak_promise:
        check_promise(terms, proposal.outcome, place)
    asset = asset_at(connection, terms.asset)
    note("\n".join([f"“{proposal.title}”", *terms_lines(terms, asset, connection.chain_id)]))
    judged: list[CheckResult] = []
    if terms.arbiter is not None:
        arbiter = arbiter_at(connection, terms.arbiter)
        judged = list(arbiter_risks(terms, arbiter, pledge=0, asset=asset))
    risks = risks_of(terms, asset, connection.chain_id, cost=cost, unreleased=terms.goal, arbiter=judged)
    note("\n".join(risks.lines))
    # After the terms: whoever finds a mistake in them need not type a passphrase.
    account = signer.unlock()
    if account.address != terms.researcher:
        raise ContractRefusedError(
            f"The wallet is {account.address}",
            f"The proposal's researcher is {terms.researcher}, and only the researcher may open the campaign",
            "Use the researcher's wallet, or correct the file",
        )
    chosen = secrets.token_hex(32) if salt is None else salt

    def agree() -> None:
        ask("Open this campaign? Its terms can never change", yes=yes)
        progress("Publishing the proposal")
        if training is not None:
            place.pin(place.put_bytes(training).cid)
        publish_manifest(place, proposal)
        if_interrupted(sent_through(sender, f"the proposal is published in {place.location}, but nothing was sent"))
        progress("Opening the campaign")

    address, receipt = create_campaign(
        connection, account, terms, chosen, wording=proposal.wording, sender=sender, agree=agree
    )
    created = created_in(receipt, connection.deployment().factory)
    if created is not None:
        chosen = created.salt
        if created.terms != terms:
            terms = created.terms
            note(
                "\n".join(["This campaign was opened earlier, with other terms:", *terms_lines(terms, asset, chain_id)])
            )
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "campaign": address,
        "proposal": terms.proposal,
        "salt": chosen,
        "terms": terms_facts(terms, asset),
        **receipt_facts(receipt),
    }
    lines = rows(
        (
            ("campaign", address),
            ("proposal", terms.proposal),
            ("salt", chosen),
            *receipt_rows(receipt, connection.chain_id),
        )
    )
    emit("campaign create", facts, lines, as_json=as_json)


def _recipe_of(proposal: ProposalManifest, recipe: Path, place: Store) -> bytes | None:
    """The recipe that the proposal names; `None` if it names none. A copy in the store may be unpinned, or rotten.

    Raises:
        UsageError: It is neither sound in the store nor in the file: backers could not read what they pay for.
        LlamafundError: The store does not answer.
    """
    if proposal.recipe is None:
        return None
    cid = raw_cid(proposal.recipe)
    # An IPFS node would ask all others for what it does not have, which can take minutes.
    if place.has(cid):
        with suppress(MissingContentError, VerificationError):
            return place.read(cid, limit=MAX_MANIFEST_BYTES)
    return named_recipe(proposal.recipe, recipe)


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
