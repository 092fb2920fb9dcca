"""Gas of whole transactions: within the bounds, and not above what was committed."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench import snapshot
from bench.gas import BOUNDS
from bench.harness import Reference, Row


@pytest.fixture(scope="module")
def measured() -> tuple[int, dict[str, Any]]:
    done = subprocess.run([sys.executable, "-m", "bench", "gas", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_gas_comes_from_receipts_and_the_exit_code_says_whether_every_bound_holds(measured) -> None:
    code, result = measured
    assert result["schema"] == "llamafund/bench/1"
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["first pledge, native coin"]["reference"] == {"name": "plain transfer", "value": 21_000}
    assert all(row["value"] > 21_000 for row in rows.values())
    bounded = [row for row in rows.values() if row["bound"] is not None]
    assert len(bounded) == len(BOUNDS)
    assert code == int(any(row["holds"] is False for row in bounded))


def test_every_bound_holds(measured) -> None:
    code, result = measured
    assert [row["name"] for row in result["rows"] if row["holds"] is False] == []
    assert code == 0


def test_a_refund_costs_no_more_than_a_peer_s_and_what_others_ship_is_measured_in_the_same_run(measured) -> None:
    _, result = measured
    rows = {row["name"]: row["value"] for row in result["rows"]}
    assert rows["first pledge, native coin"] < 1.2 * rows["RefundEscrow 4.9.6: first deposit"]
    assert rows["refund"] < 1.2 * rows["RefundEscrow 4.9.6: refund"]
    assert rows["attest with 2 signatures, later milestone"] < rows["EAS 1.9.0: attest"]


def test_no_figure_rose_by_more_than_a_hundredth_over_the_snapshot(measured) -> None:
    _, result = measured
    rows = [Row(name=row["name"], value=row["value"], unit=row["unit"]) for row in result["rows"]]
    found = snapshot.regressions(rows, snapshot.read("gas"))
    assert not found, f"{found}; where that is meant: python -m bench gas --update"


def test_a_regression_is_a_rise_of_more_than_a_hundredth_or_a_row_of_one_side() -> None:
    def row(name: str, value: float) -> Row:
        return Row(name=name, value=value, unit="gas", reference=Reference("transfer", 1))

    assert snapshot.regressions([row("a", 101)], {"a": 100}) == []
    assert snapshot.regressions([row("a", 102)], {"a": 100}) == ["a: 102, snapshot 100"]
    assert snapshot.regressions([row("a", 50)], {"a": 100}) == []
    assert snapshot.regressions([row("a", 1)], {"b": 1}) == [
        "a: measured, but not in the snapshot",
        "b: in the snapshot, but not measured",
    ]
