"""Manifests: small canonical JSON files whose SHA-256 is what the chain stores.

A manifest's bytes are its RFC 8785 (JCS) encoding, at most `MAX_MANIFEST_BYTES` long, so that the SHA-256 on
chain is at the same time the file's raw CIDv1 address on IPFS. Metrics are integers in millionths; there are
no floats. Unknown fields are kept and hashed, unknown schemas are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from llamafund_chain.errors import VerificationError

MAX_MANIFEST_BYTES = 256 * 1024
"""Above this size a plain `ipfs add` makes a DAG and the address is no longer the file's hash."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that RFC 8785 carries exactly."""

_MAX_DEPTH = 32
_MAX_PATH_BYTES = 1024
# The closing quote is optional, so that this never has to look back: text without one would take quadratic time.
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)

M = TypeVar("M", bound="Manifest")

HexHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 or Keccak-256 as 64 lower-case hexadecimal digits, the way `sha256sum` prints it."""

SafeInt = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Cid = Annotated[str, StringConstraints(pattern=r"^b[a-z2-7]{58}$")]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class FileEntry(_Record):
    """One file of a tree.

    Attributes:
        path: Relative, POSIX, normalised.
        size: Bytes.
        sha256: Equal to `sha256sum` and to the Hugging Face LFS object id of the same bytes.
        cid: UnixFS CIDv1 with raw leaves and 256 KiB chunks, as `ipfs add --cid-version=1` prints.
    """

    path: str
    size: Count
    sha256: HexHash
    cid: Cid

    @model_validator(mode="after")
    def _path_is_safe(self) -> Self:
        check_relative_path(self.path)
        return self


class Content(_Record):
    """What the possession challenge needs: one Merkle root (RFC 9162, 16 KiB chunks) over all bytes.

    Attributes:
        root: Merkle root over the files' bytes in manifest order.
        size: Bytes.
    """

    root: HexHash
    size: Count


class ExpectedOutcome(_Record):
    """The number that a campaign promises.

    Attributes:
        metric: Name of the metric, for example `heldout_bits_per_byte`.
        direction: Whether a better model has a lower or a higher value.
        target: Promised value in millionths of the metric's unit.
        evaluation: How it is measured, in words.
    """

    metric: Name
    direction: Literal["lower", "higher"]
    target: SafeInt
    evaluation: Text

    def score(self, value: int) -> int:
        """The attestation's score (millionths, higher is better) for a metric `value` in millionths."""
        return value if self.direction == "higher" else -value


class DatasetPromise(_Record):
    """The dataset as the proposal names it; `manifest` is null when it is only promised."""

    manifest: HexHash | None
    description: Text
    sources: tuple[Text, ...]
    licence: Name


class MilestonePromise(_Record):
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"]
    title: Name
    description: Text


class Party(_Record):
    """A named key. `promise` says what an attestor undertakes to check before signing."""

    name: Name
    address: Address
    promise: Text = ""


class DatasetPart(_Record):
    """A disjoint share of the dataset's files.

    Attributes:
        name: `train` or `heldout`.
        paths: Paths of the files that belong to it.
        samples: Number of documents.
    """

    name: Literal["train", "heldout"]
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    source: Text
    licence: Name
    samples: Count


class StepRange(_Record):
    """Optimizer steps done between the parent checkpoint (`first`) and this one (`last`)."""

    first: Count
    last: Count


class Manifest(_Record):
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
        data = rfc8785.dumps(self.model_dump(mode="json"))
        if len(data) > MAX_MANIFEST_BYTES:
            raise VerificationError(
                f"The manifest is {len(data)} bytes long",
                f"Manifests are at most {MAX_MANIFEST_BYTES} bytes",
                "Shorten its texts, or pack many small files into fewer, larger ones",
            )
        return data

    @property
    def sha256(self) -> str:
        """The manifest's hash, 64 hexadecimal digits: what the chain stores."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


class ProposalManifest(Manifest):
    """What a researcher asks money for.

    Attributes:
        recipe: SHA-256 of the training recipe file, or null when it is not fixed yet.
        licence: SPDX identifier of the weights' licence.
    """

    SCHEMA: ClassVar[str] = "llamafund/proposal/1"

    schema_: Literal["llamafund/proposal/1"] = Field(default="llamafund/proposal/1", alias="schema")
    title: Name
    summary: Text
    objectives: tuple[Text, ...]
    outcome: ExpectedOutcome
    dataset: DatasetPromise
    model: Text
    recipe: HexHash | None
    compute: Text
    budget: Text
    milestones: Annotated[tuple[MilestonePromise, ...], Field(min_length=1, max_length=16)]
    licence: Name
    researcher: Party
    attestors: Annotated[tuple[Party, ...], Field(min_length=1, max_length=16)]


class EvidenceManifest(Manifest):
    """Base of the manifests that milestone attestations name.

    Attributes:
        files: Sorted by the bytes of their paths; content is their concatenation in this order.
    """

    KIND: ClassVar[str] = ""

    files: Annotated[tuple[FileEntry, ...], Field(min_length=1)]
    content: Content

    @model_validator(mode="after")
    def _files_are_a_tree(self) -> Self:
        paths = [entry.path for entry in self.files]
        check_sorted_unique(paths)
        total = sum(entry.size for entry in self.files)
        if total != self.content.size:
            raise ValueError(f"content.size is {self.content.size}, but the files add up to {total}")
        return self

    @property
    def score(self) -> int | None:
        """The attestation's score in millionths, higher is better; null where the kind carries none."""
        return None

    def entry(self, path: str) -> FileEntry:
        """The entry of one file.

        Raises:
            VerificationError: The manifest names no such file.
        """
        for candidate in self.files:
            if candidate.path == path:
                return candidate
        raise VerificationError(
            f"The {self.KIND.lower()} manifest {self.sha256} names no file {path!r}",
            f"It names {len(self.files)} files",
        )


