"""Several stores read as one: an honest one among broken and lying ones is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode, LlamafundError, UsageError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import LocalStore, MissingContentError, Store
from llamafund_chain.store.several import SeveralStores, open_stores

DATA = bytes(range(256)) * 3000
CID = hash_bytes(DATA).cid


@pytest.fixture
def stores(tmp_path: Path) -> tuple[LocalStore, LocalStore, LocalStore]:
    """An empty one, one that lies, an honest one."""
    empty, lying, honest = (LocalStore(tmp_path / name) for name in ("empty", "lying", "honest"))
    for store in (lying, honest):
        store.put_bytes(DATA)
    lying.path_of(CID).chmod(0o600)
    # The lie is in the last byte: whatever comes before it looks right.
    lying.path_of(CID).write_bytes(DATA[:-1] + b"x")
    return empty, lying, honest


def test_several_stores_are_a_store_and_one_is_itself(tmp_path: Path) -> None:
    assert isinstance(open_stores([str(tmp_path / "one")]), LocalStore)
    assert isinstance(open_stores([str(tmp_path / "one")] * 2), LocalStore)
    several = open_stores([str(tmp_path / "one"), str(tmp_path / "two")])
    assert isinstance(several, SeveralStores)
    assert isinstance(several, Store)
    assert several.location == f"{tmp_path / 'one'}, {tmp_path / 'two'}"
    with pytest.raises(UsageError):
        open_stores([])


def test_one_honest_store_is_enough(stores: tuple[LocalStore, ...], tmp_path: Path) -> None:
    several = SeveralStores(stores)
    assert b"".join(several.stream(CID, size=len(DATA))) == DATA
    assert several.read(CID, limit=len(DATA)) == DATA
    several.fetch(CID, tmp_path / "copy", size=len(DATA))
    assert (tmp_path / "copy").read_bytes() == DATA
    assert several.has(CID)


def test_no_byte_of_a_lie_is_handed_out(stores: tuple[LocalStore, ...]) -> None:
    empty, lying, _ = stores
    seen = []
    with pytest.raises(LlamafundError) as caught:
        seen.extend(SeveralStores((empty, lying)).stream(CID))
    assert seen == []
    assert caught.value.exit_code is ExitCode.VERIFICATION_FAILED
    assert str(lying.location) in str(caught.value)


def test_what_no_store_has_is_missing(stores: tuple[LocalStore, ...], tmp_path: Path) -> None:
    several = SeveralStores((stores[0], LocalStore(tmp_path / "another")))
    assert not several.has(CID)
    with pytest.raises(MissingContentError, match="None of 2"):
        several.read(CID, limit=1)


def test_a_stream_leaves_nothing_behind(
    stores: tuple[LocalStore, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    several = SeveralStores(stores)
    half = several.stream(CID)
    next(half)
    assert list(place.iterdir())
    half.close()  # type: ignore[attr-defined]
    assert list(place.iterdir()) == []


def test_an_address_that_is_none_is_refused_before_it_becomes_a_file_name(stores: tuple[LocalStore, ...]) -> None:
    for name in ("../../etc/passwd", "", CID + "x"):
        with pytest.raises(UsageError):
            list(SeveralStores(stores).stream(name))


def test_several_stores_are_not_written_to(stores: tuple[LocalStore, ...], tmp_path: Path) -> None:
    several = SeveralStores(stores)
    stores[2].pin(CID)
    assert several.pins() == {CID}
    for write in (
        lambda: several.put_bytes(b"data"),
        lambda: several.put_file(tmp_path / "x"),
        lambda: several.pin(CID),
        lambda: several.unpin(CID),
    ):
        with pytest.raises(UsageError, match="only read from"):
            write()
    assert stores[2].pins() == {CID}
