"""The questions and answers leave no doubt of the first critics out, and their figures are those of the benchmark."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAQ = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")


def test_the_gas_of_each_call_is_what_the_benchmark_measured() -> None:
    measured = json.loads((ROOT / "bench" / "snapshots" / "gas.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| ([^|]+) \| ([\d ]+) \|$", FAQ, re.MULTILINE)
    assert {"first pledge, native coin", "refund"} <= {name for name, _ in rows}
    assert {name: int(gas.replace(" ", "")) for name, gas in rows} == {name: measured[name] for name, _ in rows}


def test_every_doubt_of_the_first_critics_has_an_answer() -> None:
    asked = " ".join(re.findall(r"^\*\*(.+?\?|.+?\.)\*\*", FAQ, re.MULTILINE)).lower()
    for doubt in ("collude", "vanishes", "ipfs loses", "my hardware", "trademark", "who is behind", "gas"):
        assert doubt in asked, doubt
