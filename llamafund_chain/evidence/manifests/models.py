"""The kinds of manifests: proposal, review, update, dispute, dataset, checkpoint and weights."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests.base import (
    Address,
    ChainAccount,
    Cid,
    Count,
    HexHash,
    Manifest,
    Name,
    Record,
    SafeInt,
    SignatureHex,
    Text,
)
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, canonical
from llamafund_chain.evidence.manifests.listings import (
    MAX_FILES,
    MAX_LISTING_DEPTH,
    FileEntry,
    Listing,
    ListingReference,
    list_files,
    list_listings,
)
from llamafund_chain.evidence.manifests.paths import check_relative_path, check_sorted_unique
from llamafund_chain.evidence.manifests.promised import PromisedTerms


class Content(Record):
    """The data for challenges: one Merkle root (RFC 9162, 16 KiB chunks) over all bytes.

    Attributes:
        root: Merkle root over the files' bytes in manifest order.
        size: Bytes.
    """

    root: HexHash
    size: Count


class ExpectedOutcome(Record):
    """The number that a campaign promises.

    Attributes:
        metric: Name of the metric, for example `heldout_bits_per_byte`.
        direction: Whether a better model has a lower or a higher value.
        target: Promised value in millionths of the metric's unit.
        evaluation: How it is measured, as text.
    """

    metric: Name
    direction: Literal["lower", "higher"]
    target: SafeInt
    evaluation: Text

    def score(self, value: int) -> int:
        """The attestation's score (millionths, higher is better) for a metric `value` in millionths."""
        return value if self.direction == "higher" else -value


class DatasetPromise(Record):
    """The dataset as the proposal names it; `manifest` is `None` if it is only promised."""

    manifest: HexHash | None
    description: Text
    sources: tuple[Text, ...]
    license: Name


class MilestonePromise(Record):
    kind: Literal["DATASET", "CHECKPOINT", "WEIGHTS"]
    title: Name
    description: Text


class Party(Record):
    """A named key. `promise` says what an attestor promises to check before signing."""

    name: Name
    address: Address
    promise: Text = ""


class DatasetPart(Record):
    """A part of the dataset's files, disjoint from the others.

    Attributes:
        name: `train` or `heldout`.
        paths: Paths of its files. A path that ends with a slash is a directory and stands for all files below it.
        samples: Number of documents.
    """

    name: Literal["train", "heldout"]
    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    source: Text
    license: Name
    samples: Count


class StepRange(Record):
    """Optimizer steps done between the parent checkpoint (`first`) and this one (`last`)."""

    first: Count
    last: Count


