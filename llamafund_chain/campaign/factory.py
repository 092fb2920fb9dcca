"""The factory: opening campaigns, listing them, and computing their addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from llamafund_chain.campaign.events import CampaignCreated
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import At, Block, Connection
from llamafund_chain.chain.node_errors import PrunedError
from llamafund_chain.chain.sending import Agree, Sender
from llamafund_chain.chain.tokens import asset_at, coin_of
from llamafund_chain.chain.transactions import Call, Log, Receipt
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.clones import creation_code
from llamafund_chain.errors import VerificationError, WrongAnswerError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

_LONG_CHAIN = 1_000_000
"""Blocks that are not searched from the first one on."""


def create_campaign(
    connection: Connection,
    account: BaseAccount,
    terms: Terms,
    salt: str,
    *,
    wording: str | None = None,
    sender: Sender | None = None,
    agree: Agree | None = None,
) -> tuple[str, Receipt]:
    """Open a campaign.

    Args:
        connection: The chain.
        account: The researcher.
        terms: The terms for backers to agree to.
        salt: 64 hexadecimal digits; tells campaigns with equal terms apart.
        wording: What stays the same of the proposal when the command is repeated, 64 hexadecimal digits; `None` for
            its hash.
        sender: Sends the transaction; by default one that keeps no journal.
        agree: See `Sender.send`.

    Returns:
        The campaign's address, and the transaction's receipt.

    Raises:
        UsageError: The terms break a rule.
        ContractRefusedError: The factory refused.
    """
    deployment = connection.deployment()
    asset = asset_at(connection, terms.asset)
    terms.validate(connection.timestamp(), money=asset.format, coin=coin_of(connection).format)
    address = predict_address(deployment.factory, deployment.implementation, terms, salt)
    call = Call(
        deployment.factory,
        abi.contract("CampaignFactory").encode("createCampaign", terms.to_abi(), bytes.fromhex(salt)),
    )
    # Salt, times from now and a bond that follows from the price of gas may be others each time, and the proposal has
    # all but the salt in it.
    milestones = tuple(replace(one, deadline=0) for one in terms.milestones)
    lasting = replace(terms, funding_deadline=0, min_bond=0, milestones=milestones, proposal=wording or terms.proposal)
    intent = f"create {deployment.factory} {lasting.pack().hex()}"
    sending = sender or Sender(connection)
    receipt = sending.send(account, call, money=asset.format, agree=agree, intent=intent)
    created = created_in(receipt, deployment.factory)
    return (address, receipt) if created is None else (created.campaign, receipt)


def created_in(receipt: Receipt, factory: str) -> CampaignCreated | None:
    """The campaign that a transaction opened; `None` if its receipt shows none."""
    logs = [log for log in receipt.logs if log.address.lower() == factory.lower()]
    return next((event for log in logs if (event := _creation(log)) is not None), None)


def list_campaigns(connection: Connection, last: At = "latest") -> tuple[CampaignCreated, ...]:
    """All campaigns that the factory opened on a chain, oldest first."""
    factory, head = connection.deployment().factory, last if isinstance(last, Block) else connection.block(last)
    first, _ = search_range(connection, factory, head)
    return tuple(creations(connection, factory, [None], head, first=first))


def predict_address(factory: str, implementation: str, terms: Terms, salt: str) -> str:
    """The address that the factory gives a campaign.

    Args:
        factory: Address.
        implementation: Address.
        terms: The campaign's terms.
        salt: 64 hexadecimal digits.

    Returns:
        Checksummed address.
    """
    from eth_utils import keccak, to_checksum_address

    creation = creation_code(implementation, terms.pack())
    digest = keccak(b"\xff" + bytes.fromhex(factory[2:]) + bytes.fromhex(salt) + keccak(creation))
    return str(to_checksum_address(digest[12:]))


def recorded_block(connection: Connection) -> int:
    """The block before which there are no campaigns on a chain, as far as the package or the caller knows."""
    recorded = addresses.known(connection.chain_id)
    known = recorded.block if recorded is not None and recorded.block is not None else 0
    return max(known, connection.since)


def search_range(connection: Connection, address: str, head: Block) -> tuple[int, Block | int]:
    """The blocks that must hold the creation of a contract which has code at `head`.

    What earlier runs found out counts. What this one finds out in more than a few requests is remembered.

    Raises:
        PrunedError: The node does not keep the states that tell, and the chain is too long to search all of it.
    """
    since = recorded_block(connection)
    known = connection.known_creation(address, head)
    if known is not None and known.found:
        return known.block, known.block
    since = max(since, known.block + 1) if known is not None else since
    try:
        created = connection.first_block_of(address, head, since=since)
    except PrunedError as error:
        if not since and head.number > _LONG_CHAIN:
            raise PrunedError(
                f"The node does not keep the states that tell when {address} was created",
                f"The chain has {head.number} blocks, too many to search all of them",
                "Name an archive node with --rpc, or a block before that with --from-block",
            ) from error
        return since, head
    if created is None:
        return since, head
    connection.remember_creation(address, connection.block(created), found=True)
    return created, created


def creations(
    connection: Connection,
    factory: str,
    topics: list[str | None],
    last: At,
    *,
    first: int,
    searched: Callable[[Block], None] | None = None,
) -> list[CampaignCreated]:
    interface = abi.contract("CampaignFactory")
    wanted = [interface.topic("CampaignCreated"), *topics[1:]]
    found: list[CampaignCreated] = []
    for log in connection.logs(factory, topics=wanted, first=first, last=last, searched=searched):
        try:
            event = _creation(log)
        except VerificationError as error:
            raise WrongAnswerError(
                f"The node at {connection.shown_url} shows an event at the factory that no factory writes",
                str(error),
                "Name another node with --rpc",
            ) from error
        if event is not None:
            found.append(event)
    return found


def _creation(log: Log) -> CampaignCreated | None:
    decoded = abi.contract("CampaignFactory").decode_log(log.topics, log.data)
    if decoded is None:
        return None
    values = decoded.values
    return CampaignCreated(
        log.block,
        log.index,
        log.tx_hash,
        checksum(values["campaign"]),
        checksum(values["researcher"]),
        values["proposal"].hex(),
        Terms.unpack(values["terms"]),
        values["salt"].hex(),
    )
