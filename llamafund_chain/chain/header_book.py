"""The headers of a node that somebody uses, each read once and hashed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.headers import Header, nonsense, read_header

_AT_ONCE = 100
"""Headers that are asked for in one request."""


def read_headers(connection: Connection, numbers: Sequence[int]) -> list[Header]:
    """Headers by their numbers, many in one request.

    Raises:
        NodeUnreachableError: The node does not have one of them, or its answer makes no sense.
    """
    found: list[Header] = []
    for first in range(0, len(numbers), _AT_ONCE):
        part = numbers[first : first + _AT_ONCE]
        answers = connection.request_many([("eth_getBlockByNumber", (hex(number), False)) for number in part])
        for number, answer in zip(part, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            header = read_header(answer, connection.shown_url)
            if header.number != number:
                raise nonsense(connection.shown_url, f"block {header.number} when asked for block {number}")
            found.append(header)
    return found


class HeaderBook:
    """The headers of one node that an audit uses, each read once.

    Args:
        connection: The node.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[int, Header] = {}

    def at(self, number: int) -> Header:
        """The header of a block.

        Raises:
            NodeUnreachableError: The node does not have it.
        """
        if number not in self._known:
            self.fetch([number])
        return self._known[number]

    def fetch(self, numbers: Iterable[int]) -> None:
        """Read the headers that are not known yet, many in one request."""
        missing = sorted({number for number in numbers if number not in self._known})
        for header in read_headers(self._connection, missing):
            self._known[header.number] = header

    def time_of(self, number: int) -> int:
        """Unix seconds of a block."""
        return self.at(number).timestamp

    @property
    def all(self) -> tuple[Header, ...]:
        """All that were read, in the order of their numbers."""
        return tuple(self._known[number] for number in sorted(self._known))
