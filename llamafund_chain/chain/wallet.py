"""Wallets: private keys in encrypted files, in the common format of Ethereum clients (keystore version 3)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.files import PendingFile, read_spans, storage_error

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

MAX_KEY_FILE_BYTES = 64 * 1024
"""Bytes of the longest key file that is read."""

STANDARD_SCRYPT_N = 1 << 18
"""Cost of one guess of the passphrase: about a second and 256 MiB."""

LIGHT_SCRYPT_N = 1 << 12
"""The same for keys without value: a few milliseconds and 4 MiB."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_SCRYPT_BYTES = 1 << 30
_MAX_SCRYPT_P = 16
_MAX_PBKDF2_ROUNDS = 20_000_000


@dataclass(frozen=True)
class WalletInfo:
    """A key file without its secret.

    Attributes:
        name: Its name in commands.
        address: Checksummed.
        path: The key file.
    """

    name: str
    address: str
    path: Path


class KeyStore:
    """A directory of key files, each named after its wallet.

    Args:
        directory: Created with the first key, readable only by its owner.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path:
        """Where the key files are."""
        return self._directory

    def create(self, name: str, passphrase: str, *, light_kdf: bool = False) -> WalletInfo:
        """Create a random key and keep it encrypted. An existing file is never overwritten.

        Args:
            name: At most 64 letters, digits, `.`, `_` and `-`.
            passphrase: Unlocks the key; a forgotten passphrase means a lost key.
            light_kdf: Use weak encryption, so that unlocking takes milliseconds and guessing is easy.

        Raises:
            UsageError: The name cannot be used or is taken, or the passphrase is empty.
            LlamafundError: The file cannot be written.
        """
        from eth_account import Account

        path = self._path(name)
        if not passphrase:
            raise UsageError(
                "The passphrase is empty",
                "Anyone with the file would have the key",
                "Choose a passphrase",
            )
        if path.exists():
            raise _taken(name, path)
        account = Account.create()
        key_file = Account.encrypt(
            account.key,
            passphrase,
            kdf="scrypt",
            iterations=LIGHT_SCRYPT_N if light_kdf else STANDARD_SCRYPT_N,
        )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"Making the directory {str(self._directory)!r}") from error
        with PendingFile(self._directory, mode=0o600) as pending:
            pending.write(json.dumps(key_file, indent=2).encode("ascii") + b"\n")
            try:
                pending.commit(path, replace=False)
            except UsageError as error:
                raise _taken(name, path) from error
        return WalletInfo(name=name, address=account.address, path=path)

    def list(self) -> tuple[WalletInfo, ...]:
        """The wallets, by name. Their addresses are what the files claim; only unlocking proves them.

        Raises:
            UsageError: A `.json` file in the directory is not a key file.
            LlamafundError: The directory or a file cannot be read.
        """
        try:
            names = sorted(
                entry.name.removesuffix(".json")
                for entry in self._directory.iterdir()
                if entry.name.endswith(".json") and not entry.name.startswith(".")
            )
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise storage_error(error, f"Listing the wallets in {str(self._directory)!r}") from error
        return tuple(self._info(name) for name in names)

    def unlock(self, name_or_path: str | Path, passphrase: str) -> LocalAccount:
        """Decrypt a key.

        Args:
            name_or_path: A wallet of this directory, or the path of a key file: a `Path`, or text with a `/`.
            passphrase: The passphrase that it was encrypted with.

        Raises:
            UsageError: There is no such wallet, the file is not a key file, or the passphrase is wrong.
            VerificationError: The key does not belong to the address that the file names.
            LlamafundError: The file cannot be read.
        """
        from eth_account import Account

        path = self._locate(name_or_path)
        key_file = _load(path)
        _check_work(key_file, path)
        try:
            key = Account.decrypt(dict(key_file), passphrase)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            AssertionError,
            NotImplementedError,
        ) as error:
            if str(error) == "MAC mismatch":
                raise UsageError(
                    f"The passphrase does not open {str(path)!r}",
                    remedy="Check the passphrase, the file that it is read from and the wallet's name",
                ) from error
            raise _no_key_file(path, "Its encryption is damaged or of an unknown kind") from error
        account: LocalAccount = Account.from_key(key)
        stated = _stated_address(key_file)
        if stated is not None and stated.lower() != account.address.lower():
            raise VerificationError(
                f"{str(path)!r} names the address {stated}, but its key is that of {account.address}",
                "The file was changed by hand or made from two files",
                "Do not use it. Restore it from a backup",
            )
        return account

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith(".json"):
            raise UsageError(
                f"{name[:80]!r} cannot be a wallet's name",
                "A name has at most 64 letters, digits, dots, underscores and hyphens, starts with a letter "
                "or digit, and does not end in .json",
                "Choose another name",
            )
        return self._directory / f"{name}.json"

    def _locate(self, name_or_path: str | Path) -> Path:
        if isinstance(name_or_path, Path):
            return name_or_path
        if os.sep in name_or_path:
            return Path(name_or_path).expanduser()
        path = self._path(name_or_path)
        if not path.exists():
            raise UsageError(
                f"There is no wallet {name_or_path!r} in {str(self._directory)!r}",
                remedy="See `llamafund wallet list`, create one with `llamafund wallet new`, or name a path",
            )
        return path

    def _info(self, name: str) -> WalletInfo:
        from eth_utils.address import to_checksum_address

        path = self._directory / f"{name}.json"
        stated = _stated_address(_load(path))
        if stated is None:
            raise _no_key_file(path, "It names no address")
        return WalletInfo(name=name, address=to_checksum_address(stated), path=path)


def _load(path: Path) -> Mapping[str, Any]:
    """A key file's fields, in lower case, because some clients write upper case."""
    data = b""
    for span in read_spans(path.resolve()):
        data += span
        if len(data) > MAX_KEY_FILE_BYTES:
            raise _no_key_file(path, f"It is longer than {MAX_KEY_FILE_BYTES} bytes")
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _no_key_file(path, "It is not JSON") from error
    fields = {key.lower(): item for key, item in value.items()} if isinstance(value, dict) else {}
    if fields.get("version") != 3 or not isinstance(fields.get("crypto"), dict):
        raise _no_key_file(path, "It is not an Ethereum keystore of version 3")
    return fields


