"""`llamafund campaign show`: what a campaign promises, and where it stands."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import sleep

import click
from pydantic import JsonValue

from llamafund_chain.campaign.answer_cost import told_cost
from llamafund_chain.campaign.arbiter import arbiter_of
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.client import CampaignClient, check_recorded
from llamafund_chain.campaign.events import Event, MilestoneAttested, Refunded, UpdatePosted
from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import Status, Terms
from llamafund_chain.campaign.updates import PostedUpdate, find_updates
from llamafund_chain.chain.ens import names_of
from llamafund_chain.checks.risks import unreleased_of
from llamafund_chain.cli.options import (
    ADDRESS,
    Number,
    json_option,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, rows
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
from llamafund_chain.errors import LlamafundError, NodeError, UsageError
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.store import Store
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.several import open_stores
from llamafund_chain.text import counted

_UPDATES_SHOWN = 10
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


@click.command(short_help="Show what a campaign promises and where it stands.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@click.option(
    "--interval",
    type=Number(1, 86_400),
    metavar="SECONDS",
    default=15,
    show_default=True,
    help="How often --watch looks for a change, which takes two requests.",
)
@rpc_option
@stores_option
@json_option
def show(address: str, watch: bool, interval: float, rpc: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Show what the campaign at ADDRESS promises and where it stands.

    First proves that the address is a campaign of the factory. The proposal's text comes from the store, if the store
    has it; everything else comes from the chain. Names in brackets are from ENS; only the address counts.

    \b
    Example:
      llamafund campaign show 0x5FbDB2315678afecb367f032d93F642f64180aa3
      llamafund campaign show 0x5FbDB2315678afecb367f032d93F642f64180aa3 --watch
    """
    if watch and as_json:
        raise UsageError(
            "--watch and --json were both given",
            "--watch is for people",
            "Repeat the command, or use `llamafund watch`",
        )
    store = open_stores(stores)
    client = open_campaign(rpc, address)
    shown = _look(client, store)
    emit("campaign show", shown.facts, shown.lines, as_json=as_json)
    if watch:
        _watch(client, store, shown, interval)


@dataclass(frozen=True)
class _Shown:
    """What is shown. Attributes: unsettled: whether it changes again when its block becomes final."""

    state: CampaignState
    unsettled: bool
    facts: dict[str, JsonValue]
    lines: list[str]


def _watch(client: CampaignClient, store: Store, shown: _Shown, interval: float) -> None:
    """Show a campaign again whenever it changes. A node that fails is asked again, and told of once."""
    failed = False
    while True:
        sleep(interval)
        try:
            latest, settled = client.look_again()
            changed = not _same(client.state(latest), shown.state)
            final = shown.unsettled and settled is not None and settled.number >= shown.state.block
            if changed or final:
                shown = _look(client, store)
                if sys.stdout.isatty():
                    click.echo(_CLEAR, nl=False)
                else:
                    click.echo()
                emit("campaign show", shown.facts, shown.lines, as_json=False)
                sys.stdout.flush()
            failed = False
        except NodeError as error:
            if not failed:
                note(f"Note: {error}")
            failed = True


def _look(client: CampaignClient, store: Store) -> _Shown:
    terms, asset, (latest, settled) = client.terms, client.asset, client.heads
    state, before = client.states(latest, settled) if settled is not None else (client.state(latest), None)
    title, heading = _title(store, terms)
    events = _events(client, state)
    check_recorded(events.attestation, bytes.fromhex(state.latest_content))
    updates = find_updates(client, store, events.posted)
    final = None if settled is None else _is_final(state, before)
    chain_id = client.connection.chain_id
    identity, arbiter = client.verify_code(), arbiter_of(client, state.block)
    risks = risks_of(
        terms,
        asset,
        chain_id,
        cost=told_cost(client.connection),
        unreleased=unreleased_of(terms, state),
        arbiter=arbiter_results(client, arbiter, state.block),
        state=state,
    )
    people = [terms.researcher, *terms.attestors, *(payee.account for payee in terms.payees)]
    names = names_of(client.connection, [*people, *([terms.arbiter] if terms.arbiter else [])], latest)
    facts: dict[str, JsonValue] = {
        "chain": client.connection.caip2,
        "campaign": client.address,
        "salt": identity.salt,
        "factory": identity.factory,
        "title": title,
        "final": final,
        "terms": terms_facts(terms, asset),
        "names": {**names},
        **risks.facts,
        **state_facts(terms, asset, state),
        "refunded": asset.plain(events.refunded),
        "refunds": events.refunds,
        **content_facts(events.attestation),
        **arbiter_facts(arbiter),
        "updates": events.updates,
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
    pairs = state_rows(terms, asset, state)
    if events.refunds:
        pool = asset.format(state.pledged - state.released)
        told = f"{asset.format(events.refunded)} of {pool}, to {counted(events.refunds, 'backer')}"
        pairs.append(("refunded", told))
    pairs += [*content_rows(events.attestation), *arbiter_rows(arbiter), *_update_rows(events.updates, updates)]
    now = state.timestamp if state.status is Status.FUNDING else None
    lines = [heading, "", *terms_lines(terms, asset, chain_id, now=now, names=names), "", *rows(pairs), ""]
    lines += risks.lines
    if final is False:
        lines.append("Note: This is the latest state; part of it is not final yet.")
    return _Shown(state, final is False, facts, lines)


def _title(store: Store, terms: Terms) -> tuple[str | None, str]:
    """The proposal's title, and what to show of it."""
    try:
        title = fetch_manifest(store, terms.proposal, ProposalManifest).title
    except LlamafundError as error:
        return None, f"The proposal could not be read: {error}"
    return title, f"“{title}”"


@dataclass
class _Events:
    """What events tell that the state does not. Amounts are in the asset's smallest unit.

    Attributes:
        updates: Number of updates.
        posted: The latest of them, newest first.
        attestation: The latest.
        refunds: Number of refunds.
        refunded: What they paid.
    """

    updates: int = 0
    posted: deque[UpdatePosted] = field(default_factory=lambda: deque(maxlen=_UPDATES_SHOWN))
    attestation: Attestation | None = None
    refunds: int = 0
    refunded: int = 0


def _events(client: CampaignClient, state: CampaignState) -> _Events:
    seen = _Events()
    kinds: tuple[type[Event], ...] = (UpdatePosted, MilestoneAttested)
    if state.status is Status.FAILED:
        kinds = (*kinds, Refunded)
    for event in client.each_event(last=client.heads[0], only=kinds):
        if isinstance(event, UpdatePosted):
            seen.updates += 1
            seen.posted.appendleft(event)
        elif isinstance(event, MilestoneAttested):
            seen.attestation = event.attestation
        elif isinstance(event, Refunded):
            seen.refunds += 1
            seen.refunded += event.amount
    return seen


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
    return settled is not None and _same(settled, state)


def _same(one: CampaignState, other: CampaignState) -> bool:
    """Whether two states differ at most in their blocks."""
    return dataclasses.replace(one, block=other.block, block_hash=other.block_hash, timestamp=other.timestamp) == other
