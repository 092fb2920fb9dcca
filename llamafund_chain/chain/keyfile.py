"""The file format of private keys that Ethereum clients share: keystore version 3, as it is found in the field.

geth, Foundry, brownie, web wallets and old scripts differ in small things: upper case names, `0X`, a byte order mark,
a version written as text, no address. All of these are read. What would not be safe to open is refused.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.files import read_spans
from llamafund_chain.strict_yaml import load_json

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

MAX_KEY_FILE_BYTES = 64 * 1024
"""Bytes of the longest key file that is read."""

STANDARD_SCRYPT_N = 1 << 18
"""Cost of one guess of the passphrase: about a second and 256 MiB."""

LIGHT_SCRYPT_N = 1 << 12
"""The same for keys without value: a few milliseconds and 4 MiB."""

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Number of points of secp256k1: private keys, and the numbers of a signature, are below it."""

_MAX_SCRYPT_BYTES = 1 << 30
_MAX_SCRYPT_P = 16
_MAX_PBKDF2_ROUNDS = 20_000_000
_KEY_BYTES = 32

_HEX = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)")
_ADDRESS = re.compile(r"(?:0[xX])?([0-9a-fA-F]{40})")

# pycryptodome tells a lack of memory only so.
_SCRYPT_WITHOUT_MEMORY = "Error 2 while running scrypt"

_REPLACEABLE = frozenset({"address", "crypto", "id", "version"})


@dataclass(frozen=True)
class KeyFile:
    """A key file whose form is known to be sound; its key is still encrypted.

    Attributes:
        path: Where it was read.
        address: The address that it names, `0x` and 40 lower case digits; `None` if it names none. Only opening the
            file proves it.
        crypto: The encryption, in the form that `eth_account` reads.
        identifier: Its `id`, if it has one.
        other_fields: Names of fields that the format does not know.
    """

    path: Path
    address: str | None
    crypto: Mapping[str, Any] = field(repr=False)
    identifier: str | None = field(default=None, repr=False)
    other_fields: tuple[str, ...] = ()

    def open(self, passphrase: str) -> LocalAccount:
        """Decrypt the key.

        The same letters can be typed as different bytes: `é` is one character on Linux and two on a Mac. So the
        passphrase is tried as it was typed, and then in both of these forms.

        Args:
            passphrase: The passphrase that the key was encrypted with.

        Raises:
            UsageError: The passphrase is wrong, or the encryption is damaged.
            VerificationError: The key does not belong to the address that the file names.
            LlamafundError: There is not enough memory.
        """
        from eth_account import Account

        key = self._decrypt(passphrase)
        if not is_private_key(key):
            raise no_key_file(self.path, "What it encrypts is not a private key")
        account: LocalAccount = Account.from_key(key)
        if self.address is not None and self.address != account.address.lower():
            raise VerificationError(
                f"{str(self.path)!r} names the address {self.address}, but its key is that of {account.address}",
                "The file was changed by hand or made from two files",
                "Do not use it. Restore it from a backup",
            )
        return account

    def _decrypt(self, passphrase: str) -> bytes:
        from eth_account import Account

        document = {"version": 3, "crypto": self.crypto}
        forms = (passphrase, unicodedata.normalize("NFC", passphrase), unicodedata.normalize("NFD", passphrase))
        for form in dict.fromkeys(forms):
            try:
                return bytes(Account.decrypt(document, form)).rjust(_KEY_BYTES, b"\0")
            except UnicodeEncodeError:
                raise UsageError(
                    "The passphrase is not text",
                    "It has bytes that are not UTF-8",
                    "Check the terminal's settings, or name a file with --passphrase-file",
                ) from None
            except MemoryError as error:
                raise _no_memory(f"open {str(self.path)!r}") from error
            except (ValueError, TypeError, KeyError, AttributeError, AssertionError, NotImplementedError) as error:
                if str(error) == _SCRYPT_WITHOUT_MEMORY:
                    raise _no_memory(f"open {str(self.path)!r}") from error
                if str(error) != "MAC mismatch":
                    raise no_key_file(self.path, "Its encryption is damaged or of an unknown kind") from error
        raise UsageError(
            f"The passphrase does not open {str(self.path)!r}",
            remedy="Check the passphrase, the file that it is read from and the wallet's name",
        )

    def require_replaceable(self) -> None:
        """Refuse to write the file anew if that would lose something.

        Raises:
            UsageError: It has fields of another program, which may depend on the passphrase.
        """
        if self.other_fields:
            raise UsageError(
                f"{str(self.path)!r} has more than a key: {', '.join(self.other_fields)}",
                "Another program may have encrypted that with the same passphrase, and it would be lost",
                "Change the passphrase with the program that made the file, or import its key under another name",
            )


def is_private_key(key: bytes) -> bool:
    """Whether 32 bytes are a private key of the curve; zero and the largest numbers are not."""
    return len(key) == _KEY_BYTES and 0 < int.from_bytes(key, "big") < CURVE_ORDER


def encrypt(key: bytes, passphrase: str, *, light_kdf: bool, identifier: str | None = None) -> bytes:
    """A key file's bytes.

    Args:
        key: 32 bytes.
        passphrase: Unlocks the key.
        light_kdf: Use weak encryption, so that unlocking takes milliseconds and guessing is easy.
        identifier: The file's `id`; `None` for a random one.

    Raises:
        UsageError: The passphrase is empty or is not text.
        LlamafundError: There is not enough memory.
    """
    from eth_account import Account

    if not passphrase:
        raise UsageError("The passphrase is empty", "Anyone with the file would have the key", "Choose a passphrase")
    rounds = LIGHT_SCRYPT_N if light_kdf else STANDARD_SCRYPT_N
    try:
        document = dict(Account.encrypt(key, passphrase, kdf="scrypt", iterations=rounds))
    except UnicodeEncodeError:
        raise UsageError("The passphrase is not text", "It has bytes that are not UTF-8", "Choose another") from None
    except MemoryError as error:
        raise _no_memory("encrypt the key") from error
    except ValueError as error:
        if str(error) != _SCRYPT_WITHOUT_MEMORY:
            raise
        raise _no_memory("encrypt the key") from error
    if identifier is not None:
        document["id"] = identifier
    return json.dumps(document, indent=2).encode("ascii") + b"\n"


