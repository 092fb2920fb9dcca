"""What a campaign reports: a property, how many cases it was tried with, and whether it held."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class MissingToolError(Exception):
    """A tool that a campaign needs is not installed. The message says how to get it."""


class BrokenToolError(Exception):
    """A tool ended without a result that can be read. The message holds the end of what it printed."""


@dataclass(frozen=True)
class Result:
    """One property after one campaign.

    Attributes:
        name: The property, in words.
        cases: How many cases were tried.
        unit: What a case is, for example `calls` or `mutants`.
        holds: Whether no case broke it.
        detail: What broke it and how to see it again, or a remark; empty where there is nothing to add.
    """

    name: str
    cases: int
    unit: str
    holds: bool
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """The result as an object."""
        return asdict(self)


Campaign = Callable[[bool], Iterable[Result]]
"""Runs one campaign, short or in full, and reports each property as soon as it is known.

Raises:
    MissingToolError: A tool is not installed.
    BrokenToolError: A tool ended without a result.
"""
