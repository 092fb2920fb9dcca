"""One way to send a request over HTTP and to read what comes back: to a node, a store, a gateway or a pinning service.

Nothing here verifies content. Redirects are never followed here, and nothing is unpacked.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llamafund_chain.errors import NodeUnreachableError, UsageError, WrongAnswerError, system_reason
from llamafund_chain.http.answers import parse_json
from llamafund_chain.http.deadline import Deadline, watch_connections

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 10.0
"""How long a server may take to accept a connection."""

READ_SECONDS = 60.0
"""How long a server may be silent."""

MAX_JSON = 4 * 1024 * 1024
"""Longest JSON response of a store, in bytes."""

_PIECE = 64 * 1024
_USED_UP = re.compile(r";\s*r=0\s*;\s*t=([0-9]{1,9})(?![0-9])")


class NoAnswerError(NodeUnreachableError):
    """A server was silent for too long."""


class TooLongError(WrongAnswerError):
    """A server sent more than the longest thing that was requested."""


class Reply:
    """A response whose body is read only as far as the caller asks.

    Attributes:
        status: HTTP status.
        headers: Names in any case.
        location: Where a redirect leads; `None` if it is not one.
    """

    def __init__(self, response: Any, place: str, deadline: Deadline) -> None:
        self._response = response
        self._place = place
        self._deadline = deadline
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.location: str | None = response.headers["Location"] if response.is_redirect else None

    @property
    def encoding(self) -> str:
        """How the body is compressed: `identity` if it is not."""
        return self.headers.get("Content-Encoding", "").strip().lower() or "identity"

    @property
    def retry_after(self) -> float | None:
        """Seconds that a server asks to wait; `None` if it does not say.

        By the header `Retry-After` (RFC 9110, section 10.2.3), or by `RateLimit` where nothing is left
        (draft-ietf-httpapi-ratelimit-headers).
        """
        text = self.headers.get("Retry-After", "").strip()
        limit = _USED_UP.search(self.headers.get("RateLimit", ""))
        if not text and limit is not None:
            return float(limit[1])
        if text.isdecimal() and len(text) < 10:
            return float(text)
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        return max((when - datetime.now(UTC)).total_seconds(), 0.0) if when.tzinfo else None

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self._response.close()

    def read(self, amount: int = _PIECE) -> bytes:
        """At most `amount` bytes; empty at the end.

        Raises:
            NodeUnreachableError: The connection broke or the server is too slow.
        """
        with self._deadline.enforced(self._place), network_errors(self._place):
            # One piece as it arrives: nothing more may come before the deadline.
            piece = bytes(self._response.raw.read1(amount, decode_content=False))
        self._deadline.moved(len(piece))
        return piece

    def read_exactly(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes.

        Raises:
            TooLongError: There are more.
            NodeUnreachableError: The connection broke or the server is too slow.
        """
        body = bytearray()
        while piece := self.read(min(_PIECE, limit + 1 - len(body))):
            body += piece
            if len(body) > limit:
                raise TooLongError(
                    f"{self._place} sent more than {limit} bytes",
                    "The requested content is shorter, so this is something else",
                    "Use another server",
                )
        return bytes(body)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            WrongAnswerError: It is not JSON, or longer than `MAX_JSON`.
            NodeUnreachableError: The connection broke or the server is too slow.
        """
        body = self.read_exactly(MAX_JSON)
        try:
            return parse_json(body)
        except ValueError as error:
            raise WrongAnswerError(
                f"{self._place} did not answer in JSON",
                f"Its answer began with {body[:60]!r}",
                "Check the server's address",
            ) from error


class Transport:
    """Requests over connections that are kept open and used again."""

    def __init__(self) -> None:
        self._session = open_session()

    def send(
        self,
        method: str,
        url: str,
        *,
        place: str,
        deadline: Deadline,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        document: Mapping[str, Any] | None = None,
        silence: float = READ_SECONDS,
    ) -> Reply:
        """Send one request, once, and return the response before its body is read.

        Args:
            method: `GET`, `POST` or `DELETE`.
            url: Where to.
            place: The server, for messages.
            deadline: How long it may take, with the body.
            headers: In addition to the usual ones.
            params: Parameters of the query.
            body: Bytes to send.
            document: JSON to send instead.
            silence: Seconds for which the server may be silent.

        Raises:
            NodeUnreachableError: There is no connection, or the server is too slow.
        """
        sent = {"Accept-Encoding": "identity", "User-Agent": "llamafund", **headers}
        with deadline.enforced(place), deadline.applied(), network_errors(place):
            response = self._session.request(
                method,
                url,
                params=params,
                headers=sent,
                data=body,
                json=document,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, silence),
                proxies=_proxies(url),
            )
        return Reply(response, place, deadline)

    def forget_connections(self) -> None:
        """Open a new connection for the next request: the server may have closed the one that was kept."""
        self._session.close()


def open_session() -> requests.Session:
    """A session that obeys the deadlines of its requests and reads nothing of redirects."""
    import requests

    session = requests.Session()
    watch_connections(session)
    # Otherwise the user's .netrc would replace the credential. Proxies are set for each request instead.
    session.trust_env = False
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    # Otherwise requests reads a redirect's whole body, however long, even if it does not follow it.
    session.get_redirect_target = lambda resp: None  # type: ignore[method-assign] # noqa: ARG005
    return session


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def network_errors(place: str) -> Iterator[None]:
    """Turn the exceptions of HTTP libraries into readable errors."""
    import http.client

    import requests
    import urllib3

    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise NoAnswerError(
            f"{place} did not answer in time", remedy="Check that it is running, or try another server"
        ) from error
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise NodeUnreachableError(
            f"{place} has no valid certificate", _without_address(error), "Do not use it, or correct its address"
        ) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, UnicodeError) as error:
        raise UsageError(f"{place} cannot be reached", "Its address is malformed", "Correct the address") from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        # http.client parses what a server claims are numbers.
        ValueError,
    ) as error:
        raise NodeUnreachableError(
            f"The connection to {place} failed or broke off",
            system_reason(error) or type(error).__name__,
            "Check that it is running and reachable, then run the command again",
        ) from error


def _without_address(error: BaseException) -> str:
    """What is wrong with a certificate: the libraries' text has the whole address in it, which may be secret."""
    found = re.search(r"certificate verify failed: ([^(\[\]']{1,200})|(\[SSL[^\]]*\] [^(']{1,200})", str(error))
    return (found[1] or found[2]).strip() if found else type(error).__name__


def _proxies(url: str) -> dict[str, str]:
    """The proxies for an address. None for this machine: its requests and tokens must not go through another one."""
    import requests

    if is_loopback(urlsplit(url).hostname or ""):
        return {}
    return dict(requests.utils.get_environ_proxies(url))
