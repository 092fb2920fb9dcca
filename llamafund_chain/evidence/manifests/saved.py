"""Manifests as files. The listings of a manifest are beside it, in `listings/<sha256>.json`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests.base import Manifest
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES
from llamafund_chain.evidence.manifests.listings import Listing
from llamafund_chain.evidence.manifests.models import EvidenceManifest
from llamafund_chain.evidence.manifests.reading import Read, parse_as
from llamafund_chain.files import read_spans, write_file

M = TypeVar("M", bound=Manifest)


def save_manifest(path: Path, manifest: Manifest, listings: Iterable[Listing] | None = None) -> None:
    """Write a manifest's listings and then the manifest to files.

    Args:
        path: The manifest's file; its `sha256sum` is the manifest's hash.
        manifest: With all its files.
        listings: The listings that hold its files; `None` for those of an evidence manifest.

    Raises:
        LlamafundError: Something cannot be written.
    """
    if listings is None:
        listings = manifest.further_manifests() if isinstance(manifest, EvidenceManifest) else ()
    for listing in listings:
        write_file(_listing_path(path, listing.sha256), listing.to_bytes())
    write_file(path, manifest.to_bytes())


def load_manifest(kind: type[M], path: Path, otherwise: Read | None = None) -> M:
    """Read an untrusted manifest that must be of one kind from a file; see `parse_as`.

    Args:
        kind: The kind that it must have.
        path: The file.
        otherwise: Returns listings that are not beside the file.

    Raises:
        UsageError: There is no such regular file, or it is not a manifest at all.
        VerificationError: As `parse_as`.
        LlamafundError: Something cannot be read, or a listing cannot be found.
    """
    return parse_as(kind, read_saved(path), file=path, read=beside(path, otherwise))


def read_saved(path: Path) -> bytes:
    """A manifest's bytes from a file.

    Raises:
        UsageError: It does not exist, is not a regular file, or is too long for a manifest.
        LlamafundError: It cannot be read.
    """
    return _read(path, UsageError)


def beside(path: Path, otherwise: Read | None = None) -> Read:
    """A function that reads the listings of a manifest in a file.

    Args:
        path: The manifest's file.
        otherwise: Returns listings that are not beside it.
    """

    def read(sha256: str) -> bytes:
        place = _listing_path(path, sha256)
        if os.path.lexists(place):
            return _read(place, VerificationError)
        if otherwise is None:
            raise LlamafundError(
                f"There is no listing {str(place)!r}",
                f"The manifest {str(path)!r} names some of its files in it",
                "Put it there, or name the manifest's hash and a store that has it",
            )
        return otherwise(sha256)

    return read


def _read(path: Path, too_long: type[LlamafundError]) -> bytes:
    data = bytearray()
    for span in read_spans(path):
        data += span
        if len(data) > MAX_MANIFEST_BYTES:
            raise too_long(
                f"{str(path)!r} is longer than {MAX_MANIFEST_BYTES} bytes",
                "A manifest never is, so this is something else",
                "Name the manifest, not a file that it lists",
            )
    return bytes(data)


def _listing_path(path: Path, sha256: str) -> Path:
    return path.parent / "listings" / f"{sha256}.json"
