"""The factory: opening campaigns, listing them, and computing their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamafund_chain.campaign.events import CampaignCreated
from llamafund_chain.campaign.terms import Terms
from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import BlockId, Connection
from llamafund_chain.chain.tokens import asset_at, coin_of
from llamafund_chain.chain.transactions import Call, Receipt
from llamafund_chain.deployment import addresses
from llamafund_chain.deployment.clones import creation_code

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount


def create_campaign(connection: Connection, account: BaseAccount, terms: Terms, salt: str) -> tuple[str, Receipt]:
    """Open a campaign.

    Args:
        connection: The chain.
        account: The researcher.
        terms: The terms for backers to agree to.
        salt: 64 hexadecimal digits; tells campaigns with equal terms apart.

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
    receipt = connection.send(account, call, money=asset.format)
    return address, receipt


def list_campaigns(connection: Connection, last: BlockId = "latest") -> tuple[CampaignCreated, ...]:
    """All campaigns that the factory opened on a chain, oldest first."""
    return tuple(creations(connection, connection.deployment().factory, [None], last))


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


def creations(
    connection: Connection, factory: str, topics: list[str | None], last: BlockId = "latest"
) -> list[CampaignCreated]:
    interface = abi.contract("CampaignFactory")
    recorded = addresses.load(connection.chain_id)
    first = recorded.block if recorded is not None and recorded.block is not None else 0
    wanted = [interface.topic("CampaignCreated"), *topics[1:]]
    found: list[CampaignCreated] = []
    for log in connection.logs(factory, topics=wanted, first=min(first, connection.block(last).number), last=last):
        decoded = interface.decode_log(log.topics, log.data)
        if decoded is None:
            continue
        values = decoded.values
        found.append(
            CampaignCreated(
                log.block,
                log.index,
                log.tx_hash,
                checksum(values["campaign"]),
                checksum(values["researcher"]),
                values["proposal"].hex(),
                Terms.unpack(values["terms"]),
                values["salt"].hex(),
            )
        )
    return found
