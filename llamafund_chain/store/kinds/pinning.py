"""Services that keep content, for a fee or for free.

Source: https://ipfs.github.io/pinning-services-api-spec/, the IPFS Pinning Service API.

A service takes no bytes. It takes an address and fetches the content from the IPFS network. So a node that has the
content must be reachable there until the service is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import quote

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.hashing import FileDigest
from llamafund_chain.store.base import MissingContentError, check_cid, is_cid
from llamafund_chain.store.http.client import Credential, Place, WebClient

Status = Literal["queued", "pinning", "pinned", "failed"]

POLL_SECONDS = 5.0
"""Time between two checks of a pending pin."""

WAIT_SECONDS = 600.0
"""How long `PinningStore.pin` waits for a service to have everything."""

ANSWER_SECONDS = 120.0
"""How long a service may take for one response."""

MAX_LISTED = 1_000_000
"""Most requests of one list to read, with one page in memory at a time."""

_PAGE = 1000
_MAX_PAGES = 1000


@dataclass(frozen=True)
class PinRequest:
    """A service's record of one request to pin.

    Attributes:
        request: The service's id for it.
        cid: The address to keep.
        status: How far it is.
        created: As the service writes it (RFC 3339).
        details: The service's text about the status; may be empty.
    """

    request: str
    cid: str
    status: Status
    created: str
    details: str


class PinningStore:
    """A pinning service as a store that can pin, list and unpin, but nothing else.

    Args:
        place: The service's endpoint, for example `https://pins.example/psa`.
        credential: Its access token.
        wait: Seconds to wait until the service has everything.
        poll: Seconds between two checks.
        sleep: Waits the given number of seconds.
        seconds: How long one response may take in all.

    Attributes:
        origins: Multiaddrs where the service can fetch the content; the first 20 are passed on.
    """

    def __init__(
        self,
        place: Place,
        credential: Credential | None = None,
        *,
        wait: float = WAIT_SECONDS,
        poll: float = POLL_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._client = WebClient(place, credential, seconds=seconds)
        self.origins: tuple[str, ...] = ()
        self._wait = wait
        self._poll = poll
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"PinningStore({self._client.place.url!r})"

    @property
    def location(self) -> str:
        """`pin:` and the address."""
        return f"pin:{self._client.place.url}"

    def request(self, cid: str, *, name: str = "") -> PinRequest:
        """Ask the service to keep content, without waiting for it.

        Args:
            cid: Its address.
            name: A name for the service's lists, at most 255 characters.

        Raises:
            NodeUnreachableError: The service does not answer.
            LlamafundError: It refuses; the message quotes it.
            VerificationError: It does not answer like a pinning service.
        """
        check_cid(cid)
        body: dict[str, Any] = {"cid": cid}
        if name:
            body["name"] = name[:255]
        if self.origins:
            body["origins"] = list(self.origins[:20])
        with self._client.request("POST", "/pins", body=body, what=f"Pinning {cid}", accept=(200, 202)) as reply:
            made = self._parse(reply.json())
        if made.cid != cid:
            raise WrongAnswerError(f"{self.location} was asked to pin {cid} and pins {made.cid[:100]}")
        return made

    def request_all(self, cids: Sequence[str]) -> None:
        """Ask the service to keep many contents at once, except those that it has or was already asked for.

        Raises:
            LlamafundError: As `request`.
        """
        wanted = dict.fromkeys(cids)
        for entry in self.requests(status=("queued", "pinning", "pinned")):
            wanted.pop(entry.cid, None)
        for cid in wanted:
            self.request(cid)

    def look(self, request: str) -> PinRequest:
        """The current record of a request.

        Raises:
            MissingContentError: The service does not know the request.
            LlamafundError: As `request`.
        """
        with self._client.request("GET", f"/pins/{quote(request, safe='')}", what=f"Request {request}") as reply:
            return self._parse(reply.json())

    def requests(self, cid: str | None = None, *, status: Sequence[Status] = ("pinned",)) -> Iterator[PinRequest]:
        """All requests, newest first.

        Args:
            cid: Only those for this address; `None` for all.
            status: Only those with one of these states.

        Raises:
            LlamafundError: As `request`, or there are more than `MAX_LISTED`.
        """
        before = ""
        listed = 0
        # Only of the previous page: a service may have more pages than fit in memory.
        last: frozenset[str] = frozenset()
        for _ in range(_MAX_PAGES):
            entries, count = self._page(cid, status, before)
            # A service that ignores `before` would send the same page forever.
            fresh = [entry for entry in entries if entry.request not in last]
            listed += len(fresh)
            if listed > MAX_LISTED:
                break
            yield from fresh
            if count <= len(entries) or not fresh:
                return
            last = frozenset(entry.request for entry in entries)
            before = fresh[-1].created
        raise LlamafundError(
            f"The list of pins at {self.location} does not end",
            f"It has more than {MAX_LISTED} requests or {_MAX_PAGES} pages, or repeats itself",
            "Ask the service, or remove pins that you no longer need",
        )

    def _page(self, cid: str | None, status: Sequence[Status], before: str) -> tuple[list[PinRequest], int]:
        """One page of a list, and the number of requests from there on."""
        params = {"limit": str(_PAGE), "status": ",".join(status)}
        if cid is not None:
            params["cid"] = cid
        if before:
            params["before"] = before
        with self._client.request("GET", "/pins", params=params, what="The list of pins") as reply:
            page = reply.json()
        results = page.get("results") if isinstance(page, dict) else None
        count = page.get("count") if isinstance(page, dict) else None
        if not isinstance(results, list) or not isinstance(count, int):
            raise self._strange(page)
        return [self._parse(entry) for entry in results], count

    def put_file(self, path: Path) -> FileDigest:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._no_bytes(f"{str(path)!r} cannot be sent to {self.location}")

    def put_bytes(self, data: bytes) -> FileDigest:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._no_bytes(f"{len(data)} bytes cannot be sent to {self.location}")

    def stream(self, cid: str, *, size: int | None = None) -> Iterator[bytes]:  # noqa: ARG002
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._no_bytes(f"{cid} cannot be read from {self.location}")

    def fetch(
        self,
        cid: str,
        destination: Path,
        *,
        size: int | None = None,  # noqa: ARG002
        sha256: str | None = None,  # noqa: ARG002
    ) -> None:
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._no_bytes(f"{cid} cannot be fetched to {str(destination)!r} from {self.location}")

    def read(self, cid: str, *, limit: int) -> bytes:  # noqa: ARG002 - as `Source` has it
        """Refused.

        Raises:
            UsageError: Always.
        """
        raise self._no_bytes(f"{cid} cannot be read from {self.location}")

    def has(self, cid: str) -> bool:
        """See `Store.has`: whether the service says that it has pinned it."""
        check_cid(cid)
        return any(entry.cid == cid for entry in self.requests(cid))

    def pin(self, cid: str) -> None:
        """Ask the service to keep content, and wait until it has everything.

        Raises:
            LlamafundError: It failed or refused; the message quotes it. Or as `request`.
            NodeUnreachableError: It does not answer, or does not have everything in time; call it again to keep
                waiting.
        """
        check_cid(cid)
        current = next((entry for entry in self.requests(cid, status=("pinned",)) if entry.cid == cid), None)
        if current is None:
            # An interrupted run may have made the request. It is not repeated: services count and charge requests.
            pending = self.requests(cid, status=("queued", "pinning"))
            current = next((entry for entry in pending if entry.cid == cid), None) or self.request(cid)
        began, waited = time.monotonic(), 0.0
        while current.status in ("queued", "pinning"):
            if waited >= self._wait:
                raise NodeUnreachableError(
                    f"{self.location} does not have {cid} after {waited:.0f} seconds: it is {current.status}",
                    current.details or "A service fetches content from other nodes on the IPFS network",
                    "Keep a node that has it online, then run the command again; the request stays",
                )
            self._sleep(self._poll)
            # The check itself takes time too.
            waited = max(waited + self._poll, time.monotonic() - began)
            current = self.look(current.request)
        if current.cid != cid:
            raise WrongAnswerError(f"{self.location} was asked about {cid} and answers about {current.cid[:100]}")
        if current.status == "failed":
            raise LlamafundError(
                f"{self.location} could not pin {cid}",
                f"It said: {current.details}" if current.details else "It gave no reason",
                "Make sure that a node with the content is online, then run the command again",
            )

    def unpin(self, cid: str) -> None:
        """See `Store.unpin`. Removes all requests for the address."""
        check_cid(cid)
        # A service that ignores the filter must not make this remove other pins.
        entries = [entry for entry in self.requests(cid, status=get_args(Status)) if entry.cid == cid]
        for entry in entries:
            try:
                path = f"/pins/{quote(entry.request, safe='')}"
                with self._client.request("DELETE", path, what=f"Unpinning {cid}", accept=(200, 202, 204)):
                    pass
            except MissingContentError:
                continue

    def pins(self) -> frozenset[str]:
        """See `Store.pins`. Addresses of other kinds are left out."""
        return frozenset(entry.cid for entry in self.requests() if is_cid(entry.cid))

    def _parse(self, answer: Any) -> PinRequest:
        if not isinstance(answer, dict):
            raise self._strange(answer)
        pin = answer.get("pin")
        cid = pin.get("cid") if isinstance(pin, dict) else None
        request, status, created = answer.get("requestid"), answer.get("status"), answer.get("created")
        if (
            not isinstance(cid, str)
            or not isinstance(request, str)
            # It becomes part of a path.
            or not 0 < len(request) <= 500
            or request in (".", "..")
            or not isinstance(created, str)
            or status not in get_args(Status)
        ):
            raise self._strange(answer)
        info = answer.get("info")
        details = info.get("status_details") if isinstance(info, dict) else None
        return PinRequest(
            request=request,
            cid=cid,
            status=cast("Status", status),
            created=created,
            details=details[:300] if isinstance(details, str) else "",
        )

    def _strange(self, answer: object) -> VerificationError:
        return WrongAnswerError(
            f"{self.location} does not answer like a pinning service: {str(answer)[:200]}",
            "Something else may be listening there",
            "Check the address; it usually ends in a path such as /psa or /api/v1",
        )

    def _no_bytes(self, what: str) -> UsageError:
        return UsageError(
            what,
            "A pinning service neither takes nor returns bytes, only addresses",
            "Name a directory, a Kubo node (kubo:…) or gateways (gateway:…); only `llamafund publish` takes a service",
        )
