"""What comes back from a program that signs is not trusted."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llamafund_chain.chain.signers import AbsentAccount, RemoteSigner, decode_transaction, portable, signature_of
from llamafund_chain.errors import UsageError, VerificationError

KEY = "0x" + f"{21:064x}"
ADDRESS = Account.from_key(KEY).address
TO = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
WANTED: dict[str, Any] = {
    "chainId": 31337,
    "nonce": 3,
    "gas": 21_000,
    "to": TO,
    "value": 5,
    "data": b"\x01\x02",
    "maxFeePerGas": 10**9,
    "maxPriorityFeePerGas": 1,
}
LEGACY = {**{name: WANTED[name] for name in ("chainId", "nonce", "gas", "to", "value", "data")}, "gasPrice": 10**9}
SIGNED = bytes(Account.sign_transaction(WANTED, KEY).raw_transaction)


@pytest.fixture(scope="module")
def signer() -> RemoteSigner:
    return RemoteSigner("http://127.0.0.1:1")


@pytest.mark.parametrize("fields", [WANTED, LEGACY])
def test_both_kinds_of_transactions_are_read(signer: RemoteSigner, fields: dict[str, Any]) -> None:
    raw = bytes(Account.sign_transaction(fields, KEY).raw_transaction)
    found = decode_transaction(raw)
    assert (found.sender, found.to, found.chain_id) == (ADDRESS.lower(), TO.lower(), 31337)
    signer.require_same(raw, ADDRESS, WANTED)


def test_a_legacy_transaction_for_any_chain_is_refused(signer: RemoteSigner) -> None:
    fields = {name: value for name, value in LEGACY.items() if name != "chainId"}
    with pytest.raises(VerificationError, match="differs in chain_id"):
        signer.require_same(bytes(Account.sign_transaction(fields, KEY).raw_transaction), ADDRESS, WANTED)


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b"\x02" + data))
def test_random_bytes_are_one_error(signer: RemoteSigner, raw: bytes) -> None:
    with pytest.raises(VerificationError):
        signer.require_same(raw, ADDRESS, WANTED)


@settings(max_examples=150)
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
@example(42, 163)
def test_a_damaged_transaction_is_one_error(signer: RemoteSigner, place: int, change: int) -> None:
    raw = bytearray(SIGNED)
    raw[place] ^= change
    with pytest.raises(VerificationError):
        signer.require_same(bytes(raw), ADDRESS, WANTED)


def test_numbers_that_javascript_would_round_are_text_in_a_document() -> None:
    document = {"domain": {"chainId": 1}, "message": {"a": 2**53 - 1, "b": 2**53, "c": -(2**60), "d": "x"}}
    assert portable(document)["message"] == {"a": 2**53 - 1, "b": str(2**53), "c": str(-(2**60)), "d": "x"}
    assert portable(document)["domain"] == {"chainId": 1}


def test_an_absent_account_signs_nothing_and_no_bare_hash() -> None:
    account = AbsentAccount(ADDRESS)
    assert signature_of(account, {}) is None
    with pytest.raises(UsageError, match="does not sign messages here"):
        account.unsafe_sign_hash(bytes(32))
    assert account == AbsentAccount(ADDRESS)
    assert len({account, AbsentAccount(ADDRESS)}) == 1
