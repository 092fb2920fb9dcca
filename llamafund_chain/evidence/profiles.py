"""How files are cut into the blocks that their IPFS addresses name.

Sources: `ipfs add --cid-version=1` of Kubo, and IPIP-499 (https://specs.ipfs.tech/ipips/ipip-0499/), which names
`unixfs-v1-2025`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """CIDv1, SHA-2-256, raw leaves of one size, and nodes above them as a balanced tree.

    Attributes:
        name: As a listing names it; `None` for the profile of all that names none.
        leaf_size: Bytes of a leaf; only the last one of a file may be shorter.
        fanout: Links of a node; only the last node of a level may have fewer.
    """

    name: str | None
    leaf_size: int
    fanout: int


USUAL = Profile(None, 256 * 1024, 174)
"""What `ipfs add --cid-version=1` does; manifests of evidence have only such addresses."""

V1_2025 = Profile("unixfs-v1-2025", 1024 * 1024, 1024)

PROFILES = (USUAL, V1_2025)
"""All profiles, the usual one first."""


def profile_named(name: str | None) -> Profile:
    """The profile that a listing names; the usual one for `None`.

    Raises:
        KeyError: There is none.
    """
    return {profile.name: profile for profile in PROFILES}[name]
