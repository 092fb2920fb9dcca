"""What attestors sign: one milestone's evidence, for one campaign on one chain, with an expiry (EIP-712).

Attestors need no gas and no node to sign. They pass a small file around until the quorum is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from llamafund_chain.campaign.state import CampaignState
from llamafund_chain.campaign.terms import DAY, MilestoneKind, Terms
from llamafund_chain.chain.eas import OffchainAttestation
from llamafund_chain.chain.known_accounts import require_own_key
from llamafund_chain.chain.signatures import DOMAIN_FIELDS, digest_of, readings, usual_form
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import (
    RULES,
    Address,
    CheckpointManifest,
    DatasetManifest,
    EvidenceManifest,
    HexHash,
    SignatureHex,
    WeightsManifest,
)
from llamafund_chain.files import read_spans, write_file
from llamafund_chain.mistakes import Rule, UnfitError, find_mistakes, refusal
from llamafund_chain.strict_yaml import load_json
from llamafund_chain.text import printable

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount


DOMAIN_NAME = "LlamaFund Campaign"
DOMAIN_VERSION = "1"

DEFAULT_VALIDITY = 7 * DAY
"""Default seconds for which a signature is valid."""

MAX_FILE_BYTES = 256 * 1024

EVIDENCE: Mapping[MilestoneKind, type[EvidenceManifest]] = {
    MilestoneKind.DATASET: DatasetManifest,
    MilestoneKind.CHECKPOINT: CheckpointManifest,
    MilestoneKind.WEIGHTS: WeightsManifest,
}
"""The manifest of each kind of milestone's evidence."""

STRUCT = [
    {"name": "milestone", "type": "uint8"},
    {"name": "kind", "type": "uint8"},
    {"name": "evidence", "type": "bytes32"},
    {"name": "parent", "type": "bytes32"},
    {"name": "contentRoot", "type": "bytes32"},
    {"name": "contentSize", "type": "uint64"},
    {"name": "score", "type": "int64"},
    {"name": "expiry", "type": "uint64"},
]
_KIND_NAMES: Mapping[MilestoneKind, Literal["DATASET", "CHECKPOINT", "WEIGHTS"]] = {
    MilestoneKind.DATASET: "DATASET",
    MilestoneKind.CHECKPOINT: "CHECKPOINT",
    MilestoneKind.WEIGHTS: "WEIGHTS",
}

_WRITER = "It is the file that `llamafund attest --out` writes"

_INTEGER_PATTERN = r"^(0|-?[1-9][0-9]{0,19})$"
_CHAIN_PATTERN = r"^eip155:(0|[1-9][0-9]{0,19})$"


def _between(low: int, high: int) -> AfterValidator:
    def check(digits: str) -> str:
        if not low <= int(digits) <= high:
            raise UnfitError(f"It must be from {low} to {high}", "Check the number")
        return digits

    return AfterValidator(check)


# JSON numbers are only exact up to 2^53, and a size or score may be larger.
_Integer = Annotated[str, StringConstraints(pattern=_INTEGER_PATTERN)]
_Unsigned = Annotated[_Integer, _between(0, 2**64 - 1)]
_Signed = Annotated[_Integer, _between(-(2**63), 2**63 - 1)]

_RULES: Mapping[str, Rule] = {
    **RULES,
    _INTEGER_PATTERN: Rule(
        "It must be a whole number in quotes, without leading zeros", lambda _: 'Write it like "42"'
    ),
    _CHAIN_PATTERN: Rule("It must name a chain as CAIP-2 does", lambda _: "Write it like eip155:1"),
}


def domain_of(chain_id: int, campaign: str) -> dict[str, Any]:
    """The EIP-712 domain of all that is signed for a campaign.

    Args:
        chain_id: EIP-155 number.
        campaign: Address.
    """
    return {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "chainId": chain_id, "verifyingContract": campaign}


