"""A contract, interface or library stands in a file of its own name. Contracts for tests share files by topic."""

from __future__ import annotations

import re
from pathlib import Path

DEFINITION = re.compile(r"^(?:abstract )?(?:contract|interface|library) (\w+)", re.MULTILINE)
CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"


def test_a_source_file_is_named_after_what_it_defines() -> None:
    sources = [path for path in CONTRACTS.rglob("*.sol") if path.parent.name != "test"]
    defined = {path.name: DEFINITION.findall(path.read_text(encoding="utf-8")) for path in sources}
    assert len(defined) >= 7
    assert {name: found for name, found in defined.items() if found != [name.removesuffix(".sol")]} == {}
