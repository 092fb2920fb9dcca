"""A measurement says what it is compared with and whether its bound holds."""

import json
import subprocess
import sys

import pytest

from bench.harness import Reference, Row


def test_a_row_at_its_bound_holds_and_one_above_does_not() -> None:
    assert Row(name="x", value=10, unit="gas", bound=10).holds is True
    assert Row(name="x", value=10.5, unit="gas", bound=10).holds is False


def test_a_row_without_bound_or_reference_claims_nothing() -> None:
    row = Row(name="x", value=10, unit="gas")
    assert row.holds is None
    assert row.ratio is None


def test_the_ratio_is_value_over_reference() -> None:
    assert Row(name="x", value=30, unit="gas", reference=Reference("transfer", 20)).ratio == pytest.approx(1.5)


def test_an_unknown_benchmark_is_a_usage_error() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'gas'" in done.stderr
    assert "Traceback" not in done.stderr


def test_gas_comes_from_receipts_and_the_exit_code_says_whether_every_bound_holds() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "gas", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert result["schema"] == "llamafund/bench/1"
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["first pledge, native coin"]["reference"] == {"name": "plain transfer", "value": 21_000}
    assert all(row["value"] > 21_000 for row in rows.values())
    bounded = [row for row in rows.values() if row["bound"] is not None]
    assert len(bounded) == 6
    assert done.returncode == int(any(row["holds"] is False for row in bounded))
