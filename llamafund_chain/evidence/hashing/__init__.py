"""Hashes of files and trees: SHA-256, IPFS address and content root from one read of the bytes."""

from llamafund_chain.evidence.hashing.cache import HashCache
from llamafund_chain.evidence.hashing.checksums import sha256sum_lines
from llamafund_chain.evidence.hashing.comparison import ChangedFile, TreeComparison, compare_tree
from llamafund_chain.evidence.hashing.digests import (
    FileDigest,
    FileHasher,
    hash_bytes,
    hash_file,
    raw_cid,
    sha256_of_raw_cid,
)
from llamafund_chain.evidence.hashing.left_out import left_out_text
from llamafund_chain.evidence.hashing.listing import TreeListing, list_tree, resolve_inside
from llamafund_chain.evidence.hashing.one_pass import Inspector
from llamafund_chain.evidence.hashing.suspects import pointer_kind, refuse_suspects
from llamafund_chain.evidence.hashing.tree import TreeDigest, available_cores, hash_listing, hash_tree

__all__ = [
    "ChangedFile",
    "FileDigest",
    "FileHasher",
    "HashCache",
    "Inspector",
    "TreeComparison",
    "TreeDigest",
    "TreeListing",
    "available_cores",
    "compare_tree",
    "hash_bytes",
    "hash_file",
    "hash_listing",
    "hash_tree",
    "left_out_text",
    "list_tree",
    "pointer_kind",
    "raw_cid",
    "refuse_suspects",
    "resolve_inside",
    "sha256_of_raw_cid",
    "sha256sum_lines",
]
