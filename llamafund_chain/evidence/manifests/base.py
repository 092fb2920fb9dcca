"""What all manifests share: field types, the base class, its encoding and its hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, MAX_SAFE_INTEGER, canonical
from llamafund_chain.mistakes import Rule

_HASH_PATTERN = r"^[0-9a-f]{64}$"
_CID_PATTERN = r"^b[a-z2-7]{58}$"
_ADDRESS_PATTERN = r"^0x[0-9a-fA-F]{40}$"
_ACCOUNT_PATTERN = r"^eip155:[1-9][0-9]{0,31}:0x[0-9a-fA-F]{40}$"
_NUMBER_PATTERN = r"^(0|-?[1-9][0-9]{0,38})$"
_SIGNATURE_PATTERN = r"^0x([0-9a-f]{2}){1,8192}$"

HexHash = Annotated[str, StringConstraints(pattern=_HASH_PATTERN)]
"""SHA-256 or Keccak-256 as 64 lower-case hexadecimal digits, the way `sha256sum` prints it."""

SafeInt = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Cid = Annotated[str, StringConstraints(pattern=_CID_PATTERN)]
Address = Annotated[str, StringConstraints(pattern=_ADDRESS_PATTERN)]
ChainAccount = Annotated[str, StringConstraints(pattern=_ACCOUNT_PATTERN)]
"""An account or contract with its chain, as CAIP-10 writes it: `eip155:1:0x…`."""

WholeNumber = Annotated[str, StringConstraints(pattern=_NUMBER_PATTERN)]
"""A whole number as decimal text: JSON's own numbers are exact only below 2^53."""

SignatureHex = Annotated[str, StringConstraints(pattern=_SIGNATURE_PATTERN)]
"""A signature by a key (65 bytes) or for a wallet contract (ERC-1271), with 0x."""


def _hash_remedy(text: str) -> str:
    bare = text.strip().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", bare):
        return "Copy it from what `sha256sum` or `llamafund publish` printed"
    return f"Write it as {bare.lower()}"


def _address_remedy(text: str) -> str:
    if "." in text:
        return "Names are not looked up: write the address itself"
    return "Copy it again; `llamafund wallet list` shows your own"


ADDRESS_RULE = Rule("It must be an address: 0x and 40 hexadecimal digits", _address_remedy)
"""What an address looks like."""

RULES: Mapping[str, Rule] = {
    _HASH_PATTERN: Rule("It must be a SHA-256 hash: 64 lower-case hexadecimal digits", _hash_remedy),
    _CID_PATTERN: Rule(
        "It must be an IPFS address: the letter b and 58 letters and digits",
        lambda _: "Copy it from what `ipfs add --cid-version=1` printed",
    ),
    _ADDRESS_PATTERN: ADDRESS_RULE,
    _ACCOUNT_PATTERN: Rule(
        "It must be an address with its chain, as CAIP-10 writes it", lambda _: "Write it like eip155:1:0x…"
    ),
    _NUMBER_PATTERN: Rule(
        "It must be a whole number of at most 39 digits, written as text", lambda _: 'Write it like "250000"'
    ),
    _SIGNATURE_PATTERN: Rule(
        "It must be a signature: 0x and an even number of lower-case hexadecimal digits", lambda _: "Ask for it again"
    ),
}
"""The meaning of these types' regular expressions, for messages."""


class Record(BaseModel):
    """A part of a manifest. Fields that this version does not know are kept and hashed with the rest."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class Manifest(Record):
    """Base of all manifests. The field `schema` of each kind has one value, also in `SCHEMA`."""

    SCHEMA: ClassVar[str] = ""

    schema_: str = Field(default="", alias="schema")

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    def to_bytes(self) -> bytes:
        """Canonical encoding (RFC 8785).

        Raises:
            VerificationError: It is longer than `MAX_MANIFEST_BYTES`.
        """
        data = canonical(self.document())
        if len(data) > MAX_MANIFEST_BYTES:
            raise VerificationError(
                f"The manifest is {len(data)} bytes long",
                f"Manifests are at most {MAX_MANIFEST_BYTES} bytes",
                "Shorten its texts and lists",
            )
        return data

    def document(self) -> dict[str, Any]:
        """The object to encode, of JSON's types only."""
        return self.model_dump(mode="json")

    @property
    def sha256(self) -> str:
        """The manifest's hash, 64 hexadecimal digits, which the chain stores."""
        return hashlib.sha256(self.to_bytes()).hexdigest()
