"""Everything random in a run, derived from the campaign's training seed.

Each use has its own label. So no two uses share bits, and none depends on how many numbers another one has drawn: there
is no cursor to save and no hidden state to restore.
"""

from __future__ import annotations

import hashlib

DATA_ORDER_BITS = 53
"""Width of the data order seed; manifests hold integers up to this size exactly."""


def derive(seed: str, label: str) -> bytes:
    """32 bytes for one use.

    Args:
        seed: The training seed, 64 hexadecimal digits.
        label: Name of the use.
    """
    return hashlib.sha256(b"llamafund/" + label.encode() + b"\x00" + bytes.fromhex(seed)).digest()


def data_order_seed(seed: str) -> int:
    """Integer seed of the data order; at most 2**53 - 1, as manifests require."""
    return int.from_bytes(derive(seed, "data-order"), "big") >> (256 - DATA_ORDER_BITS)


def library_seed(seed: str) -> int:
    """Seed for the random generators of Python, numpy and torch before the first step, below 2**31."""
    return _for_libraries(derive(seed, "libraries"))


def step_seed(seed: str, step: int) -> int:
    """Seed for the same generators at the start of a step, below 2**31.

    So the random numbers of a step, as for dropout, do not depend on state in a checkpoint that a cheat could choose.

    Args:
        seed: The training seed.
        step: Optimizer steps done before it.
    """
    return _for_libraries(derive(seed, f"step/{step}"))


def _for_libraries(derived: bytes) -> int:
    return int.from_bytes(derived[:4], "big") >> 1
