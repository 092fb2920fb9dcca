"""Several stores that are read as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.hashing import FileDigest
from llamafund_chain.files import read_spans
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_chain.store import Store, open_store
from llamafund_chain.store.base import check_cid
from llamafund_chain.store.sources import Sources
from llamafund_chain.store.witness import Record, WitnessedStore


def open_stores(locations: Sequence[str], record: Record | None = None) -> Store:
    """The stores at some locations as one to read from; the store itself when there is only one location.

    Args:
        locations: As `open_store` takes them.
        record: Where to note what they deliver, by their numbers among the locations.

    Raises:
        UsageError: There is none, or as `open_store`.
    """
    if not locations:
        raise UsageError("No store was named", remedy="Name one with --store")
    places = tuple(open_store(location) for location in dict.fromkeys(locations))
    if record is not None:
        places = tuple(WitnessedStore(place, number, record) for number, place in enumerate(places))
    return places[0] if len(places) == 1 else SeveralStores(places)


@dataclass(frozen=True)
class SeveralStores:
    """A `Store` to read from: it has whatever one of several has. One that is honest among liars is enough.

    Attributes:
        places: Tried in turn.
    """

    places: tuple[Store, ...]

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self.places)

    @property
    def location(self) -> str:
        """Where they are, for messages."""
        return self._sources.location

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:
        """See `Store.stream`. Goes through a temporary file: another place can help until the last byte is verified."""
        check_cid(cid)
        with ScratchFolder("stream") as folder:
            file = folder / cid
            self._sources.fetch(cid, file, size=size)
            yield from read_spans(file)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Store.fetch`."""
        self._sources.fetch(cid, destination, size=size, sha256=sha256)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Store.read`."""
        return self._sources.read(cid, limit=limit)

    def has(self, cid: str) -> bool:
        """Whether one of them has something under the address."""
        return any(place.has(cid) for place in self.places)

    def pins(self) -> frozenset[str]:
        """What one of them has pinned."""
        return frozenset[str]().union(*(place.pins() for place in self.places))

    def put_file(self, path: Path) -> FileDigest:
        """Refused: see `_one`."""
        raise self._one(f"{str(path)!r} cannot be put into {len(self.places)} stores")

    def put_bytes(self, data: bytes) -> FileDigest:
        """Refused: see `_one`."""
        raise self._one(f"{len(data)} bytes cannot be put into {len(self.places)} stores")

    def pin(self, cid: str) -> None:
        """Refused: see `_one`."""
        raise self._one(f"{cid} cannot be pinned in {len(self.places)} stores")

    def unpin(self, cid: str) -> None:
        """Refused: see `_one`."""
        raise self._one(f"{cid} cannot be unpinned in {len(self.places)} stores")

    def _one(self, what: str) -> UsageError:
        return UsageError(what, "Several stores are only read from", "Name the one to write to")
