"""`llamafund mine`: what an account has in all campaigns, and what waits for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.mine import Part, Step, parts_of
from llamafund_chain.campaign.overview import Overview, overview
from llamafund_chain.chain.keyfile import read_key_file
from llamafund_chain.chain.networks import chain_title
from llamafund_chain.chain.tokens import Asset, coin_of
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.options import (
    ACCOUNT,
    ADDRESS,
    json_option,
    keystore_option,
    open_keystore,
    rpc_option,
    stores_option,
)
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.shared import account_named, open_chain
from llamafund_chain.cli.titles import Titles
from llamafund_chain.deployment import addresses
from llamafund_chain.errors import UsageError
from llamafund_chain.text import counted, printable
from llamafund_chain.times import when_and_how_far

_SOON = 3 * 86_400
_TITLE_SHOWN = 80
_ORDER = {"money": 0, "duty": 1, "choice": 2}


@click.command(short_help="Show what you have in all campaigns, and what waits for you.")
@click.option(
    "--backer", type=ACCOUNT, metavar="ADDRESS|NAME", help="The account, even as an ENS name; it can be anybody's."
)
@click.option(
    "--wallet",
    envvar="LLAMAFUND_WALLET",
    metavar="NAME",
    default=None,
    show_envvar=True,
    help="The account of this key file: its name, or its path. No passphrase is needed.",
)
@keystore_option
@stores_option
@rpc_option
@facts_option
@json_option
def mine(
    backer: str | None,
    wallet: str | None,
    keystore: Path | None,
    stores: tuple[str, ...],
    rpc: str,
    as_json: bool,
) -> None:
    """Show what an account has in all campaigns of this chain: pledges, votes, refunds, bonds and payouts.

    First comes what waits for it, each with the command to run: money to collect, and what is due. Then what it can
    do if it wants to.

    \b
    Example:
      llamafund mine --wallet alice
    """
    given, option = (backer, "") if backer is not None else _of_wallet(wallet, keystore)
    titles = Titles(stores, fetch=False)
    connection = open_chain(rpc)
    _, latest, _ = connection.look_at(addresses.predicted().factory)
    account = account_named(connection, given, latest)
    found = overview(connection, latest)
    campaigns = [one for one in found if isinstance(one, Overview)]
    parts = parts_of(connection, campaigns, account, latest)
    named = [(part, titles.of(part.seen.created.proposal)) for part in parts]
    coin = coin_of(connection)
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "account": account,
        "block": latest.number,
        "timestamp": latest.timestamp,
        "campaigns": [_facts(part, title, coin) for part, title in named],
    }
    waiting = sorted(
        ((step, part) for part in parts for step in part.steps() if step.urgency != "choice"),
        key=lambda pair: (_ORDER[pair[0].urgency], pair[0].until),
    )
    lines = [f"{account} on {chain_title(connection.chain_id)}", ""]
    if not parts:
        lines.append("This account has no part in a campaign of this chain.")
    else:
        lines.append("Waits for you" if waiting else "Nothing waits for you.")
        for step, _ in waiting:
            lines += _step_lines(step, latest.timestamp, option)
    for part, title in named:
        lines += ["", *_part_lines(part, title, coin, option)]
    emit("mine", facts, lines, as_json=as_json)
    if len(campaigns) < len(found):
        note(f"Note: {counted(len(found) - len(campaigns), 'campaign')} cannot be read; `campaign list` says why.")


def _of_wallet(wallet: str | None, keystore: Path | None) -> tuple[str, str]:
    """A wallet's account, and the option that names the wallet.

    Raises:
        UsageError: No wallet was named, there is none, or its key file does not say which account it is of.
    """
    if wallet is None:
        raise UsageError(
            "Nobody was named", "This shows what one account has", "Name it with --wallet NAME or --backer ADDRESS"
        )
    stated = read_key_file(open_keystore(keystore).locate(wallet)).address
    if stated is None:
        raise UsageError(
            f"The key file of {wallet!r} does not say which account it is of",
            "Some programs leave the address out",
            "Name the account with --backer ADDRESS",
        )
    return ADDRESS.convert(stated, None, None), f" --wallet {shlex.quote(wallet)}"


def _facts(part: Part, title: str | None, coin: Asset) -> JsonValue:
    seen, asset = part.seen, part.seen.asset
    return {
        "campaign": seen.client.address,
        "title": title,
        "status": seen.progress.status.label,
        "asset": asset.symbol,
        "asset_address": None if asset.is_native else asset.address,
        "roles": [*part.roles],
        "pledge": asset.plain(part.pledge),
        "refundable": asset.plain(part.refundable),
        "refunded": asset.plain(part.refunded),
        "votes_to_stop": part.votes_to_stop,
        "votes_from": part.votes_from or None,
        "bonds": [{"milestone": one.milestone, "chunk": one.chunk, "bond": coin.plain(one.bond)} for one in part.bonds],
        "payouts": [
            {"payee": one.payee, "claimable": asset.plain(one.claimable), "claimed": asset.plain(one.claimed)}
            for one in part.payouts
        ],
        "steps": [
            {
                "urgency": step.urgency,
                "what": step.what,
                "command": f"llamafund {step.command}",
                "opens": step.opens or None,
                "until": step.until or None,
            }
            for step in part.steps()
        ],
    }


def _step_lines(step: Step, now: int, option: str) -> Iterator[str]:
    opens = f" from {when_and_how_far(step.opens, now)}" if step.opens else ""
    until = f" before {when_and_how_far(step.until, now)}" if step.until else ""
    soon = "Soon: " if step.until and step.until - now < _SOON else ""
    yield f"  {soon}{step.what}{opens}{until}"
    yield f"    llamafund {step.command}{option}"


def _part_lines(part: Part, title: str | None, coin: Asset, option: str) -> Iterator[str]:
    seen, asset = part.seen, part.seen.asset
    told = "no title found" if title is None else f"“{printable(title, _TITLE_SHOWN)}”"
    yield f"{seen.client.address}  {seen.progress.status.label}  {told}"
    pairs = [("you are", ", ".join(part.roles))]
    if not asset.is_native:
        # Any token can call itself ETH.
        pairs.append(("asset", f"{asset.name} (token {asset.address})"))
    if part.pledge:
        votes = ", which votes to stop" if part.votes_to_stop else ""
        pairs.append(("pledged", f"{asset.format(part.pledge)}{votes}"))
    if part.refunded:
        pairs.append(("refunded", asset.format(part.refunded)))
    if part.refundable:
        pairs.append(("can be refunded", asset.format(part.refundable)))
    pairs += [(f"bond for chunk {one.chunk}", coin.format(one.bond)) for one in part.bonds]
    pairs += [
        (f"payee {one.payee} got", f"{asset.format(one.claimed)}; can claim {asset.format(one.claimable)}")
        for one in part.payouts
    ]
    yield from (f"  {line}" for line in rows(pairs))
    choices = [step for step in part.steps() if step.urgency == "choice"]
    if choices:
        yield "  You can"
        for step in choices:
            yield from (f"  {line}" for line in _step_lines(step, seen.progress.timestamp, option))
