"""Write the JSON Schemas of what commands print with `--json` into the Python package, and the page about them.

    python scripts/export_cli_schemas.py           write llamafund_chain/cli/schemas/*.json and docs/json.md
    python scripts/export_cli_schemas.py --check   compare only; exit 1 when one is outdated

Run it after a change in scripts/cli_documents.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import click
from cli_documents import DOCUMENTS, DRY_RUN, ERROR, EVENTS, SENT, UNSIGNED, VALUES, Schema, enum, nullable

from llamafund_chain.cli.main import cli
from llamafund_chain.cli.output import SCHEMA
from llamafund_chain.errors import ExitCode
from llamafund_chain.files import write_file

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "llamafund_chain" / "cli" / "schemas"
PAGE = ROOT / "docs" / "json.md"
_INSTEAD = (("--signer", "Unsigned", UNSIGNED), ("--dry-run", "DryRun", DRY_RUN), ("--wait", "Sent", SENT))
"""What a command that signs prints instead of its result, by the option that leads to it."""

_DEEPEST = 4
"""Levels of fields that the page shows."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_INTRODUCTION = f"""\
# What commands print with `--json`

<!-- Made by scripts/export_cli_schemas.py; change scripts/cli_documents.py instead. -->

Every command takes `--json` and prints one JSON document on standard output. `watch` prints one for each event, on a
line of its own. Notes, questions and progress are on standard error.

- Each document has `schema`, which is `{SCHEMA}` and is what a reader checks, and `command`. Fields may be added.
  Before one is taken away or means something else, `schema` gets the next number.
- Amounts are decimal numbers in strings: whole coins, or wei where the name ends in `_wei`. Nothing is rounded.
- Times are integers of seconds since 1970 (unix). In `audit` and `demo` they are text, in ISO 8601 with the time zone.
- Addresses have their checksum, chains their CAIP-2 name. Hashes are 64 hexadecimal digits without `0x`.
- A command that fails prints a document with `error` instead of its result, and the same message on standard error.
  `watch` prints it as its last event, `error`. A command whose result is a no, such as `verify` or `audit`, prints
  that result, and its exit code is 3.
- A command that signs prints `unsigned` instead if the signer is `print` or `safe:`, `dry_run` with `--dry-run`, and
  only `transaction` with `--wait none`.

The schemas are draft 2020-12 and part of the package, in
[`llamafund_chain/cli/schemas`](../llamafund_chain/cli/schemas). A test validates whatever the other tests print.
"""


def command_names() -> dict[str, click.Command]:
    """Every command with `--json`, by its name."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, context: click.Context, path: str) -> None:
        if any("--json" in parameter.opts for parameter in command.params):
            found[path] = command
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(child, click.Context(child, parent=context, info_name=name), f"{path} {name}".strip())

    walk(cli, click.Context(cli, info_name="llamafund"), "")
    return found


def make_schema(name: str, command: click.Command) -> Schema:
    """The schema of everything that a command prints on standard output with `--json`."""
    definitions: dict[str, Schema] = {}
    choices = ["Error"]
    if name in EVENTS:
        for kind, fields in EVENTS[name].items():
            title = f"{kind.capitalize()}Event"
            definitions[title] = _document(name, _with(fields, event=enum(kind)))
            choices.append(title)
    else:
        definitions["Result"] = _document(name, DOCUMENTS[name])
        choices.insert(0, "Result")
    if name not in EVENTS:
        options = {option for parameter in command.params for option in parameter.opts}
        for option, title, fields in _INSTEAD:
            if option in options and (title == "Unsigned" or "--yes" in options):
                definitions[title] = _document(name, fields)
                choices.append(title)
    definitions["Error"] = _document(name, ERROR)
    if name in EVENTS:
        running = definitions["Error"]["properties"]
        running["event"] = enum("error")
    for inner in list(definitions.values()):
        for title, part in _pop_definitions(inner):
            assert title not in VALUES, title
            definitions[title] = _complete(part)
    definitions |= {title: value for title, value in VALUES.items() if f"#/$defs/{title}" in json.dumps(definitions)}
    return {
        "$schema": DIALECT,
        "$id": f"{SCHEMA}/{file_name(name).removesuffix('.json')}",
        "title": f"llamafund {name}",
        "description": command.get_short_help_str(1000),
        "anyOf": [{"$ref": f"#/$defs/{choice}"} for choice in choices],
        "$defs": definitions,
    }


def file_name(name: str) -> str:
    """Name of a command's schema: `campaign-show.json` for `campaign show`."""
    return f"{name.replace(' ', '-')}.json"


def build() -> dict[Path, str]:
    """The schemas' and the page's texts, by path."""
    commands = command_names()
    files: dict[Path, str] = {}
    sections = [_INTRODUCTION, _values(), _errors()]
    for name, command in sorted(commands.items()):
        schema = make_schema(name, command)
        files[TARGET / file_name(name)] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        sections.append(_section(name, command, schema))
    files[PAGE] = "\n".join(sections)
    return files


def differences(files: dict[Path, str]) -> list[str]:
    """The names of files that are missing, outdated, or not made any more."""
    present = {path: path.read_text(encoding="utf-8") for path in (*TARGET.glob("*.json"), PAGE) if path.exists()}
    return sorted(path.name for path in files.keys() | present.keys() if files.get(path) != present.get(path))


