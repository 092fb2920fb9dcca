"""Reading manifests from strangers: what is accepted is exactly what its hash stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pydantic import ValidationError

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests.base import Manifest
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, load_object
from llamafund_chain.evidence.manifests.listings import MAX_LISTING_DEPTH, FileEntry, Listing, ListingReference
from llamafund_chain.evidence.manifests.models import KINDS, EvidenceManifest
from llamafund_chain.evidence.manifests.paths import PathOrder

M = TypeVar("M", bound=Manifest)

Read = Callable[[str], bytes]
"""Gets the bytes of a manifest by its SHA-256 (64 hexadecimal digits), at most `MAX_MANIFEST_BYTES` of them."""


def parse(data: bytes, *, sha256: str | None = None, read: Read | None = None) -> Manifest:
    """Read a manifest, trusting nothing.

    Args:
        data: The file's bytes.
        sha256: What they must hash to, 64 hexadecimal digits; not compared when `None`.
        read: Gets the listings of a manifest whose files do not fit into it; what it gives is verified. When `None`,
            such a manifest is refused.

    Returns:
        An instance of the class that the file's `schema` names, with all its files.

    Raises:
        VerificationError: The bytes are too long, hash to something else, are not canonical JSON (duplicate keys,
            floats, numbers out of range, other order or spacing), name an unknown schema, or break the schema; or
            a listing does, or is not what the manifest says about it.
        LlamafundError: Whatever `read` raises.
    """
    manifest = parse_head(data, sha256=sha256)
    if not isinstance(manifest, EvidenceManifest) or manifest.is_complete:
        return manifest
    if read is None:
        raise VerificationError(
            f"Manifest {manifest.sha256} names its {manifest.file_count} files in {len(manifest.listings)} further "
            "manifests",
            "It cannot be judged without them",
            "Give the store that holds them",
        )
    return complete(manifest, read)


def parse_as(kind: type[M], data: bytes, *, sha256: str | None = None, read: Read | None = None) -> M:
    """Read a manifest that must be of one kind; otherwise as `parse`.

    Raises:
        VerificationError: As `parse`, or it is of another kind.
    """
    manifest = parse(data, sha256=sha256, read=read)
    if not isinstance(manifest, kind):
        raise VerificationError(f"Manifest {manifest.sha256} is a {manifest.schema_}", f"Expected {kind.SCHEMA}")
    return manifest


def parse_head(data: bytes, *, sha256: str | None = None) -> Manifest:
    """Read a manifest as `parse` does, but without the files that stand in listings.

    Check `is_complete` before `files` is relied on.

    Raises:
        VerificationError: As `parse`, save what the listings could be refused for.
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
    schema = load_object(data, actual).get("schema")
    kind = KINDS.get(schema) if isinstance(schema, str) else None
    if kind is None:
        raise VerificationError(
            f"Manifest {actual} has the schema {schema!r}",
            f"Known are {', '.join(sorted(KINDS))}",
            "A newer version of llamafund may read it",
        )
    try:
        manifest = kind.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(actual, kind, error) from error
    if manifest.to_bytes() != data:
        raise VerificationError(
            f"Manifest {actual} is not in canonical form (RFC 8785)",
            "One content must have one hash",
            "Write it with llamafund, or run it through an RFC 8785 encoder",
        )
    return manifest


def complete(manifest: EvidenceManifest, read: Read) -> EvidenceManifest:
    """A manifest with all its files.

    Args:
        manifest: As `parse_head` gives it.
        read: Gets the listings; what it gives is verified.

    Raises:
        VerificationError: A listing is not what the manifest says about it, or the files together break its schema.
        LlamafundError: Whatever `read` raises.
    """
    if manifest.is_complete:
        return manifest
    kind = type(manifest)
    try:
        whole = kind.model_validate({**dict(manifest), "files": tuple(all_files(manifest, read))})
    except ValidationError as error:
        raise _invalid(manifest.sha256, kind, error) from error
    return whole


def all_files(manifest: EvidenceManifest | Listing, read: Read) -> Iterator[FileEntry]:
    """All files of a manifest in order, with one listing in memory at a time.

    They belong to the manifest only if the iterator ends without an error.

    Args:
        manifest: With or without its files.
        read: Gets the listings; what it gives is verified.

    Raises:
        VerificationError: A listing is not what is said about it, nested deeper than `MAX_LISTING_DEPTH`, or its files
            are out of order.
        LlamafundError: Whatever `read` raises.
    """
    if manifest.files:
        yield from manifest.files
        return
    order = PathOrder()
    for entry in _walk(manifest.listings, read, MAX_LISTING_DEPTH):
        try:
            order.add(entry.path)
        except ValueError as error:
            raise VerificationError(
                f"The listings of manifest {manifest.sha256} are not of one tree",
                str(error),
                "Do not sign or pay for it",
            ) from error
        yield entry


def _walk(references: Sequence[ListingReference], read: Read, levels: int) -> Iterator[FileEntry]:
    for reference in references:
        if not levels:
            raise VerificationError(
                f"Listing {reference.sha256} is nested too deep",
                f"At most {MAX_LISTING_DEPTH} listings may lie between a manifest and a file",
            )
        listing = parse_as(Listing, read(reference.sha256), sha256=reference.sha256)
        if (listing.count, listing.size) != (reference.files, reference.size):
            raise VerificationError(
                f"Listing {reference.sha256} has {listing.count} files of {listing.size} bytes",
                f"The manifest that names it says {reference.files} files of {reference.size} bytes",
                "Do not sign or pay for it",
            )
        if listing.listings:
            yield from _walk(listing.listings, read, levels - 1)
        else:
            yield from listing.files


def _invalid(sha256: str, kind: type[Manifest], error: ValidationError) -> VerificationError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "document"
    return VerificationError(
        f"Manifest {sha256} is not a valid {kind.SCHEMA}", f"{place}: {first['msg']} ({error.error_count()} in all)"
    )
