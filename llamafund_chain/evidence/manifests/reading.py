"""Reading manifests from strangers: accepts exactly the bytes that a hash stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests.base import RULES, Manifest
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, load_object
from llamafund_chain.evidence.manifests.listings import MAX_LISTING_DEPTH, FileEntry, Listing
from llamafund_chain.evidence.manifests.models import KINDS, EvidenceManifest
from llamafund_chain.evidence.manifests.paths import PathOrder
from llamafund_chain.mistakes import DocumentError, find_mistakes, refusal
from llamafund_chain.text import printable

M = TypeVar("M", bound=Manifest)

Read = Callable[[str], bytes]
"""Returns the bytes of a manifest by its SHA-256 (64 hexadecimal digits), at most `MAX_MANIFEST_BYTES` of them."""


def parse(data: bytes, *, sha256: str | None = None, file: Path | None = None, read: Read | None = None) -> Manifest:
    """Read an untrusted manifest.

    Args:
        data: The file's bytes.
        sha256: The hash that they must have, 64 hexadecimal digits; `None` accepts any.
        file: The file that a person named. Messages call the manifest by it, and a file that is not a manifest at all
            is a usage error.
        read: Returns the listings of a manifest whose files do not fit into it; they are verified. With `None`, such
            a manifest is refused.

    Returns:
        An instance of the class that the file's `schema` names, with all its files.

    Raises:
        VerificationError: The bytes are too long, have another hash, are not canonical JSON (duplicate keys, floats,
            numbers out of range, other order or spacing), name an unknown schema, or break the schema. Or a listing
            does, or differs from what the manifest says about it.
        UsageError: The bytes of `file` are too long or not JSON.
        LlamafundError: Whatever `read` raises.
    """
    manifest = parse_head(data, sha256=sha256, file=file)
    if not isinstance(manifest, EvidenceManifest) or manifest.is_complete:
        return manifest
    if read is None:
        raise VerificationError(
            f"{_label(manifest.sha256, file)} names its {manifest.file_count} files in "
            f"{len(manifest.listings)} further manifests",
            "It cannot be judged without them",
            "Name the store that has them",
        )
    return complete(manifest, read, file=file)


def parse_as(
    kind: type[M], data: bytes, *, sha256: str | None = None, file: Path | None = None, read: Read | None = None
) -> M:
    """Read a manifest that must be of one kind; otherwise like `parse`.

    Raises:
        VerificationError: As `parse`, or it is of another kind.
        UsageError: As `parse`.
    """
    manifest = parse(data, sha256=sha256, file=file, read=read)
    if not isinstance(manifest, kind):
        raise VerificationError(
            f"{_label(manifest.sha256, file)} is a {manifest.schema_}",
            f"It must be a {kind.SCHEMA or 'manifest of evidence'}",
        )
    return manifest


def parse_head(data: bytes, *, sha256: str | None = None, file: Path | None = None) -> Manifest:
    """Read a manifest like `parse`, but without the files in listings.

    Check `is_complete` before you rely on `files`.

    Raises:
        VerificationError: As `parse`, except for faults in listings.
        UsageError: As `parse`.
    """
    label = _label(sha256, file)
    # Wrong bytes under a hash are a lie. A file that somebody took for a manifest is a mistake.
    kind_of_error: type[LlamafundError] = VerificationError if file is None else UsageError
    if len(data) > MAX_MANIFEST_BYTES:
        raise kind_of_error(f"{label} is {len(data)} bytes long", f"Manifests are at most {MAX_MANIFEST_BYTES} bytes")
    actual = hashlib.sha256(data).hexdigest()
    if sha256 is not None and actual != sha256:
        raise VerificationError(
            f"{label} hashes to {actual}" + ("" if file is None else f", not to {sha256}"),
            "Its bytes were changed after the hash was published",
            "Fetch it again from another store. Do not sign or pay for it",
        )
    try:
        document = load_object(data)
    except ValueError as error:
        remedy = error.remedy if isinstance(error, DocumentError) else ""
        raise kind_of_error(f"{label} cannot be read as JSON: {printable(str(error))}", remedy=remedy) from error
    schema = document.get("schema")
    kind = KINDS.get(schema) if isinstance(schema, str) else None
    if kind is None:
        said = "no field 'schema'" if schema is None else f"the schema {printable(json.dumps(schema), 80)}"
        raise VerificationError(
            f"{label} has {said}",
            f"The known schemas are {', '.join(sorted(KINDS))}",
            "Check that it is a manifest. A newer version of llamafund may know more kinds",
        )
    try:
        manifest = kind.model_validate_json(data)
    except ValidationError as error:
        raise _invalid(label, kind, document, error) from error
    if manifest.to_bytes() != data:
        raise VerificationError(
            f"{label} is not in canonical form (RFC 8785)",
            "One content must have one hash",
            "Write it with llamafund, or run it through an RFC 8785 encoder",
        )
    return manifest


def complete(manifest: EvidenceManifest, read: Read, *, file: Path | None = None) -> EvidenceManifest:
    """A manifest with all its files.

    Args:
        manifest: From `parse_head`.
        read: Returns the listings; they are verified.
        file: The file that a person named; see `parse`.

    Raises:
        VerificationError: A listing differs from what the manifest says about it, or the files together break its
            schema.
        LlamafundError: Whatever `read` raises.
    """
    if manifest.is_complete:
        return manifest
    kind = type(manifest)
    try:
        whole = kind.model_validate({**dict(manifest), "files": tuple(all_files(manifest, read, file=file))})
    except ValidationError as error:
        raise _invalid(_label(manifest.sha256, file), kind, manifest.document(), error) from error
    return whole


def all_files(manifest: EvidenceManifest | Listing, read: Read, *, file: Path | None = None) -> Iterator[FileEntry]:
    """All files of a manifest in order, with one listing in memory at a time.

    They belong to the manifest only if the iterator ends without an error.

    Args:
        manifest: With or without its files.
        read: Returns the listings; they are verified.
        file: The file that a person named; see `parse`.

    Raises:
        VerificationError: A listing differs from what its manifest says about it, is nested deeper than
            `MAX_LISTING_DEPTH`, or its files are out of order.
        LlamafundError: Whatever `read` raises.
    """
    if manifest.files:
        yield from manifest.files
        return
    order = PathOrder()
    for entry in _walk(manifest, read, MAX_LISTING_DEPTH):
        try:
            order.add(entry.path)
        except ValueError as error:
            raise VerificationError(
                f"{_label(manifest.sha256, file)} names listings that are not of one tree",
                str(error),
                "Do not sign or pay for it",
            ) from error
        yield entry


def _walk(above: EvidenceManifest | Listing, read: Read, levels: int) -> Iterator[FileEntry]:
    profile = above.profile if isinstance(above, Listing) else None
    for reference in above.listings:
        if not levels:
            raise VerificationError(
                f"Listing {reference.sha256} is nested too deep",
                f"There may be at most {MAX_LISTING_DEPTH} listings between a manifest and a file",
            )
        listing = parse_as(Listing, read(reference.sha256), sha256=reference.sha256)
        if (listing.count, listing.size) != (reference.files, reference.size):
            raise VerificationError(
                f"Listing {reference.sha256} has {listing.count} files of {listing.size} bytes",
                f"The manifest that names it says {reference.files} files of {reference.size} bytes",
                "Do not sign or pay for it",
            )
        if listing.profile != profile:
            raise VerificationError(
                f"Listing {reference.sha256} has addresses of the profile {listing.profile or 'of evidence'}",
                f"The manifest that names it has those of {profile or 'evidence'}",
                "Do not sign or pay for it",
            )
        if listing.listings:
            yield from _walk(listing, read, levels - 1)
        else:
            yield from listing.files


def _label(sha256: str | None, file: Path | None) -> str:
    """The name of a manifest in messages: its file, or the requested hash."""
    if file is not None:
        return repr(str(file))
    return "The manifest" if sha256 is None else f"Manifest {sha256}"


def _invalid(label: str, kind: type[Manifest], document: object, error: ValidationError) -> VerificationError:
    mistakes = find_mistakes(error, kind, document, language="JSON", rules=RULES)
    return refusal(VerificationError, f"{label} is not a valid {kind.SCHEMA}", mistakes)
