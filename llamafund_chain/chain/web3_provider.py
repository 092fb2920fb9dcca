"""The same node for web3.py. It imports web3, so only code that needs a web3 object imports it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCError, RPCResponse

from llamafund_chain.chain.node import Answer
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.errors import NodeError


class Ask(Protocol):
    """Sends one JSON-RPC request and returns the result, or why there is none."""

    def __call__(self, method: str, params: Sequence[Any]) -> Answer:
        """See `Connection.request`."""


class NodeProvider(JSONBaseProvider):
    """Sends web3's requests through our own transport.

    Args:
        ask: Sends them.
    """

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One JSON-RPC request.

        Raises:
            NodeUnreachableError: No node answered.
        """
        plain = json.loads(self.encode_rpc_request(method, params))["params"]
        answer = self._ask(method, plain)
        if isinstance(answer, RpcError):
            error: RPCError = {"code": answer.code, "message": answer.message}
            if answer.data is not None:
                error["data"] = answer.data
            return {"jsonrpc": "2.0", "id": 1, "error": error}
        if isinstance(answer, NodeError):
            raise answer
        return {"jsonrpc": "2.0", "id": 1, "result": answer}
