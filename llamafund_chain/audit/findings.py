"""Where an audit's results are collected, and where errors become results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ParamSpec, TypeVar

from llamafund_chain.audit.model import ReportCheck
from llamafund_chain.checks.check import CheckResult, Finding, check_name, contradicts, finding_of
from llamafund_chain.errors import NodeError, NotFinalError

P = ParamSpec("P")
T = TypeVar("T")


class Findings:
    """The results so far, in the order in which they were found."""

    def __init__(self, hidden: Mapping[str, str]) -> None:
        """Start with no results.

        Args:
            hidden: What stands for paths of this machine, which a report does not show, by path.
        """
        self._checks: list[ReportCheck] = []
        self._hidden = hidden

    @property
    def checks(self) -> tuple[ReportCheck, ...]:
        """All results."""
        return tuple(self._checks)

    def withdraw_failures(self) -> None:
        """Take back every failure: what was found by the word of a node that contradicts itself accuses nobody."""
        self._checks = [
            check.model_copy(
                update={"status": "unchecked", "detail": f"By the word of a contradicted node: {check.detail}"}
            )
            if check.status == "fail"
            else check
            for check in self._checks
        ]

    def add(self, group: str, results: Iterable[CheckResult]) -> None:
        """Add results to a group."""
        self._checks.extend(
            ReportCheck.of(group, replace(result, detail=self._shown(result.detail))) for result in results
        )

    def _shown(self, detail: str) -> str:
        for path, words in self._hidden.items():
            detail = detail.replace(path, words)
        return detail

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

    def attempt(
        self,
        group: str,
        name: str,
        produce: Callable[[], T],
        good: str | None = None,
        *,
        from_store: bool = False,
        of_node: bool = False,
    ) -> T | None:
        """Do something that hostile data may break. If it breaks, add what `finding_of` makes of the error.

        Args:
            group: As in `add`.
            name: The check's name.
            produce: What to do.
            good: Detail of the passed check; `None` to report none.
            from_store: Whether it asks a store and no node.
            of_node: Whether only the node can be to blame, because code that was verified never says such a thing.

        Returns:
            What `produce` returned, or `None` after an error.

        Raises:
            NodeError: The node does not answer, or refuses to, which ends an audit.
            NotFinalError: A block is not settled, which says nothing either.
        """
        try:
            value = produce()
        except Exception as error:
            if isinstance(error, NotFinalError) or (isinstance(error, NodeError) and not from_store):
                raise
            finding = finding_of(error)
            if of_node and finding.status == "fail":
                finding = contradicts(finding.detail)
            self.add(group, [CheckResult.of(name, finding)])
            return None
        if good is not None:
            self.add(group, [CheckResult(name, "pass", good)])
        return value
