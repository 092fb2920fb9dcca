"""Options of the commands that export to EAS, and what they have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamafund_chain.chain.eas import OffchainAttestation, service_at
from llamafund_chain.chain.signers import typed_signature
from llamafund_chain.cli.options import ADDRESS, FilePath
from llamafund_chain.cli.shared import open_chain
from llamafund_chain.errors import VerificationError
from llamafund_chain.files import write_file

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

F = TypeVar("F", bound=Callable[..., Any])


def eas_options(*, required: bool) -> Callable[[F], F]:
    """`--eas` and `--eas-contract`.

    Args:
        required: Whether there is nothing to do without the first.
    """

    def decorate(command: F) -> F:
        decorated = click.option(
            "--eas-contract",
            type=ADDRESS,
            metavar="ADDRESS",
            default=None,
            help="EAS's contract; that of the chain by default, where one is known.",
        )(command)
        return click.option(
            "--eas",
            type=FilePath(),
            metavar="FILE",
            required=required,
            default=None,
            help="Where to write an off-chain attestation of the Ethereum Attestation Service (EAS).",
        )(decorated)

    return decorate


def export_to_eas(
    attestation: OffchainAttestation, account: BaseAccount, rpc: str, chain_id: int, contract: str | None, out: Path
) -> str:
    """Sign an off-chain attestation and write it.

    Args:
        attestation: What is attested.
        account: Who signs.
        rpc: A node of the chain, which is asked for EAS's version.
        chain_id: The chain that the attestation is about, EIP-155 number.
        contract: EAS's address; `None` for the known one.
        out: Where to write it.

    Returns:
        Its number (UID), hexadecimal with 0x.

    Raises:
        VerificationError: The node is one of another chain.
    """
    connection = open_chain(rpc)
    if connection.chain_id != chain_id:
        raise VerificationError(
            f"The node is one of chain {connection.chain_id}", f"This is about chain {chain_id}", "Check --rpc"
        )
    service = service_at(connection, contract)
    signature = typed_signature(account, attestation.typed_data(service))
    document = attestation.document(service, str(account.address), signature)
    write_file(out, (json.dumps(document, indent=2) + "\n").encode())
    return attestation.uid
