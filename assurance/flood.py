"""A guard with one key against a flood of challenges, on a chain with a block every 2 seconds, 80 ms away."""

from __future__ import annotations

from collections.abc import Iterator

from assurance.harness import Result
from assurance.long_tests import run_tests

TESTS = ("tests/llamafund_chain/campaign/test_guard_under_flood.py",)


def run(short: bool) -> Iterator[Result]:
    """Run a small flood, and one of 5 coins of bonds unless `short`.

    Raises:
        BrokenToolError: pytest ended without a report.
    """
    yield from run_tests(TESTS, short)
