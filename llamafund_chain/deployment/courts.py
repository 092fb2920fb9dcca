"""The courts that this package knows: facts with their sources, in `courts.json`.

An arbiter can ask any contract that looks like a court, and a court can be asked in ways that leave the decision to
somebody's friends. So a court counts as known only with what it is told about each dispute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from llamafund_chain.deployment import artifacts

_MOCK = "MockCourt"


@dataclass(frozen=True)
class KnownCourt:
    """A court.

    Attributes:
        name: For people.
        extra_data: What it may be told with each dispute, and what that means.
        round_seconds: How long a round takes: evidence, votes and the time to appeal. Drawing jurors comes on top.
    """

    name: str
    extra_data: Mapping[bytes, str]
    round_seconds: int


def known_court(chain_id: int, address: str) -> KnownCourt | None:
    """A court by its address; `None` if it is not on the list.

    Args:
        chain_id: EIP-155 number.
        address: In any case.
    """
    return _courts().get((chain_id, address.lower()))


def is_mock(code: bytes) -> bool:
    """Whether a court is one in which anybody rules as they like.

    Args:
        code: The code at the court's address.
    """
    return code == artifacts.load(_MOCK).deployed_bytecode


@cache
def _courts() -> Mapping[tuple[int, str], KnownCourt]:
    text = files("llamafund_chain.deployment").joinpath("courts.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)["courts"]
    return {
        (entry["chain_id"], entry["address"].lower()): KnownCourt(
            name=entry["name"],
            extra_data={bytes.fromhex(digits[2:]): words for digits, words in entry["extra_data"].items()},
            round_seconds=entry["round"],
        )
        for entry in entries
    }
