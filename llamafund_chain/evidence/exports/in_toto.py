"""in-toto Statement v1, as OpenSSF Model Signing makes it to sign a model.

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and the predicate
`https://model_signing/signature/v1.0` of https://github.com/sigstore/model-transparency. Its `model_signing` hashes the
same directory to the same resources and the same subject. The statement is not signed yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from pydantic import JsonValue

from llamafund_chain.evidence.manifests import EvidenceManifest, FileEntry, Listing

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def in_toto_statement(
    manifest: EvidenceManifest | Listing, files: Sequence[FileEntry], name: str
) -> dict[str, JsonValue]:
    """A statement about a manifest's files.

    Args:
        manifest: Evidence, or a listing.
        files: All files that it names.
        name: The subject's name: what the tree is called.
    """
    # The order of Model Signing, which compares paths name by name: `a/b` before `a-b`.
    entries = sorted(files, key=lambda entry: PurePosixPath(entry.path))
    subject = hashlib.sha256(b"".join(bytes.fromhex(entry.sha256) for entry in entries)).hexdigest()
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subject}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": entry.path, "algorithm": "sha256", "digest": entry.sha256} for entry in entries],
            # Verifiers of this predicate must ignore fields that they do not know.
            "llamafund": {"schema": manifest.schema_, "manifest": manifest.sha256, **_content(manifest)},
        },
    }


def _content(manifest: EvidenceManifest | Listing) -> dict[str, JsonValue]:
    if isinstance(manifest, Listing):
        return {}
    return {"contentRoot": manifest.content.root, "contentSize": manifest.content.size}
