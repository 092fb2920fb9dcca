"""Key files are made once, kept from others, and opened by their passphrase only."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.chain.wallet import KeyStore
from llamafund_chain.errors import ExitCode, UsageError, VerificationError

PASSPHRASE = "korrekt Pferd – 電池"

# From the definition of the Ethereum keystore, version 3.
PUBLISHED = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_parameters(path: Path, **changes: Any) -> None:
    crypto = json.loads(path.read_text())["crypto"]
    edit(path, crypto={**crypto, "kdfparams": {**crypto["kdfparams"], **changes}})


def test_a_new_wallet_opens_with_its_passphrase(keys: KeyStore) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    account = keys.unlock("alice", PASSPHRASE)
    assert account.address == info.address
    assert keys.unlock(info.path, PASSPHRASE).key == account.key
    assert keys.unlock(str(info.path), PASSPHRASE).key == account.key


def test_every_wallet_has_a_key_of_its_own(keys: KeyStore) -> None:
    assert keys.create("a", "x", light_kdf=True).address != keys.create("b", "x", light_kdf=True).address


def test_only_the_owner_may_read_key_and_directory(keys: KeyStore) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    assert stat.S_IMODE(info.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.directory.stat().st_mode) == 0o700
    assert list(keys.directory.iterdir()) == [info.path]


def test_the_file_does_not_hold_the_key_or_the_passphrase(keys: KeyStore) -> None:
    info = keys.create("alice", "unmistakable", light_kdf=True)
    text = info.path.read_text()
    assert keys.unlock("alice", "unmistakable").key.hex() not in text
    assert "unmistakable" not in text


def test_a_wallet_of_full_strength_costs_full_work(keys: KeyStore) -> None:
    info = keys.create("alice", PASSPHRASE)
    parameters = json.loads(info.path.read_text())["crypto"]["kdfparams"]
    assert (parameters["n"], parameters["r"], parameters["p"]) == (1 << 18, 8, 1)
    assert keys.unlock("alice", PASSPHRASE).address == info.address


def test_an_existing_wallet_is_never_overwritten(keys: KeyStore) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    before = info.path.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        keys.create("alice", PASSPHRASE, light_kdf=True)
    assert info.path.read_bytes() == before


def test_two_who_make_the_same_wallet_at_once_do_not_lose_a_key(
    keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt = Account.encrypt

    def encrypt_while_another_finishes(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(Account, "encrypt", encrypt)
        keys.create("alice", "other", light_kdf=True)
        return encrypt(*arguments, **options)

    monkeypatch.setattr(Account, "encrypt", encrypt_while_another_finishes)
    with pytest.raises(UsageError, match="There is a wallet 'alice' already"):
        keys.create("alice", PASSPHRASE, light_kdf=True)
    assert keys.unlock("alice", "other").address == keys.list()[0].address
    assert len(list(keys.directory.iterdir())) == 1


def test_the_wrong_passphrase_is_called_so_and_not_repeated(keys: KeyStore) -> None:
    keys.create("alice", PASSPHRASE, light_kdf=True)
    with pytest.raises(UsageError, match="passphrase does not open") as caught:
        keys.unlock("alice", "my-other-secret")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "my-other-secret" not in str(caught.value)


def test_an_empty_passphrase_is_refused(keys: KeyStore) -> None:
    with pytest.raises(UsageError, match="passphrase is empty"):
        keys.create("alice", "")
    assert not keys.directory.exists()


@pytest.mark.parametrize(
    "name", ["", "../alice", "a/b", ".hidden", "-rf", "a b", "alice.json", "x" * 65, "a\n", "ä", "a\x00", "CON:", "~"]
)
def test_a_name_that_could_be_something_else_is_refused(keys: KeyStore, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a wallet's name"):
        keys.create(name, PASSPHRASE, light_kdf=True)
    assert not keys.directory.exists()


def test_wallets_are_listed_by_name(keys: KeyStore) -> None:
    infos = [keys.create(name, PASSPHRASE, light_kdf=True) for name in ("carol", "alice", "bob.2")]
    assert keys.list() == (infos[1], infos[2], infos[0])


def test_an_absent_directory_lists_nothing_and_is_not_made(keys: KeyStore) -> None:
    assert keys.list() == ()
    assert not keys.directory.exists()


def test_an_unknown_wallet_is_named(keys: KeyStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no wallet 'alice'"):
        keys.unlock("alice", PASSPHRASE)
    with pytest.raises(UsageError, match="There is no file"):
        keys.unlock(tmp_path / "absent.json", PASSPHRASE)


def test_the_published_key_file_opens(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(PUBLISHED))
    key = keys.unlock(path, "testpassword").key
    assert key.hex().removeprefix("0x") == "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


def test_a_key_file_of_another_client_with_capital_letters_opens(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    renamed = {key.capitalize() if key == "crypto" else key: value for key, value in PUBLISHED.items()}
    path.write_text(json.dumps(renamed))
    assert keys.unlock(path, "testpassword").address


def test_a_key_file_that_names_another_address_is_refused(keys: KeyStore) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    edit(info.path, address="ab" * 20)
    with pytest.raises(VerificationError, match="its key is that of"):
        keys.unlock("alice", PASSPHRASE)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", "{", '{"version": 1, "crypto": {}}', '{"version": 3}', "\x00", "[" * 50_000]
)
def test_what_is_no_key_file_is_refused(keys: KeyStore, tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys" / "broken.json"
    path.parent.mkdir()
    path.write_text(content)
    for action in (lambda: keys.unlock("broken", PASSPHRASE), keys.list):
        with pytest.raises(UsageError, match="cannot be used as a key file"):
            action()


def test_a_huge_file_is_refused_before_it_is_parsed(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.write_bytes(b" " * 10_000_000)
    with pytest.raises(UsageError, match="longer than 65536 bytes"):
        keys.unlock(path, PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 1 << 40},
        {"r": 1 << 30},
        {"p": 1 << 20},
        {"n": 0},
        {"n": -8},
        {"dklen": 16},
        {"dklen": 1 << 31},
        {"n": "8"},
    ],
)
def test_a_key_file_that_would_exhaust_the_machine_is_refused_before_any_work(
    keys: KeyStore, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    edit_parameters(info.path, **changes)
    monkeypatch.setattr(Account, "decrypt", lambda *_: pytest.fail("it was worked on"))
    with pytest.raises(UsageError, match="cannot be used as a key file"):
        keys.unlock("alice", PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"kdf": "argon2"},
        {"kdf": 5},
        {"kdfparams": []},
        {"kdfparams": {}},
        {"mac": 7},
        {"mac": "zz"},
        {"ciphertext": None},
        {"kdf": "pbkdf2", "kdfparams": {"c": 10, "dklen": 32, "prf": "none", "salt": "00"}},
        {"kdf": "pbkdf2", "kdfparams": {"c": 10**12, "dklen": 32, "prf": "hmac-sha256", "salt": "00"}},
        {"kdfparams": {"n": 3, "r": 8, "p": 1, "dklen": 32, "salt": "00"}},
        {"kdfparams": {"n": 4096, "r": 8, "p": 1, "dklen": 32, "salt": 5}},
    ],
)
def test_a_damaged_encryption_is_refused(keys: KeyStore, changes: dict[str, Any]) -> None:
    info = keys.create("alice", PASSPHRASE, light_kdf=True)
    edit(info.path, crypto={**json.loads(info.path.read_text())["crypto"], **changes})
    with pytest.raises(UsageError):
        keys.unlock("alice", PASSPHRASE)


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["crypto", "kdf", "kdfparams", "n", "r", "p", "c", "dklen", "salt", "mac", "address"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_no_crypto_section_breaks_the_program(tmp_path_factory: pytest.TempPathFactory, crypto: Any) -> None:
    path = tmp_path_factory.mktemp("keys") / "hostile.json"
    path.write_text(json.dumps({"version": 3, "crypto": crypto}))
    with pytest.raises(UsageError):
        KeyStore(path.parent).unlock(path, PASSPHRASE)
