"""The hashing benchmark compares with others on the same bytes; how fast this machine is now is no test."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.evidence import SHARE_OF_LIMIT, parse_sizes
from llamafund_chain.errors import UsageError

BUILD = Path(__file__).resolve().parents[2] / "build"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, check=False)


def test_every_row_has_the_reference_of_its_size_and_the_bounds_are_shares_of_the_limit() -> None:
    done = bench("evidence", "--size", "9MiB", "--json")
    assert done.returncode in (0, 1), done.stderr
    rows = {row["name"].removeprefix("9 MiB: "): row for row in json.loads(done.stdout)["rows"]}
    reference = rows["SHA-256 in memory, one core"]["value"]
    assert reference > 0
    measured = [row for name, row in rows.items() if "absent" not in name]
    assert all(row["value"] > 0 and row["reference"]["value"] == reference for row in measured)
    assert rows["three digests, one core"]["bound"] == pytest.approx(3 * reference / SHARE_OF_LIMIT)
    assert rows["unchanged tree, warm cache"]["holds"] is True
    assert ("openssl dgst -sha256" in rows) == bool(shutil.which("openssl"))
    assert any(name.startswith("model-signing") for name in rows)
    assert not list(BUILD.glob("bench-evidence-*"))


def test_sizes_are_read_with_their_units() -> None:
    assert parse_sizes("1MiB, 8GiB") == [2**20, 2**33]
    assert parse_sizes(None)


@pytest.mark.parametrize("text", ["", "1", "GiB", "-1GiB", "1GB", "1KiB", "1.5GiB", "1GiB,", "²GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_sizes(text)


def test_a_size_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing() -> None:
    done = bench("evidence", "--size", "9000000GiB")
    assert done.returncode == 2
    assert "bytes left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(BUILD.glob("bench-evidence-*"))


def test_a_benchmark_without_sizes_takes_none() -> None:
    done = bench("gas", "--size", "1GiB")
    assert done.returncode == 2
    assert "gas takes no --size" in done.stderr
