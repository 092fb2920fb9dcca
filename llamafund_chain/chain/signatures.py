"""Signatures as wallets write them, in the one form that contracts take: 65 bytes, low s, v 27 or 28.

Wallets differ: v may be 0 or 1, s may be high, both may be packed into 64 bytes (EIP-2098). Which form it is follows
from what it proves: the signer is recovered, and compared with who should have signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llamafund_chain.chain.keyfile import CURVE_ORDER

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

_HALF_ORDER = CURVE_ORDER // 2
_PARITY_BIT = 1 << 255

DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
"""The fields of the domain of typed data (EIP-712), as wallets need them."""


def digest_of(message: SignableMessage) -> bytes:
    """The 32 bytes that are signed for a message (EIP-191)."""
    from eth_utils import keccak

    return bytes(keccak(b"\x19" + message.version + message.header + message.body))


def recover_digest(digest: bytes, signature: bytes) -> str | None:
    """The signer of an ECDSA signature, by the rules of the contract (65 bytes, low s, v 27 or 28).

    Returns:
        Checksummed address, or `None`.
    """
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils import ValidationError as KeyValidationError

    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return None
    try:
        parsed = Signature(signature[:64] + bytes([signature[64] - 27]))
        return str(parsed.recover_public_key_from_msg_hash(digest).to_checksum_address())
    except (BadSignature, KeyValidationError, ValueError):
        return None


def readings(digest: bytes, signature: bytes) -> Iterator[tuple[str, bytes]]:
    """Whoever may have made an ECDSA signature, most likely first.

    A signature that says nothing clear of v can be read in two ways. Only one of them gives the address of somebody who
    is known, so nothing is lost by trying both.

    Args:
        digest: The 32 bytes that were signed.
        signature: 65 bytes with any v, or 64 (EIP-2098).

    Yields:
        Checksummed address, and the signature as the contract takes it.
    """
    if len(signature) not in (64, 65):
        return
    r, s = signature[:32], int.from_bytes(signature[32:64], "big")
    if len(signature) == 64:
        odd, s = bool(s & _PARITY_BIT), s & ~_PARITY_BIT
    else:
        # 0, 1, 27 and 28 mean what they say. 31 and 32 are Safe's; larger ones have the chain in them (EIP-155).
        odd = signature[64] % 2 == (1 if signature[64] < 27 else 0)
    if s > _HALF_ORDER:
        odd, s = not odd, max(CURVE_ORDER - s, 0)
    for parity in (odd, not odd):
        usual = r + s.to_bytes(32, "big") + bytes([28 if parity else 27])
        signer = recover_digest(digest, usual)
        if signer is not None:
            yield signer, usual


def usual_form(digest: bytes, signature: bytes, signer: str) -> bytes | None:
    """A signature as the contract takes it; `None` if the signer's key did not make it.

    Args:
        digest: The 32 bytes that were signed.
        signature: In any form of `readings`.
        signer: Address of whoever should have signed.
    """
    return next((form for who, form in readings(digest, signature) if who.lower() == signer.lower()), None)


def prefixed(digest: bytes) -> bytes:
    """What is signed in place of a digest by `eth_sign` and `personal_sign` (EIP-191)."""
    from eth_utils import keccak

    return bytes(keccak(b"\x19Ethereum Signed Message:\n32" + digest))
