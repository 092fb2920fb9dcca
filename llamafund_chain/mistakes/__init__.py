"""What is wrong with a document, in the words of whoever wrote it: where, what stands there, what belongs there.

No library's own phrase reaches a person. `syntax` is about text that is no YAML or JSON, `model` about values that do
not fit, `places` about how a value in a document is called.
"""

from __future__ import annotations

from llamafund_chain.mistakes.model import (
    Language,
    Mistake,
    Rule,
    UnfitError,
    find_mistakes,
    refusal,
    unfit,
    unknown_keys,
)
from llamafund_chain.mistakes.places import Lines, Place, line_of, named, ordinal
from llamafund_chain.mistakes.syntax import DocumentError, decode, explain_json

__all__ = [
    "DocumentError",
    "Language",
    "Lines",
    "Mistake",
    "Place",
    "Rule",
    "UnfitError",
    "decode",
    "explain_json",
    "find_mistakes",
    "line_of",
    "named",
    "ordinal",
    "refusal",
    "unfit",
    "unknown_keys",
]
