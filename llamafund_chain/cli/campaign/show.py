"""`llamafund campaign show`: what a campaign promises, and where it stands."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import arbiter_of
from llamafund_chain.campaign.client import check_recorded
from llamafund_chain.campaign.events import MilestoneAttested, UpdatePosted
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.updates import PostedUpdate, find_updates
from llamafund_chain.checks.risks import unreleased_of
from llamafund_chain.cli.options import (
    ADDRESS,
    json_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.shared import (
    arbiter_facts,
    arbiter_results,
    arbiter_rows,
    content_facts,
    content_rows,
    open_campaign,
    risks_of,
    state_facts,
    state_rows,
    terms_facts,
    terms_lines,
)
from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.several import open_stores

_UPDATES_SHOWN = 10


@click.command(short_help="Show what a campaign promises and where it stands.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@rpc_option
@stores_option
@json_option
def show(address: str, rpc: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Show what the campaign at ADDRESS promises and where it stands.

    First proves that the address is a campaign of the factory. The proposal's text comes from the store, if the store
    has it; everything else comes from the chain.

    \b
    Example:
      llamafund campaign show 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    store = open_stores(stores)
    client = open_campaign(rpc, address)
    terms, asset, (latest, settled) = client.terms, client.asset, client.heads
    state, before = client.states(latest, settled) if settled is not None else (client.state(latest), None)
    title: str | None
    try:
        title = fetch_manifest(store, terms.proposal, ProposalManifest).title
        heading = f"“{title}”"
    except LlamafundError as error:
        title, heading = None, f"The proposal could not be read: {error}"
    count, attestation = 0, None
    posted = deque[UpdatePosted](maxlen=_UPDATES_SHOWN)
    for event in client.each_event(last=latest, only=(UpdatePosted, MilestoneAttested)):
        if isinstance(event, UpdatePosted):
            count += 1
            posted.appendleft(event)
        elif isinstance(event, MilestoneAttested):
            attestation = event.attestation
    check_recorded(attestation, bytes.fromhex(state.latest_content))
    updates = find_updates(client, store, posted)
    final = None if settled is None else _is_final(state, before)
    chain_id = client.connection.chain_id
    unreleased = unreleased_of(terms, state)
    identity, arbiter = client.verify_code(), arbiter_of(client, state.block)
    judged = arbiter_results(client, arbiter, state.block)
    cost = told_cost(client.connection)
    risks = risks_of(terms, asset, chain_id, cost=cost, unreleased=unreleased, arbiter=judged)
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": address,
        "salt": identity.salt,
        "factory": identity.factory,
        "title": title,
        "final": final,
        "terms": terms_facts(terms, asset),
        **risks.facts,
        **state_facts(terms, asset, state),
        **content_facts(attestation),
        **arbiter_facts(arbiter),
        "updates": count,
        "latest_updates": [
            {
                "update": one.sha256,
                "block": one.block,
                "title": None if one.manifest is None else one.manifest.title,
                "problem": one.problem or None,
            }
            for one in updates
        ],
    }
    pairs = [*state_rows(terms, asset, state), *content_rows(attestation), *arbiter_rows(arbiter)]
    pairs += _update_rows(count, updates)
    lines = [heading, "", *terms_lines(terms, asset, chain_id), "", *rows(pairs), ""]
    lines += risks.lines
    if final is False:
        lines.append("Note: This is the latest state; part of it is not final yet.")
    emit("campaign show", facts, lines, as_json=as_json)


def _update_rows(count: int, updates: Sequence[PostedUpdate]) -> list[tuple[str, str]]:
    """The latest updates, as rows of text; none if there are none."""
    pairs = [("updates", f"{count}; `llamafund manifest show HASH` prints one")] if count else []
    pairs += [
        (
            f"  block {one.block}",
            f"{one.sha256} cannot be read: {one.problem}"
            if one.manifest is None
            else f"{one.sha256} “{one.manifest.title}”",
        )
        for one in updates
    ]
    if count > len(updates):
        pairs.append(("", f"and {count - len(updates)} earlier ones"))
    return pairs


def _is_final(state: CampaignState, settled: CampaignState | None) -> bool:
    """Whether the state shown is also the finalized one, which is `None` if the campaign did not exist then."""
    if settled is None:
        return False
    then = dataclasses.replace(settled, block=state.block, block_hash=state.block_hash, timestamp=state.timestamp)
    return then == state
