"""Text that is not YAML or JSON: turns the parsers' errors into plain words."""

from __future__ import annotations

import re
from json import JSONDecodeError
from typing import TYPE_CHECKING

from llamafund_chain.text import printable

if TYPE_CHECKING:
    from yaml import YAMLError

_INDENTATION = "Check the indentation, and that every quote and bracket is closed"
_QUOTE = "Put the text in quotes"
_COLON = "Check the indentation; put text with a colon in quotes"

# PyYAML's messages and their meaning. `{0}` is what the expression finds.
_YAML = (
    (
        r"could not find expected ':'",
        "there is no colon with a space after the key",
        "Write it as `key: value`; text of several lines needs quotes",
    ),
    (r"found character '\\t'", "a tab is used for indentation, where only spaces may be", "Replace it with spaces"),
    (r"found character '(.)' that cannot start", "text may not begin with {0}", _QUOTE),
    (r"mapping values are not allowed", "a colon is where no key can be", _COLON),
    (r"mapping keys are not allowed", "a question mark is where no key can be", _QUOTE),
    (r"sequence entries are not allowed", "an entry of a list (-) cannot be here", _INDENTATION),
    (r"found unknown escape character '(.)'", r"\{0} is not an escape", r"Write a backslash in double quotes as \\"),
    (r"expected escape sequence of (\d+)", "an escape has fewer than {0} hexadecimal digits", "Complete it"),
    (r"quoted scalar.*unexpected end", "text in quotes has no end", "Close the quotes"),
    (r"quoted scalar", "text in quotes is cut short", "Close the quotes"),
    (r"while scanning a block scalar", "after | or > the text must begin on the next line", "Move it there"),
    (
        r"expected ',' or '\]'",
        "a list in brackets is not well formed",
        "Put commas between entries, and ] at the end",
    ),
    (
        r"expected ',' or '\}'",
        "a section in braces is not well formed",
        "Put commas between keys, and } at the end",
    ),
    (r"expected <block end>", "this does not fit what is before it", _INDENTATION),
    (r"expected the node content, but found '([^'<]+)'", "a value is missing before {0}", _QUOTE),
    (r"expected the node content", "a value is missing here", "Write one"),
    (r"another document", "a second document begins here", "Remove the line ---"),
    (r"while scanning an? (?:anchor|alias)", "text may not begin with & or *", _QUOTE),
    (r"while (?:scanning|parsing) a tag", "text may not begin with !", _QUOTE),
    (r"directive", "a line may not begin with %", _QUOTE),
    (r"expected '<document start>'", "this does not fit what is before it", _INDENTATION),
)
_JSON = {
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing here",
    "Expecting ':' delimiter": "a colon is missing after the key",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing here",
    "Expecting value": "a value is missing here",
    "Extra data": "there is more after the end of the document",
    "Illegal trailing comma before end of object": "there is a comma before the closing bracket",
    "Illegal trailing comma before end of array": "there is a comma before the closing bracket",
    "Invalid \\escape": "there is a backslash before a character that needs none",
    "Invalid \\uXXXX escape": "\\u has fewer than four hexadecimal digits",
    "Invalid control character at": "text in quotes has a line break or another control character",
    "Unterminated string starting at": "text in quotes has no end",
}


class DocumentError(ValueError):
    """Text that cannot be read as a document.

    Attributes:
        problem: What is wrong, as the end of a sentence.
        remedy: What to do; empty if that is obvious.
        line: The line, counted from 1; `None` if it is unknown.
        column: The column, counted from 1.
    """

    def __init__(self, problem: str, remedy: str = "", *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.line = line
        self.column = column

    def __str__(self) -> str:
        column = "" if self.column is None else f", column {self.column}"
        return self.problem if self.line is None else f"line {self.line}{column}: {self.problem}"


def decode(data: bytes) -> str:
    """UTF-8 text.

    Raises:
        DocumentError: It is something else.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"the byte 0x{data[error.start]:02x} is not UTF-8 text",
            "Save it as UTF-8, or check that it is the right file",
            line=data.count(b"\n", 0, error.start) + 1,
        ) from error


def explain_yaml(error: YAMLError, text: str) -> DocumentError:
    """Explain PyYAML's refusal of a text."""
    position = getattr(error, "position", None)
    if isinstance(position, int):
        problem = f"the character U+{ord(text[position]):04X} cannot be shown"
        return DocumentError(problem, "Remove it, or check that it is the right file", line=_line(text, position))
    context, problem = getattr(error, "context", None) or "", getattr(error, "problem", None) or ""
    # The beginning of something that goes wrong later is more useful than the place where that was noticed.
    begins = "simple key" in context or "quoted scalar" in context or "flow" in context
    mark = (getattr(error, "context_mark", None) if begins else None) or getattr(error, "problem_mark", None)
    line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
    for pattern, meaning, remedy in _YAML:
        found = re.search(pattern, f"{context} {problem}", re.DOTALL)
        if found:
            said = meaning.format(*(printable(part, 20) for part in found.groups()))
            return DocumentError(said, remedy, line=line, column=column)
    return DocumentError("it is not YAML", _INDENTATION, line=line, column=column)


def explain_json(error: JSONDecodeError) -> DocumentError:
    """Explain the refusal of Python's JSON parser."""
    if not error.doc.strip():
        return DocumentError("it is empty")
    if error.msg.startswith("Unexpected UTF-8 BOM"):
        return DocumentError("it begins with a byte order mark", "Save it as UTF-8 without one")
    return DocumentError(_JSON.get(error.msg, "it is not JSON"), line=error.lineno, column=error.colno)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
