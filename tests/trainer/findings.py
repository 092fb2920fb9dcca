"""What tests of checks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llamafund_chain.checks.check import CheckContext, CheckResult, Finding

MakeContext = Callable[..., CheckContext]


def only(results: Iterable[Finding | CheckResult]) -> Finding | CheckResult:
    found = list(results)
    assert len(found) == 1, found
    return found[0]
