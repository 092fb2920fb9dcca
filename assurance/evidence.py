"""Trees of real sizes, and what others make of the same bytes: Kubo's vectors, `sha256sum`, standards' validators."""

from __future__ import annotations

from collections.abc import Iterator

from assurance.harness import Result
from assurance.long_tests import run_tests

SHORT = (
    "tests/llamafund_chain/evidence/test_hashing_interoperability.py",
    "tests/llamafund_chain/evidence/test_exports.py",
)
TESTS = ("tests/llamafund_chain/evidence/test_large_trees.py", *SHORT)


def run(short: bool) -> Iterator[Result]:
    """Run the tests, the long ones too unless `short`, and report each.

    Raises:
        BrokenToolError: pytest ended without a report.
    """
    yield from run_tests(SHORT if short else TESTS, short)
