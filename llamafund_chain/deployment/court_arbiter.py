"""The arbiter that asks a court: where one is, how to deploy it, and how to recognise one by its code.

There is one for each court, each set of extra data, each question and each reserve. Like the other contracts, they get
their addresses from their code: whoever needs one that is missing deploys it, and it is the same one. The address also
proves what its storage was at the start: the same code at another address may have been put there by something that
wrote another question into it, or disputes that never were.
"""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.addresses import CREATE2_DEPLOYER, SALT, Send
from llamafund_chain.errors import LlamafundError, UsageError

if TYPE_CHECKING:
    from web3 import Web3

NAME = "CourtArbiter"

NO_DECISION = 0
"""A court's ruling that is none."""
UPHELD = 1
"""A court's ruling that lets the attestation stand."""
REFUSED = 2
"""A court's ruling that refuses the last tranche."""

APPEAL_RESERVE = 28 * 86_400
"""Seconds before the end of the time for a ruling from which no appeal is taken, by default: longer than a round takes
at each of the known courts, with a week for drawing jurors."""


def question() -> bytes:
    """The JSON that puts the question to a court's jurors (ERC-1497 meta evidence), for publishing."""
    return files("llamafund_chain.deployment").joinpath("question.json").read_bytes()


def question_path() -> str:
    """Where jurors find that JSON: the address of its content."""
    raw_sha256 = bytes.fromhex("01551220")
    return f"/ipfs/b{b32encode(raw_sha256 + sha256(question()).digest()).decode().lower().rstrip('=')}"


@dataclass(frozen=True)
class CourtArbiter:
    """What makes one arbiter differ from the others.

    Attributes:
        court: Checksummed address of the ERC-792 court.
        extra_data: What the court is told with each dispute.
        meta_evidence: Where the JSON is that puts the question to the jurors (ERC-1497), an address of content such as
            `/ipfs/bafkrei…`.
        appeal_reserve: Seconds before the end of the time for a ruling from which no appeal is taken.
    """

    court: str
    extra_data: bytes = b""
    meta_evidence: str = field(default_factory=question_path)
    appeal_reserve: int = APPEAL_RESERVE

    @property
    def address(self) -> str:
        """Checksummed address, the same on every chain."""
        return addresses.create2(self._init_code())

    def deploy(self, w3: Web3, send: Send) -> None:
        """Deploy it unless it is there.

        Args:
            w3: Connection to a node of a chain that has the factory.
            send: Sends one transaction and returns its receipt.

        Raises:
            UsageError: There is no court at that address.
            LlamafundError: The transaction did not create it.
        """
        from eth_utils import to_checksum_address

        if not w3.eth.get_code(to_checksum_address(self.court)):
            raise UsageError(
                f"There is no contract at {self.court} on chain {w3.eth.chain_id}",
                "An arbiter asks a court, which is a contract",
                "Check the court's address and the chain",
            )
        where = to_checksum_address(self.address)
        if not w3.eth.get_code(where):
            send({"to": CREATE2_DEPLOYER, "data": "0x" + (SALT + self._init_code()).hex(), "value": 0})
        found = recognise(bytes(w3.eth.get_code(where)))
        if found is None or found.court != to_checksum_address(self.court):
            raise LlamafundError(
                f"The arbiter was not deployed to {where}", "There is no code, or other code", "Look at the transaction"
            )

    def _init_code(self) -> bytes:
        from eth_abi.abi import encode

        types = ["address", "address", "bytes", "string", "uint256"]
        factory = addresses.predicted().factory
        values = [factory, self.court, self.extra_data, self.meta_evidence, self.appeal_reserve]
        return artifacts.load(NAME).bytecode + encode(types, values)


@dataclass(frozen=True)
class Recognised:
    """What the code of an arbiter says for itself.

    Attributes:
        court: Checksummed address of the court that it asks.
        appeal_reserve: As in `CourtArbiter`.
    """

    court: str
    appeal_reserve: int


def recognise(code: bytes) -> Recognised | None:
    """What an arbiter's code says; `None` if this is not the code of an arbiter that asks a court.

    Args:
        code: The code at the arbiter's address. It holds the court's address, the reserve for appeals, and the address
            of this version's factory.
    """
    from eth_utils import to_checksum_address

    artifact = artifacts.load(NAME)
    if len(code) != len(artifact.deployed_bytecode):
        return None
    court, reserve = (_immutable(code, name) for name in ("court", "appealReserve"))
    factory = bytes.fromhex(addresses.predicted().factory[2:])
    expected = artifact.runtime({"court": court, "appealReserve": reserve, "factory": factory})
    if code != expected or any(court[:12]):
        return None
    return Recognised(str(to_checksum_address(court[12:])), int.from_bytes(reserve, "big"))


def _immutable(code: bytes, name: str) -> bytes:
    """An immutable's value where the code has it first."""
    (start, length), *_ = artifacts.load(NAME).immutable_references[name]
    return code[start : start + length]
