"""The HTTP side of a node: every way in which it can fail to answer becomes one error.

It imports web3, so only code that makes a connection imports it.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from llamafund_chain.errors import NodeUnreachableError, system_reason
from llamafund_chain.text import printable

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
"""Seconds that a node may be silent. Simulations and log searches of a remote node take a while."""

ANSWER_TIMEOUT = 120.0
"""Seconds that a whole response may take, however steadily it drips in."""

MAX_ANSWER_BYTES = 32 << 20
"""Bytes of the longest response that is read: several times the logs that fit into one block."""

_BLOCK_BYTES = 1 << 16


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


class NodeProvider(HTTPProvider):
    """Sends each request once. A failed request is never repeated behind the caller's back."""

    def __init__(self, url: str) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._url = url
        self._shown = shown_url(url)
        self._session = _Session()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One JSON-RPC request.

        Raises:
            AnswerTooLongError: The response is too long.
            NodeUnreachableError: There was no response, or it is not JSON-RPC.
        """
        try:
            response = self.decode_rpc_response(self._post(method, self.encode_rpc_request(method, params)))
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise NodeUnreachableError(
                f"The node at {self._shown} did not answer in time",
                f"The request was {method}",
                "Try again, or name another node with --rpc",
            ) from error
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else "an error"
            raise NodeUnreachableError(
                f"The server at {self._shown} answered {method} with HTTP status {status}",
                "It is not a JSON-RPC node, or refuses this client",
                "Check the address given with --rpc",
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise NodeUnreachableError(
                f"There is no node at {self._shown}",
                _reason(error),
                "Start one (`llamafund devnet` is for trying things out), or name another with --rpc",
            ) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._nonsense(method) from error
        if not isinstance(response, dict) or ("result" in response) == ("error" in response):
            raise self._nonsense(method)
        return response

    def _post(self, method: RPCEndpoint, data: bytes) -> bytes:
        """The response's bytes, all of them within `ANSWER_TIMEOUT`.

        A socket's timeout counts from byte to byte, even while headers arrive. So only another thread can notice that
        the whole response takes too long. The waiting thread is then left behind and ends with the process.
        """
        errand = _Errand(self._session, self._url, data)
        errand.start()
        errand.join(ANSWER_TIMEOUT)
        if errand.is_alive():
            errand.abandoned.set()
            self._session = _Session()
            raise requests.exceptions.ReadTimeout(f"No complete response within {ANSWER_TIMEOUT:.0f} seconds")
        if errand.too_long:
            raise AnswerTooLongError(
                f"The answer of {self._shown} to {method} is longer than {MAX_ANSWER_BYTES >> 20} MiB",
                "That is the most that is read at once",
                "Name another node with --rpc if this happens again",
            )
        if errand.failure is not None:
            raise errand.failure
        return bytes(errand.answer)

    def _nonsense(self, method: str) -> NodeUnreachableError:
        return NodeUnreachableError(
            f"The server at {self._shown} answered {method} with something that is not JSON-RPC",
            "It is not a node of an Ethereum chain",
            "Check the address given with --rpc",
        )


class _Session(requests.Session):
    """Ignores redirects: even to refuse one, the library would read and unpack its whole body."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the name is the library's
        return None


class _Errand(threading.Thread):
    """One HTTP request on its own thread.

    Attributes:
        answer: The body so far.
        failure: The error that ended the request early.
        too_long: Whether the body is longer than `MAX_ANSWER_BYTES`.
        abandoned: Set when nobody waits for it any more.
    """

    def __init__(self, session: requests.Session, url: str, data: bytes) -> None:
        super().__init__(name="llamafund-rpc", daemon=True)
        self._session = session
        self._url = url
        self._data = data
        self.answer = bytearray()
        self.failure: BaseException | None = None
        self.too_long = False
        self.abandoned = threading.Event()

    def run(self) -> None:
        """Send the request and read the response."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self.failure = error

    def _run(self) -> None:
        # Compressed bytes could unpack to a thousand times their length. They were not requested: refuse them unread.
        with self._session.post(
            self._url,
            data=self._data,
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            allow_redirects=False,
            stream=True,
        ) as response:
            if not 200 <= response.status_code < 300:
                raise requests.exceptions.HTTPError(response=response)
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                raise ValueError("It is compressed, which was not requested")
            while block := response.raw.read(_BLOCK_BYTES, decode_content=False):
                self.answer += block
                if len(self.answer) > MAX_ANSWER_BYTES:
                    self.too_long = True
                    return
                if self.abandoned.is_set():
                    return


def _reason(error: BaseException) -> str:
    told = system_reason(error)
    if told is not None:
        return told
    if "refused" in str(error):
        return "Connection refused"
    if "resolve" in str(error) or "Name or service" in str(error):
        return "Its name cannot be resolved"
    return "No connection could be made"
