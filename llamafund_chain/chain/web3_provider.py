"""The same node for web3.py. It imports web3, so only code that needs a web3 object imports it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse


class Ask(Protocol):
    """Sends one JSON-RPC request and returns the response with its `result` or `error`."""

    def __call__(self, method: str, params: Sequence[Any]) -> Mapping[str, Any]:
        """See `Node.request`."""


class NodeProvider(JSONBaseProvider):
    """Sends web3's requests through our own transport.

    Args:
        ask: Sends them.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One JSON-RPC request."""
        plain = json.loads(self.encode_rpc_request(method, params))["params"]
        response: RPCResponse = {"jsonrpc": "2.0", "id": 1, **self._ask(method, plain)}  # type: ignore[typeddict-item]
        return response
