"""Wallets: private keys in encrypted files, found by name in this program's folder and in those of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.chain.keyfile import encrypt, is_private_key, parse_key_file, read_key_file
from llamafund_chain.chain.known_accounts import KNOWN_ACCOUNTS
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import PendingFile, storage_error

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

DERIVATION_PATH = "m/44'/60'/0'/0/0"
"""The first account of a mnemonic, in every common wallet."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GETH_NAME = re.compile(r"UTC--.*--([0-9a-fA-F]{40})")
_PRIVATE_KEY = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
_MNEMONIC_WORDS = (12, 15, 18, 21, 24)
_PATH = re.compile(r"m(/[0-9]{1,10}'?){1,10}")


@dataclass(frozen=True)
class WalletInfo:
    """A key file without its secret.

    Attributes:
        name: Its name in commands.
        address: Checksummed, as the file claims; `None` if the file names none, as Foundry's do.
        path: The key file.
    """

    name: str
    address: str | None
    path: Path


@dataclass(frozen=True)
class Listing:
    """The key files of all folders.

    Attributes:
        wallets: By folder and name.
        unusable: What stands among them and cannot be used, each as a sentence.
    """

    wallets: tuple[WalletInfo, ...]
    unusable: tuple[str, ...]


def folders_of_others(home: Path) -> tuple[Path, ...]:
    """Where Foundry, brownie and geth (on Linux, on a Mac) keep key files.

    Args:
        home: The user's home directory.
    """
    places = (".foundry/keystores", ".brownie/accounts", ".ethereum/keystore", "Library/Ethereum/keystore")
    return tuple(home / place for place in places)


def parse_private_key(text: str) -> bytes:
    """A private key from 64 hexadecimal digits, with or without 0x.

    Raises:
        UsageError: It is not a private key. The message never contains the text.
    """
    found = _PRIVATE_KEY.fullmatch(text.strip())
    key = b"" if found is None else bytes.fromhex(found[1])
    if not is_private_key(key):
        raise UsageError(
            "This is not a private key",
            "A private key has 64 hexadecimal digits, and not every number is one",
            "Export it again from the wallet that has it",
        )
    return key


def parse_mnemonic(text: str, derivation_path: str = DERIVATION_PATH) -> bytes:
    """The private key of a mnemonic's account (BIP-39, BIP-44).

    Args:
        text: 12, 15, 18, 21 or 24 words, in English or in another language of the standard.
        derivation_path: Which account.

    Raises:
        UsageError: It is not a mnemonic, or the path is malformed. The message never contains the words.
    """
    from eth_account import Account

    if not _PATH.fullmatch(derivation_path):
        raise UsageError(
            f"{derivation_path[:80]!r} is not a derivation path", remedy=f"Write it like {DERIVATION_PATH}"
        )
    Account.enable_unaudited_hdwallet_features()
    try:
        return bytes(Account.from_mnemonic(" ".join(text.lower().split()), account_path=derivation_path).key)
    except Exception:  # noqa: BLE001 - the library's message has the words in it
        raise UsageError(
            "This is not a mnemonic",
            "It has 12 to 24 words of a fixed list, and the last one checks the others",
            "Check each word and their order",
        ) from None


def parse_secret(text: str, derivation_path: str = DERIVATION_PATH) -> bytes:
    """A private key from what a person pasted: the key itself, or a mnemonic.

    Raises:
        UsageError: It is neither. The message never contains the text.
    """
    if _PRIVATE_KEY.fullmatch(text.strip()):
        return parse_private_key(text)
    if len(text.split()) in _MNEMONIC_WORDS:
        return parse_mnemonic(text, derivation_path)
    raise UsageError(
        "This is neither a private key nor a mnemonic",
        "A private key has 64 hexadecimal digits, a mnemonic 12, 15, 18, 21 or 24 words",
        "Paste one of them, or name a file that has it",
    )


