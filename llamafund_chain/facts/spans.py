"""Ranges of blocks that are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """The blocks from one to another, both included; none if `last` is below `first`."""

    first: int
    last: int


def add(spans: Iterable[Span], new: Span) -> list[Span]:
    """Ranges with one more, in order; those that touch become one."""
    merged: list[Span] = []
    for one in sorted([*spans, new]):
        if merged and one.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(merged[-1].last, one.last))
        else:
            merged.append(one)
    return merged


def cut(span: Span, last: int) -> Span:
    """A range without the blocks above a number."""
    return Span(span.first, min(span.last, last))


def missing(spans: Iterable[Span], wanted: Span) -> Span | None:
    """The range from the first to the last block of a range that is not known; `None` if all are.

    Args:
        spans: What is known, in any order.
        wanted: What must be.
    """
    first, last = wanted
    known = sorted(one for one in spans if one.first <= one.last)
    for one in known:
        if one.first <= first <= one.last:
            first = one.last + 1
    for one in reversed(known):
        if one.first <= last <= one.last:
            last = one.first - 1
    return Span(first, last) if first <= last else None
