"""The HTTP side of a node: every way in which it can fail to answer becomes one error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from llamafund_chain.errors import NodeUnreachableError, UsageError, system_reason
from llamafund_chain.http.answers import parse_json
from llamafund_chain.http.deadline import Deadline, TooSlowError
from llamafund_chain.http.transport import READ_SECONDS, NoAnswerError, Reply, TooLongError, Transport
from llamafund_chain.text import printable

ANSWER_TIMEOUT = 120.0
"""Seconds that a whole response may take, however steadily it drips in."""

MAX_ANSWER_BYTES = 32 << 20
"""Bytes of the longest response that is read: several times the logs that fit into one block."""


def shown_url(url: str) -> str:
    """A node's address without the parts that may be secret: user, password, path and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return printable(f"{parts.scheme}://{host}{port}", 200)


class AnswerTooLongError(NodeUnreachableError):
    """The response is longer than `MAX_ANSWER_BYTES`; a request for less may help."""


class NothingRanError(NodeUnreachableError):
    """The server refused a request, or a batch of them, and ran nothing of it; fewer requests at once may help."""


class Node:
    """Sends each request once.

    Args:
        url: `http://…` or `https://…`.
        patience: Seconds that a whole response may take; `None` for `ANSWER_TIMEOUT`, and less while nothing comes.

    Attributes:
        shown: The address without what may be secret.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        self._url = url
        self._patience = patience
        self.shown = shown_url(url)
        self._transport = Transport()
        self._count = 0

    def request(self, method: str, params: Sequence[Any]) -> Mapping[str, Any]:
        """One JSON-RPC request.

        Args:
            method: Its name.
            params: Everything that JSON can hold.

        Returns:
            The response, with either `result` or `error`.

        Raises:
            AnswerTooLongError: The response is too long.
            NodeUnreachableError: There was no response, or it is not JSON-RPC.
        """
        self._count += 1
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": list(params)}
        body = self._post(method, json.dumps(request).encode())
        try:
            response: Mapping[str, Any] = parse_json(body)
        except ValueError as error:
            raise self._nonsense(method) from error
        if not _is_response(response):
            raise self._nonsense(method)
        return response

    def request_many(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Mapping[str, Any]]:
        """Several JSON-RPC requests in one HTTP request, a batch.

        Args:
            requests: Methods with their parameters, at least one.

        Returns:
            The responses in the order of the requests, each with either `result` or `error`.

        Raises:
            NothingRanError: The node refused the batch as a whole.
            AnswerTooLongError: The response is too long.
            NodeUnreachableError: There was no response, or it is not JSON-RPC.
        """
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(requests)
        ]
        words = f"{len(batch)} requests at once"
        try:
            responses: Any = parse_json(self._post(words, json.dumps(batch).encode()))
        except ValueError as error:
            raise self._nonsense(words) from error
        if isinstance(responses, dict) and "error" in responses:
            raise NothingRanError(f"The node at {self.shown} refused {words}")
        if not isinstance(responses, list) or not all(map(_is_response, responses)):
            raise self._nonsense(words)
        by_id = {response["id"]: response for response in responses if isinstance(response.get("id"), int)}
        if len(responses) != len(batch) or by_id.keys() != set(range(len(batch))):
            raise self._nonsense(words)
        return [by_id[number] for number in range(len(batch))]

    def _post(self, method: str, data: bytes) -> bytes:
        try:
            with (
                Deadline(self._patience or ANSWER_TIMEOUT) as deadline,
                contextlib.closing(self._send(data, deadline)) as reply,
            ):
                if not 200 <= reply.status < 300:
                    raise self._status(method, reply)
                if reply.encoding != "identity":
                    # Compressed bytes could unpack to a thousand times their length.
                    raise self._nonsense(method)
                return reply.read_exactly(MAX_ANSWER_BYTES)
        except TooLongError as error:
            raise AnswerTooLongError(
                f"The answer of {self.shown} to {method} is longer than {MAX_ANSWER_BYTES >> 20} MiB",
                "That is the most that is read at once",
                "Name another node with --rpc if this happens again",
            ) from error
        except (TooSlowError, NoAnswerError) as error:
            raise NodeUnreachableError(
                f"The node at {self.shown} did not answer in time",
                f"The request was {method}",
                "Try again, or name another node with --rpc",
            ) from error

    def _send(self, data: bytes, deadline: Deadline) -> Reply:
        try:
            return self._transport.send(
                "POST",
                self._url,
                place=self.shown,
                deadline=deadline,
                headers={"Content-Type": "application/json"},
                body=data,
                silence=self._patience or READ_SECONDS,
            )
        except (TooSlowError, NoAnswerError):
            raise
        except (NodeUnreachableError, UsageError) as error:
            raise NodeUnreachableError(
                f"There is no node at {self.shown}",
                _reason(error),
                "Start one (`llamafund devnet` is for trying things out), or name another with --rpc",
            ) from error

    def _status(self, method: str, reply: Reply) -> NodeUnreachableError:
        # With a status of the 400s a server says that it ran nothing.
        kind = NothingRanError if 400 <= reply.status < 500 else NodeUnreachableError
        return kind(
            f"The server at {self.shown} answered {method} with HTTP status {reply.status}",
            "It is not a JSON-RPC node, or refuses this client",
            "Check the address given with --rpc",
        )

    def _nonsense(self, method: str) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"The server at {self.shown} answered {method} with something that is not JSON-RPC",
            "It is not a node of an Ethereum chain",
            "Check the address given with --rpc",
        )


def _is_response(response: Any) -> bool:
    return isinstance(response, dict) and ("result" in response) != ("error" in response)


def _reason(error: BaseException) -> str:
    told = system_reason(error)
    if told is not None:
        return told
    cause = str(error.__cause__)
    if "refused" in cause:
        return "Connection refused"
    if "resolve" in cause or "Name or service" in cause:
        return "Its name cannot be resolved"
    return "No connection could be made"
