"""Signatures of one digest, in every form that wallets give them."""

from __future__ import annotations

from eth_account import Account
from eth_utils import keccak

from llamafund_chain.chain.keyfile import CURVE_ORDER

DIGEST = keccak(b"an attestation")


def account(number: int):
    return Account.from_key(number.to_bytes(32, "big"))


def sign(number: int, digest: bytes) -> bytes:
    return bytes(account(number).unsafe_sign_hash(digest).signature)


def with_v(signature: bytes, v: int) -> bytes:
    return signature[:64] + bytes([v])


def compact(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
    return signature[:32] + s.to_bytes(32, "big")


def high(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


FORMS = {
    "as it is": lambda usual: usual,
    "v of 0 or 1": lambda usual: with_v(usual, usual[64] - 27),
    "64 bytes": compact,
    "high s": high,
    "high s and v of 0 or 1": lambda usual: with_v(high(usual), high(usual)[64] - 27),
    "v with chain 1": lambda usual: with_v(usual, usual[64] + 10),
    "v of the other parity": lambda usual: with_v(usual, 55 - usual[64]),
    "v of nothing": lambda usual: with_v(usual, 200),
}
