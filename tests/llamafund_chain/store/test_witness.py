"""Stores that remember what they delivered, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.store import LocalStore, Store
from llamafund_chain.store.base import MissingContentError
from llamafund_chain.store.several import open_stores
from llamafund_chain.store.sources import places_of
from llamafund_chain.store.witness import Delivery, Record, WitnessedStore


@pytest.fixture
def stores(tmp_path: Path) -> tuple[LocalStore, LocalStore]:
    return LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")


def test_each_content_is_noted_once_for_its_store_when_it_first_came(
    stores: tuple[LocalStore, LocalStore], tmp_path: Path
) -> None:
    here, there = stores[0].put_bytes(b"here").cid, stores[1].put_bytes(b"there").cid
    moments = iter((5.9, 6.0, 7.0, 8.0, 9.0))
    record = Record(lambda: next(moments))
    opened = open_stores([store.location for store in stores], record)

    assert opened.read(here, limit=100) == b"here"
    assert opened.read(there, limit=100) == b"there"
    opened.fetch(here, tmp_path / "file")
    assert b"".join(opened.stream(there)) == b"there"
    assert record.deliveries == [Delivery(here, 0, 5), Delivery(there, 1, 6)]


def test_what_was_not_delivered_whole_is_not_noted(stores: tuple[LocalStore, LocalStore]) -> None:
    first = stores[0]
    digest, record = first.put_bytes(b"whole"), Record()
    opened = WitnessedStore(first, 0, record)
    with pytest.raises(MissingContentError):
        opened.read(stores[1].put_bytes(b"elsewhere").cid, limit=100)
    spans = opened.stream(digest.cid)
    next(spans)
    assert record.deliveries == []
    assert list(spans) == []
    assert [one.cid for one in record.deliveries] == [digest.cid]


def test_a_witnessed_store_is_a_store_and_does_what_its_store_does(
    stores: tuple[LocalStore, LocalStore], tmp_path: Path
) -> None:
    opened = WitnessedStore(stores[0], 0, Record())
    (tmp_path / "file").write_bytes(b"file")
    assert isinstance(opened, Store)
    cid = opened.put_file(tmp_path / "file").cid
    assert cid == opened.put_bytes(b"file").cid
    assert (opened.has(cid), opened.location) == (True, stores[0].location)
    opened.pin(cid)
    assert opened.pins() == {cid}
    opened.unpin(cid)
    assert opened.pins() == frozenset()


def test_the_places_behind_witnessed_stores_are_the_stores_themselves(stores: tuple[LocalStore, LocalStore]) -> None:
    locations = [store.location for store in stores]
    assert [type(place) for place in places_of(open_stores(locations, Record()))] == [LocalStore, LocalStore]
    assert [type(place) for place in places_of(open_stores(locations[:1], Record()))] == [LocalStore]
