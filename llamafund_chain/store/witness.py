"""A store that remembers what it delivered, and when.

Content under an address cannot be replaced unseen, but it can vanish, or be put back by somebody else. So an auditor
keeps what came from where, beside the report: two auditors' reports are equal, their records are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from llamafund_chain.evidence.hashing import FileDigest
from llamafund_chain.store.base import Store


@dataclass(frozen=True)
class Delivery:
    """Verified content from a place.

    Attributes:
        cid: Its address.
        place: Which of the places, from 0.
        at: When it was first delivered whole, unix seconds.
    """

    cid: str
    place: int
    at: int


@dataclass
class Record:
    """What was delivered, each content once for each place.

    Attributes:
        clock: Returns unix seconds.
    """

    clock: Callable[[], float] = time.time
    _times: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, cid: str, place: int) -> None:
        """Note that a place has delivered something."""
        self._times.setdefault((cid, place), int(self.clock()))

    @property
    def deliveries(self) -> list[Delivery]:
        """All of them, in the order in which they came."""
        return [Delivery(cid, place, at) for (cid, place), at in self._times.items()]


@dataclass(frozen=True)
class WitnessedStore:
    """A `Store` whose deliveries are noted.

    Attributes:
        witnessed: The store.
        place: Its number among several.
    """

    witnessed: Store
    place: int
    record: Record

    @property
    def location(self) -> str:
        """Where it is, for messages."""
        return self.witnessed.location

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """See `Store.stream`."""
        yield from self.witnessed.stream(cid, size=size)
        self.record.add(cid, self.place)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`."""
        self.witnessed.fetch(cid, destination, size=size, sha256=sha256)
        self.record.add(cid, self.place)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Store.read`."""
        data = self.witnessed.read(cid, limit=limit)
        self.record.add(cid, self.place)
        return data

    def has(self, cid: str) -> bool:
        """See `Store.has`."""
        return self.witnessed.has(cid)

    def pins(self) -> frozenset[str]:
        """See `Store.pins`."""
        return self.witnessed.pins()

    def put_file(self, path: Path) -> FileDigest:
        """See `Store.put_file`."""
        return self.witnessed.put_file(path)

    def put_bytes(self, data: bytes) -> FileDigest:
        """See `Store.put_bytes`."""
        return self.witnessed.put_bytes(data)

    def pin(self, cid: str) -> None:
        """See `Store.pin`."""
        self.witnessed.pin(cid)

    def unpin(self, cid: str) -> None:
        """See `Store.unpin`."""
        self.witnessed.unpin(cid)
