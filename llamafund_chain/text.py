"""Strangers' text, made safe to print.

File names, token symbols, node messages and manifest fields are chosen by people who may want a report to
look different from what it says: terminal control sequences, right-to-left overrides, invisible characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str, limit: int = 600) -> str:
    r"""One line of `text` in which every character is visible.

    Args:
        text: Anything, from anybody.
        limit: Number of characters to keep; the rest is replaced by its count.

    Returns:
        The text with line breaks, tabs and spaces of any width as plain spaces, and other control, format, private
        and unassigned characters written as `\u{…}`.
    """
    kept = text[:limit]
    shown = "".join(_visible(character) for character in kept)
    if len(text) > limit:
        shown += f"… ({len(text) - limit} more characters)"
    return shown


def from_millionths(value: int) -> str:
    """A metric in millionths as a decimal number, exact: 1234567 is `1.234567`."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 1_000_000)
    digits = f"{fraction:06}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def counted(number: int, what: str) -> str:
    """A number of things in words: `1 chunk`, `2 chunks`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def bar(part: int, whole: int, width: int = 20) -> str:
    """A part of a whole as a bar: `[#####---------------]`. It is full only if nothing is missing.

    Args:
        part: At least 0. What is above the whole is not shown.
        whole: Above 0.
        width: Number of characters between the brackets.
    """
    full = min(part * width // whole, width)
    return f"[{'#' * full}{'-' * (width - full)}]"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The one name that somebody may have meant; `None` if none is close. Case and leading dashes do not count.

    Args:
        word: What they wrote. A name that begins with it is closer than any other.
        known: The names.
    """
    bare = {name.casefold().lstrip("-"): name for name in known}
    begun = word.casefold().lstrip("-")
    whole = [name for name in bare if len(begun) > 1 and name.startswith(begun)]
    # Imported here: only mistakes need it.
    from difflib import get_close_matches

    near = whole if len(whole) == 1 else get_close_matches(begun, bare, n=1)
    return bare[near[0]] if near else None


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\r\t" or category == "Zs":
        return " "
    if category in _UNPRINTABLE:
        return f"\\u{{{ord(character):x}}}"
    return character
