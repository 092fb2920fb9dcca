"""`llamafund submit`: submit attestors' signatures to the chain."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.attestation import AttestationFile, merge
from llamafund_chain.cli.options import ADDRESS, agreement, json_option, rpc_option, yes_option
from llamafund_chain.cli.shared import afterwards, open_campaign, report
from llamafund_chain.cli.signer import Signer, signer_options
from llamafund_chain.errors import VerificationError
from llamafund_chain.text import counted, from_millionths
from llamafund_chain.times import duration, when


@click.command(short_help="Submit attestors' signatures to the chain.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@rpc_option
@signer_options
@yes_option
@json_option
def submit(
    address: str,
    files: tuple[Path, ...],
    rpc: str,
    signer: Signer,
    yes: bool,
    as_json: bool,
) -> None:
    """Submit the attestation in FILE... to the campaign at ADDRESS; anyone may.

    Collects the signatures of all files. They must be for the same attestation and reach the quorum.

    \b
    Example:
      llamafund submit 0x5FbDB2315678afecb367f032d93F642f64180aa3 vera.json otto.json --wallet rosa
    """
    loaded = [AttestationFile.load(file) for file in files]
    client = open_campaign(rpc, address)
    for path, file in zip(files, loaded, strict=True):
        if (file.chain, file.campaign.lower()) != (client.connection.caip2, address.lower()):
            raise VerificationError(
                f"{str(path)!r} is for campaign {file.campaign} on {file.chain}",
                f"This is campaign {address} on {client.connection.caip2}",
                "Name a file that was signed for this campaign",
            )
    attestors = client.terms.attestors
    contracts = {attestor for attestor in attestors if client.connection.code(attestor)}
    attestation, signers, signatures = merge(loaded, attestors, contracts=contracts, judge=client.accepts_signature)
    account = signer.unlock()
    window = duration(client.terms.challenge_window)
    question = (
        f"Submit milestone {attestation.milestone} ({attestation.kind.name}) with "
        f"{counted(len(signatures), 'signature')}, the evidence {attestation.evidence} and the score "
        f"{from_millionths(attestation.score)}? Its money is released after {window}, unless a challenge "
        "stays unanswered."
    )
    receipt = client.attest(account, attestation, signers, signatures, agree=agreement(question, yes=yes))
    ends = afterwards(lambda: client.state(receipt.block).window_end(client.terms))
    names = [attestor for place, attestor in enumerate(attestors) if signers >> place & 1]
    facts: dict[str, JsonValue] = {
        "milestone": attestation.milestone,
        "kind": attestation.kind.name,
        "evidence": attestation.evidence,
        "signers": [*names],
        "window_end": ends,
    }
    sentence = (
        f"Milestone {attestation.milestone} ({attestation.kind.name}) is attested by "
        f"{counted(len(names), 'signature')}; its money is released "
        f"{f'{window} from then on' if ends is None else f'at {when(ends)}'}"
    )
    report("submit", client, receipt, facts, sentence, as_json=as_json)
