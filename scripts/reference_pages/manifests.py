"""The fields of each manifest, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator

from export_cli_schemas import fields_table

from llamafund_chain.evidence.manifests.schemas import file_name, make_schema, schema_names

_HEAD = """\
# Fields of the manifests

<!-- Made by scripts/export_reference.py from the manifests' models. Do not edit. -->

[The format](../schemas/README.md) says what a schema cannot say: encoding, paths, trees with many files.
"""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for name in schema_names():
        schema = make_schema(name)
        yield f"## {name}\n"
        yield f"{' '.join(schema.get('description', '').split())}\n"
        yield f"Schema: [{file_name(name)}](../../llamafund_chain/evidence/schemas/{file_name(name)})\n"
        yield from fields_table(schema, schema.get("$defs", {}))
        yield ""
