"""Text that is no YAML or JSON: what the readers of both say, in plain words."""

from __future__ import annotations

import re
from json import JSONDecodeError
from typing import TYPE_CHECKING

from llamafund_chain.text import printable

if TYPE_CHECKING:
    from yaml import YAMLError

_INDENTATION = "Check the indentation, and that every quote and bracket is closed"
_QUOTE = "Put the text in quotes"
_COLON = "Check the indentation; put text that holds a colon in quotes"

# What PyYAML says, and what that means. `{0}` is what the expression finds.
_YAML = (
    (
        r"could not find expected ':'",
        "there is no colon with a space after the key",
        "Write it as `key: value`; text of several lines needs quotes",
    ),
    (r"found character '\\t'", "a tab stands where only spaces may indent", "Replace it by spaces"),
    (r"found character '(.)' that cannot start", "text may not begin with {0}", _QUOTE),
    (r"mapping values are not allowed", "a colon stands where no key can be", _COLON),
    (r"mapping keys are not allowed", "a question mark stands where no key can be", _QUOTE),
    (r"sequence entries are not allowed", "an entry of a list (-) cannot stand here", _INDENTATION),
    (r"found unknown escape character '(.)'", r"\{0} is no escape", r"Write a backslash in double quotes as \\"),
    (r"expected escape sequence of (\d+)", "an escape has fewer than {0} hexadecimal digits", "Complete it"),
    (r"quoted scalar.*unexpected end", "text in quotes has no end", "Close the quotes"),
    (r"quoted scalar", "text in quotes is broken off", "Close the quotes"),
    (r"while scanning a block scalar", "after | or > the text begins in the next line", "Move it there"),
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
    (r"expected <block end>", "this does not fit what stands before it", _INDENTATION),
    (r"expected the node content, but found '([^'<]+)'", "a value is missing before {0}", _QUOTE),
    (r"expected the node content", "a value is missing here", "Write one"),
    (r"another document", "a second document begins here", "Leave out the line ---"),
    (r"while scanning an? (?:anchor|alias)", "text may not begin with & or *", _QUOTE),
    (r"while (?:scanning|parsing) a tag", "text may not begin with !", _QUOTE),
    (r"directive", "a line may not begin with %", _QUOTE),
    (r"expected '<document start>'", "this does not fit what stands before it", _INDENTATION),
)
_JSON = {
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing here",
    "Expecting ':' delimiter": "a colon is missing after the key",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing here",
    "Expecting value": "a value is missing here",
    "Extra data": "more follows after the end of the document",
    "Illegal trailing comma before end of object": "a comma stands before the closing bracket",
    "Illegal trailing comma before end of array": "a comma stands before the closing bracket",
    "Invalid \\escape": "a backslash stands before a character that needs none",
    "Invalid \\uXXXX escape": "\\u has fewer than four hexadecimal digits",
    "Invalid control character at": "text in quotes has a line break or another control character",
    "Unterminated string starting at": "text in quotes has no end",
}


class DocumentError(ValueError):
    """Text that cannot be read as a document.

    Attributes:
        problem: What is wrong, as the end of a sentence.
        remedy: What to do; empty where that is obvious.
        line: Where, counted from 1; `None` where nobody can tell.
        column: Where in the line, counted from 1.
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
    """What PyYAML's refusal of a text means."""
    position = getattr(error, "position", None)
    if isinstance(position, int):
        problem = f"the character U+{ord(text[position]):04X} cannot be shown"
        return DocumentError(problem, "Leave it out, or check that it is the right file", line=_line(text, position))
    context, problem = getattr(error, "context", None) or "", getattr(error, "problem", None) or ""
    # Where something begins that goes wrong later is more use than where it was noticed.
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
    """What the refusal of Python's JSON reader means."""
    if not error.doc.strip():
        return DocumentError("it is empty")
    if error.msg.startswith("Unexpected UTF-8 BOM"):
        return DocumentError("it begins with a byte order mark", "Save it as UTF-8 without one")
    return DocumentError(_JSON.get(error.msg, "it is not JSON"), line=error.lineno, column=error.colno)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
