"""HTTP to untrusted servers: where requests may go, how long they may take, how much may come back.

Nothing here verifies content. Every response is hostile bytes until somebody compares it with an address.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError
from llamafund_chain.files import read_secret
from llamafund_chain.http.answers import parse_json
from llamafund_chain.http.deadline import Deadline, TooSlowError
from llamafund_chain.http.transport import NoAnswerError, Reply, Transport, is_loopback
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, RefusedError

MAX_REDIRECTS = 5
"""Most redirects that one request follows."""

_EXAMPLE = "Write it like https://host or http://127.0.0.1:5001"
_MAX_ERROR = 16 * 1024
_MAX_CREDENTIALS = 64 * 1024
_GONE = (404, 410)

_PUBLIC = re.compile(
    # Names of letters, digits and hyphens (RFC 952, RFC 1123). No parser may take the last label for a number, and
    # every parser must read the address in the same way.
    r"https://(?=[^/:]{1,253}(?:[/:]|\Z))(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9]))(?::(?P<port>[0-9]{1,5}))?(?:/[!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_PRIVATE = (".local", ".localhost", ".localdomain", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True)
class Place:
    """Where a server is.

    Attributes:
        url: Absolute, without user, password, query and fragment, and without a trailing slash.
        insecure: Whether plain HTTP to another machine is allowed.
    """

    url: str
    insecure: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return _origin(urlsplit(self.url))


def place_of(url: str, *, insecure: bool = False) -> Place:
    """Check an address that a person typed.

    Args:
        url: For example `https://gateway.example/`.
        insecure: Allow plain HTTP to machines other than this one.

    Raises:
        UsageError: It is not an HTTP address, contains a password or a query, or is plain HTTP to another machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(
            f"{without_secrets(url)!r} is not an address of a server",
            "Its port or its brackets are not well formed",
            _EXAMPLE,
        ) from error
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The address of {parts.hostname} contains a user name or password",
            "Every program on this machine can read the command line, and logs would keep it",
            "Put it into the file that LLAMAFUND_CREDENTIALS names",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not _is_unambiguous(url):
        raise UsageError(
            f"{without_secrets(url)!r} is not an address of a server",
            remedy=_EXAMPLE,
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"{without_secrets(url)!r} has a query or a fragment", "Paths are appended to it", "Remove them"
        )
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname):
        raise UsageError(
            f"{url!r} is plain HTTP to another machine",
            "Anybody on the way could read what is sent there, even tokens",
            "Use https. If plain HTTP is acceptable, write +insecure before the colon of the location",
        )
    return Place(url.rstrip("/"), insecure)


def is_public(url: str) -> bool:
    """Whether a request may go to an address that a stranger wrote: HTTPS to a host name that is not clearly private.

    Numbers are refused in every form that some program takes for an address (`127.1`, `0x7f.1`, `2130706433`), and so
    is anything that two programs could read differently. A name may still lead to a private address. But then all that
    happens is a request for bytes, which are verified.
    """
    match = _PUBLIC.fullmatch(url)
    if match is None or match["host"].lower().endswith(_PRIVATE):
        return False
    return match["port"] is None or 0 < int(match["port"]) < 2**16


@dataclass(frozen=True)
class Credential:
    """A secret for one server; never part of a message, a log or a command line.

    Attributes:
        scheme: `Bearer` or `Basic`.
    """

    scheme: str
    _secret: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of the header `Authorization` (RFC 6750, RFC 7617)."""
        if self.scheme == "Basic":
            return "Basic " + base64.b64encode(self._secret.encode()).decode("ascii")
        return f"Bearer {self._secret}"

    def hmac(self, message: bytes) -> bytes:
        """HMAC-SHA256 of a message, with the secret as its key: base64 after `whsec_`, or as it is."""
        key = self._secret.encode()
        if self._secret.startswith("whsec_"):
            with contextlib.suppress(binascii.Error):
                key = base64.b64decode(self._secret.removeprefix("whsec_"), validate=True)
        return hmac.digest(key, message, "sha256")

    def hidden_in(self, text: str) -> str:
        """A server's text without the secret, in case it repeats it."""
        for secret in (self.header, self.header.partition(" ")[2], self._secret):
            text = text.replace(secret, "(hidden)")
        return text


