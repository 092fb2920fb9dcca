"""`llamafund wallet`: key files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamafund_chain.chain.keyfile import read_key_file
from llamafund_chain.chain.wallet import DERIVATION_PATH, WalletInfo, parse_secret
from llamafund_chain.cli.options import (
    FilePath,
    complete_wallets,
    json_option,
    keystore_option,
    open_keystore,
    passphrase_option,
    read_passphrase,
)
from llamafund_chain.cli.output import emit, note, rows
from llamafund_chain.cli.secrecy import keep_out_of_core_files
from llamafund_chain.errors import UsageError
from llamafund_chain.files import read_error, read_secret

if TYPE_CHECKING:
    # Kept out of the light commands: it takes longer to load than they run.
    from pydantic import JsonValue

_LIGHT = click.option(
    "--light-kdf",
    is_flag=True,
    help="Weak encryption that unlocks in milliseconds; only for keys without value.",
)
_MAX_TYPED = 4096


@click.command()
@click.argument("name")
@_LIGHT
@keystore_option
@passphrase_option
@json_option
def new(name: str, light_kdf: bool, keystore: Path | None, passphrase_file: Path | None, as_json: bool) -> None:
    """Create a random key and keep it, encrypted, under NAME.

    An existing key file is never overwritten. Back up the file and remember the passphrase: nobody can restore
    either.

    \b
    Example:
      llamafund wallet new alice
    """
    keys = open_keystore(keystore)
    keys.require_free(name)
    passphrase = read_passphrase(passphrase_file, confirm=True, purpose=f"New passphrase for {name}")
    _tell("wallet new", keys.create(name, passphrase, light_kdf=light_kdf), as_json=as_json)


@click.command("import")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True), metavar="[FILE]")
@click.option(
    "--derivation-path",
    default=DERIVATION_PATH,
    show_default=True,
    metavar="PATH",
    help="Which account of a mnemonic.",
)
@click.option(
    "--old-passphrase-file",
    type=FilePath(),
    metavar="FILE",
    help="File whose first line opens the key file to import. Without it, a terminal asks.",
)
@_LIGHT
@keystore_option
@passphrase_option
@json_option
def import_(
    name: str,
    file: Path | None,
    derivation_path: str,
    old_passphrase_file: Path | None,
    light_kdf: bool,
    keystore: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Keep an existing key, encrypted, under NAME.

    FILE has a private key, a mnemonic (12 to 24 words), or is a key file of geth, Foundry, brownie or another program;
    `-` reads standard input. Without FILE, a terminal asks for a private key or a mnemonic and does not show it. No
    option takes a secret, because others could see it in the list of processes.

    \b
    Example:
      llamafund wallet import alice ~/.brownie/accounts/alice.json
    """
    keys = open_keystore(keystore)
    keys.require_free(name)
    key = _key_to_import(name, file, derivation_path, old_passphrase_file)
    passphrase = read_passphrase(passphrase_file, confirm=True, purpose=f"New passphrase for {name}")
    _tell("wallet import", keys.add(name, key, passphrase, light_kdf=light_kdf), as_json=as_json)


@click.command("change-passphrase")
@click.argument("name", shell_complete=complete_wallets)
@click.option(
    "--new-passphrase-file",
    type=FilePath(),
    metavar="FILE",
    help="File whose first line is the new passphrase. Without it, a terminal asks.",
)
@_LIGHT
@keystore_option
@passphrase_option
@json_option
def change_passphrase(
    name: str,
    new_passphrase_file: Path | None,
    light_kdf: bool,
    keystore: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Encrypt the key of NAME, a wallet or the path of a key file, with a new passphrase.

    Copies of the old file still open with the old passphrase: delete them.

    \b
    Example:
      llamafund wallet change-passphrase alice
    """
    keys = open_keystore(keystore)
    path = keys.locate(name)
    passphrase = read_passphrase(passphrase_file, purpose=f"Passphrase of {name}")
    new_passphrase = read_passphrase(new_passphrase_file, confirm=True, purpose=f"New passphrase for {name}")
    info = keys.change_passphrase(path, passphrase, new_passphrase, light_kdf=light_kdf)
    _tell("wallet change-passphrase", info, as_json=as_json)


@click.command("list")
@keystore_option
@json_option
def list_(keystore: Path | None, as_json: bool) -> None:
    """List the key files with their addresses.

    Some key files name no address; only their passphrase shows it.

    \b
    Example:
      llamafund wallet list
    """
    keys = open_keystore(keystore)
    listing = keys.list()
    listed: list[JsonValue] = [_facts(info) for info in listing.wallets]
    lines = rows((info.name, _line(info, keys.directory)) for info in listing.wallets)
    if not as_json:
        for sentence in listing.unusable:
            note(f"Note: {sentence}")
    facts: dict[str, JsonValue] = {
        "keystore": str(keys.directory),
        "wallets": listed,
        "unusable": list(listing.unusable),
    }
    emit("wallet list", facts, lines or [f"There are no wallets in {keys.directory}."], as_json=as_json)


def _key_to_import(name: str, file: Path | None, derivation_path: str, old_passphrase_file: Path | None) -> bytes:
    keep_out_of_core_files()
    if file is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "There is no key to import",
                "This is not a terminal, so nobody can type one",
                "Name a file, or - to read standard input",
            )
        return parse_secret(
            str(click.prompt(f"Private key or mnemonic of {name}", hide_input=True, err=True)), derivation_path
        )
    if str(file) == "-":
        return parse_secret(sys.stdin.read(_MAX_TYPED), derivation_path)
    if _is_key_file(file):
        key_file = read_key_file(file)
        return bytes(key_file.open(read_passphrase(old_passphrase_file, purpose=f"Passphrase of {file}")).key)
    key = parse_secret(read_secret(file, "file", _MAX_TYPED), derivation_path)
    note(f"Note: {file} still has the key unencrypted. Delete it once you have a backup of the new key file.")
    return key


def _is_key_file(file: Path) -> bool:
    """Whether a file is an encrypted key file rather than a key: an object of JSON, in whatever encoding."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return b"{" in stream.read(64)
    except OSError as error:
        raise read_error(file, error) from error


def _tell(command: str, info: WalletInfo, *, as_json: bool) -> None:
    lines = rows((("wallet", info.name), ("address", str(info.address)), ("key file", str(info.path))))
    emit(command, {"wallet": _facts(info)}, lines, as_json=as_json)


def _line(info: WalletInfo, own: Path) -> str:
    """A wallet's address and, if it is another program's, its file."""
    address = info.address or "names no address"
    return address if info.path.parent == own else f"{address}  {info.path}"


def _facts(info: WalletInfo) -> dict[str, JsonValue]:
    return {"name": info.name, "address": info.address, "path": str(info.path)}
