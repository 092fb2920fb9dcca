"""The HTTP side of a node: every way in which it can fail to answer becomes one error."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from llamafund_chain.chain.node_errors import BatchRefusedError, BusyError, meaning_of
from llamafund_chain.errors import NodeError, NodeUnreachableError, UsageError, system_reason
from llamafund_chain.http.answers import parse_json
from llamafund_chain.http.deadline import Deadline, TooSlowError
from llamafund_chain.http.transport import READ_SECONDS, NoAnswerError, Reply, TooLongError, Transport
from llamafund_chain.text import printable

ANSWER_TIMEOUT = 120.0
"""Seconds that a whole response may take, however steadily it drips in."""

MAX_ANSWER_BYTES = 32 << 20
"""Bytes of the longest response that is read: several times the logs that fit into one block."""

MAX_BATCH = 100
"""Most requests that are sent at once. Many nodes allow that many; of the others this is found out."""

_MAX_ERROR = 64 * 1024
_READS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_maxPriorityFeePerGas",
        "eth_simulateV1",
        "eth_syncing",
        "net_version",
        "web3_clientVersion",
    }
)
_log = logging.getLogger(__name__)


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


def require_http(url: str, whose: str, example: str) -> None:
    """Refuse an address that no request can go to. The message never contains it: it may have a secret in it.

    Args:
        url: The address.
        whose: Whose it is, for messages, for example `node`.
        example: An address that could be used.

    Raises:
        UsageError: It is no address, or not one of HTTP.
    """
    what, remedy = f"The {whose}'s address cannot be used", f"Write it like {example}"
    if not url.startswith(("http://", "https://")) or any(ord(char) <= 32 for char in url):
        scheme = url.partition("://")[0] if "://" in url else ""
        begins = f" (it begins with {printable(scheme, 20)!r})" if scheme else ""
        raise UsageError(what + begins, "It must be an HTTP address", remedy)
    try:
        urlsplit(url)
    except ValueError as error:
        raise UsageError(what, "It is not a URL", remedy) from error


class AnswerTooLongError(NodeUnreachableError):
    """The response is longer than `MAX_ANSWER_BYTES`; a request for less may help."""


class TimedOutError(NodeUnreachableError):
    """The node did not finish its response in time."""


class ConnectionLostError(NodeUnreachableError):
    """There is no connection, or it broke off."""


class _NotJsonRpcError(NodeUnreachableError):
    """The response is not JSON-RPC."""


@dataclass(frozen=True)
class Question:
    """One JSON-RPC request.

    Attributes:
        params: Everything that JSON can hold.
    """

    method: str
    params: tuple[Any, ...] = ()

    @property
    def only_reads(self) -> bool:
        """Whether asking twice does no more than asking once."""
        return self.method.startswith("eth_get") or self.method in _READS


Answer = Any | NodeError
"""A result, or why there is none."""


class Node:
    """One node, to which each request is sent once.

    Args:
        url: `http://…` or `https://…`.
        patience: Seconds that a whole response may take; `None` for `ANSWER_TIMEOUT`, and less while nothing comes.

    Attributes:
        shown: The address without what may be secret.
        answered: Whether it ever answered like a node.
        most: Most requests that it takes at once, as far as it is known.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        self._url = url
        self._patience = patience
        self.shown = shown_url(url)
        self.answered = False
        self.most = MAX_BATCH
        self._transport = Transport()
        self._count = 0

    def request(self, method: str, params: Sequence[Any]) -> Mapping[str, Any]:
        """One JSON-RPC request, whose response is not interpreted.

        Args:
            method: Its name.
            params: Everything that JSON can hold.

        Returns:
            The response, with `result` or `error`.

        Raises:
            NodeUnreachableError: There was no response, or it is not JSON-RPC.
        """
        question = Question(method, tuple(params))
        _, _, response = self._post([question], self._request(question))
        self._check(question, response)
        return dict(response) if "result" in response else {"error": response["error"]}

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """Send requests, several at once where the node takes that.

        Returns:
            For each request its result, or the error that the node gave instead.

        Raises:
            AnswerTooLongError: A response is too long.
            NodeUnreachableError: There was no response, or it is not JSON-RPC.
        """
        answers: list[Answer] = []
        # Of these, whose answers are long; it says nothing about others.
        most = len(questions)
        while len(answers) < len(questions):
            part = questions[len(answers) : len(answers) + min(self.most, most)]
            if len(part) == 1:
                answers.append(self._ask_one(part[0]))
                continue
            try:
                answers += self._ask_many(part)
            except AnswerTooLongError:
                if not all(question.only_reads for question in part):
                    # They may have been run.
                    raise
                most = max(len(part) // 4, 1)
            except BatchRefusedError as error:
                # Of a batch that was refused nothing has run.
                self.most = max(len(part) // 4 if error.most is None else min(error.most, len(part) - 1), 1)
                _log.info("%s takes at most %d requests at once", self.shown, self.most)
        return answers

    def _ask_one(self, question: Question) -> Answer:
        status, wait, response = self._post([question], self._request(question))
        return self._answer(question, response, status, wait)

    def _ask_many(self, questions: Sequence[Question]) -> list[Answer]:
        what = _named(questions)
        requests = [self._request(question) for question in questions]
        status, wait, response = self._post(questions, requests)
        if isinstance(response, Mapping) and response.get("error") is not None:
            error = meaning_of("", (), response["error"], node=self.shown, status=status, wait=wait)
            if isinstance(error, BusyError):
                raise error
            raise error if isinstance(error, BatchRefusedError) else BatchRefusedError(what, 0, str(error), None)
        if not isinstance(response, list) or not all(isinstance(item, Mapping) for item in response):
            raise self._nonsense(what)
        by_id = {item["id"]: item for item in response if isinstance(item.get("id"), int)}
        if len(response) != len(requests) or any(request["id"] not in by_id for request in requests):
            raise self._nonsense(what)
        return [
            self._answer(question, by_id[request["id"]], status, wait)
            for question, request in zip(questions, requests, strict=True)
        ]

    def _request(self, question: Question) -> dict[str, Any]:
        self._count += 1
        return {"jsonrpc": "2.0", "id": self._count, "method": question.method, "params": list(question.params)}

    def _answer(self, question: Question, response: Any, status: int, wait: float | None) -> Answer:
        self._check(question, response)
        self.answered = True
        if "result" in response:
            return response["result"]
        return meaning_of(
            question.method, question.params, response["error"], node=self.shown, status=status, wait=wait
        )

    def _check(self, question: Question, response: Any) -> None:
        if not isinstance(response, Mapping):
            raise self._nonsense(question.method)
        # Some nodes put `"error": null` beside a result.
        error = response.get("error")
        if ("result" in response and error is not None) or not ("result" in response or "error" in response):
            raise self._nonsense(question.method)

    def _post(self, questions: Sequence[Question], document: Any) -> tuple[int, float | None, Any]:
        """The status, the seconds to wait, and the JSON that came back."""
        what = _named(questions)
        if not all(question.only_reads for question in questions):
            # The server may have closed a connection that was kept; then nobody could say whether this arrived.
            self._transport.forget_connections()
        try:
            with (
                Deadline(self._patience or ANSWER_TIMEOUT) as deadline,
                contextlib.closing(self._send(json.dumps(document).encode(), deadline)) as reply,
            ):
                if reply.encoding != "identity":
                    # Compressed bytes could unpack to a thousand times their length.
                    raise self._nonsense(what)
                fine = 200 <= reply.status < 300
                body = reply.read_exactly(MAX_ANSWER_BYTES if fine else _MAX_ERROR)
                wait = reply.retry_after
        except TooLongError as error:
            if not fine:
                raise self._status(questions, reply) from error
            raise AnswerTooLongError(
                f"The answer of {self.shown} to {what} is longer than {MAX_ANSWER_BYTES >> 20} MiB",
                "That is the most that is read at once",
                "Name another node with --rpc if this happens again",
            ) from error
        # Not from the cause: a traceback would show the whole address, and with it a secret.
        except (TooSlowError, NoAnswerError):
            raise TimedOutError(
                f"The node at {self.shown} did not answer in time",
                f"The request was {what}",
                "Try again, or name another node with --rpc",
            ) from None
        except _NotJsonRpcError:
            raise
        except (NodeUnreachableError, UsageError) as error:
            raise self._lost(_reason(error)) from None
        try:
            response = parse_json(body)
        except ValueError as error:
            if fine:
                raise self._nonsense(what) from error
            raise self._status(questions, reply, body, wait) from error
        if not fine and not _is_error(response):
            raise self._status(questions, reply, body, wait)
        return reply.status, wait, response

    def _send(self, data: bytes, deadline: Deadline) -> Reply:
        return self._transport.send(
            "POST",
            self._url,
            place=self.shown,
            deadline=deadline,
            headers={"Content-Type": "application/json"},
            body=data,
            silence=self._patience or READ_SECONDS,
        )

    def _lost(self, reason: str) -> ConnectionLostError:
        if self.answered:
            return ConnectionLostError(
                f"The connection to the node at {self.shown} broke off",
                reason,
                "Check that it still runs and repeat the command, or name several nodes with --rpc",
            )
        return ConnectionLostError(
            f"There is no node at {self.shown}",
            reason,
            "Start one (`llamafund devnet` is for trying things out), or name another with --rpc",
        )

    def _status(
        self, questions: Sequence[Question], reply: Reply, body: bytes = b"", wait: float | None = None
    ) -> NodeError:
        what, said = _named(questions), printable(body[:200].decode("utf-8", "replace").strip(), 200)
        if reply.status in (402, 429, 502, 503, 504) or "error code: 1015" in said:
            words = f"HTTP status {reply.status}" + (f": {said}" if said else "")
            return meaning_of(questions[0].method, (), words, node=self.shown, status=reply.status, wait=wait)
        if len(questions) > 1 and 400 <= reply.status < 500:
            # With such a status a server says that it ran nothing, perhaps because it does not know batches.
            return BatchRefusedError(what, 0, f"HTTP status {reply.status}", None)
        if reply.status in (401, 403):
            return _NotJsonRpcError(
                f"The server at {self.shown} refuses this client (HTTP status {reply.status})",
                f"It says: {said}" if said else "It may want a key, which is part of the address that its owner gives",
                "Check the address given with --rpc",
            )
        return _NotJsonRpcError(
            f"The server at {self.shown} answered {what} with HTTP status {reply.status}",
            "It is not a JSON-RPC node, or refuses this client",
            "Check the address given with --rpc",
        )

    def _nonsense(self, what: str) -> NodeUnreachableError:
        return _NotJsonRpcError(
            f"The server at {self.shown} answered {what} with something that is not JSON-RPC",
            "It is not a node of an Ethereum chain",
            "Check the address given with --rpc",
        )


def _named(questions: Sequence[Question]) -> str:
    return questions[0].method if len(questions) == 1 else f"{len(questions)} requests at once"


def _is_error(response: Any) -> bool:
    """Whether a body that came with a bad HTTP status says why in JSON-RPC."""
    if isinstance(response, list):
        return bool(response) and all(_is_error(item) for item in response)
    return isinstance(response, Mapping) and response.get("error") is not None


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