def credential_for(
    place: Place, kind: str | None = None, environment: Mapping[str, str] | None = None
) -> Credential | None:
    """The credential for a server, if there is one.

    The file that `LLAMAFUND_CREDENTIALS` names has one line per server: its address, `bearer` or `basic`, and the
    token or `user:password`. Without a line for this server, `LLAMAFUND_<KIND>_TOKEN` is a bearer token for it.

    Args:
        place: The server.
        kind: `kubo`, `gateway`, `pin`, `webhook` or `ntfy`; `None` if only a line in the file counts.
        environment: `None` for this process's environment.

    Raises:
        UsageError: The file cannot be read or is malformed, or the credential would go out unencrypted.
    """
    variables = os.environ if environment is None else environment
    found = None
    path = variables.get("LLAMAFUND_CREDENTIALS")
    if path:
        found = _credentials(Path(path)).get(place.origin)
    name = f"LLAMAFUND_{kind.upper()}_TOKEN" if kind else ""
    token = variables.get(name, "").strip()
    if found is None and token:
        found = _credential("bearer", token, name)
    if found is not None and place.url.startswith("http:") and not is_loopback(urlsplit(place.url).hostname or ""):
        raise UsageError(
            f"The token for {place.url} would be sent unencrypted",
            "Anybody on the way could read and use it",
            "Use https for servers that need a token",
        )
    return found


class WebClient:
    """Requests to one server.

    Args:
        place: Where it is.
        credential: Sent only to this server, never to one that it redirects to.
        seconds: How long one response may take in all, or with `stride`, each `stride` bytes of it.
        stride: See `Deadline`.
        most: How long one response may take in all, however fast it comes; see `Deadline`.
        public: Whether connections may only go to public addresses. For those that a redirect leads to, they always
            must, except from this machine to itself.
        explain: Called with a refusal; returns why and what helps, or `None` if it knows nothing about it.
    """

    def __init__(
        self,
        place: Place,
        credential: Credential | None = None,
        *,
        seconds: float = 300.0,
        stride: int | None = None,
        most: float | None = None,
        public: bool = False,
        explain: Callable[[Reply], tuple[str, str] | None] | None = None,
    ) -> None:
        self.place = place
        self._explain = explain
        self._public = public
        self._credential = credential
        self._limits = partial(Deadline, seconds, stride=stride, most=most)
        self._transport = Transport()

    def __repr__(self) -> str:
        return f"WebClient({self.place.url!r})"

    @contextlib.contextmanager
    def request(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        what: str = "",
        accept: tuple[int, ...] = (200,),
        redirected: Callable[[Reply], None] | None = None,
    ) -> Iterator[Reply]:
        """Send a request and return the response before its body is read.

        Args:
            method: `GET`, `POST` or `DELETE`.
            path: Appended to the server's address.
            params: Parameters of the query.
            headers: In addition to the usual ones.
            body: Sent as JSON.
            what: What is requested, for messages.
            accept: Status codes that are no error.
            redirected: Called with the first redirect; raises if it says that nothing useful follows.

        Raises:
            NodeUnreachableError: There is no connection, or the server is too slow, overloaded or broken.
            MissingContentError: The server does not have it.
            LlamafundError: It refused the request or the credential.
            OtherFormError: Its redirects do not end, or lead where they must not; or it compressed its answer.
        """
        with self._limits() as deadline:
            url = self.place.url + path
            for _ in range(MAX_REDIRECTS + 1):
                reply = self._send(method, url, params, headers, body, deadline)
                with contextlib.closing(reply):
                    if reply.location is not None and method == "GET":
                        if redirected is not None:
                            redirected(reply)
                        redirected = None
                        url = self._follow(url, reply.location)
                        # An address that the server redirected to already has its query.
                        params = None
                        continue
                    if reply.status not in accept:
                        raise self._refused(reply, what)
                    if reply.encoding != "identity":
                        raise OtherFormError(
                            f"{self.place.url} compressed its answer ({reply.encoding[:40]})", "It was asked not to"
                        )
                    yield reply
                    return
        raise OtherFormError(
            f"{self.place.url} redirects more than {MAX_REDIRECTS} times", "It would never end", "Use another server"
        )

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        deadline: Deadline,
    ) -> Reply:
        sent = dict(headers or {})
        parts = urlsplit(url)
        at_home = _origin(parts) == self.place.origin
        if self._credential is not None and at_home:
            sent["Authorization"] = self._credential.header
        deadline.public_only = self._public or not (at_home or is_loopback(parts.hostname or ""))
        return self._transport.send(
            method, url, place=self.place.url, deadline=deadline, headers=sent, params=params, document=body
        )

    def _follow(self, url: str, location: str) -> str:
        import requests

        before = urlsplit(self.place.url).hostname or ""
        try:
            # As it will be requested: characters that only some programs understand are quoted, and no host has them.
            target = requests.utils.requote_uri(urljoin(url, location))
            parts = urlsplit(target)
            allowed = parts.username is None and (
                _origin(parts) == self.place.origin
                or is_public(target)
                or (is_loopback(before) and is_loopback(parts.hostname or "") and parts.scheme in ("http", "https"))
            )
        except (ValueError, requests.RequestException):
            target, allowed = location, False
        if not allowed:
            raise OtherFormError(
                f"{self.place.url} redirects to {without_secrets(target)[:200]!r}",
                "Redirects are only followed to https addresses, and never into a private network",
                "Use another server",
            )
        return target

    def _refused(self, reply: Reply, what: str) -> LlamafundError:
        subject = f"{what}: {self.place.url}" if what else self.place.url
        explained = self._explain(reply) if self._explain is not None else None
        said, helps = explained if explained is not None else (self._said(reply), "")
        if reply.status in _GONE:
            return MissingContentError(
                f"{subject} does not have it (HTTP {reply.status})", said, helps or "Try another location"
            )
        if reply.status in (401, 403):
            shown = "the token that was sent" if self._credential else "a request without a token"
            return RefusedError(
                f"{subject} refused {shown} (HTTP {reply.status})",
                said,
                helps or "Check the line for this server in the file that LLAMAFUND_CREDENTIALS names",
            )
        if reply.status == 429 or reply.status >= 500:
            broken = BrokeOffError(
                f"{subject} is overloaded or broken (HTTP {reply.status})", said, "Try again later, or another server"
            )
            broken.wait = reply.retry_after
            return broken
        return RefusedError(f"{subject} refused it (HTTP {reply.status})", said, "Check the server's address")

    def _said(self, reply: Reply) -> str:
        """A server's text about an error: its first line, or the reason and details of a pinning service."""
        try:
            text = b""
            while len(text) < _MAX_ERROR and (piece := reply.read(_MAX_ERROR - len(text))):
                text += piece
        except LlamafundError:
            return ""
        try:
            document = parse_json(text)
        except ValueError:
            document = None
        error = document.get("error") if isinstance(document, dict) else None
        if isinstance(error, dict):
            words = [error.get("reason"), error.get("details")]
            shown = ": ".join(word[:300] for word in words if isinstance(word, str) and word)
        else:
            lines = text.decode("utf-8", "replace").strip().splitlines()
            shown = lines[0][:300] if lines and not lines[0].lstrip().startswith("<") else ""
        if self._credential is not None:
            shown = self._credential.hidden_in(shown)
        return f"It said: {shown}" if shown else ""