class DatasetManifest(EvidenceManifest):
    """The training and held-out data."""

    SCHEMA: ClassVar[str] = "llamafund/dataset/1"
    KIND: ClassVar[str] = "DATASET"

    schema_: Literal["llamafund/dataset/1"] = Field(default="llamafund/dataset/1", alias="schema")
    title: Name
    parts: Annotated[tuple[DatasetPart, ...], Field(min_length=1)]
    preparation: Text
    tokens: Count | None = None

    @model_validator(mode="after")
    def _parts_partition_the_files(self) -> Self:
        named = sorted(path for part in self.parts for path in part.paths)
        if named != sorted(entry.path for entry in self.files):
            raise ValueError("the parts must name each file exactly once")
        return self

    def part(self, name: Literal["train", "heldout"]) -> tuple[FileEntry, ...]:
        """The files of the part called `name`, in manifest order; empty when there is none."""
        paths = {path for part in self.parts if part.name == name for path in part.paths}
        return tuple(entry for entry in self.files if entry.path in paths)


class CheckpointManifest(EvidenceManifest):
    """State of the training after some steps; the manifests form a hash chain.

    Attributes:
        parent: The checkpoint before this one; for step 0 the evidence of the milestone before.
        steps: Steps done since the parent.
        seed: The campaign's training seed that fixes initial weights and data order.
        data_order_seed: Integer seed of the data order, derived from `seed`.
        metrics: Integers in millionths, or the counts that their names say.
        environment: Everything recorded that decides bit equality.
        chain: Hashes of all checkpoints before this one since the milestone before, oldest first.
        outcome_score: Score in millionths, higher is better; null where it was not measured.
    """

    SCHEMA: ClassVar[str] = "llamafund/checkpoint/1"
    KIND: ClassVar[str] = "CHECKPOINT"

    schema_: Literal["llamafund/checkpoint/1"] = Field(default="llamafund/checkpoint/1", alias="schema")
    parent: HexHash
    steps: StepRange
    recipe: HexHash
    dataset: HexHash
    seed: HexHash
    data_order_seed: Count
    metrics: dict[str, SafeInt]
    environment: dict[str, str]
    chain: tuple[HexHash, ...]
    outcome_score: SafeInt | None = None

    @property
    def score(self) -> int | None:
        return self.outcome_score


class WeightsManifest(EvidenceManifest):
    """The open weights.

    Attributes:
        parent: The checkpoint that the weights were exported from.
        licence: SPDX identifier.
        model_card: Path of the model card among the files.
        metrics: Integers in millionths, or the counts that their names say.
        measurement: How the metrics were measured.
        parameters: Number of parameters.
        outcome_score: Score in millionths, higher is better.
    """

    SCHEMA: ClassVar[str] = "llamafund/weights/1"
    KIND: ClassVar[str] = "WEIGHTS"

    schema_: Literal["llamafund/weights/1"] = Field(default="llamafund/weights/1", alias="schema")
    parent: HexHash
    recipe: HexHash
    dataset: HexHash
    licence: Name
    model_card: str
    metrics: dict[str, SafeInt]
    measurement: Text
    parameters: Count
    outcome_score: SafeInt

    @model_validator(mode="after")
    def _model_card_is_a_file(self) -> Self:
        if all(entry.path != self.model_card for entry in self.files):
            raise ValueError(f"the model card {self.model_card!r} is not among the files")
        return self

    @property
    def score(self) -> int | None:
        return self.outcome_score


_MANIFESTS: dict[str, type[Manifest]] = {
    kind.SCHEMA: kind for kind in (ProposalManifest, DatasetManifest, CheckpointManifest, WeightsManifest)
}


