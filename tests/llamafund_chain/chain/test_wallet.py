"""Key files are made once, kept from others, found where other programs keep them, and opened by passphrase only."""

from __future__ import annotations

import json
import stat
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from llamafund_chain.chain.wallet import (
    KeyStore,
    Listing,
    WalletInfo,
    folders_of_others,
    parse_mnemonic,
    parse_private_key,
    parse_secret,
)
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
    assert keys.unlock("alice", "other").address == keys.list().wallets[0].address
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
    assert keys.list().wallets == (infos[1], infos[2], infos[0])


def test_an_absent_directory_lists_nothing_and_is_not_made(keys: KeyStore) -> None:
    assert keys.list() == Listing((), ())
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
    with pytest.raises(UsageError, match="cannot be used as a key file"):
        keys.unlock("broken", PASSPHRASE)
    good = keys.create("good", PASSPHRASE, light_kdf=True)
    listing = keys.list()
    assert listing.wallets == (good,)
    (sentence,) = listing.unusable
    assert "broken.json' cannot be used as a key file" in sentence


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


def test_a_changed_passphrase_opens_the_same_key_and_the_old_one_does_not(keys: KeyStore) -> None:
    info = keys.create("alice", "old", light_kdf=True)
    before = json.loads(info.path.read_text())
    assert keys.change_passphrase("alice", "old", "new", light_kdf=True) == info
    assert keys.unlock("alice", "new").address == info.address
    assert json.loads(info.path.read_text())["id"] == before["id"]
    assert stat.S_IMODE(info.path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="does not open"):
        keys.unlock("alice", "old")


@pytest.mark.parametrize(("old", "new"), [("wrong", "new"), ("old", "")])
def test_a_passphrase_that_cannot_be_changed_leaves_the_file_as_it_is(keys: KeyStore, old: str, new: str) -> None:
    info = keys.create("alice", "old", light_kdf=True)
    before = info.path.read_bytes()
    with pytest.raises(UsageError):
        keys.change_passphrase("alice", old, new, light_kdf=True)
    assert info.path.read_bytes() == before
    assert list(keys.directory.iterdir()) == [info.path]


def test_a_passphrase_is_not_changed_where_another_programs_secret_would_be_lost(keys: KeyStore) -> None:
    info = keys.create("alice", "old", light_kdf=True)
    edit(info.path, **{"x-ethers": {"mnemonicCiphertext": "00"}})
    before = info.path.read_bytes()
    with pytest.raises(UsageError, match=r"x-ethers.*it would be lost"):
        keys.change_passphrase("alice", "old", "new", light_kdf=True)
    assert info.path.read_bytes() == before


def test_a_link_to_a_key_file_stays_a_link(keys: KeyStore, tmp_path: Path) -> None:
    info = keys.create("alice", "old", light_kdf=True)
    link = tmp_path / "link.json"
    link.symlink_to(info.path)
    keys.change_passphrase(link, "old", "new", light_kdf=True)
    assert link.is_symlink()
    assert keys.unlock("alice", "new").address == info.address


@pytest.fixture
def everywhere(tmp_path: Path) -> tuple[KeyStore, dict[str, WalletInfo]]:
    """A wallet in each folder where wallets are looked for, as the program of that folder names its files."""
    home = tmp_path / "home"
    foundry, brownie, geth, _ = folders_of_others(home)
    made: dict[str, WalletInfo] = {}
    keys = KeyStore(home / "own", folders_of_others(home))
    made["own"] = keys.create("own", PASSPHRASE, light_kdf=True)
    for name, folder in (("cast", foundry), ("brownie", brownie), ("geth", geth)):
        info = KeyStore(folder).create(name, PASSPHRASE, light_kdf=True)
        if name == "cast":
            fields = json.loads(info.path.read_text())
            del fields["address"]
            info.path.write_text(json.dumps(fields))
            made[name] = replace(info, path=info.path.rename(folder / name), address=None)
        elif name == "geth":
            assert info.address is not None
            stamp = f"UTC--2026-11-28T17-00-00.000000000Z--{info.address[2:].lower()}"
            made[name] = WalletInfo(info.address, info.address, info.path.rename(folder / stamp))
        else:
            made[name] = info
    return keys, made


