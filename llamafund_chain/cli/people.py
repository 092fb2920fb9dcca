"""`llamafund people`: an account's track record, from the chain alone."""

from __future__ import annotations

from collections.abc import Iterator

import click
from pydantic import JsonValue

from llamafund_chain.campaign.overview import Overview, overview
from llamafund_chain.campaign.records import NUMBERS, Number, Record, records_of
from llamafund_chain.chain.networks import address_url, chain_title, transaction_url
from llamafund_chain.cli.facts import facts_option
from llamafund_chain.cli.options import ACCOUNT, json_option, rpc_option
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.shared import account_named, open_chain
from llamafund_chain.deployment import addresses
from llamafund_chain.text import counted
from llamafund_chain.times import duration

_SHOWN = 3
"""Events of a number on the terminal."""

_ROLES = {
    "researcher": "As a researcher",
    "attestor": "As an attestor",
    "payee": "As a payee",
    "backer": "As a backer or challenger",
}


@click.command(short_help="Show the track record of a researcher, attestor, payee or backer.")
@click.argument("account", type=ACCOUNT, metavar="ADDRESS|NAME")
@rpc_option
@facts_option
@json_option
def people(account: str, rpc: str, as_json: bool) -> None:
    """Show what ADDRESS did in all campaigns of this chain, from the chain alone.

    For each of its roles: campaigns and how they ended, deadlines kept and missed, slack used, challenges answered and
    lost, attestations contradicted later, and money moved. Each number names the transactions that it counts; --json
    has all of them.

    A record says what happened, not why, and an account without one is only new: anybody can make another.

    \b
    Example:
      llamafund people 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    connection = open_chain(rpc)
    _, latest, _ = connection.look_at(addresses.predicted().factory)
    address = account_named(connection, account, latest)
    found = overview(connection, latest)
    campaigns = [one for one in found if isinstance(one, Overview)]
    records = records_of(connection, campaigns, [address], latest)[address]
    facts: dict[str, JsonValue] = {
        "chain": connection.caip2,
        "account": address,
        "block": latest.number,
        "timestamp": latest.timestamp,
        "campaigns_looked_at": len(campaigns),
        "records": [_facts(record) for record in records],
    }
    looked = f"{counted(len(campaigns), 'campaign')} up to block {latest.number}"
    lines = [
        f"{address} on {chain_title(connection.chain_id)}, in {looked}",
        *([url] if (url := address_url(connection.chain_id, address)) else []),
    ]
    if not records:
        lines += ["", "This account has no part in a campaign of this chain. That says nothing about it."]
    for record in records:
        lines += ["", _ROLES[record.role], *_lines(record, connection.chain_id)]
    emit("people", facts, lines, as_json=as_json)
    if len(campaigns) < len(found):
        note(f"Note: {counted(len(found) - len(campaigns), 'campaign')} cannot be read; `campaign list` says why.")


def _facts(record: Record) -> JsonValue:
    return {
        "role": record.role,
        "campaigns": [*record.campaigns],
        "numbers": [
            {
                "name": number.name,
                "unit": number.unit,
                "value": str(number.value) if number.asset is None else number.asset.plain(number.value),
                "asset": None if number.asset is None else number.asset.symbol,
                "asset_address": None if number.asset is None or number.asset.is_native else number.asset.address,
                "events": [
                    {"campaign": one.campaign, "what": one.what, "block": one.block, "transaction": one.tx_hash}
                    for one in number.events
                ],
            }
            for number in record.numbers
        ],
    }


def _lines(record: Record, chain_id: int) -> Iterator[str]:
    for number, line in zip(record.numbers, rows(map(_named, record.numbers)), strict=True):
        yield f"  {line}"
        for one in number.events[:_SHOWN]:
            where = transaction_url(chain_id, one.tx_hash) or f"transaction 0x{one.tx_hash}"
            yield f"    {one.what}, {one.campaign}, block {one.block}, {where}"
        if len(number.events) > _SHOWN:
            yield f"    {len(number.events) - _SHOWN} more: --json lists them"


def _named(number: Number) -> tuple[str, str]:
    return NUMBERS[number.name], duration(number.value) if number.unit == "seconds" else number.shown
