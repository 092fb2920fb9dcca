"""The memory of which block created a contract, so that no later run searches for it again.

The file is a hint. An entry counts only while the block that it names has the hash that it names: then what it says is
a fact of that chain, whatever else happened meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamafund_chain.chain.remembered import Remembered

_MAX_FILE = 4 << 20
_MAX_CONTRACTS = 10_000


@dataclass(frozen=True)
class Creation:
    """What is known about the creation of a contract.

    Attributes:
        block: The block's number.
        hash: Its hash, 64 hexadecimal digits.
        found: Whether that block created it. Otherwise neither it nor any block before it did.
    """

    block: int
    hash: str
    found: bool


class KnownCreations:
    """What is known about the creation of contracts, in a file.

    Args:
        path: The file; `None` for the user's cache.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._file = Remembered("creations.json", _MAX_FILE, _creation, path)

    def of(self, chain_id: int, address: str) -> Creation | None:
        """What the file says about a contract; `None` if it says nothing."""
        return self._file.read().get(_key(chain_id, address))

    def remember(self, chain_id: int, address: str, creation: Creation) -> None:
        """Remember what was found out about a contract, and the latest of what is known of others."""
        key, known = _key(chain_id, address), self._file.read()
        known.pop(key, None)
        kept = dict([*known.items(), (key, creation)][-_MAX_CONTRACTS:])
        self._file.write(
            {name: {"block": one.block, "hash": one.hash, "found": one.found} for name, one in kept.items()}
        )


def _creation(fact: Any) -> Creation:
    return Creation(int(fact["block"]), str(fact["hash"]), bool(fact["found"]))


def _key(chain_id: int, address: str) -> str:
    return f"eip155:{chain_id}:{address.lower()}"