def _check_work(key_file: Mapping[str, Any], path: Path) -> None:
    """Refuse parameters that would make unlocking take forever or fill the memory."""
    crypto = {key.lower(): item for key, item in key_file["crypto"].items()}
    parameters = crypto.get("kdfparams")
    if not isinstance(parameters, dict):
        raise _no_key_file(path, "It does not say how its key was encrypted")
    numbers = {key.lower(): item for key, item in parameters.items() if isinstance(item, int)}
    try:
        if crypto.get("kdf") == "scrypt":
            n, r, p = numbers["n"], numbers["r"], numbers["p"]
            bearable = min(n, r, p) > 0 and 128 * n * r <= _MAX_SCRYPT_BYTES and p <= _MAX_SCRYPT_P
        else:
            bearable = 0 < numbers["c"] <= _MAX_PBKDF2_ROUNDS
        bearable = bearable and numbers["dklen"] == 32
    except KeyError as error:
        raise _no_key_file(path, f"Its encryption lacks the number {error.args[0]!r}") from error
    if not bearable:
        raise _no_key_file(path, "Its encryption needs more time or memory than any honest key file")


def _stated_address(key_file: Mapping[str, Any]) -> str | None:
    stated = key_file.get("address")
    if not isinstance(stated, str) or not re.fullmatch(r"(0x)?[0-9a-fA-F]{40}", stated):
        return None
    return "0x" + stated.removeprefix("0x")


def _taken(name: str, path: Path) -> UsageError:
    return UsageError(
        f"There is a wallet {name!r} already: {str(path)!r}",
        "Key files are never overwritten, for the key would be lost",
        "Choose another name",
    )


def _no_key_file(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{str(path)!r} cannot be used as a key file",
        reason,
        "Give another file, or move it out of the directory",
    )
