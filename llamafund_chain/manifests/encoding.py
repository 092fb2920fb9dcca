"""Canonical JSON (RFC 8785), read from strangers: bounded in length, depth and numbers, and with no second reading."""

from __future__ import annotations

import json
import re
from typing import Any

import rfc8785

from llamafund_chain.errors import VerificationError

MAX_MANIFEST_BYTES = 256 * 1024
"""Above this size a plain `ipfs add` makes a DAG and the address is no longer the file's hash."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that RFC 8785 carries exactly."""

MAX_DEPTH = 32
"""How deep objects and arrays may be nested."""

# The closing quote is optional, so that this never has to look back: text without one would take quadratic time.
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def canonical(value: Any) -> bytes:
    """The RFC 8785 encoding of a value.

    Raises:
        rfc8785.CanonicalizationError: It holds what JSON cannot: a number beyond ±(2^53 - 1), half of a surrogate pair.
    """
    return rfc8785.dumps(value)


def load_object(data: bytes, label: str) -> dict[str, Any]:
    """Read a JSON object, trusting nothing.

    Args:
        data: UTF-8 text.
        label: The document, for messages.

    Raises:
        VerificationError: It is no JSON object, or nested too deep, or has a key twice in one object, a number that is
            no integer, or one beyond ±(2^53 - 1).
    """
    try:
        if _nesting(data) > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        value = json.loads(
            data.decode("utf-8"),
            parse_float=_refuse_float,
            parse_int=_parse_integer,
            parse_constant=_refuse_float,
            object_pairs_hook=_unique,
        )
    except ValueError as error:
        raise VerificationError(f"Manifest {label} cannot be read as JSON", str(error)) from error
    if not isinstance(value, dict):
        raise VerificationError(f"Manifest {label} is not a JSON object", f"It is a {type(value).__name__}")
    return value


def _refuse_float(text: str) -> Any:
    raise ValueError(f"{text[:40]} is not an integer; metrics are integers in millionths")


def _parse_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
        raise ValueError(f"{text[:40]} is beyond ±(2^53 - 1)")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _nesting(data: bytes) -> int:
    """Nesting depth of JSON, found without recursion."""
    depth = deepest = 0
    for byte in _JSON_STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest
