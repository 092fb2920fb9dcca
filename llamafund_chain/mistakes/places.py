"""The name and the line of a value in a document."""

from __future__ import annotations

from collections.abc import Mapping

from llamafund_chain.text import printable

Place = tuple[str | int, ...]
"""Where a value is: the keys and, in lists, the indexes that lead to it. Empty for the whole document."""

Lines = Mapping[Place, int]
"""The line of each value, counted from 1: that of its key, or that in which the entry of a list begins."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}  # codespell:ignore
_LONGEST_KEY = 60


def named(place: Place) -> str:
    """A place as text, for example `terms.goal` or `share in the first entry of terms.payees`.

    Entries are never numbered: some people count from 0 and others from 1.
    """
    if not place:
        return "it"
    last = next((index for index in reversed(range(len(place))) if isinstance(place[index], int)), None)
    keys = ".".join(printable(str(key), _LONGEST_KEY) for key in place[0 if last is None else last + 1 :])
    if last is None:
        return keys
    entry = f"the {ordinal(int(place[last]))} entry of {named(place[:last])}"
    return f"{keys} in {entry}" if keys else entry


def ordinal(index: int) -> str:
    """`first` for 0, `second` for 1, `11th` for 10."""
    if 0 <= index < len(_ORDINALS):
        return _ORDINALS[index]
    number = index + 1
    suffix = "th" if number % 100 in (11, 12, 13) else _SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"


def line_of(place: Place, lines: Lines) -> int | None:
    """The line of a value, or of the nearest section around it that has one."""
    for length in range(len(place), 0, -1):
        line = lines.get(place[:length])
        if line is not None:
            return line
    return None
