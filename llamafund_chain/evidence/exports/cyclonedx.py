"""CycloneDX 1.6 (ECMA-424) ML-BOM: weights as a component with a model card, and each file with its hash.

Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from pydantic import JsonValue

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import EvidenceManifest, FileEntry, Listing, WeightsManifest
from llamafund_chain.text import from_millionths

# SPDX 2.3, Annex D: the identifiers in a license expression.
_SPDX_ID = re.compile(r"[A-Za-z0-9.-]+\+?")


def cyclonedx_bom(manifest: EvidenceManifest | Listing, files: Sequence[FileEntry], name: str) -> dict[str, JsonValue]:
    """A bill of materials for weights, or for the files of a listing.

    Args:
        manifest: Weights or a listing.
        files: All files that it names.
        name: The model's name, or the listing's.

    Raises:
        UsageError: The manifest is of another kind.
    """
    needed: list[JsonValue] = []
    if isinstance(manifest, WeightsManifest):
        about = _model(manifest)
        needed.append(
            {
                "type": "data",
                "bom-ref": f"sha256:{manifest.dataset}",
                "name": "training and held-out data",
                "hashes": [{"alg": "SHA-256", "content": manifest.dataset}],
                "data": [{"type": "dataset", "contents": {"url": f"ipfs://{raw_cid(manifest.dataset)}"}}],
            }
        )
    elif isinstance(manifest, Listing):
        about = {"type": "data"}
    else:
        raise UsageError(
            f"A {manifest.schema_} has no CycloneDX bill of materials",
            "A model's bill of materials is about weights",
            "Export a dataset as croissant, or any evidence as in-toto",
        )
    sha256 = manifest.sha256
    whole: dict[str, JsonValue] = {
        "bom-ref": f"sha256:{sha256}",
        "name": name,
        "version": sha256,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"ipfs://{raw_cid(sha256)}",
                "comment": f"The manifest ({manifest.schema_}) that names every file; its SHA-256 is the hash above",
            }
        ],
        **about,
    }
    listed: list[JsonValue] = [
        {
            "type": "file",
            "bom-ref": f"file-{place}",
            "name": entry.path,
            "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            "externalReferences": [{"type": "distribution", "url": f"ipfs://{entry.cid}"}],
            "properties": [{"name": "llamafund:size", "value": str(entry.size)}],
        }
        for place, entry in enumerate(files)
    ]
    data = [f"sha256:{manifest.dataset}"] if isinstance(manifest, WeightsManifest) else []
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # Made from the manifest's hash, so that the same weights always give the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'ipfs://{raw_cid(sha256)}')}",
        "version": 1,
        "metadata": {"component": whole},
        "components": [*needed, *listed],
        "dependencies": [
            {
                "ref": f"sha256:{sha256}",
                "dependsOn": [*data, *(f"file-{place}" for place in range(len(listed)))],
            }
        ],
    }


def _model(manifest: WeightsManifest) -> dict[str, JsonValue]:
    return {
        "type": "machine-learning-model",
        "licenses": [_license(manifest.license)],
        "modelCard": {
            "modelParameters": {"datasets": [{"ref": f"sha256:{manifest.dataset}"}]},
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": metric, "value": from_millionths(value), "slice": manifest.measurement}
                    for metric, value in sorted(manifest.metrics.items())
                ]
            },
        },
        "properties": [
            {"name": "llamafund:content-root", "value": manifest.content.root},
            {"name": "llamafund:content-size", "value": str(manifest.content.size)},
            {"name": "llamafund:parameters", "value": str(manifest.parameters)},
            {"name": "llamafund:checkpoint", "value": manifest.parent},
            {"name": "llamafund:recipe", "value": manifest.recipe},
            {"name": "llamafund:model-card", "value": manifest.model_card},
        ],
    }


def _license(license: str) -> JsonValue:
    if _SPDX_ID.fullmatch(license):
        return {"expression": license}
    return {"license": {"name": license}}