def check_relative_path(path: str) -> None:
    """Refuse a path that could leave the tree or that two systems would read differently.

    Raises:
        ValueError: It is empty, absolute, not normalised, longer than 1024 bytes, or has a component that is
            `.`, `..`, empty, longer than 255 bytes, or contains NUL or a backslash.
    """
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"path {path[:_MAX_PATH_BYTES]!r} is not valid Unicode") from error
    if len(encoded) > _MAX_PATH_BYTES:
        raise ValueError(f"path {path[:80]!r}… is {len(encoded)} bytes long; at most {_MAX_PATH_BYTES} are portable")
    for component in encoded.split(b"/"):
        if component in (b"", b".", b"..") or len(component) > 255 or b"\x00" in component or b"\\" in component:
            raise ValueError(f"path {path!r} is not a normalised relative POSIX path")


def check_sorted_unique(paths: Sequence[str]) -> None:
    """Refuse paths that are not strictly ascending by their UTF-8 bytes, or of which one is inside another.

    Raises:
        ValueError: Two neighbours are equal or in the wrong order, or a file is also a directory.
    """
    encoded = [path.encode("utf-8") for path in paths]
    for before, after in pairwise(encoded):
        if before >= after:
            raise ValueError(f"paths must be sorted and distinct; {after!r} follows {before!r}")
    files = set(encoded)
    for path in encoded:
        for index, byte in enumerate(path):
            if byte == 0x2F and path[:index] in files:
                raise ValueError(f"path {path!r} lies inside the file {path[:index]!r}")


def parse(data: bytes, *, sha256: str | None = None) -> Manifest:
    """Read a manifest, trusting nothing.

    Args:
        data: The file's bytes.
        sha256: What they must hash to, 64 hexadecimal digits; not compared when null.

    Returns:
        An instance of the class that the file's `schema` names.

    Raises:
        VerificationError: The bytes are too long, hash to something else, are not canonical JSON (duplicate keys,
            floats, numbers out of range, other order or spacing), name an unknown schema, or break the schema.
    """
    label = sha256 or "given"
    if len(data) > MAX_MANIFEST_BYTES:
        raise VerificationError(
            f"Manifest {label} is {len(data)} bytes long", f"Manifests are at most {MAX_MANIFEST_BYTES} bytes"
        )
    actual = hashlib.sha256(data).hexdigest()
    if sha256 is not None and actual != sha256:
        raise VerificationError(
            f"Manifest {sha256} hashes to {actual}",
            "Its bytes were changed after the hash was published",
            "Fetch it again from another store; do not sign or pay for it",
        )
    raw = _load_json(data, actual)
    schema = raw.get("schema")
    kind = _MANIFESTS.get(schema) if isinstance(schema, str) else None
    if kind is None:
        raise VerificationError(
            f"Manifest {actual} has the schema {schema!r}",
            f"Known are {', '.join(sorted(_MANIFESTS))}",
            "A newer version of llamafund may read it",
        )
    try:
        manifest = kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise VerificationError(
            f"Manifest {actual} is not a valid {schema}", f"{place}: {first['msg']} ({error.error_count()} in all)"
        ) from error
    if manifest.to_bytes() != data:
        raise VerificationError(
            f"Manifest {actual} is not in canonical form (RFC 8785)",
            "One content must have one hash",
            "Write it with llamafund, or run it through an RFC 8785 encoder",
        )
    return manifest


def parse_as(kind: type[M], data: bytes, *, sha256: str | None = None) -> M:
    """Read a manifest that must be of one kind; otherwise as `parse`.

    Raises:
        VerificationError: As `parse`, or it is of another kind.
    """
    manifest = parse(data, sha256=sha256)
    if not isinstance(manifest, kind):
        raise VerificationError(f"Manifest {manifest.sha256} is a {manifest.schema_}", f"Expected {kind.SCHEMA}")
    return manifest


def _load_json(data: bytes, label: str) -> dict[str, Any]:
    def refuse_float(text: str) -> Any:
        raise ValueError(f"{text} is not an integer; metrics are integers in millionths")

    def parse_integer(text: str) -> int:
        if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
            raise ValueError(f"{text[:40]} is beyond ±(2^53 - 1)")
        return int(text)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key occurs twice in one object")
        return result

    try:
        if _nesting(data) > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        value = json.loads(
            data.decode("utf-8"),
            parse_float=refuse_float,
            parse_int=parse_integer,
            parse_constant=refuse_float,
            object_pairs_hook=unique,
        )
    except ValueError as error:
        raise VerificationError(f"Manifest {label} cannot be read as JSON", str(error)) from error
    if not isinstance(value, dict):
        raise VerificationError(f"Manifest {label} is not a JSON object", f"It is a {type(value).__name__}")
    return value


def _nesting(data: bytes) -> int:
    """Nesting depth of JSON, found without recursion."""
    depth = deepest = 0
    for byte in _JSON_STRING.sub(b"", data):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
