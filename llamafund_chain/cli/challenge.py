"""`llamafund challenge`: challenge a chunk of attested content."""

from __future__ import annotations

from collections.abc import Sequence

import click
from pydantic import JsonValue

from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.challenges import check_chunk, chunk_at, evidence_of, offset_of
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import Challenged
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.cli.numbers import COIN_AMOUNT
from llamafund_chain.cli.options import (
    ADDRESS,
    WholeNumber,
    agreement,
    json_option,
    rpc_option,
    stores_option,
    yes_option,
)
from llamafund_chain.cli.shared import open_campaign, report, require_pledge
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError
from llamafund_chain.store import Store, open_store
from llamafund_chain.times import duration, when


@click.command(short_help="Challenge a chunk of attested content.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--chunk", type=WholeNumber(0), help="The 16 KiB chunk's number, from 0.")
@click.option(
    "--offset", type=WholeNumber(0), metavar="BYTE", help="The chunk that contains this byte of the content, from 0."
)
@click.option("--file", "path", metavar="PATH", help="The first chunk of this file in the manifest.")
@click.option("--bond", type=COIN_AMOUNT, metavar="AMOUNT", help="Bond in whole coins; by default 1.5 times the least.")
@rpc_option
@stores_option
@signer_options
@yes_option
@json_option
def challenge(
    address: str,
    chunk: int | None,
    offset: int | None,
    path: str | None,
    bond: int | None,
    rpc: str,
    stores: tuple[str, ...],
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Challenge one 16 KiB chunk of the latest content attested to the campaign at ADDRESS.

    Name a chunk that you could not fetch. Any backer may challenge while the attestation's window is open. The bond
    goes to whoever answers with the chunk in time. If nobody does, the campaign fails, every backer gets a refund, and
    you reclaim the bond with `llamafund return-bond`.

    \b
    Example:
      llamafund challenge 0x5FbDB2315678afecb367f032d93F642f64180aa3 --file model.safetensors --wallet alice
    """
    if sum(choice is not None for choice in (chunk, offset, path)) != 1:
        raise UsageError(
            "It is not clear which chunk you mean", remedy="Name it with one of --chunk, --offset and --file"
        )
    opened = [open_store(store) for store in stores]
    client = open_campaign(rpc, address)
    attestation = _attestation(client)
    number = chunk if chunk is not None else _find(attestation, offset, path, opened)
    check_chunk(attestation, number)
    least = client.required_bond()
    # Half as much more: the base fee may rise by an eighth with each block until the transaction is included.
    amount = bond if bond is not None else least + least // 2
    if amount < least:
        raise ContractRefusedError(
            f"The bond of {client.coin.format(amount)} is too small",
            f"At the current base fee an answer may cost {client.coin.format(least)}",
            "Offer more, or drop --bond",
        )
    account = signer.unlock()
    require_pledge(client, account.address)
    question = (
        f"Challenge chunk {number} of milestone {attestation.milestone} for a bond of {client.coin.format(amount)}, "
        f"which goes to whoever shows it within {duration(client.terms.answer_window)}?"
    )
    receipt = client.challenge(account, attestation, number, amount, agree=agreement(question, yes=yes))
    made = next((e for e in client.events_in(receipt) if isinstance(e, Challenged)), None)
    facts: dict[str, JsonValue] = {
        "milestone": attestation.milestone,
        "chunk": number,
        "challenger": str(account.address),
        "bond": client.coin.plain(amount if made is None else made.bond),
        "answer_by": None if made is None else made.answer_by,
    }
    by = f"within {duration(client.terms.answer_window)}" if made is None else f"before {when(made.answer_by)}"
    sentence = (
        f"Challenged chunk {number} of milestone {attestation.milestone} for {facts['bond']} {client.coin.unit}; "
        f"unanswered {by}, the campaign fails"
    )
    report("challenge", client, receipt, facts, sentence, as_json=as_json)


def _attestation(client: CampaignClient) -> Attestation:
    attestation = client.latest_attestation()
    if attestation is None:
        raise ContractRefusedError("Nothing has been attested yet", "So there is no content to challenge")
    return attestation


def _find(attestation: Attestation, offset: int | None, path: str | None, stores: Sequence[Store]) -> int:
    if path is None:
        return chunk_at(attestation, offset or 0)
    manifest = evidence_of(stores, attestation)
    return chunk_at(attestation, offset_of(manifest, path))
