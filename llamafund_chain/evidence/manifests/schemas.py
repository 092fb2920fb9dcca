"""JSON Schemas (draft 2020-12) of the manifests, generated from the models and published with the package.

A schema says less than `parse`. It cannot say that the encoding is canonical, paths are in order, sizes add up and
parts divide the files. The schema accepts everything that `parse` accepts.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from pydantic import JsonValue

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests.encoding import MAX_MANIFEST_BYTES, MAX_SAFE_INTEGER
from llamafund_chain.evidence.manifests.models import KINDS
from llamafund_chain.strict_yaml import MAX_DEPTH

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_COMMENT = (
    f"The file is the RFC 8785 encoding of the object, at most {MAX_MANIFEST_BYTES} bytes, nested at most {MAX_DEPTH} "
    "deep, without a float such as 1.0. Fields not named here are kept and hashed where they are allowed. Paths are "
    "sorted by their UTF-8 bytes and distinct, at most 1024 bytes long with names of at most 255, and no file lies "
    "inside another. Files that do not fit are in listings, each as long as allowed."
)
_VALUE: dict[str, JsonValue] = {
    "description": "Anything but a float.",
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "integer", "minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER},
        {"type": "array", "items": {"$ref": "#/$defs/Value"}},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/Value"}},
    ],
}
_EITHER = ("files", "listings")
# Not there where the addresses are the usual ones, and in proposals from before it promised its terms.
_LEFT_OUT = {"profile", "terms"}
# In a Google-style docstring: a name, and its text up to the next name.
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     .*)*)", re.MULTILINE)


def schema_names() -> list[str]:
    """The values of the field `schema` in manifests of this version, sorted."""
    return sorted(KINDS)


def make_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a kind of manifest, from its model.

    Args:
        name: Value of the field `schema`, for example `llamafund/dataset/1`.
    """
    schema = KINDS[name].model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    for part in (schema, *definitions.values()):
        _tighten(part)
    if set(_EITHER) <= schema["properties"].keys():
        _demand_one_of(schema)
    made: dict[str, Any] = {"$schema": DIALECT, "$id": name, "$comment": _COMMENT, **schema}
    made["$defs"] = {**definitions, "Value": _VALUE}
    return made


def schema_text(name: str) -> str:
    """The JSON Schema of a kind of manifest, as published with the package.

    Args:
        name: Value of the field `schema`, for example `llamafund/dataset/1`, or just the kind, `dataset`.

    Raises:
        UsageError: There is no such kind.
    """
    full = name if "/" in name else f"llamafund/{name}/1"
    if full not in KINDS:
        raise UsageError(
            f"There is no schema {name[:80]!r}",
            f"The schemas are {', '.join(schema_names())}",
            "Name one of these. A newer version of llamafund may know more",
        )
    return (resources.files("llamafund_chain.evidence") / "schemas" / file_name(full)).read_text(encoding="utf-8")


def file_name(name: str) -> str:
    """Name of a schema's file: `dataset-1.json` for `llamafund/dataset/1`."""
    _, kind, version = name.split("/")
    return f"{kind}-{version}.json"


def render(schema: dict[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _tighten(part: dict[str, Any]) -> None:
    """Add to an object what the canonical form requires: hardly a field may be left out, and none may be a float."""
    if "properties" not in part:
        return
    part["required"] = sorted(part["properties"].keys() - _LEFT_OUT)
    if part.get("additionalProperties") is not False:
        part["additionalProperties"] = {"$ref": "#/$defs/Value"}
    part["description"], meanings = _split_docstring(part.get("description", ""))
    part.pop("title", None)
    for name, field in part["properties"].items():
        field.pop("default", None)
        field.pop("title", None)
        if name in meanings:
            field["description"] = meanings[name]


def _demand_one_of(schema: dict[str, Any]) -> None:
    for name in _EITHER:
        schema["properties"][name]["minItems"] = 1
        schema["required"].remove(name)
    schema["oneOf"] = [{"required": [name]} for name in _EITHER]


def _split_docstring(text: str) -> tuple[str, dict[str, str]]:
    """A model's docstring as its summary, and its attributes' meanings by name."""
    summary, _, attributes = text.partition("\n\nAttributes:\n")
    meanings = dict(_ATTRIBUTE.findall(attributes))
    return " ".join(summary.split()), {name: " ".join(meaning.split()) for name, meaning in meanings.items()}