@dataclass(frozen=True)
class Attestation:
    """The signed statement. Hashes are 64 hexadecimal digits.

    Attributes:
        milestone: Index in the terms.
        kind: Kind of the evidence; must be the milestone's.
        evidence: SHA-256 of the evidence manifest.
        parent: Evidence of the previous milestone; for the first one, the proposal.
        content_root: Merkle root of the content; zero if the content is withheld.
        content_size: Bytes; 0 if the content is withheld.
        score: The proposal's metric in millionths, higher is better.
        expiry: Unix seconds; accepted strictly before it.
    """

    milestone: int
    kind: MilestoneKind
    evidence: str
    parent: str
    content_root: str
    content_size: int
    score: int
    expiry: int

    @property
    def withholds_content(self) -> bool:
        """Whether it states that the content is not published."""
        return self.content_size == 0 and int(self.content_root, 16) == 0

    def to_abi(self) -> tuple[Any, ...]:
        """The ABI tuple, in the order of the Solidity struct."""
        return (
            self.milestone,
            int(self.kind),
            bytes.fromhex(self.evidence),
            bytes.fromhex(self.parent),
            bytes.fromhex(self.content_root),
            self.content_size,
            self.score,
            self.expiry,
        )

    @classmethod
    def from_abi(cls, value: Sequence[Any]) -> Self:
        """An attestation from a decoded ABI tuple.

        Raises:
            VerificationError: It is not such a tuple.
        """
        try:
            milestone, kind, evidence, parent, root, size, score, expiry = value
            return cls(
                milestone,
                MilestoneKind(kind),
                bytes(evidence).hex(),
                bytes(parent).hex(),
                bytes(root).hex(),
                size,
                score,
                expiry,
            )
        except (TypeError, ValueError) as error:
            raise VerificationError("This is not an attestation", str(error)) from error

    def typed_data(self, chain_id: int, campaign: str) -> dict[str, Any]:
        """The EIP-712 document that wallets show and sign.

        Args:
            chain_id: EIP-155 number.
            campaign: Address of the campaign.
        """
        return {
            "types": {"EIP712Domain": DOMAIN_FIELDS, "MilestoneAttestation": STRUCT},
            "primaryType": "MilestoneAttestation",
            "domain": domain_of(chain_id, campaign),
            "message": {
                "milestone": self.milestone,
                "kind": int(self.kind),
                "evidence": f"0x{self.evidence}",
                "parent": f"0x{self.parent}",
                "contentRoot": f"0x{self.content_root}",
                "contentSize": self.content_size,
                "score": self.score,
                "expiry": self.expiry,
            },
        }

    def digest(self, chain_id: int, campaign: str) -> bytes:
        """The 32 bytes to sign; equal to the campaign's `attestationDigest`."""
        from eth_account.messages import encode_typed_data

        return digest_of(encode_typed_data(full_message=self.typed_data(chain_id, campaign)))

    def sign(self, account: BaseAccount, chain_id: int, campaign: str) -> str:
        """An account's signature, 0x and 130 hexadecimal digits.

        Raises:
            UsageError: The account signs elsewhere, or no typed data.
            VerificationError: Its signer returned something else.
        """
        from llamafund_chain.chain.signers import signature_of

        require_own_key(str(account.address), chain_id)
        signature = signature_of(account, self.typed_data(chain_id, campaign))
        if signature is None:
            raise UsageError(
                f"{account.address} does not sign here",
                "Its signer signs no typed data (EIP-712), or somewhere else",
                "Print what to sign with --print-typed-data, and pass the signature with --signature",
            )
        form = usual_form(self.digest(chain_id, campaign), signature, str(account.address))
        if form is None:
            raise VerificationError(
                f"What the signer returned is not a signature of {account.address}",
                f"It has {len(signature)} bytes and is of something else, or by another key",
                "Nothing was signed. Do not use that signer",
            )
        return f"0x{form.hex()}"


EAS_SCHEMA = (
    "address campaign,uint8 milestone,uint8 kind,bytes32 evidence,bytes32 parent,bytes32 contentRoot,"
    "uint64 contentSize,int64 score"
)
"""An attestation at EAS; its expiry is EAS's own."""


def attestation_to_eas(statement: Attestation, campaign: str, now: int) -> OffchainAttestation:
    """What an attestor attests at EAS: the same as to the campaign.

    Args:
        statement: The attestation.
        campaign: Address.
        now: Unix seconds.
    """
    *values, _ = statement.to_abi()
    return OffchainAttestation(EAS_SCHEMA, (campaign, *values), campaign, now, statement.expiry)


class SignatureEntry(BaseModel):
    """One attestor's signature."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    signer: Address
    signature: SignatureHex


class AttestationRecord(BaseModel):
    """An attestation in a file. Integers that may exceed 2^53 are decimal strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    milestone: Annotated[int, Field(ge=0, le=255)]
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"]
    evidence: HexHash
    parent: HexHash
    content_root: HexHash
    content_size: _Unsigned
    score: _Signed
    expiry: _Unsigned