class KeyStore:
    """A directory of key files, each named after its wallet.

    Args:
        directory: Created with the first key, readable only by its owner.
        others: Directories of other programs, in which keys are found too. Nothing is created there.
    """

    def __init__(self, directory: Path, others: Sequence[Path] = ()) -> None:
        self._directory = directory
        self._others = tuple(others)

    @property
    def directory(self) -> Path:
        """Where new key files are written."""
        return self._directory

    def create(self, name: str, passphrase: str, *, light_kdf: bool = False) -> WalletInfo:
        """Create a random key and keep it encrypted; otherwise like `add`."""
        from eth_account import Account

        return self.add(name, bytes(Account.create().key), passphrase, light_kdf=light_kdf)

    def add(self, name: str, key: bytes, passphrase: str, *, light_kdf: bool = False) -> WalletInfo:
        """Keep a key encrypted. An existing file is never overwritten.

        Args:
            name: At most 64 letters, digits, `.`, `_` and `-`.
            key: 32 bytes.
            passphrase: Unlocks the key; a forgotten passphrase means a lost key.
            light_kdf: Use weak encryption, so that unlocking takes milliseconds and guessing is easy.

        Raises:
            UsageError: The name cannot be used or is taken, or the passphrase is empty.
            LlamafundError: The file cannot be written.
        """
        from eth_account import Account

        path = self.require_free(name)
        data = encrypt(key, passphrase, light_kdf=light_kdf)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"Making the directory {str(self._directory)!r}") from error
        with PendingFile(self._directory, mode=0o600) as pending:
            pending.write(data)
            try:
                pending.commit(path, replace=False)
            except UsageError as error:
                raise _taken(name, path) from error
        return WalletInfo(name=name, address=Account.from_key(key).address, path=path)

    def require_free(self, name: str) -> Path:
        """The path of a key file to be; for a refusal before anybody is asked for a secret.

        Raises:
            UsageError: The name cannot be used or is taken.
        """
        if not _NAME.fullmatch(name) or name.endswith(".json"):
            raise UsageError(
                f"{name[:80]!r} cannot be a wallet's name",
                "A name has at most 64 letters, digits, dots, underscores and hyphens, starts with a letter "
                "or digit, and does not end in .json",
                "Choose another name",
            )
        path = self._directory / f"{name}.json"
        if path.exists():
            raise _taken(name, path)
        return path

    def list(self) -> Listing:
        """All key files, by folder and name. One that cannot be used hides no other.

        Raises:
            LlamafundError: The own directory cannot be read.
        """
        wallets: list[WalletInfo] = []
        unusable: list[str] = []
        for directory in (self._directory, *self._others):
            for name, path in self._entries(directory, unusable):
                try:
                    stated = read_key_file(path).address
                except LlamafundError as error:
                    if _is_named_as_key(path):
                        unusable.append(str(error))
                else:
                    wallets.append(WalletInfo(name, None if stated is None else _checksummed(stated), path))
        return Listing(tuple(wallets), tuple(unusable))

    def unlock(self, name_or_path: str | Path, passphrase: str) -> LocalAccount:
        """Decrypt a key.

        Args:
            name_or_path: A wallet by its name, or the path of a key file: a `Path`, or text with a `/`. geth's files
                are found by their address too.
            passphrase: The passphrase that it was encrypted with; see `KeyFile.open`.

        Raises:
            UsageError: There is no such wallet, or several; the file is not a key file, or the passphrase is wrong.
            VerificationError: The key does not belong to the address that the file names.
            LlamafundError: The file cannot be read.
        """
        return read_key_file(self.locate(name_or_path)).open(passphrase)

    def address_of(self, name_or_path: str | Path) -> str | None:
        """The address that a key file names, `0x` and 40 digits; `None` if only opening it would tell. See `unlock`."""
        return read_key_file(self.locate(name_or_path)).address

    def change_passphrase(
        self, name_or_path: str | Path, passphrase: str, new: str, *, light_kdf: bool = False
    ) -> WalletInfo:
        """Encrypt a key file anew. Afterwards it opens with the new passphrase, or is unchanged.

        Args:
            name_or_path: See `unlock`.
            passphrase: The passphrase that opens it now.
            new: The one that opens it from now on.
            light_kdf: See `add`.

        Raises:
            UsageError: It cannot be unlocked, the new passphrase is empty, or the file has more than a key in it.
            VerificationError: The key does not belong to the address that the file names.
            LlamafundError: The file cannot be read or written.
        """
        path = self.locate(name_or_path)
        # A link stays a link.
        target = path.resolve()
        key_file = read_key_file(path)
        key_file.require_replaceable()
        account = key_file.open(passphrase)
        data = encrypt(bytes(account.key), new, light_kdf=light_kdf, identifier=key_file.identifier)
        # The old file is the only other copy of the key: prove the new one first.
        parse_key_file(data, target).open(new)
        with PendingFile(target.parent, mode=0o600) as pending:
            pending.write(data)
            pending.commit(target)
        return WalletInfo(path.name.removesuffix(".json"), account.address, path)

    def locate(self, name_or_path: str | Path) -> Path:
        """The key file of a wallet; see `unlock`.

        Raises:
            UsageError: There is no such wallet, or there are several.
        """
        if isinstance(name_or_path, Path):
            return name_or_path
        if "/" in name_or_path:
            try:
                return Path(name_or_path).expanduser()
            except RuntimeError as error:
                raise UsageError(f"There is no home directory for {name_or_path!r}", str(error)) from error
        if _PRIVATE_KEY.fullmatch(name_or_path):
            raise UsageError(
                "A private key was given where a wallet's name belongs",
                "Others can see it in the list of processes, and the shell may remember it",
                "Take it for known to others. `llamafund wallet import` keeps a key without showing it",
            )
        wanted = name_or_path.removesuffix(".json")
        found = [
            path
            for directory in (self._directory, *self._others)
            for name, path in self._entries(directory, [])
            if wanted in (name, path.name) or (wanted.lower() == name.lower() and name.startswith("0x"))
        ]
        if len(found) > 1:
            raise UsageError(
                f"There are {len(found)} wallets {name_or_path!r}",
                f"They are {', '.join(str(path) for path in found)}",
                "Name one by its path",
            )
        if not found:
            raise UsageError(
                f"There is no wallet {name_or_path[:80]!r} in {str(self._directory)!r}"
                + (", nor in the folders of Foundry, brownie and geth" if self._others else ""),
                remedy=_where_to_look(wanted),
            )
        return found[0]

    def _entries(self, directory: Path, unusable: MutableSequence[str]) -> Sequence[tuple[str, Path]]:
        """The entries of a directory. Another program's that cannot be read is only noted."""
        try:
            return tuple(_entries(directory))
        except LlamafundError as error:
            if directory == self._directory:
                raise
            unusable.append(str(error))
            return ()


def _entries(directory: Path) -> Iterator[tuple[str, Path]]:
    """Names of wallets and their files, in order: everything in the directory that could be a key file."""
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise storage_error(error, f"Listing the wallets in {str(directory)!r}") from error
    for path in paths:
        geth = _GETH_NAME.fullmatch(path.name)
        yield (path.name.removesuffix(".json") if geth is None else _checksummed(f"0x{geth[1].lower()}")), path


def _where_to_look(name: str) -> str:
    """What to do if there is no wallet of a name."""
    usual = "See `llamafund wallet list`, create one with `llamafund wallet new`, or name a path"
    if any(account.name == name for account in KNOWN_ACCOUNTS):
        return f"{usual}. If you mean {name} of the test chain, run the lines that `llamafund devnet` prints"
    return usual


def _is_named_as_key(path: Path) -> bool:
    """Whether a file's name says that it has a key. Foundry's say nothing, so other files may stand beside them."""
    return path.suffix == ".json" or path.name.startswith("UTC--")


def _checksummed(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))


def _taken(name: str, path: Path) -> UsageError:
    return UsageError(
        f"There is a wallet {name!r} already: {str(path)!r}",
        "Key files are never overwritten, for the key would be lost",
        "Choose another name",
    )
