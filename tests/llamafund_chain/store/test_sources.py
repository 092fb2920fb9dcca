"""Several sources are one: the first honest one that has something gives it, and the worst failure is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.http.patience import Patience
from llamafund_chain.store import LocalStore, MissingContentError
from llamafund_chain.store.base import BrokeOffError, RefusedError
from llamafund_chain.store.sources import Sources

CID = hash_bytes(b"data").cid


class Failing:
    """A place at which everything fails in one way."""

    def __init__(self, location: str, error: LlamafundError) -> None:
        self.location = location
        self._error = error

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        raise self._error

    def read(self, cid: str, *, limit: int) -> bytes:
        raise self._error


MISSING = Failing("empty", MissingContentError("it has nothing"))
REFUSING = Failing("closed", RefusedError("it refused"))
SILENT = Failing("down", NodeUnreachableError("it was silent"))
LYING = Failing("evil", VerificationError("it lied"))


@pytest.fixture
def good(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "good")
    store.put_bytes(b"data")
    return store


def test_the_first_place_that_has_something_gives_it_and_is_named(good: LocalStore, tmp_path: Path) -> None:
    sources = Sources([MISSING, good, SILENT])
    assert sources.read(CID, limit=10) == b"data"
    assert sources.fetch_from(CID, tmp_path / "out") == good.location
    assert (tmp_path / "out").read_bytes() == b"data"


def test_a_failure_is_reported_where_another_place_helped_unless_it_just_had_nothing(good: LocalStore) -> None:
    said: list[str] = []
    Sources([MISSING, LYING, good], said.append).read(CID, limit=10)
    assert said == [f"evil did not deliver {CID}: it lied."]


@pytest.mark.parametrize("kind", [VerificationError, NodeUnreachableError, RefusedError, MissingContentError])
def test_a_lie_weighs_more_than_silence_and_silence_more_than_a_no(kind: type[LlamafundError]) -> None:
    places = [MISSING, REFUSING, SILENT, LYING]
    while not isinstance(places[-1]._error, kind):
        places.pop()
    with pytest.raises(kind) as caught:
        Sources([*places, MISSING]).read(CID, limit=10)
    assert type(caught.value) is kind
    assert all(place.location in str(caught.value) for place in places)


def test_the_only_place_speaks_for_itself() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        Sources([SILENT]).read(CID, limit=10)
    assert str(caught.value) == "it was silent."


def test_a_full_disk_is_no_reason_to_ask_the_next_place(good: LocalStore) -> None:
    with pytest.raises(LlamafundError, match="disk"):
        Sources([Failing("here", LlamafundError("the disk is full")), good]).read(CID, limit=10)


def test_no_place_has_nothing() -> None:
    with pytest.raises(MissingContentError, match="None of 0 sources"):
        Sources([]).read(CID, limit=10)


class Counting(Failing):
    """Fails as often as told, and then delivers."""

    def __init__(self, name: str, errors: list[LlamafundError]) -> None:
        super().__init__(name, MissingContentError(name))
        self.errors = errors
        self.asked = 0

    def read(self, cid: str, *, limit: int) -> bytes:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return b"right"


def busy(wait: float | None = None) -> BrokeOffError:
    error = BrokeOffError("It is overloaded (HTTP 429)")
    error.wait = wait
    return error


def test_a_place_that_breaks_off_is_waited_for_only_if_no_other_one_delivers(waited: list[float]) -> None:
    first, second = Counting("first", [busy(5)]), Counting("second", [])
    assert Sources([first, second]).read(CID, limit=10) == b"right"
    assert waited == []
    first, second = Counting("first", [busy(5)]), Counting("second", [MissingContentError("not here")])
    assert Sources([first, second]).read(CID, limit=10) == b"right"
    assert (waited, first.asked, second.asked) == ([5.0], 2, 1)


def test_the_waiting_ends_with_the_budget(waited: list[float]) -> None:
    said: list[str] = []
    places = [Counting(name, [busy(20) for _ in range(100)]) for name in ("first", "second")]
    with pytest.raises(NodeUnreachableError, match="None of 2 sources"):
        Sources(places, patience=Patience(50, said.append)).read(CID, limit=10)
    assert waited == [20.0, 20.0]
    assert "10 s more at most" in said[-1]


def test_a_place_that_was_too_slow_is_asked_last_the_next_time() -> None:
    slow, quick = Counting("slow", [NodeUnreachableError("It did not finish in time")]), Counting("quick", [])
    sources = Sources([slow, quick])
    for _ in range(3):
        assert sources.read(CID, limit=10) == b"right"
    assert (slow.asked, quick.asked) == (1, 3)


def test_why_a_place_is_silent_is_told() -> None:
    silent = Failing("gateways", NodeUnreachableError("No gateway delivered it", "http://localhost:9: refused"))
    with pytest.raises(NodeUnreachableError, match=r"No gateway delivered it \(http://localhost:9: refused\)"):
        Sources([MISSING, silent]).read(CID, limit=10)
