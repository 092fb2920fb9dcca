"""A hash that is kept beside a table is never the hash of other samples."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.evidence.hashing.left_out import SAMPLES_FILE
from llamafund_trainer.record import kept_hashes, samples
from llamafund_trainer.record.samples import samples_hash

datasets = pytest.importorskip("datasets", reason="datasets is not installed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux says what is mapped where.")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that samples are read."""
    monkeypatch.setattr(kept_hashes, "GRANULARITY_NS", 0)
    seen: list[int] = []
    original = samples._table_hash
    monkeypatch.setattr(samples, "_table_hash", lambda dataset: (seen.append(1), original(dataset))[1])
    return seen


def stored(place: Path, first: int = 0, rows: int = 50) -> Any:
    columns = {"ids": [[first, row] for row in range(rows)], "text": [str(row) for row in range(rows)]}
    datasets.Dataset.from_dict(columns).save_to_disk(place)
    return datasets.load_from_disk(place)


def test_a_table_is_hashed_once_for_each_choice_of_rows_and_columns(tmp_path: Path, hashed: list[int]) -> None:
    table = stored(tmp_path / "a")
    others = [table, table.select([1, 0]), table.select(range(9)), table.remove_columns("text"), table.shuffle(seed=1)]
    others.append(table.add_column("more", list(range(50))))
    others.append(table.add_column("more", list(range(1, 51))))
    expected = [samples_hash(each) for each in others]
    assert len(set(expected)) == len(others) == len(hashed)
    assert [samples_hash(each) for each in others] == expected
    assert samples_hash(datasets.load_from_disk(tmp_path / "a")) == expected[0]
    assert len(hashed) == len(others)
    assert [path.name for path in tmp_path.rglob(SAMPLES_FILE)] == [SAMPLES_FILE]


def test_a_table_in_memory_has_nothing_kept(hashed: list[int]) -> None:
    table = datasets.Dataset.from_dict({"ids": [1, 2, 3]})
    assert samples_hash(table) == samples_hash(table)
    assert len(hashed) == 2


def replaced(place: Path) -> None:
    other = place.with_name("other")
    stored(other, first=7)
    for file in other.glob("*.arrow"):
        file.rename(place / file.name)


def moved(place: Path) -> None:
    stored(place.with_name("other"), first=7)
    place.rename(place.with_name("old"))
    shutil.copytree(place.with_name("other"), place)
    shutil.copy(place.with_name("old") / SAMPLES_FILE, place)


def overwritten(place: Path) -> None:
    stored(place.with_name("other"), first=7)
    for file in place.with_name("other").glob("*.arrow"):
        before = (place / file.name).stat()
        (place / file.name).write_bytes(file.read_bytes())
        os.utime(place / file.name, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced, moved, overwritten])
def test_changed_files_never_have_the_old_hash(
    change: Callable[[Path], None], tmp_path: Path, hashed: list[int]
) -> None:
    first = samples_hash(stored(tmp_path / "a"))
    change(tmp_path / "a")
    expected = samples_hash(datasets.Dataset.from_dict(stored(tmp_path / "same", first=7).to_dict()))
    assert samples_hash(datasets.load_from_disk(tmp_path / "a")) == expected != first


@pytest.mark.parametrize("change", [replaced, moved])
def test_a_table_that_shows_a_replaced_file_gives_its_own_hash(
    change: Callable[[Path], None], tmp_path: Path, hashed: list[int]
) -> None:
    old = stored(tmp_path / "a")
    first = samples_hash(old)
    change(tmp_path / "a")
    second = samples_hash(datasets.load_from_disk(tmp_path / "a"))
    assert samples_hash(old) == first != second
    assert samples_hash(datasets.load_from_disk(tmp_path / "a")) == second


def test_files_that_may_change_again_unnoticed_have_nothing_kept(
    tmp_path: Path, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_hashes, "GRANULARITY_NS", 3600 * 10**9)
    samples_hash(stored(tmp_path / "a"))
    assert not (tmp_path / "a" / SAMPLES_FILE).exists()


def damaged(file: Path) -> None:
    [[key, found, seal]] = json.loads(file.read_text())
    file.write_text(json.dumps([[key, found[::-1], seal]]))


@pytest.mark.parametrize(
    "change",
    [
        damaged,
        lambda file: file.write_text("{"),
        lambda file: file.write_text("[[{}, 1, 2]]"),
        lambda file: file.write_bytes(b"\xff"),
        lambda file: file.chmod(0o666),
        lambda file: (file.rename(file.with_name("x")), file.symlink_to("x")),
    ],
)
def test_what_is_damaged_or_could_be_written_by_others_is_not_believed(
    change: Callable[[Path], Any], tmp_path: Path, hashed: list[int]
) -> None:
    table = stored(tmp_path / "a")
    expected = samples_hash(table)
    assert (tmp_path / "a" / SAMPLES_FILE).stat().st_mode & 0o777 == 0o600
    change(tmp_path / "a" / SAMPLES_FILE)
    assert samples_hash(table) == expected
    assert len(hashed) == 2
