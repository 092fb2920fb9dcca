"""Values that do not fit their model: turns each refusal of pydantic into a sentence about the document."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from llamafund_chain.errors import LlamafundError
from llamafund_chain.mistakes.places import Lines, Place, line_of, named
from llamafund_chain.text import closest, printable

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

E = TypeVar("E", bound=LlamafundError)

Language = Literal["YAML", "JSON"]
"""The document's language, which determines how to correct a mistake."""

_SECTION = {"YAML": "a section with keys of its own", "JSON": "an object"}
_LIST = {"YAML": "Write each entry in a line of its own, after a dash", "JSON": "Put the entries in brackets: [ ]"}
_LONGEST_VALUE = 60
_MOST_NAMED = 4


@dataclass(frozen=True)
class Mistake:
    """One mistake to correct.

    Attributes:
        place: Where it is.
        what: What is there, with its place, as a sentence.
        why: What belongs there; a sentence, or empty.
        remedy: What to do; a sentence, or empty.
    """

    place: Place
    what: str
    why: str = ""
    remedy: str = ""


class Rule(NamedTuple):
    """The meaning of a regular expression of a model, as text.

    Attributes:
        why: A sentence.
        remedy: A sentence, made from the text that breaks the rule.
    """

    why: str
    remedy: Callable[[str], str]


class UnfitError(ValueError):
    """Raised by a model's own check of a value. `find_mistakes` adds the place and what is there.

    Args:
        why: What belongs there, a sentence.
        remedy: What to do, a sentence.
    """

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy


def find_mistakes(
    error: ValidationError,
    kind: type[BaseModel],
    document: object,
    *,
    language: Language,
    rules: Mapping[str, Rule],
) -> list[Mistake]:
    """The mistakes that pydantic found, the most useful one first.

    Args:
        error: The error of `kind`'s validation.
        kind: The model that the document must fit.
        document: The validated document, as plain values.
        language: The document's language.
        rules: The meaning of each regular expression of the model.
    """
    details = error.errors(include_url=False)
    # A mistyped key may also leave another one missing. The typo itself is more useful.
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    unknown = [_place(detail, document) for detail in details if detail["type"] == "extra_forbidden"]
    found: dict[Place, Mistake] = {}
    for detail in details:
        place = _place(detail, document)
        if detail["type"] == "missing" and any(_is_typo(other, place) for other in unknown):
            continue
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            # Pydantic does not count entries that are wrong themselves.
            continue
        # In a choice between types, each type reports its own error; one of them is enough.
        found.setdefault(place, _mistake(detail, place, kind, language, rules))
    return list(found.values())


def unknown_keys(document: object, kind: type[BaseModel], place: Place = ()) -> Iterator[Mistake]:
    """The keys that a model does not know, however deep, even where it would keep them.

    Args:
        document: Plain values.
        kind: The model that they must fit.
        place: Where they are in the whole document.
    """
    if not isinstance(document, Mapping):
        return
    known = _fields(kind)
    for key, value in document.items():
        if key not in known:
            yield unknown_key((*place, key), list(known))
            continue
        for model in _models(known[key], listed=False):
            yield from unknown_keys(value, model, (*place, key))
        for model in _models(known[key], listed=True):
            for index, item in enumerate(value if isinstance(value, list) else ()):
                yield from unknown_keys(item, model, (*place, key, index))


def unknown_key(place: Place, known: Sequence[str]) -> Mistake:
    """The mistake of a key that there is not.

    Args:
        place: Where it is; its last part is the key.
        known: The keys that could be there.
    """
    near = closest(str(place[-1]), known)
    listed = f"Known are {', '.join(known)}" if known else ""
    return Mistake(
        place, f"{named(place)} is not known here", listed, f"Did you mean {near}?" if near else "Leave it out"
    )


