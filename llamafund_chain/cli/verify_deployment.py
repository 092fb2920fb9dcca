"""`llamafund verify-deployment`: prove what is at an address, from the node and this package alone."""

from __future__ import annotations

from collections.abc import Iterator

import click
from pydantic import JsonValue

from llamafund_chain.audit.bytecode import Inspection, inspect
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.tokens import Asset, asset_at
from llamafund_chain.cli.options import ADDRESS, HASH, json_option, rpc_option
from llamafund_chain.cli.output import emit, rows
from llamafund_chain.cli.shared import network_of, open_chain, terms_facts, terms_lines
from llamafund_chain.errors import LlamafundError, NodeError, VerificationError
from llamafund_chain.name import PROJECT

_SIGNS = {"pass": "ok  ", "fail": "FAIL", "warn": "note", "unchecked": "????"}
_NAMES = {
    "CampaignFactory": "the factory that opens campaigns",
    "Campaign": "the implementation that all campaigns run",
    "campaign": "a campaign",
    "CourtArbiter": "an arbiter that asks a court",
}


@click.command("verify-deployment", short_help="Compare a contract's code with this package, byte for byte.")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@click.option(
    "--salt", type=HASH, default=None, help="A campaign's salt; looked up in the factory's events by default."
)
@rpc_option
@json_option
def verify_deployment(address: str, salt: str | None, rpc: str, as_json: bool) -> None:
    """Prove what is at ADDRESS: the factory, the implementation, a campaign or an arbiter that asks a court.

    Compares every byte of the code on chain with the compiled contracts in this package. Decodes the immutables and a
    campaign's terms, follows the code to its sources, and computes the address again (CREATE2). It asks the node only
    for code and events, and trusts no record of a deployment. The exit code is 3 if anything does not match; each
    mismatch says at which byte.

    With --json: chain, address, block, block_hash, contract (CampaignFactory, Campaign for the implementation,
    campaign, CourtArbiter, or null), verified, code (bytes, keccak256), compiler, metadata, immutables, factory,
    implementation, salt, terms, and checks, each with name, status (pass, fail, warn, unchecked), detail and data
    (offset: the first byte that differs).

    \b
    Example:
      llamafund verify-deployment 0x5FbDB2315678afecb367f032d93F642f64180aa3 --rpc https://node.example
    """
    connection = open_chain(rpc)
    found = inspect(connection, address, salt)
    asset = _asset(connection, found)
    emit("verify-deployment", _facts(connection, found, asset), _lines(connection, found, asset), as_json=as_json)
    if not found.holds:
        failed = sum(check.status == "fail" for check in found.checks)
        raise VerificationError(
            f"{address} is not what it should be: {failed} of {len(found.checks)} checks failed",
            "",
            "Do not use it, and do not send it money",
        )


def _asset(connection: Connection, found: Inspection) -> Asset | None:
    """The asset of the terms; `None` if there are no terms, or their token does not answer."""
    if found.terms is None:
        return None
    try:
        return asset_at(connection, found.terms.asset)
    except NodeError:
        raise
    except LlamafundError:
        # Made-up terms may name any address. Amounts are then shown in the smallest unit.

        return Asset(found.terms.asset, "units", 0)


def _facts(connection: Connection, found: Inspection, asset: Asset | None) -> dict[str, JsonValue]:

    made = found.compilation
    return {
        "chain": connection.caip2,
        "address": found.address,
        "block": found.block.number,
        "block_hash": found.block.hash,
        "contract": found.contract,
        "verified": found.holds,
        "code": {"bytes": found.code_bytes, "keccak256": found.code_hash},
        "compiler": found.compiler,
        "metadata": None if made is None else made.metadata,
        "immutables": dict(found.immutables),
        "factory": found.factory,
        "implementation": found.implementation,
        "salt": found.salt,
        "terms": None if found.terms is None or asset is None else terms_facts(found.terms, asset),
        "checks": [
            {"name": check.name, "status": check.status, "detail": check.detail, "data": dict(check.data)}
            for check in found.checks
        ],
    }


def _lines(connection: Connection, found: Inspection, asset: Asset | None) -> Iterator[str]:

    made = found.compilation
    what = f"nothing of {PROJECT}'s" if found.contract is None else _NAMES[found.contract]
    if found.contract is not None and not found.holds:
        what = f"not {what}, but similar to it"
    pairs = [
        ("address", found.address),
        ("on", f"{network_of(connection)}, block {found.block.number}"),
        ("this is", what),
        ("code", f"{found.code_bytes} bytes, keccak-256 {found.code_hash}"),
    ]
    if made is not None:
        pairs += [("compiler", f"{found.compiler} (the code says {made.compiler})"), ("metadata", made.metadata)]
    pairs += [(name, value) for name, value in found.immutables.items()]
    if found.salt is not None:
        pairs.append(("salt", found.salt))
    yield from rows(pairs)
    if found.terms is not None and asset is not None:
        yield ""
        yield "Terms, from the campaign's code"
        yield from (f"  {line}" for line in terms_lines(found.terms, asset, connection.chain_id))
    yield ""
    yield "Checks"
    for check in found.checks:
        yield f"  {_SIGNS[check.status]}  {check.name}: {check.detail}"