class ProposalManifest(Manifest):
    """What a researcher asks funding for.

    Attributes:
        recipe: SHA-256 of the training recipe file, or `None` if it is not fixed yet.
        license: SPDX identifier of the weights' license.
        terms: The terms that it promises; `None` in proposals that were written before there was this field.
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
    license: Name
    researcher: Party
    attestors: Annotated[tuple[Party, ...], Field(min_length=1, max_length=16)]
    terms: PromisedTerms | None = None

    def document(self) -> dict[str, Any]:
        """See `Manifest.document`."""
        # An older proposal keeps its hash.
        return self.model_dump(mode="json", exclude=set() if "terms" in self.model_fields_set else {"terms"})

    @property
    def wording(self) -> str:
        """The hash of all but the terms, which change with the time at which a campaign is opened."""
        document = {name: value for name, value in self.document().items() if name != "terms"}
        return hashlib.sha256(canonical(document)).hexdigest()


class UpdateLink(Record):
    """A manifest or a file that an update refers to, published under its hash."""

    title: Name
    sha256: HexHash


class UpdateManifest(Manifest):
    """What a researcher tells the backers while the campaign runs. It has no other effect.

    Attributes:
        campaign: The campaign with its chain (CAIP-10), so that it cannot pass for an update of another one.
        text: Markdown.
    """

    SCHEMA: ClassVar[str] = "llamafund/update/1"

    schema_: Literal["llamafund/update/1"] = Field(default="llamafund/update/1", alias="schema")
    campaign: ChainAccount
    title: Name
    text: Text
    links: Annotated[tuple[UpdateLink, ...], Field(max_length=64)] = ()


class ReviewManifest(Manifest):
    """What somebody says of a proposal, signed with their wallet (EIP-712). Nobody need permit it; it has no effect.

    Attributes:
        campaign: The campaign with its chain (CAIP-10).
        proposal: SHA-256 of the proposal that is reviewed; the campaign's terms name it.
        reviewer: Whose signature it is.
        written: When, as the reviewer says, unix seconds.
        text: Markdown.
        signature: Of the typed data `Review(bytes32 proposal,uint64 written,string text)` in the campaign's domain.
    """

    SCHEMA: ClassVar[str] = "llamafund/review/1"

    schema_: Literal["llamafund/review/1"] = Field(default="llamafund/review/1", alias="schema")
    campaign: ChainAccount
    proposal: HexHash
    reviewer: Address
    written: Count
    text: Annotated[Text, Field(min_length=1)]
    signature: SignatureHex


class DisputeReport(Record):
    """What a command found: the JSON that it printed, published as a file.

    Attributes:
        command: For example `audit` or `replay`.
        said: Its result in one sentence.
    """

    command: Name
    said: Text
    size: Count
    sha256: HexHash
    cid: Cid


class DisputeManifest(Manifest):
    """What somebody submits to a court about a campaign's last attestation.

    It is also evidence JSON as ERC-1497 describes it: a court's pages show `name`, `description` and `fileURI`.

    Attributes:
        campaign: The campaign with its chain (CAIP-10).
        milestone: Index of the last milestone.
        attestation: The attested evidence: SHA-256 of its manifest.
        name: Title.
        description: What is wrong or right with the attestation, as text.
        fileURI: Where the first report is.
        reports: They can be made again by anybody with the campaign's address and a store.
    """

    SCHEMA: ClassVar[str] = "llamafund/dispute/1"

    schema_: Literal["llamafund/dispute/1"] = Field(default="llamafund/dispute/1", alias="schema")
    campaign: ChainAccount
    milestone: Count
    attestation: HexHash
    name: Name
    description: Text
    file_uri: Name = Field(alias="fileURI")
    reports: Annotated[tuple[DisputeReport, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _file_is_the_first_report(self) -> Self:
        if self.file_uri != f"/ipfs/{self.reports[0].cid}":
            raise ValueError(f"fileURI is {self.file_uri!r}, but the first report is at {self.reports[0].cid}")
        return self


class EvidenceManifest(Manifest):
    """Base of the manifests that milestone attestations name.

    A manifest with more files than fit names them in listings. In memory it has all files anyway: `files` is complete
    in every manifest made here or read with `parse` and `parse_as`. Only `parse_head` may leave them out.

    Attributes:
        files: Sorted by the bytes of their paths; content is their concatenation in this order.
        listings: The listings that hold the files if there are too many; computed automatically.
    """

    KIND: ClassVar[str] = ""

    files: tuple[FileEntry, ...] = ()
    content: Content
    listings: tuple[ListingReference, ...] = ()

    @model_validator(mode="after")
    def _files_are_a_tree(self) -> Self:
        if not self.files and not self.listings:
            raise ValueError("it names no files; an empty tree proves nothing")
        count = self.file_count
        if count > MAX_FILES:
            raise ValueError(f"it names {count} files; {MAX_FILES} are the most")
        total = sum(part.size for part in (self.files or self.listings))
        if total != self.content.size:
            raise ValueError(f"content.size is {self.content.size}, but the files add up to {total}")
        if not self.files:
            return self
        check_sorted_unique(entry.path for entry in self.files)
        listings = self._cut()
        if self.listings and self.listings != listings:
            raise ValueError("the listings are not those of these files, or are not as full as they must be")
        self._list(listings)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Like pydantic's, but new files get new listings."""
        copy = super().model_copy(update=update, deep=deep)
        if update and "listings" not in update and copy.is_complete:
            copy._list(copy._cut())
        return copy

    def document(self) -> dict[str, Any]:
        """See `Manifest.document`."""
        exclude = {"files" if self.listings else "listings"}
        return self.model_dump(mode="json", exclude=exclude)

    @property
    def is_complete(self) -> bool:
        """Whether `files` has all files. It does, except after `parse_head` of a manifest with listings."""
        return bool(self.files)

    @property
    def file_count(self) -> int:
        """Number of files, even if they are not loaded."""
        return len(self.files) or sum(listing.files for listing in self.listings)

    def further_manifests(self) -> Iterator[Listing]:
        """The listings to publish with this manifest; none if the manifest itself holds its files.

        Raises:
            VerificationError: The files are not loaded (`is_complete`).
        """
        if not self.listings:
            return
        if not self.files:
            raise VerificationError(
                f"The files of manifest {self.sha256} are not loaded",
                f"They are in {len(self.listings)} further manifests",
                "Read it from a store that has them",
            )
        references: tuple[ListingReference, ...] = ()
        while references != self.listings:
            made: list[ListingReference] = []
            for listing in list_listings(references) if references else list_files(self.files):
                made.append(listing.reference())
                yield listing
            references = tuple(made)

    @property
    def score(self) -> int | None:
        """The attestation's score in millionths, higher is better; `None` for kinds without one."""
        return None

    def entry(self, path: str) -> FileEntry:
        """The entry of one file.

        Raises:
            VerificationError: The manifest names no such file.
        """
        encoded = _utf8(path)
        place = bisect_left(self.files, encoded, key=lambda entry: _utf8(entry.path))
        if place < len(self.files) and self.files[place].path == path:
            return self.files[place]
        raise VerificationError(
            f"The {self.KIND.lower()} manifest {self.sha256} names no file {path!r}",
            f"It names {self.file_count} files",
        )

    def _cut(self) -> tuple[ListingReference, ...]:
        """The listings for the files; none if they fit into the manifest itself."""
        if len(self.files) * _SHORTEST_ENTRY <= MAX_MANIFEST_BYTES and self._fits(()):
            return ()
        references = tuple(listing.reference() for listing in list_files(self.files))
        for _ in range(MAX_LISTING_DEPTH - 1):
            if self._fits(references):
                break
            references = tuple(listing.reference() for listing in list_listings(references))
        return references

    def _fits(self, listings: tuple[ListingReference, ...]) -> bool:
        document = self.model_dump(mode="json", exclude={"files", "listings"})
        if listings:
            document["listings"] = [listing.model_dump(mode="json") for listing in listings]
        else:
            document["files"] = [entry.model_dump(mode="json") for entry in self.files]
        return len(canonical(document)) <= MAX_MANIFEST_BYTES

    def _list(self, listings: tuple[ListingReference, ...]) -> None:
        # A manifest is frozen for its users, but here it is still being built.
        self.__dict__["listings"] = listings


