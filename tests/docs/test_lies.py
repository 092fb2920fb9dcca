"""The table of planted lies: each row's test and check exist, there are enough of them, and no check is missing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from llamafund_chain.checks.check import check_name
from llamafund_chain.checks.run import discover

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "llamafund_chain"
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([a-z0-9-]+)` \| `([\w/.]+)::(\w+)` \|$",
    (ROOT / "docs" / "lies.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
VERDICTS = {"does not hold", "the node", "could not be told", "for a person"}
TRAINING = {check_name(check) for check in discover() if not check.__module__.startswith("llamafund_chain.")}
"""The trainer's checks: their frauds are in docs/verification.md."""


def strings_and_functions() -> set[str]:
    """Everything in the checks' and the audit's code that could be a check's name."""
    found = set[str]()
    for path in [*LIBRARY.glob("audit/**/*.py"), *LIBRARY.glob("checks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.add(node.name.strip("_").replace("_", "-"))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_at_least_sixty_lies_are_planted_each_once_and_most_of_them_end_in_a_verdict() -> None:
    assert len(ROWS) >= 60
    assert [lie for lie, count in Counter(lie for lie, *_ in ROWS).items() if count > 1] == []
    assert {verdict for _, verdict, *_ in ROWS} == VERDICTS


@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for *_, file, test in ROWS}))
def test_each_lie_is_planted_in_a_test(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_each_named_check_exists() -> None:
    agreeing = {f"{name}-agrees" for name in ("pledged", "released")}
    assert {check for _, _, check, *_ in ROWS} - strings_and_functions() - agreeing == set()


def test_each_check_of_published_evidence_has_been_seen_not_to_pass() -> None:
    named = {check for _, _, check, *_ in ROWS}
    assert {check_name(check) for check in discover()} - TRAINING - named == set()
