"""Compares what commands print with `--json` with the published schemas."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

_HINT = "describe what it prints in scripts/cli_documents.py, then run `python scripts/export_cli_schemas.py`"
SCHEMAS = files("llamafund_chain.cli") / "schemas"


def _closed(part: Any) -> Any:
    """A schema that accepts no field that it does not name: commands must print what is published, and no more."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(value) for name, value in part.items()}
    return {**closed, "additionalProperties": False} if "properties" in part and "type" in part else closed


@cache
def _validator(command: str, definition: str) -> Draft202012Validator:
    path = SCHEMAS / f"{command.replace(' ', '-')}.json"
    assert path.is_file(), f"`llamafund {command}` has no schema: {_HINT}"
    document = _closed(json.loads(path.read_text(encoding="utf-8")))
    return Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": document["$defs"]})


_KINDS = {"error": "Error", "unsigned": "Unsigned", "dry_run": "DryRun"}


def check_documents(text: str) -> None:
    """Compare what a command printed with the published schemas."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        kind = next((kind for key, kind in _KINDS.items() if key in document), "Result")
        if set(document) == {"schema", "command", "transaction", "block"}:
            kind = "Sent"
        if "event" in document and kind != "Error":
            kind = f"{document['event'].capitalize()}Event"
        # Where no command was found, all schemas say the same.
        try:
            _validator(document["command"] or "audit", kind).validate(document)
        except ValidationError as error:
            error.message += f". If `llamafund {document['command']}` is right, {_HINT}"
            raise
