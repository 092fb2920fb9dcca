"""Evidence and listings in the formats of other tools: in-toto, Croissant, CycloneDX, and sha256sum's lists.

An export is made from a manifest alone and adds nothing, not even a date: the same manifest gives the same bytes. It is
a copy for other tools. What counts is the manifest's hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.exports.croissant import croissant_dataset
from llamafund_chain.evidence.exports.cyclonedx import cyclonedx_bom
from llamafund_chain.evidence.exports.in_toto import in_toto_statement
from llamafund_chain.evidence.hashing import sha256sum_lines
from llamafund_chain.evidence.manifests import EvidenceManifest, FileEntry, Listing, Manifest

__all__ = ["FORMATS", "Format", "croissant_dataset", "cyclonedx_bom", "export", "in_toto_statement"]


@dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes:
        title: Its full name.
        media_type: IANA media type of the export.
        make: Makes the document from a manifest, all files that it names, and a name; `None` if the export is text.
    """

    title: str
    media_type: str
    make: Callable[[EvidenceManifest | Listing, Sequence[FileEntry], str], dict[str, JsonValue]] | None


FORMATS: Mapping[str, Format] = {
    "croissant": Format("Croissant 1.0 (JSON-LD), for datasets and listings", "application/ld+json", croissant_dataset),
    "cyclonedx": Format(
        "CycloneDX 1.6 ML-BOM, for weights and listings", "application/vnd.cyclonedx+json; version=1.6", cyclonedx_bom
    ),
    "in-toto": Format(
        "in-toto Statement v1 with OpenSSF Model Signing's predicate", "application/vnd.in-toto+json", in_toto_statement
    ),
    "sha256sums": Format("Checksums that sha256sum -c reads", "text/plain; charset=utf-8", None),
}


def export(
    manifest: Manifest, format_name: str, files: Sequence[FileEntry] | None = None, *, name: str | None = None
) -> bytes:
    """A manifest in another format.

    Args:
        manifest: Evidence with all its files, or a listing.
        format_name: One of `FORMATS`.
        files: All files that it names; `None` if it has them all itself.
        name: The tree's name; `None` for its kind and the first digits of its hash.

    Raises:
        UsageError: There is no such format, or it does not support manifests of that kind.
    """
    chosen = FORMATS.get(format_name)
    if chosen is None:
        raise UsageError(
            f"There is no format {format_name[:80]!r}", f"The formats are {', '.join(FORMATS)}", "Choose one of these"
        )
    if not isinstance(manifest, EvidenceManifest | Listing):
        raise UsageError(
            f"A {manifest.schema_} cannot be exported",
            "Only datasets, checkpoints and weights, and listings, name the files of a tree",
            "Export one of the manifests that it names",
        )
    named = manifest.files if files is None else files
    if chosen.make is None:
        return "".join(sha256sum_lines(named)).encode("utf-8")
    kind = manifest.KIND.lower() if isinstance(manifest, EvidenceManifest) else "files"
    document = chosen.make(manifest, named, name or f"{kind}-{manifest.sha256[:16]}")
    return (json.dumps(document, indent=2) + "\n").encode("utf-8")