def read_key_file(path: Path) -> KeyFile:
    """Read a key file, whoever made it.

    Raises:
        UsageError: There is no such file, or it is not a key file that can be opened safely.
        LlamafundError: It cannot be read.
    """
    # Not `Path.resolve`, which fails in a way of its own for links that lead in a circle.
    data = b""
    for span in read_spans(Path(os.path.realpath(path))):
        data += span
        if len(data) > MAX_KEY_FILE_BYTES:
            raise no_key_file(path, f"It is longer than {MAX_KEY_FILE_BYTES} bytes")
    return parse_key_file(data, path)


def parse_key_file(data: bytes, path: Path) -> KeyFile:
    """A key file from its bytes.

    Args:
        data: Any bytes.
        path: Where they were read, for messages.

    Raises:
        UsageError: They are not a key file that can be opened safely.
    """
    try:
        value = load_json(_as_utf8(data))
    except ValueError as error:
        raise no_key_file(path, "It is not JSON") from error
    fields = _lower(value)
    crypto = _lower(fields.get("crypto"))
    if str(fields.get("version")).strip() != "3" or not crypto:
        raise no_key_file(path, "It is not an Ethereum keystore of version 3")
    stated = fields.get("address")
    address = _ADDRESS.fullmatch(stated.strip()) if isinstance(stated, str) else None
    identifier = fields.get("id")
    return KeyFile(
        path=path,
        address=None if address is None else f"0x{address[1].lower()}",
        crypto=_sound(crypto, path),
        identifier=identifier if isinstance(identifier, str) else None,
        other_fields=tuple(sorted(fields.keys() - _REPLACEABLE)),
    )


def no_key_file(path: Path, reason: str) -> UsageError:
    """The error for a file that cannot be used as a key file."""
    return UsageError(
        f"{str(path)!r} cannot be used as a key file", reason, "Give another file, or move it out of the directory"
    )


def _no_memory(purpose: str) -> LlamafundError:
    """The error for a lack of memory, which says nothing about the file."""
    return LlamafundError(
        f"There is not enough memory to {purpose}",
        "The encryption takes much on purpose, usually 256 MiB, so that guessing is expensive",
        "Close other programs, or raise this one's limit, and repeat the command",
    )


def _as_utf8(data: bytes) -> bytes:
    """The same text as UTF-8 without a byte order mark; Windows' shells write several kinds.

    Raises:
        ValueError: It is not text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _lower(value: Any) -> dict[str, Any]:
    """An object with its names in lower case; empty for anything else."""
    return {name.lower(): item for name, item in value.items()} if isinstance(value, dict) else {}


def _sound(crypto: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The encryption in its usual spelling, without parameters that would take forever or fill the memory."""
    kdf = _word(crypto.get("kdf"))
    parameters = _lower(crypto.get("kdfparams"))
    if not parameters:
        raise no_key_file(path, "It does not say how its key was encrypted")
    numbers = {name: item for name, item in parameters.items() if type(item) is int}
    try:
        if kdf == "scrypt":
            n, r, p = numbers["n"], numbers["r"], numbers["p"]
            bearable = min(n, r, p) > 0 and 128 * n * r <= _MAX_SCRYPT_BYTES and p <= _MAX_SCRYPT_P
            kept: dict[str, Any] = {"n": n, "r": r, "p": p}
        elif kdf == "pbkdf2":
            bearable = 0 < numbers["c"] <= _MAX_PBKDF2_ROUNDS
            kept = {"c": numbers["c"], "prf": _word(parameters.get("prf"))}
        else:
            raise no_key_file(path, "It was encrypted in a way that is neither scrypt nor pbkdf2")
        bearable = bearable and numbers["dklen"] == 32
    except KeyError as error:
        raise no_key_file(path, f"Its encryption lacks the number {error.args[0]!r}") from error
    if not bearable:
        raise no_key_file(path, "Its encryption needs more time or memory than any honest key file")
    if kept.get("prf", "hmac-sha256") != "hmac-sha256" or _word(crypto.get("cipher")) != "aes-128-ctr":
        raise no_key_file(path, "Its encryption is of an unknown kind")
    digits = {
        "salt": (parameters.get("salt"), range(1, 1025)),
        "iv": (_lower(crypto.get("cipherparams")).get("iv"), range(1, 17)),
        "ciphertext": (crypto.get("ciphertext"), range(1, _KEY_BYTES + 1)),
        "mac": (crypto.get("mac"), range(32, 33)),
    }
    plain: dict[str, str] = {}
    for name, (text, lengths) in digits.items():
        found = _HEX.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None or len(found[1]) // 2 not in lengths:
            raise no_key_file(path, f"Its {name} is damaged")
        plain[name] = found[1].lower()
    return {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": plain["iv"]},
        "ciphertext": plain["ciphertext"],
        "kdf": kdf,
        "kdfparams": {**kept, "dklen": 32, "salt": plain["salt"]},
        "mac": plain["mac"],
    }


def _word(value: Any) -> str | None:
    """A word in lower case; `None` for anything else."""
    return value.strip().lower() if isinstance(value, str) else None
