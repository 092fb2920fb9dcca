"""Sending notices to somebody's server: signed webhooks, and plain posts as ntfy takes them.

A webhook is signed as https://www.standardwebhooks.com says: HMAC-SHA256 over id, time and body. Its secret is never
sent. Requests go to https addresses that are not private, or to this machine; redirects are not followed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import JsonValue

from llamafund_chain.campaign.lookout import Alert
from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError
from llamafund_chain.http.deadline import Deadline
from llamafund_chain.http.patience import Patience
from llamafund_chain.http.transport import Transport, is_loopback
from llamafund_chain.name import PROJECT
from llamafund_chain.store.http.client import Credential, credential_for, place_of

SECONDS = 20.0
"""How long a server may take for one notice."""

PATIENCE = 30.0
"""How long one notice waits for a server that asks for time, in all."""

_PRIORITY = {"act": "5", "soon": "4", "info": "3"}


class Sink(Protocol):
    """Where notices go."""

    @property
    def name(self) -> str:
        """The place without anything secret, for messages."""

    @property
    def id(self) -> str:
        """Tells it from other places, without saying where it is."""

    def send(self, alert: Alert, document: Mapping[str, JsonValue]) -> None:
        """Send one notice.

        Raises:
            LlamafundError: It did not arrive, as far as the server said.
        """


@dataclass
class _Post:
    """Posts to one address."""

    url: str
    credential: Credential | None
    _transport: Transport = field(default_factory=Transport, repr=False)

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def send(self, headers: Mapping[str, str], body: bytes) -> None:
        """Send, and try again while the server is overloaded or cannot be reached, for `PATIENCE` in all."""
        patience, attempt = Patience(PATIENCE), 1
        while True:
            wait: float | None = None
            try:
                status, wait = self._once(headers, body)
                if status < 300:
                    return
                problem = LlamafundError(
                    f"{self.origin} refused a notice (HTTP {status})", "", "Check its address and its secret"
                )
                if status != 429 and status < 500:
                    raise problem
            except NodeUnreachableError as error:
                problem = error
            if not patience.wait(problem.what, attempt, wait):
                raise problem
            attempt += 1

    def _once(self, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None]:
        with Deadline(SECONDS) as deadline:
            deadline.public_only = not is_loopback(urlsplit(self.url).hostname or "")
            reply = self._transport.send(
                "POST", self.url, place=self.origin, deadline=deadline, headers=headers, body=body
            )
            with contextlib.closing(reply):
                return reply.status, reply.retry_after


class Webhook:
    """Sends notices as JSON, signed if there is a secret.

    Args:
        url: Where to.

    Raises:
        UsageError: It is no https address nor this machine, or its secret cannot be read.
    """

    def __init__(self, url: str) -> None:
        place = place_of(url)
        self._post = _Post(place.url, credential_for(place, "webhook"))
        if self._post.credential is None:
            raise UsageError(
                f"There is no secret for the webhook at {self._post.origin}",
                "Without a signature anybody could make up notices",
                "Put a line with its address, bearer and the secret into the file that LLAMAFUND_CREDENTIALS names, or "
                "the secret into LLAMAFUND_WEBHOOK_TOKEN",
            )

    @property
    def name(self) -> str:
        return f"the webhook at {self._post.origin}"

    @property
    def id(self) -> str:
        return _id("webhook", self._post.url)

    def send(self, alert: Alert, document: Mapping[str, JsonValue]) -> None:
        body = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
        # The same notice has the same id, so that a server can tell a repetition.
        name = f"msg_{hashlib.sha256(alert.key.encode()).hexdigest()[:32]}"
        at = str(int(time.time()))
        assert self._post.credential is not None
        signature = base64.b64encode(self._post.credential.hmac(f"{name}.{at}.".encode() + body)).decode()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{signature}",
        }
        self._post.send(headers, body)


class Ntfy:
    """Sends notices as plain text, with a title and a priority, as https://docs.ntfy.sh/publish/ says.

    Args:
        url: The topic's address.

    Raises:
        UsageError: It is no https address nor this machine, or its token cannot be read.
    """

    def __init__(self, url: str) -> None:
        place = place_of(url)
        self._post = _Post(place.url, credential_for(place, "ntfy"))

    @property
    def name(self) -> str:
        return f"the topic at {self._post.origin}"

    @property
    def id(self) -> str:
        return _id("ntfy", self._post.url)

    def send(self, alert: Alert, document: Mapping[str, JsonValue]) -> None:
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Title": f"{PROJECT}: {alert.kind}",
            "Priority": _PRIORITY[alert.urgency],
        }
        if self._post.credential is not None:
            headers["Authorization"] = self._post.credential.header
        self._post.send(headers, str(document["text"]).encode())


def _id(kind: str, url: str) -> str:
    return f"{kind} {hashlib.sha256(url.encode()).hexdigest()[:16]}"
