"""A campaign's arbiter: what it is, and how to bring the campaign before its court if it asks one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import Agree, BlockId
from llamafund_chain.chain.transactions import Call, Log, Receipt
from llamafund_chain.deployment.court_arbiter import court_of
from llamafund_chain.errors import LlamafundError, VerificationError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

_EVIDENCE_PATH = re.compile(r"/ipfs/f01551220([0-9a-f]{64})")


@dataclass(frozen=True)
class Arbiter:
    """Who can refuse a campaign's last tranche.

    Attributes:
        address: Checksummed.
        has_code: Whether it is a contract.
        court: Checksummed address of the court that it asks; `None` if it is not this project's arbiter for courts.
        dispute: Number of the campaign's dispute at the court that waits for a ruling; `None` if there is none.
    """

    address: str
    has_code: bool
    court: str | None
    dispute: int | None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.court is not None:
            return f"asks the court {self.court}, for any backer who pays its fee"
        return "a contract, for example a Safe" if self.has_code else "an account without code: a single key"


def arbiter_of(client: CampaignClient, block: BlockId = "latest") -> Arbiter | None:
    """A campaign's arbiter at one block; `None` if its terms name none.

    Args:
        client: The campaign.
        block: Which block.
    """
    address = client.terms.arbiter
    if address is None:
        return None
    code = client.connection.code(address, block)
    court = court_of(code)
    dispute = None if court is None else CourtClient(client, address, court).running(block)
    return Arbiter(address, bool(code), court, dispute)


@dataclass(frozen=True)
class Submission:
    """Evidence that was submitted to a campaign's dispute.

    Attributes:
        party: Checksummed address of who submitted it.
        manifest: SHA-256 of its manifest, 64 hexadecimal digits.
        block: Number of the block.
    """

    party: str
    manifest: str
    block: int


@dataclass(frozen=True)
class CourtClient:
    """The arbiter of one campaign that asks a court.

    Attributes:
        campaign: The campaign.
        address: Checksummed address of the arbiter.
        court: Checksummed address of its court.
    """

    campaign: CampaignClient
    address: str
    court: str

    _CONTRACT: ClassVar[str] = "CourtArbiter"

    @classmethod
    def of(cls, client: CampaignClient) -> CourtClient:
        """The arbiter of a campaign, by its code.

        Raises:
            LlamafundError: The campaign has no arbiter, or one that asks no court.
        """
        arbiter = arbiter_of(client)
        if arbiter is None:
            raise LlamafundError(
                "This campaign has no arbiter",
                "Its terms name nobody who could refuse the last tranche",
                "Warn others. If a part of the content cannot be fetched, challenge it: llamafund challenge",
            )
        if arbiter.court is None:
            raise LlamafundError(
                f"The campaign's arbiter {arbiter.address} asks no court",
                f"It is {arbiter.kind}",
                "Turn to whoever that is, and show them the reports",
            )
        return cls(client, arbiter.address, arbiter.court)

    # ------------------------------------------------------------------- read

    def fee(self) -> int:
        """Wei that a dispute costs now."""
        return int(self._ask("disputeFee")[0])

    def appeal_fee(self) -> int:
        """Wei that an appeal costs now.

        Raises:
            ContractRefusedError: No dispute waits for its ruling, or the court allows no appeal now.
        """
        return int(self._ask("appealFee", self.campaign.address)[0])

    def running(self, block: BlockId = "latest") -> int | None:
        """Number of the campaign's dispute at the court that waits for its ruling; `None` if there is none."""
        is_open, number = self._ask("disputeOf", self.campaign.address, block=block)
        return int(number) if is_open else None

    def submissions(self, last: BlockId = "latest") -> Iterator[Submission]:
        """The evidence that was submitted about the campaign, in order. Anyone may submit anything.

        Args:
            last: Last block to search.

        Raises:
            VerificationError: A log does not fit its event.
        """
        interface = abi.contract(self._CONTRACT)
        group = f"0x{bytes(12).hex()}{self.campaign.address[2:].lower()}"
        topics = [interface.topic("Evidence"), None, group]
        first = self.campaign.verify_code().created or 0
        for log in self.campaign.connection.logs(self.address, topics=topics, first=first, last=last):
            found = _submission(log)
            if found is not None:
                yield found

    # ------------------------------------------------------------------ write

    def dispute(self, account: BaseAccount, manifest: str, fee: int, *, agree: Agree | None = None) -> Receipt:
        """Contest the last attestation and ask the court for a ruling.

        Args:
            account: A backer.
            manifest: Hash of a published `DisputeManifest`, 64 hexadecimal digits.
            fee: Wei for the court; what is too much comes back.
            agree: See `Connection.send`.
        """
        salt = bytes.fromhex(self.campaign.verify_code().salt)
        return self._send(
            account, "dispute", self.campaign.address, salt, bytes.fromhex(manifest), value=fee, agree=agree
        )

    def submit_evidence(self, account: BaseAccount, manifest: str, *, agree: Agree | None = None) -> Receipt:
        """Submit evidence to the running dispute; anyone may.

        Args:
            account: The account that submits it.
            manifest: Hash of a published `DisputeManifest`, 64 hexadecimal digits.
            agree: See `Connection.send`.
        """
        return self._send(account, "submitEvidence", self.campaign.address, bytes.fromhex(manifest), agree=agree)

    def appeal(self, account: BaseAccount, fee: int, *, agree: Agree | None = None) -> Receipt:
        """Appeal the ruling that the court is about to give; anyone may, as far as the court allows it.

        Args:
            account: The account that pays.
            fee: Wei for the court; what is too much comes back.
            agree: See `Connection.send`.
        """
        return self._send(account, "appeal", self.campaign.address, value=fee, agree=agree)

    def dispute_in(self, receipt: Receipt) -> int:
        """Number at the court of the dispute that a transaction created.

        Raises:
            VerificationError: Its receipt shows none.
        """
        interface = abi.contract(self._CONTRACT)
        for log in receipt.logs:
            if log.address.lower() == self.address.lower():
                event = interface.decode_log(log.topics, log.data)
                if event is not None and event.name == "Dispute":
                    return int(event.values["disputeId"])
        raise VerificationError(
            f"Transaction 0x{receipt.tx_hash} is in block {receipt.block}, but its receipt shows no dispute",
            "The node does not show everything that happened, or not yet",
            "Do not repeat the command. See with `llamafund campaign show` whether the campaign is contested",
        )

    # ---------------------------------------------------------------- helpers

    def _ask(self, function: str, *arguments: Any, block: BlockId = "latest") -> tuple[Any, ...]:
        interface = abi.contract(self._CONTRACT)
        call = Call(self.address, interface.encode(function, *arguments))
        return interface.decode_output(function, self.campaign.connection.call(call, block=block))

    def _send(
        self, account: BaseAccount, function: str, *arguments: Any, value: int = 0, agree: Agree | None = None
    ) -> Receipt:
        call = Call(self.address, abi.contract(self._CONTRACT).encode(function, *arguments))
        return self.campaign.connection.send(account, call, value, money=self.campaign.asset.format, agree=agree)


def _submission(log: Log) -> Submission | None:
    event = abi.contract("CourtArbiter").decode_log(log.topics, log.data)
    match = None if event is None else _EVIDENCE_PATH.fullmatch(event.values["evidence"])
    if event is None or match is None:
        return None
    return Submission(checksum(event.values["party"]), match[1], log.block)
