"""Croissant 1.0: a dataset described for machine-learning tools, in JSON-LD with the vocabulary of schema.org.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import DatasetManifest, EvidenceManifest, FileEntry, Listing

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

NO_ASSERTION = "NOASSERTION"
"""What SPDX writes for a license that nobody states."""

_CONTEXT: dict[str, JsonValue] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification's appendix requires word for word."""

_MEDIA_TYPES = {".txt": "text/plain", ".jsonl": "application/jsonlines"}


def croissant_dataset(
    manifest: EvidenceManifest | Listing, files: Sequence[FileEntry], name: str
) -> dict[str, JsonValue]:
    """A dataset's description, or a listing's, which says nothing about where the files are from.

    Args:
        manifest: A dataset or a listing.
        files: All files that it names.
        name: The dataset's identifier for tools, in addition to the manifest's title.

    Raises:
        UsageError: The manifest is of another kind.
    """
    if isinstance(manifest, Listing):
        about: dict[str, JsonValue] = {
            "description": f"{len(files)} files, {sum(entry.size for entry in files)} bytes, listed by llamafund",
            "license": NO_ASSERTION,
        }
    elif isinstance(manifest, DatasetManifest):
        about = _about(manifest)
    else:
        raise UsageError(
            f"A {manifest.schema_} has no Croissant description",
            "Croissant describes datasets",
            "Export weights as cyclonedx, or any evidence as in-toto",
        )
    sha256 = manifest.sha256
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        **about,
        "url": f"ipfs://{raw_cid(sha256)}",
        "identifier": f"sha256:{sha256}",
        "distribution": [_file(place, entry) for place, entry in enumerate(files)],
    }


def _about(manifest: DatasetManifest) -> dict[str, JsonValue]:
    licenses = list(dict.fromkeys(part.license for part in manifest.parts))
    parts = "; ".join(f"{part.name}: {part.samples} documents from {part.source}" for part in manifest.parts)
    return {
        "alternateName": manifest.title,
        "description": f"{manifest.title}. {parts}. Preparation: {manifest.preparation}",
        "license": list[JsonValue](licenses) if len(licenses) > 1 else licenses[0],
    }


def _file(place: int, entry: FileEntry) -> JsonValue:
    suffix = entry.path[entry.path.rfind(".") :] if "." in entry.path else ""
    return {
        "@type": "cr:FileObject",
        # Not the path: an identifier is resolved as a URL, where a path may mean something else.
        "@id": f"file-{place}",
        "name": entry.path,
        "contentUrl": f"ipfs://{entry.cid}",
        "contentSize": f"{entry.size} B",
        "encodingFormat": _MEDIA_TYPES.get(suffix, "application/octet-stream"),
        "sha256": entry.sha256,
    }
