"""A campaign's arbiter: what it is, and how to bring the campaign before its court if it asks one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.chain import abi
from llamafund_chain.chain.abi import checksum
from llamafund_chain.chain.connection import BlockId, Connection
from llamafund_chain.chain.sending import Agree
from llamafund_chain.chain.transactions import Call, Log, Receipt
from llamafund_chain.deployment.court_arbiter import NAME, CourtArbiter, recognise
from llamafund_chain.deployment.courts import KnownCourt, is_mock, known_court
from llamafund_chain.errors import LlamafundError, VerificationError

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

_EVIDENCE_PATH = re.compile(r"/ipfs/f01551220([0-9a-f]{64})")


_DELEGATION = bytes.fromhex("ef0100")
_DELEGATION_BYTES = 23
"""What EIP-7702 puts at the address of a key that runs a contract's code: it stays a key that signs alone."""


@dataclass(frozen=True)
class Asked:
    """What an arbiter asks its court, and how.

    Attributes:
        court: Checksummed address of the court.
        known: The court, if this package knows it.
        is_mock: Whether anybody rules there as they like.
        extra_data: What the court is told with each dispute.
        question: Where the question to the jurors is.
        appeal_reserve: Seconds before the end of the time for a ruling from which the arbiter takes no appeal.
    """

    court: str
    known: KnownCourt | None
    is_mock: bool
    extra_data: bytes
    question: str
    appeal_reserve: int


@dataclass(frozen=True)
class Arbiter:
    """Who can refuse a campaign's last tranche.

    Attributes:
        address: Checksummed.
        has_code: Whether it is a contract.
        asked: What it asks which court; `None` if it is not this project's arbiter for courts.
        dispute: Number of the campaign's dispute at the court that waits for a ruling; `None` if there is none.
        is_delegated: Whether it is a key that has a contract's code run in its name (EIP-7702).
        is_misplaced: Whether it has the code of an arbiter for courts, but not the address that follows from that and
            from a question that can be read.
    """

    address: str
    has_code: bool
    asked: Asked | None = None
    dispute: int | None = None
    is_delegated: bool = False
    is_misplaced: bool = False

    @property
    def court(self) -> str | None:
        """Checksummed address of the court that it asks; `None` if it is not this project's arbiter for courts."""
        return None if self.asked is None else self.asked.court

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.asked is not None:
            return f"asks the court {self.asked.court}, for any backer who pays its fee"
        if self.is_delegated:
            return "a key that has a contract's code run in its name (EIP-7702): a single key"
        if self.is_misplaced:
            return "a copy of an arbiter for courts, at an address that follows from no question that can be read"
        return "a contract, for example a Safe" if self.has_code else "an account without code: a single key"


def arbiter_at(connection: Connection, address: str, block: BlockId = "latest") -> Arbiter:
    """What would be the arbiter of a campaign that names this address.

    Args:
        connection: The chain.
        address: Checksummed.
        block: Which block.
    """
    code = connection.code(address, block)
    if len(code) == _DELEGATION_BYTES and code.startswith(_DELEGATION):
        return Arbiter(address, has_code=False, is_delegated=True)
    found = recognise(code)
    if found is None:
        return Arbiter(address, has_code=bool(code))
    (extra_data,) = _ask(connection, address, "extraData", block=block)
    try:
        (question,) = _ask(connection, address, "metaEvidence", block=block)
    except VerificationError:
        # Whoever deploys one may write any bytes where text belongs.
        return Arbiter(address, has_code=True, is_misplaced=True)
    # The code is verified, so these are its answers. The address proves that nothing else was in its storage at first.
    expected = CourtArbiter(found.court, bytes(extra_data), str(question), found.appeal_reserve)
    if expected.address.lower() != address.lower():
        return Arbiter(address, has_code=True, is_misplaced=True)
    asked = Asked(
        found.court,
        known_court(connection.chain_id, found.court),
        is_mock(connection.code(found.court, block)),
        expected.extra_data,
        expected.meta_evidence,
        expected.appeal_reserve,
    )
    return Arbiter(address, has_code=True, asked=asked)


def arbiter_of(client: CampaignClient, block: BlockId = "latest") -> Arbiter | None:
    """A campaign's arbiter at one block; `None` if its terms name none.

    Args:
        client: The campaign.
        block: Which block.
    """
    address = client.terms.arbiter
    if address is None:
        return None
    arbiter = arbiter_at(client.connection, address, block)
    if arbiter.court is None:
        return arbiter
    return replace(arbiter, dispute=CourtClient(client, address, arbiter.court).running(block))


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
        interface = abi.contract(NAME)
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
            agree: See `Sender.send`.
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
            agree: See `Sender.send`.
        """
        return self._send(account, "submitEvidence", self.campaign.address, bytes.fromhex(manifest), agree=agree)

    def appeal(self, account: BaseAccount, fee: int, *, agree: Agree | None = None) -> Receipt:
        """Appeal the ruling that the court is about to give; anyone may, as far as the court allows it.

        Args:
            account: The account that pays.
            fee: Wei for the court; what is too much comes back.
            agree: See `Sender.send`.
        """
        return self._send(account, "appeal", self.campaign.address, value=fee, agree=agree)

    def dispute_in(self, receipt: Receipt) -> int | None:
        """Number at the court of the dispute that a transaction created; `None` if its receipt shows none."""
        interface = abi.contract(NAME)
        for log in receipt.logs:
            if log.address.lower() == self.address.lower():
                event = interface.decode_log(log.topics, log.data)
                if event is not None and event.name == "Dispute":
                    return int(event.values["disputeId"])
        return None

    # ---------------------------------------------------------------- helpers

    def _ask(self, function: str, *arguments: Any, block: BlockId = "latest") -> tuple[Any, ...]:
        return _ask(self.campaign.connection, self.address, function, *arguments, block=block)

    def _send(
        self, account: BaseAccount, function: str, *arguments: Any, value: int = 0, agree: Agree | None = None
    ) -> Receipt:
        call = Call(self.address, abi.contract(NAME).encode(function, *arguments))
        return self.campaign.sender.send(account, call, value, money=self.campaign.asset.format, agree=agree)


def _ask(
    connection: Connection, address: str, function: str, *arguments: Any, block: BlockId = "latest"
) -> tuple[Any, ...]:
    interface = abi.contract(NAME)
    call = Call(address, interface.encode(function, *arguments))
    return interface.decode_output(function, connection.call(call, block=block))


def _submission(log: Log) -> Submission | None:
    event = abi.contract(NAME).decode_log(log.topics, log.data)
    match = None if event is None else _EVIDENCE_PATH.fullmatch(event.values["evidence"])
    if event is None or match is None:
        return None
    return Submission(checksum(event.values["party"]), match[1], log.block)
