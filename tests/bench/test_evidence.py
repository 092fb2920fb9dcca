"""The hashing benchmark compares with others on the same bytes; how fast this machine is now is no test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import evidence
from bench.evidence import MANY_BOUND, MANY_FILES, SHARE_OF_LIMIT, many_files, parse_sizes, run
from llamafund_chain.errors import UsageError


@pytest.fixture
def folder(monkeypatch, tmp_path: Path) -> Path:
    """Where the benchmark puts its files, which other tests use at the same time."""
    monkeypatch.setattr(evidence, "_build", lambda: tmp_path)
    return tmp_path


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, check=False)


def test_every_row_has_the_reference_of_its_size_and_the_bounds_are_shares_of_the_limit(folder) -> None:
    rows = {row.name.removeprefix("9 MiB: "): row for row in run("9MiB")}
    reference = rows["SHA-256 in memory, one core"].value
    assert reference > 0
    measured = [row for name, row in rows.items() if "absent" not in name]
    both = rows.get("SHA-256 in memory, two threads on two cores")
    for name, row in rows.items():
        two = both is not None and name == "three digests, two cores"
        assert "absent" in name or row.value > 0
        assert "absent" in name or row.reference.value == (both.value if two else reference)
    assert len(measured) >= 6
    assert rows["three digests, one core"].bound == pytest.approx(3 * reference / SHARE_OF_LIMIT)
    if both is not None:
        assert rows["three digests, two cores"].bound == pytest.approx(3 * both.value / SHARE_OF_LIMIT)
    assert rows["unchanged tree, warm cache"].holds is True
    assert ("openssl dgst -sha256" in rows) == bool(shutil.which("openssl"))
    assert any(name.startswith("model-signing") for name in rows)
    assert not list(folder.iterdir())


def test_small_files_are_published_beside_git_in_the_same_run(folder) -> None:
    *git, ours = many_files(1500)
    assert ours.name == "1500 small files: hash and publish to a directory"
    assert ours.value > 0
    assert ours.bound == pytest.approx(MANY_BOUND * 1500 / MANY_FILES)
    assert len(git) == bool(shutil.which("git"))
    assert all(row.name == "1500 small files: git add" and ours.reference == row.reference for row in git)
    assert not list(folder.iterdir())


def test_sizes_are_read_with_their_units() -> None:
    assert parse_sizes("1MiB, 8GiB") == [2**20, 2**33]
    assert parse_sizes(None)


@pytest.mark.parametrize("text", ["", "1", "GiB", "-1GiB", "1GB", "1KiB", "1.5GiB", "1GiB,", "²GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_sizes(text)


def test_a_size_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing(folder) -> None:
    with pytest.raises(UsageError, match="bytes left"):
        list(run("9000000GiB"))
    assert not list(folder.iterdir())
    done = bench("evidence", "--size", "9000000GiB")
    assert done.returncode == 2
    assert "bytes left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_benchmark_without_sizes_takes_none() -> None:
    done = bench("gas", "--size", "1GiB")
    assert done.returncode == 2
    assert "gas takes no --size" in done.stderr