class AttestationFile(BaseModel):
    """An attestation and the signatures collected so far.

    Attributes:
        chain: CAIP-2.
        campaign: Address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, serialize_by_alias=True)

    schema_: Literal["llamafund/attestation/1"] = Field(default="llamafund/attestation/1", alias="schema")
    chain: Annotated[str, StringConstraints(pattern=_CHAIN_PATTERN)]
    campaign: Address
    attestation: AttestationRecord
    signatures: Annotated[tuple[SignatureEntry, ...], Field(max_length=64)]

    @classmethod
    def create(cls, attestation: Attestation, chain_id: int, campaign: str, signatures: Mapping[str, str]) -> Self:
        """A file's content.

        Args:
            attestation: The signed attestation.
            chain_id: EIP-155 number.
            campaign: Checksummed address.
            signatures: By the signer's address.
        """
        fields = asdict(attestation)
        record = AttestationRecord(
            **{name: fields[name] for name in ("milestone", "evidence", "parent", "content_root")},
            kind=_KIND_NAMES[attestation.kind],
            content_size=str(attestation.content_size),
            score=str(attestation.score),
            expiry=str(attestation.expiry),
        )
        entries = tuple(SignatureEntry(signer=who, signature=what) for who, what in signatures.items())
        return cls(chain=f"eip155:{chain_id}", campaign=campaign, attestation=record, signatures=entries)

    @property
    def chain_id(self) -> int:
        """EIP-155 number."""
        return int(self.chain.removeprefix("eip155:"))

    @property
    def statement(self) -> Attestation:
        """The attestation itself."""
        record = self.attestation
        return Attestation(
            record.milestone,
            MilestoneKind[record.kind],
            record.evidence,
            record.parent,
            record.content_root,
            int(record.content_size),
            int(record.score),
            int(record.expiry),
        )

    def save(self, path: Path) -> None:
        """Write the file: all of it or nothing.

        Raises:
            LlamafundError: The file cannot be written.
        """
        write_file(path, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an untrusted file.

        Raises:
            UsageError: There is no such file, it is too long, or it is not an attestation file.
        """
        data = bytearray()
        for span in read_spans(path):
            data += span
            if len(data) > MAX_FILE_BYTES:
                raise UsageError(
                    f"{str(path)!r} is not an attestation file", f"It is longer than {MAX_FILE_BYTES} bytes", _WRITER
                )
        name = f"{str(path)!r} is not an attestation file"
        try:
            document = load_json(bytes(data))
        except ValueError as error:
            raise UsageError(f"{name}: {printable(str(error))}", remedy=_WRITER) from error
        try:
            return cls.model_validate_json(bytes(data))
        except ValidationError as error:
            mistakes = find_mistakes(error, cls, document, language="JSON", rules=_RULES)
            refused = refusal(UsageError, name, mistakes)
            refused.remedy = refused.remedy or _WRITER
            raise refused from error


def merge(
    files: Sequence[AttestationFile],
    attestors: Sequence[str],
    *,
    contracts: Collection[str] = (),
    judge: Callable[[str, bytes, bytes], bool] | None = None,
) -> tuple[Attestation, int, tuple[bytes, ...]]:
    """Collect attestors' signatures in the form that `attest` takes.

    Of several signatures by one signer, the proven one counts. So junk in one file cannot hide what the attestor
    signed in another. A signature may have any form that wallets give it; see `signatures.readings`.

    Args:
        files: All of one attestation.
        attestors: The terms' attestors, in their order.
        contracts: Those with code, whose signature may be valid without being their key's.
        judge: Asks one of the contracts whether it accepts the signature of a digest; see
            `CampaignClient.accepts_signature`. Without it, a contract's signature is accepted unchecked.

    Returns:
        The attestation; the signers as a bit set; their signatures, lowest bit first.

    Raises:
        UsageError: There is no file.
        VerificationError: The files differ in chain, campaign or attestation, a signer is not an attestor, no
            signature given for a signer is the signer's, or nobody can tell which one of several is.
    """
    if not files:
        raise UsageError("No attestation file was given", remedy="Name at least one")
    head = files[0]
    statement = head.statement
    for file in files:
        if (file.chain, file.campaign.lower(), file.statement) != (head.chain, head.campaign.lower(), statement):
            raise VerificationError(
                "The files are not of the same attestation",
                _difference(head, file),
                "Let everyone sign the same file: `llamafund attest --attestation FILE`",
            )
    places = {attestor.lower(): place for place, attestor in enumerate(attestors)}
    with_code = {address.lower() for address in contracts}
    given: dict[int, dict[bytes, int]] = {}
    for number, file in enumerate(files, 1):
        for entry in file.signatures:
            place = places.get(entry.signer.lower())
            if place is None:
                raise VerificationError(
                    f"{entry.signer} signed, but is not an attestor of this campaign",
                    f"Its attestors are {', '.join(attestors)}",
                    "Remove that signature",
                )
            given.setdefault(place, {}).setdefault(bytes.fromhex(entry.signature[2:]), number)
    digest = statement.digest(head.chain_id, head.campaign)
    collected = {
        place: _choose(attestors[place], digest, given[place], attestors[place].lower() in with_code, judge)
        for place in sorted(given)
    }
    return statement, sum(1 << place for place in collected), tuple(collected.values())


