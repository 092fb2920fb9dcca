"""An auditor's signature on a report: EIP-712 typed data that names the campaign, the block and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamafund_chain.audit.model import AuditorSignature, AuditReport
from llamafund_chain.audit.recheck.report_file import report_hash
from llamafund_chain.audit.recheck.reprove import Item
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.eas import OffchainAttestation
from llamafund_chain.chain.known_accounts import require_own_key
from llamafund_chain.chain.signatures import digest_of, recover_digest
from llamafund_chain.chain.signers import typed_signature

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

EAS_SCHEMA = "bytes32 report,address campaign,uint256 block,bytes32 blockHash,string verdict"

_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "AuditReport": [
        {"name": "report", "type": "bytes32"},
        {"name": "campaign", "type": "address"},
        {"name": "block", "type": "uint256"},
        {"name": "blockHash", "type": "bytes32"},
        {"name": "verdict", "type": "string"},
    ],
}


def typed_report(report: AuditReport) -> dict[str, Any]:
    """The EIP-712 document that an auditor signs. `report` is `report_hash`."""
    return {
        "types": _TYPES,
        "primaryType": "AuditReport",
        "domain": {
            "name": "LlamaFund Audit",
            "version": "1",
            "chainId": chain_id_of(report),
            "verifyingContract": report.campaign,
        },
        "message": {
            "report": f"0x{report_hash(report)}",
            "campaign": report.campaign,
            "block": report.block,
            "blockHash": f"0x{report.block_hash}",
            "verdict": report.verdict.outcome,
        },
    }


def chain_id_of(report: AuditReport) -> int:
    """EIP-155 number of a report's chain."""
    return int(report.chain.removeprefix("eip155:"))


def sign_report(report: AuditReport, account: BaseAccount) -> AuditorSignature:
    """An auditor's signature.

    Raises:
        UsageError: The account signs elsewhere, or no typed data.
        VerificationError: Its signer returned something else.
    """
    require_own_key(str(account.address), chain_id_of(report))
    signature = typed_signature(account, typed_report(report))
    return AuditorSignature(auditor=str(account.address), signature=signature)


def audit_to_eas(report: AuditReport) -> OffchainAttestation:
    """What an auditor attests about a report at EAS: the same as in `typed_report`."""
    values = (
        bytes.fromhex(report_hash(report)),
        report.campaign,
        report.block,
        bytes.fromhex(report.block_hash),
        report.verdict.outcome,
    )
    return OffchainAttestation(EAS_SCHEMA, values, report.campaign, int(report.time.timestamp()))


def auditor_item(report: AuditReport, signature: AuditorSignature | None) -> tuple[Item, ...]:
    """Whether the auditor who is named has signed this very report; nothing if nobody is named."""
    from eth_account.messages import encode_typed_data

    if signature is None:
        return ()
    digest = digest_of(encode_typed_data(full_message=typed_report(report)))
    found = recover_digest(digest, bytes.fromhex(signature.signature[2:]))
    auditor = signature.auditor
    if found is None:
        detail = f"The auditor's signature is not a key's; only the wallet contract {auditor} could say"
        return (Item("auditor", "unknown", detail),)
    if found != checksum(auditor):
        detail = f"The auditor's signature is by {found}, or for another report, not by {auditor}"
        return (Item("auditor", "broken", detail),)
    return (Item("auditor", "holds", f"{auditor} has signed this report, as it is here"),)
