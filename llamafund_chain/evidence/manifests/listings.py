"""Listings: further manifests, named by hash, with the files that do not fit into a tree's manifest.

The manifest itself holds the files if it then has at most `MAX_MANIFEST_BYTES`. Otherwise they are split, in order,
into listings that each hold as many as fit, and the manifest names the listings. If even those are too many, listings
name listings. The split leaves no choice, so one tree has one hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from llamafund_chain.evidence.manifests.base import Cid, Count, HexHash, Manifest, Record
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, MAX_SAFE_INTEGER, canonical
from llamafund_chain.evidence.manifests.paths import PATH_PATTERN, check_relative_path, check_sorted_unique
from llamafund_chain.evidence.profiles import USUAL, Profile

MAX_FILES = 2**21
"""Most files of one manifest, so that a stranger's manifest cannot fill the memory."""

MAX_LISTING_DEPTH = 2
"""Most listings between a manifest and a file. Two are enough for `MAX_FILES` files with the longest paths."""

R = TypeVar("R", bound=Record)


class FileEntry(Record):
    """One file of a tree.

    Attributes:
        path: Relative, POSIX, normalised.
        size: Bytes.
        sha256: Equal to `sha256sum` and to the Hugging Face LFS object id of the same bytes.
        cid: UnixFS CIDv1 with raw leaves and 256 KiB chunks, as `ipfs add --cid-version=1` prints.
    """

    path: Annotated[str, Field(json_schema_extra={"pattern": PATH_PATTERN, "minLength": 1, "maxLength": 1024})]
    size: Count
    sha256: HexHash
    cid: Cid

    @model_validator(mode="after")
    def _path_is_safe(self) -> Self:
        check_relative_path(self.path)
        return self


class ListingReference(Record):
    """A listing, named by hash. Further fields are refused: they could give the same tree a second hash.

    Attributes:
        sha256: SHA-256 of the listing's bytes.
        files: Number of files in it and in its listings.
        size: Total bytes of these files.
    """

    model_config = ConfigDict(extra="forbid")

    sha256: HexHash
    files: Annotated[int, Field(ge=1, le=MAX_FILES)]
    size: Count


# In a manifest it is there or not, and never null.
_OtherProfile = Annotated[
    Literal["unixfs-v1-2025"] | None, WithJsonSchema({"const": "unixfs-v1-2025", "type": "string"})
]


class Listing(Manifest):
    """Some of a tree's files, or the listings that hold them. Further fields are refused, as in `ListingReference`.

    Attributes:
        files: Sorted by the bytes of their paths; left out if there are listings.
        listings: In the order of their files; left out if there are files.
        profile: How the files are cut into the blocks that their addresses name; left out for the usual way. The same
            in all listings of a tree. Only published directories have another one, never evidence.
    """

    SCHEMA: ClassVar[str] = "llamafund/listing/1"

    model_config = ConfigDict(extra="forbid")

    schema_: Literal["llamafund/listing/1"] = Field(default="llamafund/listing/1", alias="schema")
    files: tuple[FileEntry, ...] = ()
    listings: tuple[ListingReference, ...] = ()
    profile: Annotated[
        Literal["unixfs-v1-2025"] | None, WithJsonSchema({"const": "unixfs-v1-2025", "type": "string"})
    ] = None

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Self:
        if bool(self.files) == bool(self.listings):
            raise ValueError("a listing holds either files or listings")
        check_sorted_unique(entry.path for entry in self.files)
        if self.size > MAX_SAFE_INTEGER:
            raise ValueError("its files add up to more than 2^53 - 1 bytes")
        return self

    def document(self) -> dict[str, Any]:
        """See `Manifest.document`."""
        return {name: value for name, value in super().document().items() if value}

    @property
    def count(self) -> int:
        """Number of files in it and in its listings."""
        return sum(inner.files for inner in self.listings) if self.listings else len(self.files)

    @property
    def size(self) -> int:
        """Total bytes of these files."""
        return sum(part.size for part in (self.listings or self.files))

    def reference(self) -> ListingReference:
        """The reference by which a manifest names this listing."""
        return ListingReference(sha256=self.sha256, files=self.count, size=self.size)


def list_files(files: Sequence[FileEntry], profile: Profile = USUAL) -> Iterator[Listing]:
    """Split a tree's files into listings, each as long as allowed.

    Args:
        files: Sorted by the bytes of their paths.
        profile: That of their addresses.
    """
    empty = len(canonical({"files": [], "schema": Listing.SCHEMA, **_named(profile)}))
    for group in _groups(files, empty):
        yield Listing.model_validate({"files": group, **_named(profile)})


def list_listings(references: Sequence[ListingReference], profile: Profile = USUAL) -> Iterator[Listing]:
    """Split listings into listings of listings, each as long as allowed."""
    empty = len(canonical({"listings": [], "schema": Listing.SCHEMA, **_named(profile)}))
    for group in _groups(references, empty):
        yield Listing.model_validate({"listings": group, **_named(profile)})


def _named(profile: Profile) -> dict[str, Any]:
    return {} if profile.name is None else {"profile": profile.name}


def _groups(records: Iterable[R], empty: int) -> Iterator[tuple[R, ...]]:
    group: list[R] = []
    length = empty
    for record in records:
        # One byte for the comma before it; the first one of a group has none.
        added = len(canonical(record.model_dump(mode="json"))) + bool(group)
        if group and length + added > MAX_MANIFEST_BYTES:
            yield tuple(group)
            group, length, added = [], empty, added - 1
        group.append(record)
        length += added
    if group:
        yield tuple(group)
