"""Canonical JSON (RFC 8785), read from strangers: bounded in length, depth and numbers, and with no second reading."""

from __future__ import annotations

from typing import Any

import rfc8785

from llamafund_chain.errors import VerificationError
from llamafund_chain.strict_yaml import load_json

MAX_MANIFEST_BYTES = 256 * 1024
"""Above this size a plain `ipfs add` makes a DAG and the address is no longer the file's hash."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer that RFC 8785 carries exactly."""


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
        value = load_json(data, parse_float=_refuse_float, parse_int=_parse_integer)
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
