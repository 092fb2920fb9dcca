"""Explains what is wrong with a document to whoever wrote it: where, what is there, and what belongs there.

No phrase of a library reaches a person. `syntax` is about text that is not YAML or JSON, `model` about values that do
not fit, `places` about the names of values in a document.
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
    unknown_key,
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
    "unknown_key",
    "unknown_keys",
]
