"""JSON from servers: nodes, stores, gateways and pinning services.

Python's own parser calls itself once for every level. Its only bound is the recursion limit, which any library in the
process may raise; then a few kilobytes of brackets end the process. So the levels are counted before it starts.
"""

from __future__ import annotations

import json
from typing import Any

from llamafund_chain.strict_yaml import nesting

MAX_DEPTH = 64
"""The deepest nesting of objects and lists that is read. Traces of calls are the deepest answers of a node."""


def parse_json(data: bytes) -> Any:
    """Read a server's JSON.

    Args:
        data: UTF-8 text, already bounded in length.

    Raises:
        ValueError: It is not JSON, or is nested more than `MAX_DEPTH` deep.
    """
    if nesting(data) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return json.loads(data.decode("utf-8"))
