"""What all manifests share: field types, the base class, its encoding and its hash."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, MAX_SAFE_INTEGER, canonical

HexHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 or Keccak-256 as 64 lower-case hexadecimal digits, the way `sha256sum` prints it."""

SafeInt = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Cid = Annotated[str, StringConstraints(pattern=r"^b[a-z2-7]{58}$")]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]


class Record(BaseModel):
    """A part of a manifest. Fields that this version does not know are kept, and hashed with the rest."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class Manifest(Record):
    """Base of all manifests. The field `schema` of each kind has one value, also in `SCHEMA`."""

    SCHEMA: ClassVar[str] = ""

    schema_: str = Field(default="", alias="schema")

    model_config = ConfigDict(
        frozen=True, extra="allow", strict=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )

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
        """What is encoded: JSON's own types only."""
        return self.model_dump(mode="json")

    @property
    def sha256(self) -> str:
        """The manifest's hash, 64 hexadecimal digits: what the chain stores."""
        return hashlib.sha256(self.to_bytes()).hexdigest()
