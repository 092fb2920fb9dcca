"""A proxy in front of a real node that misbehaves as nodes do: on every request, or on one chosen by its number."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from http_servers import Asked, Handler, LocalServer
from node_answers import Said


class Drop(Exception):  # noqa: N818 - an event
    """Close the connection instead of an answer."""


@dataclass(frozen=True)
class Whole(Exception):  # noqa: N818 - an event
    """Answer the whole HTTP request with this, whatever it asks."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Callable[[int, dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]], dict[str, Any]]
"""Gets the HTTP request's number from 0, one JSON-RPC request and a way to the real node; gives the response."""


def said(request: dict[str, Any], what: Said) -> dict[str, Any]:
    """A response with an error."""
    return {"jsonrpc": "2.0", "id": request["id"], "error": what.error}


class FaultyNode(LocalServer):
    """Serves until the block ends.

    Args:
        upstream: The real node's address.
        fault: What it does; `None` for nothing.
        batches: Whether it takes batches.

    Attributes:
        methods: What was asked for, in order.
        count: Number of HTTP requests.
    """

    def __init__(self, upstream: str, fault: Fault | None = None, *, batches: bool = True) -> None:
        super().__init__(self._serve)
        self._upstream = upstream
        self._session = requests.Session()
        self._session.trust_env = False
        self._batches = batches
        self.fault = fault
        self.methods: list[str] = []
        self.count = 0

    def _serve(self, handler: Handler, asked: Asked) -> None:
        number, self.count = self.count, self.count + 1
        document = json.loads(asked.body)
        try:
            if isinstance(document, list) and not self._batches:
                handler.reply(400, b"batches are not supported")
                return
            listed = document if isinstance(document, list) else [document]
            answers = [self._one(number, request) for request in listed]
        except Drop:
            handler.close_connection = True
            handler.connection.close()
            return
        except Whole as whole:
            handler.reply(whole.status, whole.body, dict(whole.headers))
            return
        handler.reply(200, json.dumps(answers if isinstance(document, list) else answers[0]).encode())

    def _one(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        self.methods.append(request["method"])
        return self._forward(request) if self.fault is None else self.fault(number, request, self._forward)

    def _forward(self, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._session.post(self._upstream, json=request, timeout=60).json()
        return answer


def once(number: int, do: Fault) -> Fault:
    """A fault of one HTTP request only."""

    def fault(at: int, request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        return do(at, request, forward) if at == number else forward(request)

    return fault


def drop(at: int, request: dict[str, Any], forward: object) -> dict[str, Any]:
    """The connection breaks off."""
    raise Drop


def answers(what: Said, headers: Mapping[str, str] | None = None) -> Fault:
    """An error: with its HTTP status if that is a bad one, and for one request of a batch otherwise."""

    def fault(at: int, request: dict[str, Any], forward: object) -> dict[str, Any]:
        if what.status == 200:
            return said(request, what)
        raise Whole(what.status, json.dumps(said(request, what)).encode(), headers or {})

    return fault


def behind(blocks: int, methods: frozenset[str], until: int) -> Fault:
    """Some methods are answered by a backend that is some blocks behind, up to an HTTP request's number."""

    def fault(at: int, request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        if at >= until or request["method"] not in methods:
            return forward(request)
        head = int(forward({**request, "method": "eth_blockNumber", "params": []})["result"], 16)
        seen, params = max(head - blocks, 0), request["params"]
        if request["method"] == "eth_getLogs" and "blockHash" not in params[0]:
            last = min(int(params[0]["toBlock"], 16), seen)
            if int(params[0]["fromBlock"], 16) > last:
                return {"jsonrpc": "2.0", "id": request["id"], "result": []}
            return forward({**request, "params": [{**params[0], "toBlock": hex(last)}]})
        place = 0 if request["method"] in ("eth_getBlockByNumber", "eth_getLogs") else -1
        block = params[place] if params else None
        if isinstance(block, dict):
            asked_for = forward({**request, "method": "eth_getBlockByHash", "params": [block["blockHash"], False]})
            number = int(asked_for["result"]["number"], 16) if asked_for.get("result") else seen + 1
        elif isinstance(block, str) and block.startswith("0x"):
            number = int(block, 16)
        else:
            changed = list(params)
            if block == "latest":
                changed[place] = hex(seen)
            return forward({**request, "params": changed})
        if number <= seen:
            return forward(request)
        if request["method"] == "eth_getBlockByNumber":
            return {"jsonrpc": "2.0", "id": request["id"], "result": None}
        return said(request, Said("geth", 200, -32000, "header not found"))

    return fault


def changing(changes: Mapping[str, Callable[[Any, list[Any]], Any]]) -> Fault:
    """Answers of some methods are changed: each is given to its function, with the request's parameters."""

    def fault(at: int, request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] in changes and "result" in answer:
            return {**answer, "result": changes[request["method"]](answer["result"], request["params"])}
        return answer

    return fault
