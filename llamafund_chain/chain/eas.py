"""Off-chain attestations of the Ethereum Attestation Service (EAS), version 2: signed typed data, kept as a file.

Source: eas-sdk 2.10, `offchain/offchain.ts`; eas-contracts 1.9, `SchemaRegistry.sol`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamafund_chain.chain.signatures import DOMAIN_FIELDS
from llamafund_chain.chain.transactions import Call
from llamafund_chain.errors import LlamafundError, UsageError

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Connection

CONTRACTS = {
    1: "0xA1207F3BBa224E2c9c3c6D5aF63D0eb1582Ce587",
    10: "0x4200000000000000000000000000000000000021",
    8453: "0x4200000000000000000000000000000000000021",
    42161: "0xbD75f629A22Dc1ceD33dDA0b68c546A1c035c458",
    84532: "0x4200000000000000000000000000000000000021",
    11155111: "0xC2679fBD37d54388Ce493F1DB75320D236e1815e",
    11155420: "0x4200000000000000000000000000000000000021",
}
"""EAS's contract by EIP-155 number, from eas-contracts 1.9, `deployments`."""

_VERSION = 2
_NOBODY = "0x" + "00" * 20
_ATTEST = [
    {"name": "version", "type": "uint16"},
    {"name": "schema", "type": "bytes32"},
    {"name": "recipient", "type": "address"},
    {"name": "time", "type": "uint64"},
    {"name": "expirationTime", "type": "uint64"},
    {"name": "revocable", "type": "bool"},
    {"name": "refUID", "type": "bytes32"},
    {"name": "data", "type": "bytes"},
    {"name": "salt", "type": "bytes32"},
]
# The selector of EAS's version(), which its typed data name.
_VERSION_OF = bytes.fromhex("54fd4d50")


@dataclass(frozen=True)
class Service:
    """EAS on a chain.

    Attributes:
        chain_id: EIP-155 number.
        contract: Checksummed address.
        version: What the contract says of itself.
    """

    chain_id: int
    contract: str
    version: str


def service_at(connection: Connection, contract: str | None) -> Service:
    """EAS on a node's chain.

    Args:
        connection: The node.
        contract: EAS's address; `None` for the known one of the chain.

    Raises:
        UsageError: No address is known.
        LlamafundError: There is no EAS at the address.
    """
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    address = contract or CONTRACTS.get(connection.chain_id)
    if address is None:
        raise UsageError(
            f"No contract of EAS is known on chain {connection.chain_id}",
            "Its address is a part of what is signed",
            "Name it with --eas-contract",
        )
    nothing = LlamafundError(
        f"There is no EAS at {address}", "It does not say its version", "Check --eas-contract and --rpc"
    )
    try:
        (version,) = decode(["string"], connection.call(Call(address, _VERSION_OF)))
    except DecodingError:
        raise nothing from None
    if not 0 < len(version) <= 20:
        raise nothing
    return Service(connection.chain_id, address, version)


@dataclass(frozen=True)
class OffchainAttestation:
    """What is attested.

    Attributes:
        schema: The schema's text, for example `bytes32 report,address campaign`.
        values: In the order of the schema.
        recipient: Address of what it is about.
        time: When it is made, unix seconds.
        expires: Unix seconds; 0 for never.
    """

    schema: str
    values: tuple[Any, ...]
    recipient: str
    time: int
    expires: int = 0

    @property
    def schema_uid(self) -> str:
        """The schema's number in EAS's registry, with no resolver and irrevocable; hexadecimal with 0x."""
        from eth_utils import keccak

        return f"0x{keccak(self.schema.encode() + bytes(20) + bytes(1)).hex()}"

    @property
    def data(self) -> bytes:
        """The values, encoded by the schema."""
        from eth_abi.abi import encode

        return encode([field.split(" ")[0] for field in self.schema.split(",")], self.values)

    def message(self) -> dict[str, Any]:
        """The typed data's message. Its salt follows from the data: the same attestation is the same file."""
        from eth_utils import keccak

        return {
            "version": _VERSION,
            "schema": self.schema_uid,
            "recipient": self.recipient,
            "time": self.time,
            "expirationTime": self.expires,
            "revocable": False,
            "refUID": "0x" + "00" * 32,
            "data": f"0x{self.data.hex()}",
            "salt": f"0x{keccak(self.data).hex()}",
        }

    def typed_data(self, service: Service) -> dict[str, Any]:
        """The EIP-712 document to sign."""
        return {
            "types": {"EIP712Domain": DOMAIN_FIELDS, "Attest": _ATTEST},
            "primaryType": "Attest",
            "domain": {
                "name": "EAS Attestation",
                "version": service.version,
                "chainId": service.chain_id,
                "verifyingContract": service.contract,
            },
            "message": self.message(),
        }

    @property
    def uid(self) -> str:
        """The attestation's number, hexadecimal with 0x."""
        from eth_utils import keccak

        said = self.message()
        packed = b"".join(
            (
                _VERSION.to_bytes(2, "big"),
                said["schema"].encode(),
                bytes.fromhex(self.recipient[2:]),
                bytes.fromhex(_NOBODY[2:]),
                self.time.to_bytes(8, "big"),
                self.expires.to_bytes(8, "big"),
                bytes(1),
                bytes(32),
                self.data,
                bytes.fromhex(said["salt"][2:]),
                bytes(4),
            )
        )
        return f"0x{keccak(packed).hex()}"

    def document(self, service: Service, signer: str, signature: str) -> dict[str, Any]:
        """The file that EAS's SDK and explorers read.

        Args:
            service: EAS on the chain.
            signer: Address of whoever signed `typed_data`.
            signature: 65 bytes, hexadecimal with 0x.
        """
        data = self.typed_data(service)
        parts = {"r": signature[:66], "s": f"0x{signature[66:130]}", "v": int(signature[130:132], 16)}
        return {
            "sig": {
                "version": _VERSION,
                "uid": self.uid,
                "domain": data["domain"],
                "primaryType": "Attest",
                "types": {"Attest": _ATTEST},
                "message": data["message"],
                "signature": parts,
            },
            "signer": signer,
        }
