"""`llamafund dispute`: a backer brings the last attestation before the arbiter's court."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.arbiter import CourtClient
from llamafund_chain.campaign.attestation import Attestation
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.disputes import publish_dispute, read_report, read_statement, write_dispute
from llamafund_chain.campaign.events import MilestoneAttested
from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import (
    ADDRESS,
    agreement,
    ask,
    json_option,
    rpc_option,
    store_option,
    yes_option,
)
from llamafund_chain.cli.output import note, progress
from llamafund_chain.cli.shared import afterwards, arbiter_notes, last_tranche, open_campaign, report, sent_through
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import DisputeManifest
from llamafund_chain.store import Store, open_store
from llamafund_chain.times import when


@click.command(short_help="Bring the last attestation before the arbiter's court.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option(
    "--report",
    "reports",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="What `audit` or `replay` printed with --json; repeatable. At least one must have found something wrong.",
)
@click.option(
    "--statement",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What you say about it: Markdown, with a heading as its title. By default, the reports' results.",
)
@click.option("--add", is_flag=True, help="Add evidence to the running dispute, for either side. Anyone may.")
@click.option("--appeal", is_flag=True, help="Pay for an appeal against the ruling that the court is about to give.")
@rpc_option
@signer_options
@store_option
@yes_option
@json_option
def dispute(
    address: str,
    reports: tuple[Path, ...],
    statement: Path | None,
    add: bool,
    appeal: bool,
    rpc: str,
    signer: Signer,
    store: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Contest the last attestation of the campaign at ADDRESS, and ask its arbiter's court to refuse it.

    Any backer may, until the attestation's challenge window is over. You pay the court's fee. The reports are published
    in the store with a manifest that names them, and the court's jurors find that manifest by its hash. If the court
    refuses the attestation in time, every backer gets the last tranche back.

    With --json: dispute (its number at the court), court, court_fee_wei, manifest, cid, reports, rule_by.

    \b
    Example:
      llamafund audit 0x5FbDB2315678afecb367f032d93F642f64180aa3 --json > audit.json
      llamafund dispute 0x5FbDB2315678afecb367f032d93F642f64180aa3 --report audit.json --wallet alice
    """
    if appeal:
        if add or reports or statement is not None:
            raise UsageError("--appeal comes alone", "An appeal names no evidence", "Add evidence with --add")
        _appeal(open_campaign(rpc, address), signer, yes=yes, as_json=as_json)
        return
    if not reports:
        raise UsageError(
            "There is no report",
            "The court's jurors need something that they can check",
            "Name what `llamafund audit --json` or `llamafund replay --json` printed with --report",
        )
    client = open_campaign(rpc, address)
    court = _court_of(client)
    place = open_store(store)
    attestation, evidence = _attested(client)
    read = [read_report(path, client, attestation, evidence) for path in reports]
    if not add and not any(one.accuses for one in read):
        raise UsageError(
            "No report found anything wrong",
            read[0].said,
            "Do not dispute what holds. To support the other side of a dispute, pass --add",
        )
    manifest = write_dispute(client, attestation, read, "" if statement is None else read_statement(statement))
    account = signer.unlock()
    fee = 0 if add else court.fee()
    question = _evidence_question(court, manifest, place) if add else _question(court, manifest, place, fee)

    def agree() -> None:
        ask(question, yes=yes)
        # Published before its hash is on chain, so that no juror looks for it in vain.
        progress("Publishing the evidence")
        publish_dispute(place, manifest, read)
        left = f"the evidence is published in {place.location}, but its hash was not sent"
        if_interrupted(sent_through(client.sender, left))

    if add:
        receipt = court.submit_evidence(account, manifest.sha256, agree=agree)
        number = afterwards(lambda: court.running(receipt.block))
        done = "Added evidence to the dispute" + ("" if number is None else f" {number}")
    else:
        receipt = court.dispute(account, manifest.sha256, fee, agree=agree)
        number = court.dispute_in(receipt)
        named = "a dispute, whose number the node does not show," if number is None else f"dispute {number}"
        done = f"Contested milestone {attestation.milestone}: {named}"
    rule_by = afterwards(lambda: client.state(receipt.block).window_end(client.terms))
    facts: dict[str, JsonValue] = {
        "dispute": number,
        "court": court.court,
        "court_fee_wei": str(fee),
        "manifest": manifest.sha256,
        "cid": raw_cid(manifest.sha256),
        "reports": [{"command": one.command, "said": one.said, "cid": one.cid} for one in manifest.reports],
        "store": place.location,
        "rule_by": rule_by,
    }
    sentence = f"{done} at the court {court.court}. Evidence: {manifest.sha256}, published in {place.location}. " + (
        "" if rule_by is None else f"A ruling counts before {when(rule_by)}"
    )
    report("dispute", client, receipt, facts, sentence, as_json=as_json)


def _appeal(
    client: CampaignClient,
    signer: Signer,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    court = _court_of(client)
    account = signer.unlock()
    fee, number = court.appeal_fee(), court.running()
    question = f"Appeal dispute {number} at the court {court.court}, for its fee of {client.coin.format(fee)}?"
    receipt = court.appeal(account, fee, agree=agreement(question, yes=yes))
    facts: dict[str, JsonValue] = {"dispute": number, "court": court.court, "court_fee_wei": str(fee)}
    report("dispute", client, receipt, facts, f"Appealed dispute {number} at the court {court.court}", as_json=as_json)


def _court_of(client: CampaignClient) -> CourtClient:
    """The arbiter that asks a court, after saying what is doubtful about it."""
    court = CourtClient.of(client)
    doubts = arbiter_notes(client)
    if doubts:
        note(doubts)
    return court


def _attested(client: CampaignClient) -> tuple[Attestation, list[str]]:
    """The last attestation, and the evidence of all."""
    attestations = [
        event.attestation
        for event in client.each_event(only=(MilestoneAttested,))
        if isinstance(event, MilestoneAttested)
    ]
    if len(attestations) < len(client.terms.milestones):
        raise LlamafundError(
            "The last milestone is not attested yet",
            f"{len(attestations)} of {len(client.terms.milestones)} milestones are",
            f"Until then backers can stop the campaign: llamafund vote-stop {client.address}",
        )
    return attestations[-1], [attestation.evidence for attestation in attestations]


def _question(court: CourtClient, manifest: DisputeManifest, place: Store, fee: int) -> str:
    """What a dispute costs and may bring about."""
    client = court.campaign
    state, terms = client.state(), client.terms
    latest = state.attested_at + terms.challenge_window + terms.ruling_window
    return (
        f"Contest milestone {manifest.milestone} and ask the court {court.court} for a ruling, for its fee of "
        f"{client.coin.format(fee)}? The evidence is published in {place.location}: {_reports(manifest)}. The last "
        f"tranche, {last_tranche(client, state)}, waits for the ruling until {when(latest)} at the latest. If the "
        "court refuses the attestation until then, backers get it back; otherwise the payees do. The fee does not come "
        "back."
    )


def _evidence_question(court: CourtClient, manifest: DisputeManifest, place: Store) -> str:
    number = court.running()
    which = "the dispute" if number is None else f"dispute {number}"
    return (
        f"Add evidence to {which} at the court {court.court}? It is published in {place.location}: "
        f"{_reports(manifest)}. It can never be taken back."
    )


def _reports(manifest: DisputeManifest) -> str:
    return "; ".join(f"“{one.command}” says: {one.said[:200]}" for one in manifest.reports)
