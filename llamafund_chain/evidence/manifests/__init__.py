"""Manifests: small canonical JSON files whose SHA-256 is what the chain stores.

A manifest's bytes are its RFC 8785 (JCS) encoding, at most `MAX_MANIFEST_BYTES` long, so that the SHA-256 on
chain is at the same time the file's raw CIDv1 address on IPFS. Metrics are integers in millionths; there are
no floats. Unknown fields are kept and hashed, unknown schemas are refused. Files that do not fit stand in listings.
"""

from __future__ import annotations

from llamafund_chain.evidence.manifests.base import (
    ADDRESS_RULE,
    RULES,
    Address,
    ChainAccount,
    Cid,
    Count,
    HexHash,
    Manifest,
    Name,
    SafeInt,
    SignatureHex,
    Text,
)
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, MAX_SAFE_INTEGER
from llamafund_chain.evidence.manifests.listings import (
    MAX_FILES,
    MAX_LISTING_DEPTH,
    FileEntry,
    Listing,
    ListingReference,
)
from llamafund_chain.evidence.manifests.models import (
    KINDS,
    CheckpointManifest,
    Content,
    DatasetManifest,
    DatasetPart,
    DatasetPromise,
    DisputeManifest,
    DisputeReport,
    EvidenceManifest,
    ExpectedOutcome,
    MilestonePromise,
    Party,
    ProposalManifest,
    ReviewManifest,
    StepRange,
    UpdateLink,
    UpdateManifest,
    WeightsManifest,
    is_companion,
)
from llamafund_chain.evidence.manifests.paths import (
    PathOrder,
    check_relative_path,
    check_sorted_unique,
    look_alikes,
    shown_path,
)
from llamafund_chain.evidence.manifests.promised import PromisedMilestone, PromisedPayee, PromisedTerms
from llamafund_chain.evidence.manifests.reading import Read, all_files, complete, parse, parse_as, parse_head
from llamafund_chain.evidence.manifests.saved import beside, load_manifest, read_saved, save_manifest

__all__ = [
    "ADDRESS_RULE",
    "KINDS",
    "MAX_FILES",
    "MAX_LISTING_DEPTH",
    "MAX_MANIFEST_BYTES",
    "MAX_SAFE_INTEGER",
    "RULES",
    "Address",
    "ChainAccount",
    "CheckpointManifest",
    "Cid",
    "Content",
    "Count",
    "DatasetManifest",
    "DatasetPart",
    "DatasetPromise",
    "DisputeManifest",
    "DisputeReport",
    "EvidenceManifest",
    "ExpectedOutcome",
    "FileEntry",
    "HexHash",
    "Listing",
    "ListingReference",
    "Manifest",
    "MilestonePromise",
    "Name",
    "Party",
    "PathOrder",
    "PromisedMilestone",
    "PromisedPayee",
    "PromisedTerms",
    "ProposalManifest",
    "Read",
    "ReviewManifest",
    "SafeInt",
    "SignatureHex",
    "StepRange",
    "Text",
    "UpdateLink",
    "UpdateManifest",
    "WeightsManifest",
    "all_files",
    "beside",
    "check_relative_path",
    "check_sorted_unique",
    "complete",
    "is_companion",
    "load_manifest",
    "look_alikes",
    "parse",
    "parse_as",
    "parse_head",
    "read_saved",
    "save_manifest",
    "shown_path",
]
