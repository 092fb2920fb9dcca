"""Key files as other programs, other systems and strangers write them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_keyfile.keyfile import encrypt_aes_ctr
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from llamafund_chain.chain.keyfile import encrypt, parse_key_file
from llamafund_chain.errors import UsageError

KEY = bytes(range(1, 33))
ADDRESS = Account.from_key(KEY).address
PASSPHRASE = "p\u00e9ch\u00e9"
HERE = Path("alice.json")


def key_file() -> dict[str, Any]:
    return json.loads(encrypt(KEY, PASSPHRASE, light_kdf=True))


def in_crypto(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    document = key_file()
    change(document["crypto"])
    return document


def prefixed(crypto: dict[str, Any]) -> None:
    for place, name in (
        (crypto, "mac"),
        (crypto, "ciphertext"),
        (crypto["kdfparams"], "salt"),
        (crypto["cipherparams"], "iv"),
    ):
        place[name] = f"0X{place[name].upper()}"


def capitals(value: Any) -> Any:
    return {name.upper(): capitals(item) for name, item in value.items()} if isinstance(value, dict) else value


def dumped(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


ODD = {
    "no address": dumped({name: item for name, item in key_file().items() if name != "address"}),
    "an empty address": dumped({**key_file(), "address": ""}),
    "an address with 0X": dumped({**key_file(), "address": f"0X{ADDRESS[2:].upper()}"}),
    "a byte order mark": b"\xef\xbb\xbf" + dumped(key_file()),
    "UTF-16 of a Windows shell": json.dumps(key_file()).encode("utf-16"),
    "the version as text": dumped({**key_file(), "version": "3"}),
    "capital names": dumped(capitals(key_file())),
    "the kdf in capitals": dumped(in_crypto(lambda crypto: crypto.update(kdf="SCRYPT", cipher="AES-128-CTR"))),
    "0X before everything": dumped(in_crypto(prefixed)),
    "a name of its own": dumped({**key_file(), "name": "alice", "x": [{}]}),
}


@pytest.mark.parametrize("data", ODD.values(), ids=list(ODD))
def test_an_odd_but_real_file_opens(data: bytes) -> None:
    assert parse_key_file(data, HERE).open(PASSPHRASE).address == ADDRESS


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_a_passphrase_opens_in_whichever_form_it_is_typed(form: str, typed: str) -> None:
    data = encrypt(KEY, unicodedata.normalize(form, PASSPHRASE), light_kdf=True)
    assert parse_key_file(data, HERE).open(unicodedata.normalize(typed, PASSPHRASE)).address == ADDRESS


def test_a_passphrase_in_neither_normal_form_opens_as_it_was_typed() -> None:
    mixed = "p\u00e9che\u0301"
    assert parse_key_file(encrypt(KEY, mixed, light_kdf=True), HERE).open(mixed).address == ADDRESS


def test_a_passphrase_that_is_not_text_is_refused() -> None:
    typed = b"\xff".decode("utf-8", "surrogateescape")
    with pytest.raises(UsageError, match="The passphrase is not text"):
        parse_key_file(dumped(key_file()), HERE).open(typed)
    with pytest.raises(UsageError, match="The passphrase is not text"):
        encrypt(KEY, typed, light_kdf=True)


SHORT_OF_MEMORY = """
import resource
from pathlib import Path

from llamafund_chain.chain.keyfile import encrypt, parse_key_file
from llamafund_chain.errors import LlamafundError

path = Path("alice.json")
file = parse_key_file(encrypt(bytes(31) + b"1", "x", light_kdf=False), path)
parse_key_file(encrypt(bytes(31) + b"1", "x", light_kdf=True), path).open("x")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
for attempt in (lambda: file.open("x"), lambda: encrypt(bytes(31) + b"1", "x", light_kdf=False)):
    try:
        attempt()
    except LlamafundError as error:
        print(type(error).__name__, error.what)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is bounded and read as Linux does")
def test_a_lack_of_memory_is_not_blamed_on_the_file() -> None:
    ran = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == [
        "LlamafundError There is not enough memory to open 'alice.json'",
        "LlamafundError There is not enough memory to encrypt the key",
    ], ran.stderr


def locked(plain: bytes) -> bytes:
    """A key file of anything, even of what no program would take for a key."""
    derived = hashlib.scrypt(PASSPHRASE.encode(), salt=b"salt", n=4, r=8, p=1, dklen=32)
    ciphertext = encrypt_aes_ctr(plain, derived[:16], 1)
    return dumped(
        {
            "version": 3,
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": {"iv": "01"},
                "ciphertext": ciphertext.hex(),
                "kdf": "scrypt",
                "kdfparams": {"n": 4, "r": 8, "p": 1, "dklen": 32, "salt": b"salt".hex()},
                "mac": keccak(derived[16:32] + ciphertext).hex(),
            },
        }
    )


def test_a_key_with_leading_zeros_left_out_opens() -> None:
    assert parse_key_file(locked(KEY[:31]), HERE).open(PASSPHRASE).key == b"\0" + KEY[:31]


@pytest.mark.parametrize("plain", [bytes(32), b"\xff" * 32])
def test_what_decrypts_to_no_key_is_refused_without_naming_it(plain: bytes) -> None:
    with pytest.raises(UsageError, match="What it encrypts is not a private key") as caught:
        parse_key_file(locked(plain), HERE).open(PASSPHRASE)
    assert plain.hex() not in "".join(traceback.format_exception(caught.value))


def test_neither_key_file_nor_account_shows_a_secret_when_printed() -> None:
    document = parse_key_file(dumped(key_file()), HERE)
    shown = f"{document!r} {document.open(PASSPHRASE)!r}"
    assert KEY.hex() not in shown
    assert key_file()["crypto"]["kdf"] not in shown


NAMES = "crypto Crypto version kdf kdfparams cipherparams n r p c dklen prf salt mac iv cipher ciphertext address id"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["scrypt", "3", "0x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES.split()),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def refused_or_locked(data: bytes) -> None:
    """Nothing but the error for people."""
    try:
        document = parse_key_file(data, HERE)
    except UsageError:
        return
    with pytest.raises(UsageError):
        document.open("not the passphrase")


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_random_bytes_never_give_a_traceback(data: bytes) -> None:
    refused_or_locked(data)


@settings(max_examples=200)
@given(JSON)
def test_random_json_never_gives_a_traceback(document: Any) -> None:
    refused_or_locked(json.dumps(document).encode())


@settings(max_examples=100)
@given(JSON)
def test_no_crypto_section_breaks_the_program(crypto: Any) -> None:
    refused_or_locked(json.dumps({"version": 3, "crypto": crypto}).encode())


@settings(max_examples=100)
@given(st.sampled_from(sorted(key_file()["crypto"])), JSON)
def test_no_single_damaged_field_breaks_the_program(name: str, value: Any) -> None:
    refused_or_locked(dumped(in_crypto(lambda crypto: crypto.update({name: value}))))


@settings(max_examples=100)
@given(st.integers(0, 600), st.binary(min_size=1, max_size=3))
def test_no_damaged_byte_breaks_the_program(place: int, damage: bytes) -> None:
    data = dumped(key_file())
    place %= len(data)
    refused_or_locked(data[:place] + damage + data[place + len(damage) :])
