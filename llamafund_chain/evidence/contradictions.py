"""What a manifest's entries say against themselves and each other. None of the files' bytes are needed for it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import sha256_of_raw_cid
from llamafund_chain.evidence.manifests import Content, FileEntry, shown_path
from llamafund_chain.evidence.merkle import EMPTY_ROOT
from llamafund_chain.evidence.profiles import USUAL, Profile

_EMPTY = hashlib.sha256(b"").hexdigest()
_DAG_PB = b"\x01\x70\x12\x20"


def contradictions(
    files: Iterable[FileEntry], content: Content | None = None, profile: Profile = USUAL
) -> Iterator[str]:
    """How a manifest contradicts itself, as text; nothing if it does not.

    Args:
        files: All files that it names.
        content: Its content root and size; `None` if it has none, like a listing.
        profile: That of the addresses.
    """
    seen: dict[str, FileEntry] = {}
    for entry in files:
        for reason in _entry(entry, profile.leaf_size):
            yield f"{shown_path(entry.path)}: {reason}"
        for key in (entry.sha256, entry.cid):
            other = seen.setdefault(key, entry)
            if (other.size, other.sha256, other.cid) != (entry.size, entry.sha256, entry.cid):
                yield (
                    f"{shown_path(entry.path)}: it has the {'hash' if key == entry.sha256 else 'address'} of "
                    f"{shown_path(other.path)}, but not all that goes with it"
                )
    if content is not None and (content.size == 0) != (content.root == EMPTY_ROOT.hex()):
        yield f"the content root {content.root} is not that of {content.size} bytes"


def _entry(entry: FileEntry, leaf_size: int) -> Iterator[str]:
    if (entry.size == 0) != (entry.sha256 == _EMPTY):
        yield f"it has {entry.size} bytes, but the hash {entry.sha256}"
    kind = _kind(entry.cid)
    if kind == "raw":
        inside = sha256_of_raw_cid(entry.cid)
        if entry.size > leaf_size:
            yield f"its address {entry.cid} is that of one block, but {entry.size} bytes are more than one"
        elif inside != entry.sha256:
            yield f"its address {entry.cid} is that of the hash {inside}, not of {entry.sha256}"
    elif kind != "dag-pb":
        yield f"its address {entry.cid} is of a kind that no file of evidence has"
    elif entry.size <= leaf_size:
        yield f"its address {entry.cid} is that of several blocks, but {entry.size} bytes are one"


def _kind(cid: str) -> str:
    try:
        sha256_of_raw_cid(cid)
    except UsageError:
        binary = base64.b32decode(cid[1:].upper() + "=" * (-len(cid[1:]) % 8))
        # Encoded again, it also shows stray bits in the last letter.
        same = "b" + base64.b32encode(binary).decode("ascii").rstrip("=").lower() == cid
        return "dag-pb" if same and binary.startswith(_DAG_PB) and len(binary) == len(_DAG_PB) + 32 else ""
    return "raw"
