"""Figures that are the same in every run, committed: a change is a diff in review, and a rise fails the tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.harness import Row

TOLERANCE = 0.01
"""Rise over the snapshot that is no regression yet."""

_FOLDER = Path(__file__).parent / "snapshots"


def read(name: str) -> dict[str, float]:
    """Return the committed figures of a benchmark by row name.

    Raises:
        FileNotFoundError: The benchmark has no snapshot.
    """
    return dict(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def write(name: str, rows: Iterable[Row]) -> Path:
    """Make these rows the benchmark's snapshot, and return its file."""
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({row.name: row.value for row in rows}, indent=2) + "\n", encoding="utf-8")
    return path


def regressions(rows: Iterable[Row], snapshot: Mapping[str, float]) -> list[str]:
    """Return what rose above the snapshot by more than the tolerance, or is measured on one side only."""
    values = {row.name: row.value for row in rows}
    found = [f"{name}: measured, but not in the snapshot" for name in values.keys() - snapshot.keys()]
    found += [f"{name}: in the snapshot, but not measured" for name in snapshot.keys() - values.keys()]
    found += [
        f"{name}: {value:g}, snapshot {snapshot[name]:g}"
        for name, value in values.items()
        if name in snapshot and value > snapshot[name] * (1 + TOLERANCE)
    ]
    return sorted(found)