@contextlib.contextmanager
def breaking_off() -> Iterator[None]:
    """Tell a connection that fails in the middle of an answer from one that was never made.

    Raises:
        BrokeOffError: The connection failed, and not because the server was too slow.
    """
    try:
        yield
    except (TooSlowError, NoAnswerError, BrokeOffError):
        raise
    except NodeUnreachableError as error:
        raise BrokeOffError(error.what, error.why, error.remedy) from error


def _is_unambiguous(url: str) -> bool:
    """Whether all programs see the same host. Some drop white space, some take a backslash for a slash."""
    return url.isprintable() and " " not in url and "\\" not in url


def _origin(parts: SplitResult) -> str:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def without_secrets(location: str) -> str:
    """A location for messages, without anything that may be a password before an @ or a token in a query."""
    head, at, tail = location.partition("?")[0].rpartition("@")
    return f"…@{tail}" if at and head else tail


def _credentials(path: Path) -> dict[str, Credential]:
    text = read_secret(path, "credentials file", _MAX_CREDENTIALS)
    found: dict[str, Credential] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        where = f"line {number} of {str(path)!r}"
        # Never the line itself: it contains a secret.
        if len(words) != 3:
            raise UsageError(f"{where} is malformed", "A line is an address, bearer or basic, and the secret")
        try:
            place = place_of(words[0], insecure=True)
        except UsageError:
            # The words may be swapped: the address may be the secret.
            raise UsageError(
                f"{where} does not begin with an address", "A line is an address, bearer or basic, and the secret"
            ) from None
        found[place.origin] = _credential(words[1], words[2].strip(), where)
    return found


def _credential(scheme: str, secret: str, where: str) -> Credential:
    if not secret.isascii() or not secret.isprintable():
        raise UsageError(f"The secret in {where} has characters that no header can contain")
    if scheme.lower() == "bearer" and " " not in secret:
        return Credential("Bearer", secret)
    if scheme.lower() == "basic" and ":" in secret:
        return Credential("Basic", secret)
    raise UsageError(f"{where} is malformed", "It is `bearer TOKEN` or `basic USER:PASSWORD`")
