"""`llamafund challenge`: challenge a chunk of what was attested, on chain."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.challenges import check_chunk, chunk_at, evidence_of, offset_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import Challenged
from llamafund_chain.cli.options import (
    ADDRESS,
    ask,
    json_option,
    rpc_option,
    stores_option,
    unlock,
    wallet_options,
    yes_option,
)
from llamafund_chain.cli.shared import open_campaign, report
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.store import open_store
from llamafund_chain.times import duration, when


@click.command(short_help="Challenge a chunk of what was attested.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--chunk", type=click.IntRange(0), help="Number of the 16 KiB chunk, from 0.")
@click.option("--offset", type=click.IntRange(0), metavar="BYTE", help="The chunk that holds this byte, from 0.")
@click.option("--file", "path", metavar="PATH", help="The first chunk of this file of the evidence's manifest.")
@click.option("--bond", metavar="AMOUNT", help="In whole coins; by default what is needed and half as much again.")
@rpc_option
@stores_option
@wallet_options
@yes_option
@json_option
def challenge(
    address: str,
    chunk: int | None,
    offset: int | None,
    path: str | None,
    bond: str | None,
    rpc: str,
    stores: tuple[str, ...],
    wallet: str | None,
    keystore: Path,
    passphrase_file: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Challenge one 16 KiB chunk of the content that was attested last at ADDRESS.

    Name the chunk that you could not fetch. Any backer may challenge while the attestation's window is open. The bond
    goes to whoever shows the chunk in time; if nobody does, the campaign fails, every backer is refunded, and the bond
    comes back with `llamafund return-bond`.

    \b
    Example:
      llamafund challenge 0x5FbDB2315678afecb367f032d93F642f64180aa3 --file model.safetensors --wallet ada
    """
    if sum(choice is not None for choice in (chunk, offset, path)) != 1:
        raise UsageError(
            "It is not clear which chunk is meant", remedy="Name it with one of --chunk, --offset and --file"
        )
    client = open_campaign(rpc, address)
    attestation = _attestation(client)
    number = chunk if chunk is not None else _find(attestation, offset, path, stores)
    check_chunk(attestation, number)
    least = client.required_bond()
    # Half as much again: the base fee may rise by an eighth with each block until the transaction is included.
    amount = client.coin.parse(bond) if bond is not None else least + least // 2
    if amount < least:
        raise UsageError(
            f"The bond of {client.coin.format(amount)} is too small",
            f"At the base fee of the moment an answer may cost {client.coin.format(least)}",
            "Offer more, or leave out --bond",
        )
    account = unlock(wallet, keystore, passphrase_file)
    if not client.pledge_of(account.address):
        raise LlamafundError(f"{account.address} has no pledge in this campaign", "Only its backers may challenge")
    client.check_challenge(account.address, attestation, number, amount)
    ask(
        f"Challenge chunk {number} of milestone {attestation.milestone} for a bond of {client.coin.format(amount)}, "
        f"which goes to whoever shows it within {duration(client.terms.answer_window)}?",
        yes=yes,
    )
    receipt = client.challenge(account, attestation, number, amount)
    made = next((e for e in client.events_in(receipt) if isinstance(e, Challenged)), None)
    if made is None:
        raise VerificationError(
            f"Transaction 0x{receipt.tx_hash} is in block {receipt.block}, but its receipt shows no challenge",
            "The node does not show all that happened, or not yet",
            "Do not repeat the command; `llamafund campaign show` tells whether a challenge is open",
        )
    facts: dict[str, JsonValue] = {
        "milestone": made.milestone,
        "chunk": made.chunk,
        "challenger": made.challenger,
        "bond": client.coin.plain(made.bond),
        "answer_by": made.answer_by,
    }
    sentence = (
        f"Challenged chunk {made.chunk} of milestone {made.milestone} for {client.coin.format(made.bond)}; "
        f"unanswered before {when(made.answer_by)}, the campaign fails"
    )
    report("challenge", client, receipt, facts, sentence, as_json=as_json)


def _attestation(client: CampaignClient) -> Attestation:
    attestation = client.latest_attestation()
    if attestation is None:
        raise LlamafundError("Nothing has been attested yet", "There is no content to challenge a chunk of")
    return attestation


def _find(attestation: Attestation, offset: int | None, path: str | None, stores: tuple[str, ...]) -> int:

    if path is None:
        return chunk_at(attestation, offset or 0)
    manifest = evidence_of([open_store(store) for store in stores], attestation)
    return chunk_at(attestation, offset_of(manifest, path))
