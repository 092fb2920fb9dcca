"""Campaigns' code: the minimal proxy of EIP-1167 with immutable arguments, as OpenZeppelin's `Clones` writes it."""

from __future__ import annotations

CLONE_HEAD = bytes.fromhex("363d3d373d3d3d363d73")
"""The code before the implementation's address."""

CLONE_TAIL = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
"""The code after it."""

CLONE_BYTES = len(CLONE_HEAD) + 20 + len(CLONE_TAIL)
"""Length of the code before the immutable arguments, in bytes."""

_CREATION_HEAD = bytes.fromhex("3d81600a3d39f3")


def clone_code(implementation: str) -> bytes:
    """Code that delegates every call to an implementation, without immutable arguments.

    Args:
        implementation: Address.
    """
    return CLONE_HEAD + bytes.fromhex(implementation[2:]) + CLONE_TAIL


def creation_code(implementation: str, arguments: bytes) -> bytes:
    """Code whose execution creates a clone.

    Args:
        implementation: Address.
        arguments: The immutable arguments, as long as code may be.
    """
    size = (CLONE_BYTES + len(arguments)).to_bytes(2, "big")
    return b"\x61" + size + _CREATION_HEAD + clone_code(implementation) + arguments
