"""The signatures of a Safe's owners end in the one order and form that the Safe takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from signature_forms import DIGEST, FORMS, account, sign, with_v

from llamafund_chain.campaign.safe import Safe
from llamafund_chain.chain.signatures import prefixed, recover_digest


@dataclass
class Contract:
    """What a Safe of version 1.3 or 1.4 does with signatures (`checkNSignatures`), in Python."""

    owners: Sequence[str]
    threshold: int
    approved: set[str] = field(default_factory=set)
    contracts: dict[str, bytes] = field(default_factory=dict)

    def takes(self, message: bytes, signatures: bytes) -> bool:
        if len(signatures) < self.threshold * 65:
            return False
        last = 0
        for place in range(self.threshold):
            r, s, v = (signatures[place * 65 : place * 65 + 32], signatures[place * 65 + 32 : place * 65 + 64], 0)
            v = signatures[place * 65 + 64]
            if v == 0:
                owner, start = f"0x{r[12:].hex()}", int.from_bytes(s, "big")
                if start < self.threshold * 65 or start + 32 > len(signatures):
                    return False
                length = int.from_bytes(signatures[start : start + 32], "big")
                if self.contracts.get(owner) != signatures[start + 32 : start + 32 + length]:
                    return False
            elif v == 1:
                owner = f"0x{r[12:].hex()}"
                if owner not in self.approved:
                    return False
            else:
                digest, v = (prefixed(message), v - 4) if v > 30 else (message, v)
                owner = (recover_digest(digest, r + s + bytes([v])) or "0x0").lower()
            if int(owner, 16) <= last or owner not in self.owners:
                return False
            last = int(owner, 16)
        return True


NUMBERS = (1, 2, 3)
WALLET, RECORD = "0x" + "ab" * 20, "0x" + "01" * 20
SAFE = Safe((*(account(number).address.lower() for number in NUMBERS), WALLET, RECORD), keccak(b"a domain"))
MESSAGE = SAFE.message_hash(DIGEST)
CONTRACT = Contract(SAFE.owners, 3, {RECORD}, {WALLET: b"the wallet's own signature"})


def stated(owner: str, v: int, s: int = 0) -> bytes:
    return bytes(12) + bytes.fromhex(owner[2:]) + s.to_bytes(32, "big") + bytes([v])


APPROVAL = stated(RECORD, 1)
OWN = len(CONTRACT.contracts[WALLET]).to_bytes(32, "big") + CONTRACT.contracts[WALLET]
BY_CONTRACT = stated(WALLET, 0, 65) + OWN


def owner(number: int, form: str = "as it is") -> bytes:
    return FORMS[form](sign(number, MESSAGE))


def by_eth_sign(number: int, add: int) -> bytes:
    signature = sign(number, prefixed(MESSAGE))
    return with_v(signature, signature[64] + add)


GIVEN = {
    "three owners": [owner(1), owner(2), owner(3)],
    "in another order": [owner(3), owner(1), owner(2)],
    "packed in another order": [owner(3) + owner(1) + owner(2)],
    "v of 0 or 1, which a Safe reads as something else": [owner(number, "v of 0 or 1") for number in NUMBERS],
    "64 bytes": [owner(1, "64 bytes"), owner(2), owner(3, "high s")],
    "eth_sign": [by_eth_sign(1, 0), owner(2), by_eth_sign(3, 4)],
    "an approval on the chain": [owner(1) + owner(2), APPROVAL],
    "a contract among the owners": [BY_CONTRACT, owner(2), owner(1, "64 bytes")],
    "everything": [BY_CONTRACT, APPROVAL, by_eth_sign(2, -27)],
    "one twice": [owner(1), owner(1, "64 bytes"), owner(2), owner(3)],
}


@pytest.mark.parametrize("signatures", GIVEN.values(), ids=list(GIVEN))
def test_owners_signatures_are_packed_as_their_safe_takes_them(signatures: list[bytes]) -> None:
    packed = SAFE.pack(DIGEST, signatures)
    assert packed is not None
    assert CONTRACT.takes(MESSAGE, packed)
    # What is right already stays.
    assert SAFE.pack(DIGEST, [packed]) == packed


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        [b""],
        [sign(1, DIGEST)],
        [owner(1)[:-1] + b"\x02\x03"],
        [sign(4, MESSAGE)],
        [owner(1) + b"\0"],
        [stated(account(9).address, 1)],
        [stated(WALLET, 0, 65)],
        [stated(WALLET, 0, 10) + OWN],
        [stated(WALLET, 0, 2**200) + OWN],
        [stated(WALLET, 0, 65) + OWN[:-1]],
    ],
)
def test_what_is_not_all_of_owners_is_not_packed(signatures: list[bytes]) -> None:
    assert SAFE.pack(DIGEST, signatures) is None


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_random_bytes_are_no_safes_signature(signatures: list[bytes]) -> None:
    assert SAFE.pack(DIGEST, signatures) is None
