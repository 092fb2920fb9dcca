"""`llamafund campaign`: open, show, list and activate campaigns."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.options import (
    ADDRESS,
    HASH,
    ask,
    json_option,
    rpc_option,
    store_option,
    unlock,
    wallet_options,
    yes_option,
)
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.errors import LlamafundError, UsageError

if TYPE_CHECKING:
    from llamafund_chain.campaign.client import CampaignClient
    from llamafund_chain.campaign.state import CampaignState


@click.group()
def campaign() -> None:
    """Open, look at and activate campaigns."""


@campaign.command(short_help="Publish a proposal and open a campaign.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--salt", type=HASH, default=None, help="Tells apart campaigns with equal terms; random by default.")
@rpc_option
@wallet_options
@store_option
@yes_option
@json_option
def create(
    file: Path,
    salt: str | None,
    rpc: str,
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    store: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish the proposal in FILE and open a campaign with its terms.

    FILE is YAML with the sections proposal and terms; the wallet must be the proposal's researcher. Terms can never
    be changed afterwards. Relative times such as +30d count from the chain's clock.

    \b
    Example:
      llamafund campaign create llama.yaml --wallet rosa
    """
    from llamafund_chain.campaign.client import connect
    from llamafund_chain.campaign.factory import create_campaign
    from llamafund_chain.campaign.file import load
    from llamafund_chain.chain.tokens import asset_at
    from llamafund_chain.cli.shared import receipt_facts, terms_facts, terms_lines, warnings
    from llamafund_chain.store import open_store
    from llamafund_chain.store.content import publish_manifest

    connection = connect(rpc)
    connection.deployment()
    now = connection.timestamp()
    proposal, terms = load(file, now=now, decimals_of=lambda address: asset_at(connection, address).decimals)
    terms.validate(now)
    asset = asset_at(connection, terms.asset)
    account = unlock(wallet, keystore, passphrase_file)
    if account.address != terms.researcher:
        raise UsageError(
            f"The wallet {wallet} is {account.address}",
            f"The proposal's researcher is {terms.researcher}, and nobody may open a campaign in another's name",
            "Use the researcher's wallet, or correct the file",
        )
    note("\n".join([f"“{proposal.title}”", *terms_lines(terms, asset)]))
    for warning in warnings(terms, asset):
        note(f"Note: {warning}.")
    ask("Open this campaign? Its terms can never be changed", yes=yes)
    progress("Publishing the proposal")
    publish_manifest(open_store(store), proposal)
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
            ("transaction", f"0x{receipt.tx_hash}"),
            ("block", str(receipt.block)),
        )
    )
    emit("campaign create", facts, lines, as_json=as_json)