def test_wallets_of_foundry_brownie_and_geth_are_listed_and_found(
    everywhere: tuple[KeyStore, dict[str, WalletInfo]],
) -> None:
    keys, made = everywhere
    assert keys.list() == Listing(tuple(made.values()), ())
    for info in made.values():
        assert keys.unlock(info.name, PASSPHRASE).address == (
            info.address or keys.unlock(info.path, PASSPHRASE).address
        )
    assert keys.unlock(made["geth"].name.lower(), PASSPHRASE).address == made["geth"].address


def test_other_files_beside_foundrys_keys_are_no_wallets_and_no_faults(
    everywhere: tuple[KeyStore, dict[str, WalletInfo]],
) -> None:
    keys, made = everywhere
    beside = made["cast"].path.parent
    (beside / "notes").write_text("my notes")
    (beside / "folder.json").mkdir()
    (beside / ".hidden.json").write_text("{")
    assert keys.list() == Listing(tuple(made.values()), ())


def test_a_planted_file_of_the_same_name_signs_nothing(
    everywhere: tuple[KeyStore, dict[str, WalletInfo]],
) -> None:
    keys, made = everywhere
    KeyStore(made["brownie"].path.parent).create("own", PASSPHRASE, light_kdf=True)
    with pytest.raises(UsageError, match="There are 2 wallets 'own'"):
        keys.unlock("own", PASSPHRASE)
    assert keys.unlock(made["own"].path, PASSPHRASE).address == made["own"].address


def test_another_programs_folder_that_cannot_be_read_hides_no_wallet(
    everywhere: tuple[KeyStore, dict[str, WalletInfo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, made = everywhere
    closed, look = made["cast"].path.parent, Path.iterdir

    def listing(path: Path) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(Path, "iterdir", listing)
    listed = keys.list()
    assert listed.wallets == tuple(info for name, info in made.items() if name != "cast")
    (sentence,) = listed.unusable
    assert str(closed) in sentence
    assert keys.unlock("own", PASSPHRASE).address == made["own"].address


def test_links_that_lead_nowhere_or_in_a_circle_break_no_list(keys: KeyStore) -> None:
    good = keys.create("good", PASSPHRASE, light_kdf=True)
    (keys.directory / "gone.json").symlink_to("nowhere")
    (keys.directory / "circle.json").symlink_to("circle.json")
    listing = keys.list()
    assert listing.wallets == (good,)
    assert len(listing.unusable) == 2


# The first account of anvil's mnemonic, known to everybody.
MNEMONIC = "test test test test test test test test test test test junk"
FIRST_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.mark.parametrize(
    "text",
    [
        FIRST_KEY,
        f"0x{FIRST_KEY}",
        f"0X{FIRST_KEY.upper()}\n",
        MNEMONIC,
        f"  {MNEMONIC.upper()}\n\n",
        MNEMONIC.replace(" ", "\n"),
    ],
)
def test_a_pasted_key_or_mnemonic_is_recognised(text: str) -> None:
    assert parse_secret(text).hex() == FIRST_KEY


def test_another_account_of_a_mnemonic_is_had_by_its_path() -> None:
    key = parse_mnemonic(MNEMONIC, "m/44'/60'/0'/0/1")
    assert Account.from_key(key).address == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize("path", ["", "m", "44'/60'", "m/44/x", "m/99999999999", "m/44'/60'/0'/0/0/"])
def test_a_malformed_derivation_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"derivation path|not a mnemonic"):
        parse_mnemonic(MNEMONIC, path)


@pytest.mark.parametrize(
    "text",
    [
        "secretmarker",
        "secretmarker " * 12,
        MNEMONIC.replace("junk", "secretmarker"),
        "test " * 12,
        "00" * 32,
        "ff" * 32,
        "ab" * 31,
        f"{FIRST_KEY}ab",
    ],
)
def test_what_is_no_key_is_refused_and_never_repeated_even_in_the_causes(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_secret(text)
    told = "".join(traceback.format_exception(caught.value))
    assert text.strip() not in told
    assert "secretmarker" not in told


def test_a_private_key_of_wrong_length_is_refused() -> None:
    with pytest.raises(UsageError, match="not a private key"):
        parse_private_key("ab" * 33)


def test_whoever_forgot_the_lines_of_the_test_chain_is_reminded(keys: KeyStore) -> None:
    with pytest.raises(UsageError, match=r"There is no wallet 'rosa'.*the lines that `llamafund devnet` prints"):
        keys.locate("rosa")
    with pytest.raises(UsageError, match="There is no wallet 'nobody'") as refused:
        keys.locate("nobody")
    assert "devnet" not in str(refused.value)