def unfit(place: Place, value: object, why: str, remedy: str, language: Language) -> Mistake:
    """A mistake that no model finds.

    Args:
        place: Where it is.
        value: What is there.
        why: What belongs there, a sentence.
        remedy: What to do, a sentence.
        language: The document's language.
    """
    return Mistake(place, f"{named(place)} {_is(value, '', language)}", why, remedy)


def refusal(kind: type[E], name: str, mistakes: Sequence[Mistake], lines: Lines | None = None) -> E:
    """The error for mistakes: it describes the first one, and says where the others are.

    Args:
        kind: Its class.
        name: The document's name for the person.
        mistakes: At least one.
        lines: The lines of its values.
    """
    first, *others = mistakes
    line = line_of(first.place, lines or {})
    where = name if line is None else f"{name}, line {line}"
    remedy = first.remedy
    if others:
        also = _also(others, lines or {})
        remedy = f"{remedy}. {also}" if remedy else also
    return kind(f"{where}: {first.what}", first.why, remedy)


def _place(detail: ErrorDetails, document: object) -> Place:
    """Where a mistake is. Pydantic also names the member of a choice that it tried, which nobody wrote."""
    place: list[str | int] = []
    value = document
    parts = detail["loc"]
    for index, part in enumerate(parts):
        is_last = index + 1 == len(parts)
        if isinstance(value, Mapping):
            if part in value:
                value = value[part]
            elif not (is_last and detail["type"] == "missing"):
                continue
        elif isinstance(value, Sequence) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        place.append(part)
    return tuple(place)


def _mistake(
    detail: ErrorDetails, place: Place, kind: type[BaseModel], language: Language, rules: Mapping[str, Rule]
) -> Mistake:
    name, context, value = named(place), detail.get("ctx", {}), detail["input"]
    match detail["type"]:
        case "missing":
            return Mistake(place, f"{name} is missing", remedy="Add it")
        case "extra_forbidden":
            return unknown_key(place, _known(kind, place[:-1]))
        case "value_error" | "assertion_error":
            said = context["error"]
            if isinstance(said, UnfitError):
                return unfit(place, value, said.why, said.remedy, language)
            return Mistake(place, f"{name}: {said}" if place else str(said))
        case "json_invalid":
            return Mistake(
                place, "it contains half of a character", "Two \\u escapes make up a whole one", "Complete it"
            )
        case other:
            why, remedy = _demand(other, context, value, language, rules)
            return Mistake(place, f"{name} {_is(value, other, language)}", why, remedy)


def _demand(
    kind: str, context: Mapping[str, Any], value: object, language: Language, rules: Mapping[str, Rule]
) -> tuple[str, str]:
    """What a value must be, and what to do about it."""
    match kind:
        case "string_type" | "string_unicode" | "string_sub_type":
            quoted = isinstance(value, int) and not isinstance(value, bool)
            return "It must be text", f'Put it in quotes: "{value}"' if quoted else "Write text there"
        case "string_pattern_mismatch":
            rule = rules.get(context["pattern"])
            return ("It has the wrong form", "") if rule is None else (rule.why, rule.remedy(str(value)))
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            digits = value.strip() if isinstance(value, str) else ""
            whole = digits.removeprefix("-").isdecimal() and digits.isascii()
            return (
                "It must be a whole number",
                f"Write it without quotes: {int(digits)}" if whole else "Write it in digits",
            )
        case "float_type" | "float_parsing":
            return "It must be a number", "Write it like 0.1 or 1e-4"
        case "finite_number":
            return "It must be a finite number", "Write it like 0.1 or 1e-4"
        case "bool_type" | "bool_parsing":
            return "It must be true or false", "Write one of the two, without quotes"
        case "literal_error" | "enum":
            return f"It must be {context['expected']}", _nearest(value, str(context["expected"]))
        case "tuple_type" | "list_type":
            return "It must be a list", _LIST[language]
        case "dict_type" | "model_type" | "model_attributes_type" | "union_tag_not_found":
            return f"It must be {_SECTION[language]}", "Write its keys and values there"
        case _:
            return _bound(kind, context)


