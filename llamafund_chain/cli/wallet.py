"""`llamafund wallet`: key files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamafund_chain.chain.wallet import KeyStore, WalletInfo
from llamafund_chain.cli.options import json_option, keystore_option, passphrase_option, read_passphrase
from llamafund_chain.cli.output import emit, rows

if TYPE_CHECKING:
    # Kept out of the light commands: it takes longer to load than they run.
    from pydantic import JsonValue


@click.command()
@click.argument("name")
@click.option(
    "--light-kdf",
    is_flag=True,
    help="Weak encryption that unlocks in milliseconds; only for keys without value.",
)
@keystore_option
@passphrase_option
@json_option
def new(name: str, light_kdf: bool, keystore: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Create a random key and keep it, encrypted, under NAME.

    An existing key file is never overwritten. Back up the file and remember the passphrase: nobody can restore
    either.

    \b
    Example:
      llamafund wallet new alice
    """
    passphrase = read_passphrase(passphrase_file, confirm=True, purpose=f"New passphrase for {name}")
    info = KeyStore(keystore).create(name, passphrase, light_kdf=light_kdf)
    lines = rows((("wallet", info.name), ("address", info.address), ("key file", str(info.path))))
    emit("wallet new", {"wallet": _facts(info)}, lines, as_json=as_json)


@click.command("list")
@keystore_option
@json_option
def list_(keystore: Path, as_json: bool) -> None:
    """List the key files of the keystore with their addresses.

    \b
    Example:
      llamafund wallet list
    """
    infos = KeyStore(keystore).list()
    listed: list[JsonValue] = [_facts(info) for info in infos]
    lines = rows((info.name, info.address) for info in infos) or [f"There are no wallets in {keystore}."]
    emit("wallet list", {"keystore": str(keystore), "wallets": listed}, lines, as_json=as_json)


def _facts(info: WalletInfo) -> dict[str, JsonValue]:
    return {"name": info.name, "address": info.address, "path": str(info.path)}