_COMPANION = re.compile(
    r"(README|LICENSE|LICENCE|COPYING|NOTICE|CITATION|CHANGELOG)(\.(md|txt|rst|cff|bib))?"
    r"|\.gitattributes|\.gitignore|dataset_infos?\.json|dataset_dict\.json|croissant\.json"
)


def is_companion(path: str) -> bool:
    """Whether a file beside a dataset's parts describes it, and need not be in a part."""
    return _COMPANION.fullmatch(path) is not None


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
        names = [path for part in self.parts for path in part.paths]
        for name in names:
            check_relative_path(name.removesuffix("/"))
        claims = set(names)
        if len(claims) != len(names) or any(outer in claims for name in names for outer in _directories(name)):
            raise ValueError("the parts must name each file exactly once")
        if self.is_complete:
            unused = set(claims)
            for entry in self.files:
                claim = self._claim_on(entry.path, claims)
                if claim is None:
                    if is_companion(entry.path):
                        continue
                    raise ValueError("the parts must name each file exactly once")
                unused.discard(claim)
            if unused:
                raise ValueError("the parts must name each file exactly once, and nothing else")
        return self

    def part(self, name: Literal["train", "heldout"]) -> tuple[FileEntry, ...]:
        """The files of the part called `name`, in manifest order; empty if there is none."""
        claims = {path for part in self.parts if part.name == name for path in part.paths}
        return tuple(entry for entry in self.files if self._claim_on(entry.path, claims) is not None)

    @staticmethod
    def _claim_on(path: str, claims: Collection[str]) -> str | None:
        """The path by which a part names a file: its own, or that of a directory above it."""
        return next((claim for claim in (path, *_directories(path)) if claim in claims), None)


class CheckpointManifest(EvidenceManifest):
    """State of the training after some steps. The manifests form a hash chain.

    Attributes:
        parent: The previous checkpoint; for step 0 the evidence of the previous milestone.
        steps: Steps done since the parent.
        seed: The campaign's training seed, which fixes initial weights and data order.
        data_order_seed: Integer seed of the data order, derived from `seed`.
        metrics: Integers in millionths, or the counts that their names say.
        environment: Everything recorded that affects bit equality.
        chain: Hashes of all checkpoints since the previous milestone and before this one, oldest first.
        outcome_score: Score in millionths, higher is better; `None` if it was not measured.
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
        """The checkpoint's score in millionths, higher is better; `None` if it was not measured."""
        return self.outcome_score


class WeightsManifest(EvidenceManifest):
    """The open weights.

    Attributes:
        parent: The checkpoint that the weights were exported from.
        license: SPDX identifier.
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
    license: Name
    model_card: str
    metrics: dict[str, SafeInt]
    measurement: Text
    parameters: Count
    outcome_score: SafeInt

    @model_validator(mode="after")
    def _model_card_is_a_file(self) -> Self:
        if self.is_complete and all(entry.path != self.model_card for entry in self.files):
            raise ValueError(f"the model card {self.model_card!r} is not among the files")
        return self

    @property
    def score(self) -> int | None:
        """The weights' score in millionths, higher is better."""
        return self.outcome_score


KINDS: Mapping[str, type[Manifest]] = {
    kind.SCHEMA: kind
    for kind in (
        ProposalManifest,
        ReviewManifest,
        UpdateManifest,
        DisputeManifest,
        DatasetManifest,
        CheckpointManifest,
        WeightsManifest,
        Listing,
    )
}
"""The class for each value of the field `schema`."""

_SHORTEST_ENTRY = len(
    '{"cid":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku","path":"a",'
    '"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}'
)


def _directories(path: str) -> Iterator[str]:
    """The directories above a path, each with a slash at its end."""
    slash = path.find("/")
    while slash != -1 and slash + 1 < len(path):
        yield path[: slash + 1]
        slash = path.find("/", slash + 1)


def _utf8(path: str) -> bytes:
    # Callers may ask for anything. Half of a surrogate pair is simply not a path of a manifest.
    return path.encode("utf-8", "surrogatepass")