def _bound(kind: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """The same for a value that is too long, too short, too large or too small."""
    match kind:
        case "string_too_short" | "bytes_too_short":
            least = int(context["min_length"])
            return "Text belongs there" if least == 1 else f"It must have at least {least} characters", "Fill it in"
        case "string_too_long" | "bytes_too_long":
            return f"It may have at most {context['max_length']} characters", "Shorten it"
        case "greater_than":
            return f"It must be above {_number(context['gt'])}", "Choose a larger number"
        case "greater_than_equal":
            return f"It must be at least {_number(context['ge'])}", "Choose a larger number"
        case "less_than":
            return f"It must be below {_number(context['lt'])}", "Choose a smaller number"
        case "less_than_equal":
            return f"It must be at most {_number(context['le'])}", "Choose a smaller number"
        case "too_short":
            least = int(context["min_length"])
            return f"It must have at least {_entries(least)}", "Add what is missing"
        case "too_long":
            return f"It may have at most {_entries(int(context['max_length']))}", "Leave out some"
        case _:
            return "It does not fit there", "See the documentation of this kind of file"


def _is(value: object, kind: str, language: Language) -> str:
    """What is there, as the rest of a sentence."""
    if value is None:
        return "has no value"
    if isinstance(value, bool):
        return f"is {'true' if value else 'false'}"
    if isinstance(value, str):
        if not value:
            return "is empty"
        return f"has {len(value)} characters" if kind == "string_too_long" else f"is {_quoted(value)}"
    if isinstance(value, Mapping):
        return f"is {_SECTION[language]}"
    if isinstance(value, Sequence):
        return f"has {_entries(len(value))}" if kind in ("too_short", "too_long") else "is a list"
    return f"is {printable(str(value), _LONGEST_VALUE)}"


def _quoted(value: str) -> str:
    return f"'{printable(value, _LONGEST_VALUE)}'"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entries(count: int) -> str:
    return "no entries" if count == 0 else "1 entry" if count == 1 else f"{count} entries"


def _nearest(value: object, expected: str) -> str:
    """Which of the values that pydantic lists in quotes somebody may have meant."""
    near = closest(value, expected.split("'")[1::2]) if isinstance(value, str) else None
    return f"Did you mean {near}?" if near else ""


def _is_typo(place: Place, meant: Place) -> bool:
    return place[:-1] == meant[:-1] and closest(str(place[-1]), (str(meant[-1]),)) is not None


def _also(mistakes: Sequence[Mistake], lines: Lines) -> str:
    shown = []
    for mistake in mistakes[:_MOST_NAMED]:
        line = line_of(mistake.place, lines)
        shown.append(named(mistake.place) + ("" if line is None else f" (line {line})"))
    if len(mistakes) > _MOST_NAMED:
        shown.append(f"{len(mistakes) - _MOST_NAMED} more")
    return f"Also wrong: {', '.join(shown)}"


def _known(kind: type[BaseModel], place: Place) -> list[str]:
    """The keys that a section may have."""
    models = [kind]
    for index, part in enumerate(place):
        if isinstance(part, str):
            listed = index + 1 < len(place) and isinstance(place[index + 1], int)
            models = [inner for model in models for inner in _models(_fields(model).get(part), listed=listed)]
    return list(dict.fromkeys(name for model in models for name in _fields(model)))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a section, by their names in documents."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models(annotation: Any, *, listed: bool) -> Iterator[type[BaseModel]]:
    """The models that a value may be, or that the entries of a list may be."""
    from pydantic import BaseModel

    if typing.get_origin(annotation) in (tuple, list):
        if listed:
            for part in typing.get_args(annotation):
                yield from _models(part, listed=False)
    elif isinstance(annotation, type):
        if not listed and issubclass(annotation, BaseModel):
            yield annotation
    else:
        for part in typing.get_args(annotation):
            yield from _models(part, listed=listed)
