"""`llamafund contest`: an arbiter contests the last attestation."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.events import Contested
from llamafund_chain.cli.options import (
    ADDRESS,
    agreement,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.shared import last_tranche, open_campaign, report
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.times import when


@click.command(short_help="Contest the last attestation, as the campaign's arbiter.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@rpc_option
@signer_options
@yes_option
@json_option
def contest(
    address: str,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Contest the last attestation of the campaign at ADDRESS, as its arbiter.

    The last tranche then waits for `llamafund rule`, at most for the ruling window in the terms. Without a ruling it is
    released at the end. Only the arbiter may contest, until the attestation's challenge window is over. For a Safe, use
    --signer safe:ADDRESS: it prints a file for its owners. If the arbiter asks a court, use `llamafund dispute`.

    \b
    Example:
      llamafund contest 0x5FbDB2315678afecb367f032d93F642f64180aa3 --wallet judith
    """
    client = open_campaign(rpc, address)
    account = signer.unlock()
    terms, before = client.terms, client.state()
    ends = before.attested_at + terms.challenge_window
    question = (
        f"Contest the last attestation as the arbiter {account.address}? The last tranche, "
        f"{last_tranche(client, before)}, then waits for your ruling until {when(ends + terms.ruling_window)} at the "
        f"latest, instead of until {when(ends)}. Without a ruling it is released."
    )
    receipt = client.contest(account, agree=agreement(question, yes=yes))
    event = next((event for event in client.events_in(receipt) if isinstance(event, Contested)), None)
    rule_by = ends + terms.ruling_window if event is None else event.rule_by
    facts: dict[str, JsonValue] = {"arbiter": account.address, "rule_by": rule_by}
    sentence = f"Contested the last attestation. Rule before {when(rule_by)}, or the last tranche is released"
    report("contest", client, receipt, facts, sentence, as_json=as_json)
