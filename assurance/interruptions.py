"""Commands and audits that are killed, or whose node, store or machine fails, at every moment."""

from __future__ import annotations

from collections.abc import Iterator

from assurance.harness import Result
from assurance.long_tests import run_tests

_TESTS = "tests/llamafund_chain"
_SENDING = f"{_TESTS}/cli/test_faulty_sending.py"
TESTS = (
    f"{_SENDING}::test_a_connection_that_breaks_at_any_request_pays_nothing_twice",
    f"{_SENDING}::test_a_node_that_dies_for_good_at_any_request_pays_nothing_twice",
    f"{_SENDING}::test_a_rate_limit_at_any_request_pays_nothing_twice",
    f"{_TESTS}/cli/test_killed.py",
    f"{_TESTS}/facts/test_killed.py",
    f"{_TESTS}/facts/test_past.py::test_an_audit_that_is_killed_at_any_moment_leaves_only_what_is_so",
    f"{_TESTS}/audit/test_audit.py::test_no_trouble_of_a_store_or_of_this_machine_accuses_an_honest_campaign",
)


def run(short: bool) -> Iterator[Result]:
    """Try every moment, and some of them if `short`.

    Raises:
        BrokenToolError: pytest ended without a report.
    """
    yield from run_tests(TESTS, short)