class Attestable(Protocol):
    """The part of a campaign that an attestation needs."""

    @property
    def terms(self) -> Terms:
        """Its terms."""

    def state(self) -> CampaignState:
        """Its state in the latest block."""


def propose(
    campaign: Attestable,
    milestone: int,
    manifest: EvidenceManifest,
    expiry: int | None = None,
    *,
    withhold_content: bool = False,
) -> Attestation:
    """The attestation of a milestone's evidence in the campaign's current state.

    Args:
        campaign: Read from a chain.
        milestone: Index in the terms.
        manifest: The evidence.
        expiry: Unix seconds; `None` for `DEFAULT_VALIDITY` from the chain's current time.
        withhold_content: Whether the content is not published, so that its root and size are zero.

    Raises:
        UsageError: The campaign has no such milestone.
        VerificationError: The manifest is of another kind than the milestone.
    """
    milestones = campaign.terms.milestones
    if not 0 <= milestone < len(milestones):
        raise UsageError(f"There is no milestone {milestone}", f"The campaign has {len(milestones)}, counted from 0")
    kind = milestones[milestone].kind
    if kind.name != manifest.KIND:
        raise VerificationError(
            f"The evidence {manifest.sha256} is of kind {manifest.KIND}", f"Milestone {milestone} is {kind.name}"
        )
    state = campaign.state()
    return Attestation(
        milestone=milestone,
        kind=kind,
        evidence=manifest.sha256,
        parent=state.latest_evidence,
        content_root="00" * 32 if withhold_content else manifest.content.root,
        content_size=0 if withhold_content else manifest.content.size,
        score=manifest.score or 0,
        expiry=state.timestamp + DEFAULT_VALIDITY if expiry is None else expiry,
    )


def _choose(
    signer: str,
    digest: bytes,
    given: Mapping[bytes, int],
    has_code: bool,
    judge: Callable[[str, bytes, bytes], bool] | None,
) -> bytes:
    """The signature that counts of those given for a signer, each with its file's number, from 1."""
    for signature in given:
        form = usual_form(digest, signature, signer)
        if form is not None:
            return form
    accepted = _accepted(signer, digest, given, judge) if has_code else None
    if accepted is not None:
        return accepted
    makers = (next(readings(digest, signature), None) for signature in given)
    by = ", ".join(dict.fromkeys("no key at all" if maker is None else maker[0] for maker in makers))
    refused = "; that attestor's wallet contract does not accept it either" if has_code else ""
    raise VerificationError(
        f"The signature given for {signer} is not valid",
        f"It was made by {by}, or for another attestation{refused}",
        "Ask that attestor to sign again",
    )


def _accepted(
    signer: str, digest: bytes, given: Mapping[bytes, int], judge: Callable[[str, bytes, bytes], bool] | None
) -> bytes | None:
    """The one of the signatures given for a contract that it accepts; taken as it is when nobody can ask."""
    if judge is not None:
        return next((signature for signature in given if judge(signer, digest, signature)), None)
    if len(given) == 1:
        return next(iter(given))
    raise VerificationError(
        f"The files have {len(given)} different signatures for {signer}",
        f"They are in files {', '.join(str(number) for number in given.values())} in the given order, and only "
        "that attestor's contract can tell which one is valid",
        "Omit the files with the others",
    )


def _difference(one: AttestationFile, other: AttestationFile) -> str:
    if one.chain != other.chain:
        return f"One is for chain {one.chain}, another for {other.chain}"
    if one.campaign.lower() != other.campaign.lower():
        return f"One is for campaign {one.campaign}, another for {other.campaign}"
    first, second = one.attestation.model_dump(), other.attestation.model_dump()
    parts = [
        f"{name} is {first[name]} in one and {second[name]} in another" for name in first if first[name] != second[name]
    ]
    return "; ".join(parts)
