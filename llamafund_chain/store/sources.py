"""Several sources that are tried in turn, as if they were one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, VerificationError
from llamafund_chain.store.base import MissingContentError, RefusedError, Source

T = TypeVar("T")

Report = Callable[[str], None]
"""Called with remarks for a person."""

PASSED_OVER = (VerificationError, NodeUnreachableError, RefusedError, MissingContentError)
"""After these errors another place may help. A lie is worse than silence, and silence is worse than not having it."""


@dataclass(frozen=True)
class Sources:
    """A `Source` of everything that at least one of several places honestly delivers.

    Attributes:
        places: Tried in turn.
        report: Called about each place that failed where another one delivered.
    """

    places: Sequence[Source]
    report: Report | None = None

    @property
    def location(self) -> str:
        """Where they are, for messages."""
        return ", ".join(place.location for place in self.places)

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        """See `Source.fetch`."""
        self.fetch_from(cid, destination, size=size, sha256=sha256)

    def fetch_from(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> str:
        """See `Source.fetch`.

        Returns:
            The location of the place that it came from.
        """

        def fetch(place: Source) -> str:
            place.fetch(cid, destination, size=size, sha256=sha256)
            return place.location

        return self._first(cid, fetch)

    def read(self, cid: str, *, limit: int) -> bytes:
        """See `Source.read`."""
        return self._first(cid, lambda place: place.read(cid, limit=limit))

    def _first(self, cid: str, get: Callable[[Source], T]) -> T:
        problems: list[tuple[Source, LlamafundError]] = []
        for place in self.places:
            try:
                result = get(place)
            except PASSED_OVER as error:
                problems.append((place, error))
                continue
            self._tell(cid, problems)
            return result
        if len(problems) == 1:
            raise problems[0][1]
        kinds = (kind for kind in PASSED_OVER if any(isinstance(problem, kind) for _, problem in problems))
        raise next(kinds, MissingContentError)(
            f"None of {len(problems)} sources delivered {cid}",
            "; ".join(f"{place.location}: {problem.what}" for place, problem in problems)[:2000],
            "Name another source, or ask whoever published it to keep it available",
        )

    def _tell(self, cid: str, problems: Sequence[tuple[Source, LlamafundError]]) -> None:
        if self.report is not None:
            for place, problem in problems:
                if not isinstance(problem, MissingContentError):
                    self.report(f"{place.location} did not deliver {cid}: {problem}")
