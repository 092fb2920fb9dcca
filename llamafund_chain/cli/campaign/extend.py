"""`llamafund campaign extend`: push deadlines back within the slack."""

from __future__ import annotations

import click
from pydantic import JsonValue

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.events import DeadlinesExtended
from llamafund_chain.cli.numbers import NumericCommand, duration_above_zero
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.shared import open_campaign, report
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.text import counted
from llamafund_chain.times import duration, when


@click.command(cls=NumericCommand, short_help="Push deadlines back within the slack.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("length", metavar="DURATION")
@rpc_option
@signer_options
@yes_option
@json_option
def extend(
    address: str,
    length: str,
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Push back the next deadline and all later ones of the campaign at ADDRESS by DURATION.

    Write DURATION like 3d, 36h or 1d12h. Only the researcher may do this, while the campaign is active, and in all by
    at most the slack in the terms. Backers who disagree can vote to stop.

    \b
    Example:
      llamafund campaign extend 0x5FbDB2315678afecb367f032d93F642f64180aa3 3d --wallet rosa
    """
    seconds = duration_above_zero(length)
    client = open_campaign(rpc, address)
    account = signer.unlock()
    terms, before = client.terms, client.state()
    moved = range(before.attested, len(terms.milestones))
    old = [before.deadline(terms, index) for index in moved]
    question = (
        f"Push {counted(len(moved), 'deadline')} back by {duration(seconds)}? "
        + " ".join(
            f"Milestone {index}: {when(deadline)} becomes {when(deadline + seconds)}."
            for index, deadline in zip(moved, old, strict=True)
        )
        + f" {_left(client, before.slack_used + seconds)}."
    )
    receipt = client.extend_deadlines(account, seconds, agree=agreement(question, yes=yes))
    event = next((event for event in client.events_in(receipt) if isinstance(event, DeadlinesExtended)), None)
    used = before.slack_used + seconds if event is None else event.slack_used
    # Somebody may have extended them between the question and this.
    new = [deadline + used - before.slack_used for deadline in old]
    facts: dict[str, JsonValue] = {
        "by_seconds": seconds,
        "deadlines": [
            {"milestone": index, "old": was, "new": now} for index, was, now in zip(moved, old, new, strict=True)
        ],
        "slack": terms.slack,
        "slack_used": used,
        "slack_left": terms.slack - used,
    }
    moves = [
        f"milestone {index} is due before {when(now)}, not {when(was)}"
        for index, was, now in zip(moved, old, new, strict=True)
    ]
    sentence = f"Pushed back by {duration(seconds)}: {'; '.join(moves)}. {_left(client, used)}"
    report("campaign extend", client, receipt, facts, sentence, as_json=as_json)


def _left(client: CampaignClient, used: int) -> str:
    left = max(client.terms.slack - used, 0)
    return f"{duration(left)} of {duration(client.terms.slack)} of slack are left"
