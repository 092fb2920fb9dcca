"""Attestors that are a Safe: the signatures of its owners, in the one order and form that the Safe takes.

A Safe signs by its owners (ERC-1271): each signs an EIP-712 message that wraps the digest, and the signatures follow
one another by the owners' addresses. 65 bytes each: r, s and v, where v says what they are. 27 and 28: the message was
signed. 31 and 32: it was signed with the prefix of `eth_sign`. 0: the owner is a contract, and its own signature
follows after all others. 1: the owner has approved the message on the chain.

Owners' wallets do not know that, and write v as 0 or 1, or 64 bytes. What recovers to an owner is that owner's
signature, whatever its v says; only what does not is read as the Safe would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.chain.signatures import prefixed, readings
from llamafund_chain.chain.transactions import Call

if TYPE_CHECKING:
    from llamafund_chain.chain.connection import Connection

_PART = 65
_CONTRACT, _APPROVED, _ETH_SIGN = 0, 1, 4
_MOST_OWNERS = 100


@dataclass(frozen=True)
class OwnersSignature:
    """One owner's part of a Safe's signature.

    Attributes:
        owner: Address, lower case.
        fixed: r, s and v; s is set anew if something follows.
        following: A contract's own signature, after all fixed parts.
    """

    owner: str
    fixed: bytes
    following: bytes | None = None


@dataclass(frozen=True)
class Safe:
    """A Safe, as far as its signatures go.

    Attributes:
        owners: Addresses, lower case.
        domain: Its EIP-712 domain separator.
    """

    owners: tuple[str, ...]
    domain: bytes

    def message_hash(self, digest: bytes) -> bytes:
        """What its owners sign for a digest."""
        from eth_utils import keccak

        struct = keccak(keccak(text="SafeMessage(bytes message)") + keccak(digest))
        return bytes(keccak(b"\x19\x01" + self.domain + struct))

    def pack(self, digest: bytes, signatures: Sequence[bytes]) -> bytes | None:
        """The signature that the Safe takes.

        Args:
            digest: The 32 bytes to sign.
            signatures: Of single owners, or packed ones of several, in any order.

        Returns:
            `None` if there is none, or a part of them is no owner's.
        """
        message = self.message_hash(digest)
        found: dict[str, OwnersSignature] = {}
        for signature in signatures:
            parts = list(self._parts(message, signature))
            if None in parts or not parts:
                return None
            found |= {part.owner: part for part in parts if part is not None}
        if not found:
            return None
        fixed, following = b"", b""
        for part in sorted(found.values(), key=lambda part: int(part.owner, 16)):
            if part.following is None:
                fixed += part.fixed
                continue
            offset = _PART * len(found) + len(following)
            fixed += part.fixed[:32] + offset.to_bytes(32, "big") + bytes([_CONTRACT])
            following += len(part.following).to_bytes(32, "big") + part.following
        return fixed + following

    def _parts(self, message: bytes, signature: bytes) -> Iterator[OwnersSignature | None]:
        """The owners' parts of a signature; `None` for a part that is nobody's."""
        if len(signature) == 64:
            yield self._recovered(message, signature)
            return
        end, at = len(signature), 0
        while at + _PART <= end:
            fixed = signature[at : at + _PART]
            part = self._recovered(message, fixed) or self._stated(fixed, signature)
            if part is not None and part.following is not None:
                # What follows the fixed parts is no further part.
                end = min(end, int.from_bytes(fixed[32:64], "big"))
            yield part
            at += _PART
        if at != end:
            yield None

    def _recovered(self, message: bytes, signature: bytes) -> OwnersSignature | None:
        for digest, more in ((message, 0), (prefixed(message), _ETH_SIGN)):
            for signer, usual in readings(digest, signature):
                if signer.lower() in self.owners:
                    return OwnersSignature(signer.lower(), usual[:64] + bytes([usual[64] + more]))
        return None

    def _stated(self, fixed: bytes, whole: bytes) -> OwnersSignature | None:
        """A part that names its owner instead of proving it: the Safe asks the owner, or its own records."""
        owner = f"0x{fixed[12:32].hex()}"
        if any(fixed[:12]) or owner not in self.owners or fixed[64] not in (_CONTRACT, _APPROVED):
            return None
        if fixed[64] == _APPROVED:
            return OwnersSignature(owner, fixed)
        start = int.from_bytes(fixed[32:64], "big")
        length = int.from_bytes(whole[start : start + 32], "big")
        following = whole[start + 32 : start + 32 + length]
        if start < _PART or start + 32 > len(whole) or len(following) != length:
            return None
        return OwnersSignature(owner, fixed, following)


def read_safe(connection: Connection, address: str) -> Safe | None:
    """The Safe at an address; `None` if it is no Safe.

    Args:
        connection: The chain.
        address: A contract.
    """
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError
    from eth_utils import keccak

    try:
        domain = connection.call(Call(address, bytes(keccak(text="domainSeparator()")[:4])))
        (owners,) = decode(["address[]"], connection.call(Call(address, bytes(keccak(text="getOwners()")[:4]))))
    except (ContractRefusedError, RpcError, DecodingError, OverflowError):
        return None
    if len(domain) != 32 or not 0 < len(owners) <= _MOST_OWNERS:
        return None
    return Safe(tuple(str(owner).lower() for owner in owners), domain)
