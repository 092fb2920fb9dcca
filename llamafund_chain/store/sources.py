"""Several sources that are tried in turn, as if they were one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from llamafund_chain.errors import (
    LlamafundError,
    NodeUnreachableError,
    VerificationError,
    WrongAnswerError,
    accuses,
)
from llamafund_chain.http.patience import Patience
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, RefusedError, Source

T = TypeVar("T")

Report = Callable[[str], None]
"""Called with remarks for a person."""

PASSED_OVER = (VerificationError, NodeUnreachableError, OtherFormError, RefusedError, MissingContentError)
"""After these errors another place may help. A lie is worse than silence, and silence is worse than not having it."""


def places_of(source: Source) -> Sequence[Source]:
    """The places that a source reads from: itself, unless it stands for several, or for another one."""
    return [getattr(place, "witnessed", place) for place in getattr(source, "places", (source,))]


def worst_kind(problems: Sequence[LlamafundError]) -> type[LlamafundError]:
    """The kind of error for content that no place delivered, by what each of them said."""
    if any(map(accuses, problems)):
        return VerificationError
    kinds = (WrongAnswerError, *PASSED_OVER)
    return next((kind for kind in kinds if any(isinstance(problem, kind) for problem in problems)), MissingContentError)


@dataclass(frozen=True)
class Sources:
    """A `Source` of everything that at least one of several places honestly delivers.

    Attributes:
        places: Tried in turn, those that failed to answer before after the others.
        report: Called about each place that failed where another one delivered.
        patience: For places that break off when no other one delivers; the places may share it.
        silent: Locations of places that did not answer, were too slow or broke off the last time.
    """

    places: Sequence[Source]
    report: Report | None = None
    patience: Patience = field(default_factory=Patience)
    silent: set[str] = field(default_factory=set)

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
        places = list(enumerate(sorted(self.places, key=lambda place: place.location in self.silent)))
        alone = len(places) == 1
        problems: dict[int, tuple[Source, LlamafundError]] = {}
        for attempt in itertools.count(1):
            # Nobody is waited for while another one may help at once.
            with contextlib.nullcontext() if alone else self.patience.withheld():
                for number, place in places:
                    try:
                        result = get(place)
                    except PASSED_OVER as error:
                        problems[number] = place, error
                        if isinstance(error, NodeUnreachableError):
                            self.silent.add(place.location)
                        continue
                    self.silent.discard(place.location)
                    problems.pop(number, None)
                    self._tell(cid, list(problems.values()))
                    return result
            busy = {number: error for number, (_, error) in problems.items() if isinstance(error, BrokeOffError)}
            if alone or not busy or not self._wait(list(busy.values()), attempt):
                break
            places = [(number, place) for number, place in places if number in busy]
        found = list(problems.values())
        if len(found) == 1:
            raise found[0][1]
        raise worst_kind([problem for _, problem in found])(
            f"None of {len(found)} sources delivered {cid}",
            "; ".join(f"{place.location}: {reason_of(problem)}" for place, problem in found)[:2000],
            "Name another source, or ask whoever published it to keep it available",
        )

    def _wait(self, busy: Sequence[BrokeOffError], attempt: int) -> bool:
        asked = [error.wait for error in busy if error.wait is not None]
        return self.patience.wait(busy[0].what, attempt, min(asked, default=None))

    def _tell(self, cid: str, problems: Sequence[tuple[Source, LlamafundError]]) -> None:
        if self.report is not None:
            for place, problem in problems:
                if not isinstance(problem, MissingContentError):
                    self.report(f"{place.location} did not deliver {cid}: {problem}")


def reason_of(problem: LlamafundError) -> str:
    """What happened, and for a place that did not answer also why: several servers may be behind it."""
    if isinstance(problem, NodeUnreachableError) and problem.why:
        return f"{problem.what} ({problem.why[:300]})"
    return problem.what
