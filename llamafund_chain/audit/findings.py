"""Where an audit's results are collected, and where errors become results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from llamafund_chain.audit.model import ReportCheck
from llamafund_chain.checks.check import CheckResult, Finding, check_name
from llamafund_chain.errors import LlamafundError, NodeError, NotFinalError

P = ParamSpec("P")
T = TypeVar("T")


class Findings:
    """The results so far, in the order in which they were found."""

    def __init__(self) -> None:
        self._checks: list[ReportCheck] = []

    @property
    def checks(self) -> tuple[ReportCheck, ...]:
        """All results."""
        return tuple(self._checks)

    def add(self, group: str, results: Iterable[CheckResult]) -> None:
        """Add results to a group."""
        self._checks.extend(ReportCheck.of(group, result) for result in results)

    def check(self, group: str, check: Callable[P, Finding | None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a check and add its finding, if any, under the check's name.

        Args:
            group: As in `add`.
            check: The function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        finding = check(*args, **kwargs)
        if finding is not None:
            self.add(group, [CheckResult.of(check_name(check), finding)])

    def attempt(self, group: str, name: str, produce: Callable[[], T], good: str | None = None) -> T | None:
        """Do something that hostile data may break. If it breaks, add a failed check.

        Args:
            group: As in `add`.
            name: The check's name.
            produce: What to do.
            good: Detail of the passed check; `None` to report none.

        Returns:
            What `produce` returned, or `None` after a failure.

        Raises:
            NodeError: The node does not answer, or refuses to, which says nothing about the campaign.
            NotFinalError: A block is not settled, which says nothing either.
        """
        try:
            value = produce()
        except (NodeError, NotFinalError):
            raise
        except LlamafundError as error:
            self.add(group, [CheckResult(name, "fail", str(error))])
            return None
        except Exception as error:  # noqa: BLE001 - what strangers wrote may break anything in any way
            detail = f"It cannot be read: {type(error).__name__}: {error}"
            self.add(group, [CheckResult(name, "fail", detail)])
            return None
        if good is not None:
            self.add(group, [CheckResult(name, "pass", good)])
        return value
