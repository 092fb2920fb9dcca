"""Unambiguous YAML and JSON from strangers.

Everything that two readers could understand differently is refused: a key that occurs twice, or a document assembled
from its own parts. So is anything that makes a small file take all memory, or that Python's numbers cannot hold.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llamafund_chain.errors import VerificationError
from llamafund_chain.files import read_limited
from llamafund_chain.mistakes.places import Lines, Place
from llamafund_chain.mistakes.syntax import DocumentError, decode, explain_json, explain_yaml
from llamafund_chain.text import printable

MAX_DEPTH = 32
"""The deepest nesting of objects and lists."""

_MAX_DIGITS = 78
"""Most digits of an integer: as many as the largest one in a contract."""

# Text up to some brackets, and these. It never looks back, and the closing quote is optional: text without one would
# take quadratic time.
_BRACKETS = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++)*+([\[\]{}]*)', re.DOTALL)


_HALF = re.compile("[\ud800-\udfff]")


def load_yaml(text: str | bytes) -> Any:
    """Read a document of plain YAML: mappings with names as keys, lists, text, whole numbers, true, false and null.

    Numbers with a point, hexadecimal digits, dates and the like stay text.

    Raises:
        DocumentError: It is not YAML, is nested too deep, has a key twice in one mapping, or has anchors, aliases,
            merges or tags. The error says in which line.
    """
    return load_yaml_with_lines(text)[0]


def load_yaml_with_lines(text: str | bytes) -> tuple[Any, Lines]:
    """Like `load_yaml`, with the line of each value.

    Raises:
        DocumentError: As `load_yaml`; or bytes are not UTF-8.
    """
    import yaml

    decoded = decode(text) if isinstance(text, bytes) else text
    try:
        loader = _plain_loader()(decoded)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            return loader.construct_document(node), dict(_lines(node, ()))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise explain_yaml(error, decoded) from error
    except DocumentError:
        raise
    except (ValueError, OverflowError) as error:
        # Of an escape for a character that does not exist, or of %YAML with many digits.
        raise DocumentError("an escape or a version is too large", "Check its escapes, such as \\U0001F999") from error


def load_json(
    data: bytes,
    *,
    parse_float: Callable[[str], Any] | None = None,
    parse_int: Callable[[str], int] | None = None,
) -> Any:
    """Read a JSON document.

    Args:
        data: UTF-8 text.
        parse_float: Converts a number with a point or an exponent.
        parse_int: Converts any other number.

    Raises:
        ValueError: It is not JSON, is nested too deep, or has a key twice in one object or a number out of range.
    """
    text = decode(data)
    if nesting(data) > MAX_DEPTH:
        raise DocumentError(f"it is nested more than {MAX_DEPTH} deep")
    try:
        return json.loads(
            text,
            parse_float=parse_float or _finite,
            parse_int=parse_int or _integer,
            parse_constant=parse_float or _finite,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        raise explain_json(error) from error


def read_json(path: Path, limit: int) -> Any:
    """Read a published JSON file.

    Args:
        path: The file.
        limit: Most bytes that it may have.

    Raises:
        VerificationError: It is missing, too long, not JSON, or ambiguous JSON.
    """
    try:
        return load_json(read_limited(path, limit))
    except ValueError as error:
        raise VerificationError(f"{path.name} cannot be read as JSON", str(error)[:200]) from error


def nesting(data: bytes) -> int:
    """Nesting depth of JSON, computed without recursion."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(data):
        for byte in match[1]:
            if byte in b"[{":
                depth += 1
                deepest = max(deepest, depth)
            else:
                depth -= 1
    return deepest


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"{text[:40]} is not a number")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise DocumentError(f"the number {text[:40]}… has more than {_MAX_DIGITS} digits")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise DocumentError(f"the key {printable(key, 60)!r} occurs twice in one object", "Remove one of them")
        result[key] = value
    return result


def _lines(node: Any, place: Place) -> Iterator[tuple[Place, int]]:
    """The line of each value below a node: the line of its key, or the first line of its entry."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, (*place, index))


def _plain_loader() -> Any:
    """The safe loader without its surprises."""
    import yaml

    def refused(problem: str, mark: Any, remedy: str) -> DocumentError:
        return DocumentError(problem, remedy, line=mark.line + 1, column=mark.column + 1)

    quotes = "Put it in quotes if it is text"

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the base class has it so
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.AliasEvent):
                raise refused("references (*name) are not allowed", event.start_mark, quotes)
            if event.anchor is not None:
                raise refused("names for references (&name) are not allowed", event.start_mark, quotes)
            if event.tag is not None:
                raise refused("tags (!name) are not allowed", event.start_mark, quotes)
            if self.depth > MAX_DEPTH:
                raise refused(f"it is nested more than {MAX_DEPTH} deep", event.start_mark, "Nest less")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            if isinstance(node, yaml.ScalarNode) and _HALF.search(node.value):
                raise refused("an escape stands for half of a character", node.start_mark, "Write the character itself")
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise refused("a key is not text", key.start_mark, "Put it in quotes")
                if key.value == "<<":
                    raise refused("merges (<<) are not allowed", key.start_mark, "Write the keys out")
                if key.value in seen:
                    raise refused(f"the key {key.value[:60]!r} occurs twice", key.start_mark, "Remove one of them")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|)\Z"), ["~", "n", ""])
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), ["t", "f"])
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(rf"-?(?:0|[1-9][0-9]{{0,{_MAX_DIGITS - 1}}})\Z"), list("-0123456789")
    )
    return Loader
