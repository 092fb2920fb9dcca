"""Which program can repeat a recipe. Read here alone, so that everybody says the same of it."""

from __future__ import annotations

import re
from enum import StrEnum

from llamafund_chain.evidence.programs import MAX_PROGRAM_BYTES, PROGRAM_SCHEMA
from llamafund_chain.strict_yaml import load_json, load_yaml

TRAINER_SCHEMA = "llamafund/recipe/1"

NOT_REPLAYABLE = "Recorded, not replayable"
"""What a check says that would have to read or repeat a recipe of no known kind."""

_PARSED = 64 * 1024
"""Bytes of YAML; whatever is longer is none of the trainer's, but may claim to be one."""


class RecipeKind(StrEnum):
    """What a recipe's bytes are, or are meant to be: then a mistake in them is a fault.

    Attributes:
        TRAINER: The reference trainer's.
        PROGRAM: A program of the researcher's own, with all that it takes to run it.
        OTHER: Anything else, such as a script. It can be compared with what was promised, and no program repeats it.
    """

    TRAINER = "trainer"
    PROGRAM = "program"
    OTHER = "other"


_KINDS = {TRAINER_SCHEMA: RecipeKind.TRAINER, PROGRAM_SCHEMA: RecipeKind.PROGRAM}
_CLAIM = re.compile(rb"^ ?\"?schema\"?: *[\"']?(llamafund/(?:recipe|program)/1)\b", re.MULTILINE)


def recipe_kind(data: bytes) -> RecipeKind:
    """The kind of a recipe.

    Args:
        data: The recipe's bytes, which may be anybody's.
    """
    is_json = data.lstrip()[:1] == b"{"
    if len(data) <= (MAX_PROGRAM_BYTES if is_json else _PARSED):
        try:
            document = load_json(data) if is_json else load_yaml(data)
        except ValueError:
            pass
        else:
            schema = document.get("schema") if isinstance(document, dict) else None
            return _KINDS.get(schema, RecipeKind.OTHER) if isinstance(schema, str) else RecipeKind.OTHER
    claimed = _CLAIM.search(data)
    return _KINDS[claimed[1].decode()] if claimed else RecipeKind.OTHER
