"""`llamafund attest export`: an attestor's attestation for others than the campaign."""

from __future__ import annotations

import time
from pathlib import Path

import click
from pydantic import JsonValue

from llamafund_chain.campaign.attestation import AttestationFile, attestation_to_eas
from llamafund_chain.chain.signatures import usual_form
from llamafund_chain.cli.eas import eas_options, export_to_eas
from llamafund_chain.cli.options import FilePath, ask, json_option, rpc_option, yes_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.signer import Signer, required_signer_options
from llamafund_chain.errors import UsageError


@click.command()
@click.argument("file", type=FilePath(exists=True), metavar="FILE")
@eas_options(required=True)
@rpc_option
@required_signer_options
@yes_option
@json_option
def export(file: Path, eas: Path, eas_contract: str | None, rpc: str, signer: Signer, yes: bool, as_json: bool) -> None:
    """Export an attestation that you signed to EAS.

    FILE is an attestation file with your signature, as `llamafund attest --out` writes it. With --eas the same is
    signed as an off-chain attestation of the Ethereum Attestation Service, which its SDK and explorers read. It needs
    no gas, and releases no money: that takes the signature in FILE.

    \b
    Example:
      llamafund attest export vera.json --eas vera.eas.json --wallet vera
    """
    found = AttestationFile.load(file)
    account = signer.unlock_to_sign()
    attestor = str(account.address)
    digest = found.statement.digest(found.chain_id, found.campaign)
    own = [bytes.fromhex(one.signature[2:]) for one in found.signatures if one.signer.lower() == attestor.lower()]
    if not any(usual_form(digest, signature, attestor) for signature in own):
        raise UsageError(
            f"{str(file)!r} has no signature of {attestor}",
            "What is exported is what its attestor checked and signed before",
            "Sign it first with `llamafund attest`, which checks the evidence",
        )
    what = f"milestone {found.statement.milestone} of {found.campaign} with the evidence {found.statement.evidence}"
    ask(f"Sign {what} once more, as {attestor}, for EAS?", yes=yes)
    attestation = attestation_to_eas(found.statement, found.campaign, int(time.time()))
    uid = export_to_eas(attestation, account, rpc, found.chain_id, eas_contract, eas)
    facts: dict[str, JsonValue] = {
        "campaign": found.campaign,
        "chain": found.chain,
        "milestone": found.statement.milestone,
        "evidence": found.statement.evidence,
        "attestor": attestor,
        "eas_uid": uid,
        "eas_file": str(eas),
    }
    emit("attest export", facts, rows([("EAS", str(eas)), ("number", uid), ("attestor", attestor)]), as_json=as_json)
