"""`llamafund rule`: an arbiter decides whether the last attestation stands."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.terms import Status
from llamafund_chain.cli.options import (
    ADDRESS,
    agreement,
    json_option,
    rpc_option,
    yes_option,
)
from llamafund_chain.cli.shared import afterwards, last_tranche, open_campaign, report
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import UsageError
from llamafund_chain.times import when


@click.command(short_help="Uphold or refuse the last attestation, as the campaign's arbiter.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option("--uphold/--refuse", "upheld", default=None, help="Whether the attestation stands; one of the two.")
@rpc_option
@signer_options
@yes_option
@json_option
def rule(
    address: str,
    upheld: bool | None,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Decide, as its arbiter, whether the contested last attestation of the campaign at ADDRESS stands.

    With --uphold the last tranche is released when the challenge window is over, as if nobody had contested it. With
    --refuse the campaign fails at once, and its backers get the last tranche back. For a Safe, use
    --signer safe:ADDRESS: it prints a file for its owners.

    \b
    Example:
      llamafund rule 0x5FbDB2315678afecb367f032d93F642f64180aa3 --refuse --wallet judith
    """
    if upheld is None:
        raise UsageError(
            "It is not clear how you rule", "An attestation stands or is refused", "Pass --uphold or --refuse"
        )
    client = open_campaign(rpc, address)
    account = signer.unlock()
    receipt = client.rule(account, upheld=upheld, agree=agreement(_question(client, upheld=upheld), yes=yes))
    state = afterwards(lambda: client.state(receipt.block))
    released_from = state.window_end(client.terms) if state is not None and upheld else None
    facts: dict[str, JsonValue] = {
        "arbiter": account.address,
        "upheld": upheld,
        "status": None if state is None else state.status.label,
        "released_from": released_from,
    }
    if state is not None and state.status is Status.COMPLETED:
        sentence = "The attestation stands: the last tranche is released, and the campaign is completed"
    elif upheld:
        moment = "when the window is over" if released_from is None else f"at {when(released_from)}"
        sentence = f"The attestation stands: the last tranche is released {moment}"
    else:
        sentence = f"The attestation is refused: the campaign has failed. Backers: llamafund refund {address}"
    report("rule", client, receipt, facts, sentence, as_json=as_json)


def _question(client: CampaignClient, *, upheld: bool) -> str:
    """What a ruling does, with the money and the time."""
    state, terms = client.state(), client.terms
    tranche = last_tranche(client, state)
    if not upheld:
        return (
            f"Refuse the last attestation? The campaign fails at once, its backers get back {tranche}, and its payees "
            "get nothing of that. This cannot be undone."
        )
    ends = state.attested_at + terms.challenge_window
    moment = f"at {when(ends)}" if state.timestamp < ends else "at once"
    return f"Uphold the last attestation? The last tranche, {tranche}, is released {moment}."