def write(files: dict[Path, str]) -> None:
    """Make the files exactly these."""
    for path in TARGET.glob("*.json"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())


def _with(part: Schema, /, **fields: Schema) -> Schema:
    """An object, or each of several, with more fields in front."""
    if "anyOf" in part:
        return {"anyOf": [_with(one, **fields) for one in part["anyOf"]]}
    required = [*fields, *part["required"]]
    return {**part, "properties": {**fields, **part["properties"]}, "required": required}


def _document(name: str, fields: Schema) -> Schema:
    command = nullable(enum(name)) if fields is ERROR else enum(name)
    return _with(deepcopy(fields), schema=enum(SCHEMA), command=command)


def _complete(model: Schema) -> Schema:
    """A model's schema: what is printed of it has all its fields."""
    return {**model, "required": [*model["properties"]]} if "properties" in model else model


def _pop_definitions(part: Any) -> Iterator[tuple[str, Schema]]:
    """Definitions that a model's schema brought along, taken out of where they are."""
    if isinstance(part, dict):
        found = part.pop("$defs", {})
        if found:
            part.update(_complete(part))
        yield from found.items()
        for value in [*part.values(), *found.values()]:
            yield from _pop_definitions(value)
    elif isinstance(part, list):
        for value in part:
            yield from _pop_definitions(value)


# ----------------------------------------------------------------- the page


def _values() -> str:
    lines = ["## Values", "", "| value | JSON | |", "|---|---|---|"]
    lines += [f"| {name.lower()} | {value['type']} | {value['description']} |" for name, value in VALUES.items()]
    return "\n".join([*lines, ""])


def _errors() -> str:
    lines = ["## Errors", "", "| `error.kind` | exit code |", "|---|---|"]
    lines += [f"| `{code.name.lower()}` | {int(code)} |" for code in ExitCode if code]
    lines += ["", *fields_table(ERROR, {})]
    return "\n".join([*lines, ""])


def _section(name: str, command: click.Command, schema: Schema) -> str:
    lines = [f"## `{name}`", "", command.get_short_help_str(1000), ""]
    lines += [f"Schema: [{file_name(name)}](../llamafund_chain/cli/schemas/{file_name(name)})", ""]
    definitions = schema["$defs"]
    if name in EVENTS:
        for kind, fields in EVENTS[name].items():
            lines += [f"Event `{kind}`:", "", *fields_table(fields, definitions), ""]
    else:
        shapes = DOCUMENTS[name].get("anyOf", [DOCUMENTS[name]])
        for place, shape in enumerate(shapes):
            lines += [*(["Or:", ""] if place else []), *fields_table(shape, definitions), ""]
    return "\n".join(lines)


def fields_table(schema: Schema, definitions: dict[str, Schema]) -> list[str]:
    """The fields of an object, with what is inside of them, as lines of Markdown."""
    rows = [f"| `{path}` | {kind} | {text} |" for path, kind, text in _fields(schema, "", definitions, 0)]
    return ["| field | value | |", "|---|---|---|", *rows]


def _fields(schema: Schema, path: str, definitions: dict[str, Schema], depth: int) -> Iterator[tuple[str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        inner, null = _unwrapped(field, definitions)
        here = f"{path}{name}"
        suffix = ""
        while inner.get("type") == "array":
            suffix += "[]"
            inner, _ = _unwrapped(inner.get("items", {}), definitions)
        named = inner.get("named") in VALUES
        text = field.get("description") or ("" if named else inner.get("description")) or ""
        absent = "" if name in schema.get("required", []) else "; not always there"
        yield (
            here + suffix,
            _kind(inner) + (", or null" if null else "") + absent,
            " ".join(text.split("\n\n")[0].split()),
        )
        if depth < _DEEPEST:
            yield from _fields(inner, f"{here}{suffix}.", definitions, depth + 1)


def _unwrapped(field: Schema, definitions: dict[str, Schema]) -> tuple[Schema, bool]:
    """A field's own schema, and whether it may be null."""
    if "$ref" in field:
        target = field["$ref"].rpartition("/")[2]
        return {"named": target, **(definitions.get(target) or VALUES.get(target, {}))}, False
    choices = field.get("anyOf", [])
    inner = [choice for choice in choices if choice != {"type": "null"}]
    if len(inner) == 1:
        return _unwrapped(inner[0], definitions)[0], len(inner) < len(choices)
    return field, False


def _kind(schema: Schema) -> str:
    if schema.get("named") in VALUES:
        return str(schema["named"]).lower()
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_kind(_unwrapped(one, {})[0]) for one in schema["anyOf"])
    return {"string": "text", "boolean": "true or false"}.get(schema.get("type", ""), schema.get("type", "any"))


def main() -> int:
    """Write the schemas and the page, or compare."""
    parser = argparse.ArgumentParser(description="Write the schemas of what commands print with --json.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when one is outdated")
    arguments = parser.parse_args()
    files = build()
    changed = differences(files)
    if arguments.check and changed:
        print(
            f"Outdated: {', '.join(changed)}. Run `python scripts/export_cli_schemas.py` and commit the result.",
            file=sys.stderr,
        )
        return 1
    if changed:
        write(files)
    print(f"{len(files)} files, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
