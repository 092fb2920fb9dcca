"""Whatever pydantic can refuse in a document that people write or send, we say in our own words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import manifest_examples
import pytest
import rfc8785
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from llamafund_chain.campaign import attestation
from llamafund_chain.campaign.attestation import AttestationFile
from llamafund_chain.campaign.file import _File as CampaignFile
from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import KINDS, RULES, parse
from llamafund_chain.mistakes import Rule, find_mistakes

MODELS: list[tuple[type[BaseModel], Mapping[str, Rule]]] = [
    *((kind, RULES) for kind in KINDS.values()),
    (CampaignFile, RULES),
    (AttestationFile, attestation._RULES),
]
FORBIDDEN = re.compile(
    r"\^|\[0-9|NoneType|validation error|codec|pydantic|at least 1 character|[Ii]nput should"
    r"|[Ss]tring should"  # codespell:ignore
    r"|bafkrei|constrained|more like it|tuple|\bstr\b|\bint\b|\bdict\b"
)
UNTOLD = "It does not fit there"

# What each part of a model's core schema can refuse, and the limits that it may have.
TYPES: Mapping[str, str] = {
    "str": "string_type",
    "int": "int_type",
    "float": "float_type",
    "bool": "bool_type",
    "tuple": "tuple_type",
    "list": "list_type",
    "dict": "dict_type",
    "literal": "literal_error",
    "model": "model_type",
    "model-fields": "missing",
}
LIMITS: Mapping[tuple[str, str], str] = {
    ("str", "min_length"): "string_too_short",
    ("str", "max_length"): "string_too_long",
    ("str", "pattern"): "string_pattern_mismatch",
    ("int", "ge"): "greater_than_equal",
    ("int", "gt"): "greater_than",
    ("int", "le"): "less_than_equal",
    ("int", "lt"): "less_than",
    ("tuple", "min_length"): "too_short",
    ("tuple", "max_length"): "too_long",
    ("list", "min_length"): "too_short",
    ("list", "max_length"): "too_long",
}
# Parts that only lead to others, or whose refusals are sentences of our own.
PASSING = {"nullable", "default", "definitions", "definition-ref", "model-field", "any", "json"}
OURS = {"function-after", "function-before", "function-wrap", "function-plain"}


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All parts of a core schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for key, value in schema.items():
            if key not in ("metadata", "serialization", "cls", "config", "function"):
                yield from parts(value)
    elif isinstance(schema, list | tuple):
        for item in schema:
            yield from parts(item)


def refusals(model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Each kind of error that a model can raise, with what comes with it and a value that raises it."""
    for part in parts(model.__pydantic_core_schema__):
        kind = part["type"]
        assert kind in TYPES or kind in PASSING or kind in OURS, f"nobody says what {kind} refuses"
        if kind == "literal":
            yield "literal_error", {"expected": " or ".join(map(repr, part["expected"]))}, "x"
        elif kind == "model":
            yield "model_type", {"class_name": "X"}, 5
        elif kind in TYPES:
            yield TYPES[kind], {}, 5 if kind != "int" else "x"
        if kind == "model" and part["cls"].model_config.get("extra") == "forbid":
            yield "extra_forbidden", {}, 5
        for (owner, limit), error in LIMITS.items():
            if kind == owner and limit in part:
                context = {"pattern" if limit == "pattern" else limit: part[limit]}
                if kind in ("tuple", "list"):
                    context |= {"field_type": "Tuple", "actual_length": 0}
                yield error, context, "x" if kind == "str" else [] if kind in ("tuple", "list") else 5


def said(model: type[BaseModel], kind: str, context: dict[str, Any], value: Any, rules: Mapping[str, Rule]) -> str:
    detail: Any = {"type": kind, "loc": ("a", 0, "b"), "input": value, "ctx": context}
    error = ValidationError.from_exception_data("X", [detail])
    document = {"a": [{"b": value}]}
    (mistake,) = find_mistakes(error, model, document, language="JSON", rules=rules)
    return f"{mistake.what}. {mistake.why}. {mistake.remedy}"


@pytest.mark.parametrize(("model", "rules"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_everything_that_a_model_can_refuse_has_its_sentence(model: type[BaseModel], rules: Mapping[str, Rule]) -> None:
    seen = set()
    for kind, context, value in refusals(model):
        words = said(model, kind, context, value, rules)
        assert not FORBIDDEN.search(words), (kind, words)
        assert UNTOLD not in words, kind
        assert "It has the wrong form" not in words, context
        seen.add(kind)
    assert {"missing", "string_type", "model_type", "literal_error"} <= seen
    assert ("extra_forbidden" in seen) == ("forbid" in str(model.__pydantic_core_schema__))


def test_not_even_an_error_that_nobody_foresaw_brings_out_the_librarys_words() -> None:
    error = PydanticCustomError("brand_new", "Input should be a valid pydantic")
    raised = ValidationError.from_exception_data("X", [{"type": error, "loc": ("a",), "input": "x"}])
    (mistake,) = find_mistakes(raised, CampaignFile, {"a": "x"}, language="YAML", rules=RULES)
    assert (mistake.what, mistake.why) == ("a is 'x'", UNTOLD)


VALUES = [..., None, 7, -1, 2**60, "", "hello", "x" * 25_000, [], ["x"], {}, {"a": 1}, True]


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*place, key))


def changed(document: Any, place: tuple[str | int, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    target = copy
    for key in place[:-1]:
        target = target[key]
    if value is ...:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    return copy


@pytest.mark.parametrize("kind", ["proposal", "dataset", "checkpoint", "weights"])
def test_no_field_of_a_manifest_whatever_stands_there_brings_out_a_phrase_of_the_program(kind: str) -> None:
    example = getattr(manifest_examples, kind)()
    refused = 0
    for place in places(example):
        for value in VALUES:
            words = ""
            try:
                data = rfc8785.dumps(changed(example, place, value))
            except rfc8785.CanonicalizationError:
                continue
            try:
                parse(data)
            except VerificationError as error:
                words = str(error)
                refused += 1
            assert not FORBIDDEN.search(words), (place, value, words)
    assert refused > 200
