"""A measurement says what it is compared with and whether its bound holds."""

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator

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


def test_a_row_is_said_when_it_is_measured_and_not_when_all_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def run() -> Iterator[Row]:
        yield Row(name="first", value=3, unit="s", reference=Reference("plain", 2), bound=4)
        said.append(capsys.readouterr().err)
        yield Row(name="second", value=1, unit="s")

    monkeypatch.setattr(sys, "argv", ["bench", "gas", "--json"])
    monkeypatch.setattr("bench.gas.run", run)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bench", run_name="__main__")
    assert ended.value.code == 0
    assert said == ["first: 3 s, ratio 1.50, bound 4\n"]
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["first", "second"]


def test_an_unknown_benchmark_is_a_usage_error() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'gas'" in done.stderr
    assert "Traceback" not in done.stderr
