"""Searches for logs in ranges that a node accepts, and the memory of them.

Nodes limit the blocks of one search, or the logs that it finds, and each has other words for it. The first limit holds
for every search, so it is remembered from run to run. The second one depends on the place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from llamafund_chain.chain.node import AnswerTooLongError, TimedOutError
from llamafund_chain.chain.node_errors import LimitError, RpcError
from llamafund_chain.chain.remembered import Remembered
from llamafund_chain.errors import NodeError

T = TypeVar("T")

FORGET_AFTER = 30 * 86_400
"""Seconds after which a node is asked for wide ranges again: providers change their limits."""

_USUAL = (
    1_000_000,
    100_000,
    50_000,
    30_000,
    20_000,
    10_000,
    5_000,
    3_000,
    2_048,
    2_000,
    1_024,
    1_000,
    800,
    500,
    100,
    50,
)
"""The limits of nodes that there are, from the widest to the narrowest."""

_MAX_FILE = 1 << 20
_MAX_NODES = 1_000


class KnownRanges:
    """How many blocks each node searches at once, in a file that holds nothing but names of hosts and numbers.

    The file is a hint. If it cannot be read or written, the limits are found out again.

    Args:
        path: The file; `None` for the user's cache.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._file = Remembered("nodes.json", _MAX_FILE, _range, path)
        self._known: dict[str, tuple[int, int]] | None = None

    def of(self, node: str) -> int | None:
        """Most blocks that a node searches at once; `None` if it is not known.

        Args:
            node: Its address without secrets.
        """
        if self._known is None:
            self._known = self._file.read()
        blocks, found_at = self._known.get(node, (0, 0))
        return blocks if blocks > 0 and 0 <= time.time() - found_at < FORGET_AFTER else None

    def remember(self, node: str, blocks: int) -> None:
        """Remember how many blocks a node searches at once.

        Args:
            node: Its address without secrets.
            blocks: At least 1.
        """
        if self.of(node) == blocks:
            return
        # Another process may have found out about other nodes meanwhile.
        known = self._file.read()
        known[node] = (blocks, int(time.time()))
        self._known = dict(sorted(known.items(), key=lambda item: -item[1][1])[:_MAX_NODES])
        self._file.write(
            {name: {"blocks": most, "found_at": found_at} for name, (most, found_at) in self._known.items()}
        )


def _range(fact: Any) -> tuple[int, int]:
    return int(fact["blocks"]), int(fact["found_at"])


def search(
    ask: Callable[[int, int], T], first: int, last: int, *, most: int | None, found: Callable[[int], None]
) -> Iterator[T]:
    """Ask for a range of blocks in parts that the node accepts, in order.

    Args:
        ask: Asks for the blocks from one to another.
        first: First block.
        last: Last block.
        most: Most blocks that the node is known to search at once; `None` if it is not known.
        found: Called with that number once it is found out.

    Raises:
        NodeUnreachableError: The node does not answer, or not even for single blocks.
        RpcError: It refuses even single blocks.
    """
    start, span = first, last - first + 1
    confirmed = True
    while start <= last:
        span = min(span, most or span)
        stop = min(start + span - 1, last)
        length = stop - start + 1
        try:
            answer = ask(start, stop)
        except (RpcError, AnswerTooLongError, TimedOutError) as error:
            if length == 1:
                raise
            span = _fewer(error, length)
            if isinstance(error, LimitError) and error.kind == "blocks":
                most, confirmed = span, False
            continue
        if most is not None and not confirmed and length == most:
            confirmed = True
            found(most)
        yield answer
        # A stretch with many logs must not slow down everything after it.
        start, span = stop + 1, 2 * span


def _fewer(error: NodeError, blocks: int) -> int:
    """How many blocks to ask for after so many were too many."""
    if isinstance(error, LimitError):
        if error.blocks is not None and error.blocks < blocks:
            return error.blocks
        if error.kind == "blocks":
            return next((usual for usual in _USUAL if usual < blocks), max(blocks // 2, 1))
    return max(blocks // 4, 1)
