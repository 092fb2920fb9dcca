"""Canonical JSON (RFC 8785) from strangers: bounded in length, depth and numbers, and unambiguous."""

from __future__ import annotations

from typing import Any

import rfc8785

from llamafund_chain.mistakes import DocumentError
from llamafund_chain.strict_yaml import load_json

MAX_MANIFEST_BYTES = 256 * 1024
"""Above this size a plain `ipfs add` makes a DAG and the address is no longer the file's hash."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that RFC 8785 carries exactly."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 encoding of a value.

    Raises:
        rfc8785.CanonicalizationError: It contains a number beyond ±(2^53 - 1), or half of a surrogate pair.
    """
    return rfc8785.dumps(value)


def load_object(data: bytes) -> dict[str, Any]:
    """Read an untrusted JSON object.

    Args:
        data: UTF-8 text.

    Raises:
        ValueError: It is not a JSON object, is nested too deep, has a key twice in one object, or has a number that
            is not an integer or is beyond ±(2^53 - 1).
    """
    value = load_json(data, parse_float=_refuse_float, parse_int=_parse_integer)
    if not isinstance(value, dict):
        raise DocumentError("it is not a JSON object")
    return value


def _refuse_float(text: str) -> Any:
    raise DocumentError(f"{text[:40]} is not an integer; metrics are integers in millionths")


def _parse_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
        raise DocumentError(f"{text[:40]} is beyond ±(2^53 - 1)")
    return int(text)
