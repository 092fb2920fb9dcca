"""Put the contracts on a chain, or verify that they are there, and record it. Idempotent.

    python scripts/brownie_env.py run deploy --network local
    LLAMAFUND_RPC_URL=https://… python scripts/brownie_env.py run deploy --network sepolia
    LLAMAFUND_RPC_URL=https://… LLAMAFUND_CHAIN_ID=10 python scripts/brownie_env.py run deploy --network custom

The networks are those of `scripts/networks.yaml`. The sender is the key file that LLAMAFUND_DEPLOYER names (its
passphrase is read from the file LLAMAFUND_PASSPHRASE_FILE, or asked for), and otherwise the node's first account.
Addresses do not depend on the sender. The deployment goes to `llamafund_chain/deployment/records/<chain id>.json`.

With LLAMAFUND_COURT, the address of an ERC-792 court, an arbiter that asks it is deployed and recorded, too.
LLAMAFUND_COURT_EXTRA_DATA (hexadecimal) is what that court wants to know about each dispute, and
LLAMAFUND_APPEAL_RESERVE the number of seconds before the end of the time for a ruling from which no appeal is taken; 28
days by default. Its jurors are asked the question in `llamafund_chain/deployment/question.json`: publish it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
from brownie import accounts, network, web3

from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.cli.options import ADDRESS, read_passphrase
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.court_arbiter import APPEAL_RESERVE, CourtArbiter
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError

DIRECTORY = Path(addresses.__file__).parent / "records"


def main(directory: str | None = None) -> None:
    """Deploy what is missing, verify everything, write the record.

    Args:
        directory: Where the record goes, if not into the package.
    """
    try:
        _deploy(DIRECTORY if directory is None else Path(directory))
    except LlamafundError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _deploy(target: Path) -> None:
    wanted = network.main.CONFIG.active_network.get("chainid")
    if not network.is_connected():
        raise NodeUnreachableError(
            f"No node answered for the network {network.show_active()}", "", "Start one, or set LLAMAFUND_RPC_URL"
        )
    chain_id = web3.eth.chain_id
    if wanted is not None and str(wanted) != str(chain_id):
        raise UsageError(
            f"The node is on chain {chain_id}, the network {network.show_active()} is chain {wanted}",
            "A deployment on another chain than the one meant costs money for nothing",
            "Choose the network that fits, or another node",
        )
    arbiter = _arbiter()
    done = addresses.deploy(web3, _send, _recorded(chain_id, target))
    path = addresses.record(done, target)
    if arbiter is not None:
        arbiter.deploy(web3, _send)
        addresses.record(replace(done, arbiters={**done.arbiters, arbiter.address: arbiter.court}), target)
        print(f"CourtArbiter for the court {arbiter.court}: {arbiter.address}")
        print(
            f"Its jurors look for llamafund_chain/deployment/question.json at {arbiter.meta_evidence}: publish it there"
        )
    for name, address in (("Campaign (implementation)", done.implementation), ("CampaignFactory", done.factory)):
        print(f"{name}: {address}")
    print(f"Verified on chain {chain_id}; recorded in {path}")


def _recorded(chain_id: int, directory: Path) -> addresses.Deployment | None:
    """Return the record of this version's contracts; one of an older version's is about to be replaced."""
    try:
        return addresses.load(chain_id, directory)
    except LlamafundError as error:
        print(error)
        return None


def _arbiter() -> CourtArbiter | None:
    """Return the arbiter that the environment names."""
    court = os.environ.get("LLAMAFUND_COURT")
    if court is None:
        return None
    digits = os.environ.get("LLAMAFUND_COURT_EXTRA_DATA", "0x")
    try:
        extra_data = bytes.fromhex(digits.removeprefix("0x"))
    except ValueError as error:
        raise UsageError(f"LLAMAFUND_COURT_EXTRA_DATA is {digits[:80]!r}", "It is not hexadecimal") from error
    reserve = os.environ.get("LLAMAFUND_APPEAL_RESERVE", str(APPEAL_RESERVE))
    if not reserve.isascii() or not reserve.isdecimal():
        raise UsageError(f"LLAMAFUND_APPEAL_RESERVE is {reserve[:80]!r}", "It is not a number of seconds")
    try:
        return CourtArbiter(ADDRESS.convert(court, None, None), extra_data, appeal_reserve=int(reserve))
    except click.BadParameter as error:
        raise UsageError(f"LLAMAFUND_COURT: {error.message}") from error


@cache
def _sender() -> Any:
    key_file = os.environ.get("LLAMAFUND_DEPLOYER")
    if key_file is None:
        if len(accounts) == 0:
            raise UsageError(
                "Nobody can send the transactions: the node has no account of its own",
                "",
                "Name a key file in LLAMAFUND_DEPLOYER (`llamafund wallet new` makes one)",
            )
        return accounts[0]
    secret = os.environ.get("LLAMAFUND_PASSPHRASE_FILE")
    passphrase = read_passphrase(None if secret is None else Path(secret))
    return accounts.add(KeyStore(Path()).unlock(key_file, passphrase).key)


def _send(transaction: dict[str, Any]) -> Mapping[str, Any]:
    receipt = _sender().transfer(
        to=transaction["to"], amount=transaction["value"], data=transaction["data"], silent=True
    )
    if receipt.status != 1:
        raise LlamafundError(f"The transaction {receipt.txid} failed", str(receipt.revert_msg), "Look at its trace")
    return {"transactionHash": bytes.fromhex(receipt.txid.removeprefix("0x")), "blockNumber": receipt.block_number}