@campaign.command(short_help="Show what a campaign promises and where it stands.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@rpc_option
@store_option
@json_option
def show(address: str, rpc: str, store: str, as_json: bool) -> None:
    """Show what the campaign at ADDRESS promises and where it stands.

    The address is first proven to be a campaign of the one factory. The proposal's words come from the store, if it
    has them; everything else comes from the chain.

    \b
    Example:
      llamafund campaign show 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    from llamafund_chain.cli.shared import (
        content_facts,
        content_lines,
        open_campaign,
        state_facts,
        state_lines,
        terms_facts,
        terms_lines,
        warnings,
    )
    from llamafund_chain.evidence.manifests import ProposalManifest
    from llamafund_chain.store import open_store
    from llamafund_chain.store.content import fetch_manifest

    client = open_campaign(rpc, address)
    terms, asset, state = client.terms, client.asset, client.state()
    title: str | None
    try:
        title = fetch_manifest(open_store(store), terms.proposal, ProposalManifest).title
        heading = f"“{title}”"
    except LlamafundError as error:
        title, heading = None, f"The proposal could not be read: {error}"
    attestation = client.latest_attestation(state.block) if state.attested else None
    final = _is_final(client, state)
    thoughts = warnings(terms, asset)
    identity = client.verify_code()
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": address,
        "salt": identity.salt,
        "factory": identity.factory,
        "title": title,
        "final": final,
        "terms": terms_facts(terms, asset),
        "warnings": [*thoughts],
        **state_facts(terms, asset, state),
        **content_facts(attestation),
    }
    if final is False:
        thoughts = [*thoughts, "This is the latest state; a part of it is not final yet"]
    lines = [heading, "", *terms_lines(terms, asset), "", *state_lines(terms, asset, state)]
    lines += [*content_lines(attestation), ""]
    lines += [f"Note: {thought}." for thought in thoughts]
    emit("campaign show", facts, lines, as_json=as_json)


@campaign.command("list", short_help="List the campaigns of a chain.")
@rpc_option
@json_option
def list_(rpc: str, as_json: bool) -> None:
    """List the campaigns that the factory opened on this chain, oldest first.

    \b
    Example:
      llamafund campaign list --rpc http://127.0.0.1:8545
    """
    from llamafund_chain.campaign.client import CampaignClient, connect
    from llamafund_chain.campaign.factory import list_campaigns

    connection = connect(rpc)
    entries: list[JsonValue] = []
    lines: list[str] = []
    for event in list_campaigns(connection):
        client = CampaignClient(connection, event.campaign, event.salt)
        entry: dict[str, JsonValue] = {
            "campaign": event.campaign,
            "researcher": event.researcher,
            "proposal": event.proposal,
            "salt": event.salt,
            "block": event.block,
            "status": None,
            "pledged": None,
            "goal": None,
            "asset": None,
        }
        try:
            client.verify_code()
            state, asset = client.state(), client.asset
        except LlamafundError as error:
            # One campaign in a broken token must not hide the others.
            lines.append(f"{event.campaign}  cannot be read: {error}")
        else:
            entry |= {
                "status": state.status.label,
                "pledged": asset.plain(state.pledged),
                "goal": asset.plain(client.terms.goal),
                "asset": asset.symbol,
            }
            amounts = f"{asset.plain(state.pledged)} of {asset.format(client.terms.goal)}"
            lines.append(f"{event.campaign}  {state.status.label:<9}  {amounts}  by {event.researcher}")
        entries.append(entry)
    facts: dict[str, JsonValue] = {"chain": connection.caip2, "campaigns": entries}
    emit("campaign list", facts, lines or ["There are no campaigns on this chain."], as_json=as_json)


@campaign.command(short_help="Close funding and start a campaign.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@rpc_option
@wallet_options
@json_option
def activate(
    address: str, rpc: str, wallet: str | None, keystore: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Close funding and start the campaign at ADDRESS; publishes the training seed.

    Anyone may once the funding deadline has passed with the goal met, or the cap is reached; the researcher may as
    soon as the goal is met.

    \b
    Example:
      llamafund campaign activate 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet rosa
    """
    from llamafund_chain.cli.shared import open_campaign, report

    client = open_campaign(rpc, address)
    account = unlock(wallet, keystore, passphrase_file)
    receipt = client.activate(account)
    state = client.state(receipt.block)
    facts: dict[str, JsonValue] = {
        "pledged": client.asset.plain(state.pledged),
        "training_seed": state.training_seed,
    }
    sentence = f"Active with {client.asset.format(state.pledged)}. Training seed: {state.training_seed}"
    report("campaign activate", client, receipt, facts, sentence, as_json=as_json)


def _is_final(client: CampaignClient, state: CampaignState) -> bool | None:
    """Whether the state shown is also the finalized one; `None` when the chain does not tell."""
    try:
        block = client.connection.block("finalized").number
        if not client.exists_at(block):
            return False
        settled = client.state(block)
    except LlamafundError:
        return None
    then = dataclasses.replace(settled, block=state.block, block_hash=state.block_hash, timestamp=state.timestamp)
    return then == state
