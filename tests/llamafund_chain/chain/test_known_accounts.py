"""Keys that everybody knows sign on test chains only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account import Account

from llamafund_chain.campaign.attestation import propose
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS, TEST_CHAINS, names_of, require_own_key
from llamafund_chain.chain.outbox import Outbox
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call, Fees
from llamafund_chain.errors import UsageError

BASE = 8453
BOB = next(account for account in KNOWN_ACCOUNTS if account.name == "bob")
REFUSED = f"{BOB.address} is bob's account on test chains, and this is chain {BASE}"


def test_they_are_the_ten_that_anvil_funds(devnet) -> None:
    assert [account.address for account in KNOWN_ACCOUNTS] == devnet.w3.eth.accounts
    assert all(Account.from_key(account.key).address == account.address for account in KNOWN_ACCOUNTS)
    assert len({account.name for account in KNOWN_ACCOUNTS}) == 10
    assert all(account.key not in repr(account) for account in KNOWN_ACCOUNTS)


def test_only_they_are_refused_and_only_elsewhere() -> None:
    stranger = Account.create().address
    assert names_of([BOB.address, stranger, BOB.address]) == ("bob",)
    require_own_key(stranger, BASE)
    for chain in TEST_CHAINS:
        require_own_key(BOB.address, chain)
    for chain in (1, 10, BASE, 11155111):
        with pytest.raises(UsageError, match=r"Everybody has its key.*llamafund wallet new"):
            require_own_key(BOB.address, chain)


def test_threat_a_key_that_everybody_has_sends_nothing_where_money_is_real(devnet, monkeypatch) -> None:
    connection = devnet.connection
    monkeypatch.setattr(connection, "chain_id", BASE)
    bob, before = Account.from_key(BOB.key), connection.nonce(BOB.address)
    with pytest.raises(UsageError, match=REFUSED):
        Sender(connection).send(bob, Call(BOB.address, b""), 1)
    with pytest.raises(UsageError, match=REFUSED):
        Outbox(connection).sign(bob, Call(BOB.address, b""), nonce=0, gas=21_000, fees=Fees(1, 1))
    assert connection.nonce(BOB.address) == before


def test_threat_a_key_that_everybody_has_attests_nothing_where_money_is_real(stage) -> None:
    stage.honest_until(0)
    statement = replace(propose(stage.client, 0, stage.run.dataset))
    bob = Account.from_key(BOB.key)
    assert statement.sign(bob, 31337, stage.client.address).startswith("0x")
    with pytest.raises(UsageError, match=REFUSED):
        statement.sign(bob, BASE, stage.client.address)
