"""`llamafund campaign list`: the campaigns of a chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from pydantic import JsonValue

from llamafund_chain.campaign.overview import Overview, Unreadable, overview
from llamafund_chain.campaign.state import Deadline
from llamafund_chain.campaign.terms import Status
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.options import ACCOUNT, json_option, rpc_option, stores_option
from llamafund_chain.cli.output import emit, note
from llamafund_chain.cli.shared import account_named, open_chain
from llamafund_chain.cli.titles import Titles
from llamafund_chain.deployment import addresses
from llamafund_chain.text import bar, counted, printable
from llamafund_chain.times import when_and_how_far

STATUSES = tuple(status.label.lower() for status in Status)

_TITLE_SHOWN = 80
_DEADLINES = {
    "funding": "takes pledges until",
    "milestone": "milestone {} is due before",
    "answer": "a challenge must be answered before",
    "release": "the last tranche is released at",
}
_NEVER = 1 << 40


@dataclass(frozen=True)
class _Entry:
    """A campaign with its title, which is `None` if it was not found."""

    seen: Overview
    title: str | None

    @property
    def deadline(self) -> Deadline | None:
        return self.seen.progress.next_deadline(self.seen.client.terms)


_ORDERS: dict[str, Callable[[_Entry], Any]] = {
    "created": lambda entry: (entry.seen.created.block, entry.seen.created.log_index),
    "deadline": lambda entry: entry.deadline.at if entry.deadline else _NEVER,
    "progress": lambda entry: -(entry.seen.progress.pledged / entry.seen.client.terms.goal),
    "title": lambda entry: (entry.title is None, (entry.title or "").casefold()),
}
"""What to sort by. Amounts of different assets have no order."""


@click.command("list", short_help="List the campaigns of a chain.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES, case_sensitive=False),
    multiple=True,
    help="Only campaigns with this status; repeatable.",
)
@click.option("--open", "only_open", is_flag=True, help="Only campaigns that take pledges now.")
@click.option("--asset", metavar="ASSET", help="Only campaigns in this asset: a token's address, or a symbol.")
@click.option(
    "--researcher", type=ACCOUNT, metavar="ADDRESS|NAME", help="Only campaigns of this researcher, even as an ENS name."
)
@click.option("--text", metavar="WORDS", help="Only campaigns with these words in their title or address.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(tuple(_ORDERS)),
    default="created",
    show_default=True,
    help="What to sort by; the oldest, the next deadline or the best funded comes first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--fetch-titles", is_flag=True, help="Fetch titles that are in no directory from other stores, too.")
@stores_option
@rpc_option
@facts_option
@json_option
def list_(
    statuses: Sequence[str],
    only_open: bool,
    asset: str | None,
    researcher: str | None,
    text: str | None,
    order: str,
    reverse: bool,
    fetch_titles: bool,
    stores: tuple[str, ...],
    rpc: str,
    as_json: bool,
) -> None:
    """List the campaigns that the factory opened on this chain, oldest first.

    A title is what the researcher's proposal says. It is shown if the proposal is in a directory that --store names.
    Any token can have any symbol; only its address says which one it is.

    \b
    Example:
      llamafund campaign list --open --sort deadline --rpc http://127.0.0.1:8545
    """
    titles = Titles(stores, fetch=fetch_titles)
    connection = open_chain(rpc)
    _, latest, _ = connection.look_at(addresses.predicted().factory)
    if researcher is not None:
        researcher = account_named(connection, researcher, latest)
    found = overview(connection, latest)
    unreadable = [one for one in found if isinstance(one, Unreadable)]
    kept = [
        one
        for one in found
        if isinstance(one, Overview)
        and (not statuses or one.progress.status.label.lower() in statuses)
        and (not only_open or one.progress.takes_pledges(one.client.terms))
        and (asset is None or asset.casefold() in (one.asset.address.casefold(), one.asset.name.casefold()))
        and (researcher is None or one.created.researcher == researcher)
    ]
    entries = [_Entry(one, titles.of(one.created.proposal)) for one in kept]
    if text is not None:
        wanted = text.casefold().split()
        entries = [entry for entry in entries if all(word in _words(entry) for word in wanted)]
    entries.sort(key=_ORDERS[order], reverse=reverse)
    filtered = bool(statuses or only_open or asset or researcher or text)
    told = [] if filtered else unreadable
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "block": latest.number,
        "timestamp": latest.timestamp,
        "total": len(found),
        "campaigns": [*map(_facts, entries), *map(_unreadable_facts, told)],
    }
    emit("campaign list", facts, _lines(entries, told, total=len(found)), as_json=as_json)
    if filtered and unreadable:
        note(f"Note: {counted(len(unreadable), 'campaign')} cannot be read; without a filter the list says why.")
    for problem in titles.problems:
        note(f"Note: {problem}.")


def _words(entry: _Entry) -> str:
    return f"{entry.title or ''} {entry.seen.client.address}".casefold()


def _facts(entry: _Entry) -> JsonValue:
    seen, deadline = entry.seen, entry.deadline
    terms, progress = seen.client.terms, seen.progress
    return {
        "campaign": seen.client.address,
        "title": entry.title,
        "researcher": seen.created.researcher,
        "proposal": seen.created.proposal,
        "salt": seen.created.salt,
        "block": seen.created.block,
        "status": progress.status.label,
        "takes_pledges": progress.takes_pledges(terms),
        "pledged": seen.asset.plain(progress.pledged),
        "goal": seen.asset.plain(terms.goal),
        "cap": seen.asset.plain(terms.cap),
        "asset": seen.asset.symbol,
        "asset_address": None if seen.asset.is_native else seen.asset.address,
        "attested": progress.attested,
        "milestones": len(terms.milestones),
        "deadline": None if deadline is None else {"what": deadline.what, "at": deadline.at},
        "problem": None,
    }


def _unreadable_facts(one: Unreadable) -> JsonValue:
    created = one.created
    known: dict[str, JsonValue] = {
        "campaign": created.campaign,
        "title": None,
        "researcher": created.researcher,
        "proposal": created.proposal,
        "salt": created.salt,
        "block": created.block,
        "problem": one.problem,
    }
    unknown = ("status", "takes_pledges", "pledged", "goal", "cap", "asset", "asset_address")
    return {**known, **dict.fromkeys((*unknown, "attested", "milestones", "deadline"))}


def _lines(entries: Sequence[_Entry], unreadable: Iterable[Unreadable], *, total: int) -> list[str]:
    lines = [line for entry in entries for line in (*_entry_lines(entry), "")]
    lines += [f"{one.created.campaign}  cannot be read: {one.problem}" for one in unreadable]
    if lines:
        return lines if lines[-1] else lines[:-1]
    if total:
        return [f"None of the {counted(total, 'campaign')} on this chain is as you asked for."]
    return ["There are no campaigns on this chain."]


def _entry_lines(entry: _Entry) -> list[str]:
    seen, deadline = entry.seen, entry.deadline
    terms, progress, asset = seen.client.terms, seen.progress, seen.asset
    title = "no title found" if entry.title is None else f"“{printable(entry.title, _TITLE_SHOWN)}”"
    share = f"{progress.pledged * 100 // terms.goal} %"
    amounts = f"{asset.plain(progress.pledged)} of {asset.format(terms.goal)}"
    steps = f"{progress.attested} of {counted(len(terms.milestones), 'milestone')}"
    lines = [
        f"{seen.client.address}  {progress.status.label:<9}  {title}",
        f"  {bar(progress.pledged, terms.goal)} {share}  {amounts}  {steps}  by {seen.created.researcher}",
    ]
    if not asset.is_native:
        # Any token can call itself ETH.
        lines.append(f"  {asset.name} is the token {asset.address}")
    if deadline is not None:
        what = _DEADLINES[deadline.what].format(progress.attested)
        lines.append(f"  {what} {when_and_how_far(deadline.at, progress.timestamp)}")
    return lines
