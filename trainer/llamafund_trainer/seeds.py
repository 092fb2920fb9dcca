"""Everything random in a run, derived from the campaign's training seed.

Each use has its own label, so that no two uses share bits and none depends on how many numbers another one
has drawn: there is no cursor to save, and nothing hidden to restore.
"""

from __future__ import annotations

import hashlib

DATA_ORDER_BITS = 53
"""Width of the data order seed, so that it fits a manifest's integer exactly."""


def derive(seed: str, label: str) -> bytes:
    """32 bytes for one use.

    Args:
        seed: The training seed, 64 hexadecimal digits.
        label: Names the use.
    """
    return hashlib.sha256(b"llamafund/" + label.encode() + b"\x00" + bytes.fromhex(seed)).digest()


def data_order_seed(seed: str) -> int:
    """Integer seed of the data order; at most 2**53 - 1, as manifests require."""
    return int.from_bytes(derive(seed, "data-order"), "big") >> (256 - DATA_ORDER_BITS)


def library_seed(seed: str) -> int:
    """Seed for the random generators of Python, numpy and torch, below 2**31.

    A recipe without dropout draws nothing from them; they are set all the same, so that `rng_state.pth` is
    the same in every run.
    """
    return int.from_bytes(derive(seed, "libraries")[:4], "big") >> 1
