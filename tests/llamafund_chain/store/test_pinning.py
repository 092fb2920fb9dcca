"""A pinning service, as its specification describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_servers import Asked, Handler, LocalServer

from llamafund_chain.errors import ExitCode, LlamafundError, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import MissingContentError, Store, open_store
from llamafund_chain.store.http.client import Credential, place_of
from llamafund_chain.store.kinds.pinning import PinningStore

CID = hash_bytes(b"content").cid


class Service:
    """The service; requests become pinned after `looks` looks."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self.looks = 2
        self.outcome = "pinned"
        self.details = ""
        self.page = 10
        self.ignores_filters = False
        self.failure: tuple[int, bytes] | None = None
        self.count = 0

    def add(self, cid: str, status: str = "pinned") -> str:
        self.count += 1
        name = f"request/{self.count}"
        self.requests[name] = {
            "requestid": name,
            "status": status,
            "created": f"2026-01-01T00:00:00.{self.count:06}Z",
            "pin": {"cid": cid},
            "delegates": ["/dnsaddr/pins.example"],
            "looks": self.looks,
        }
        return name

    def answer(self, handler: Handler, asked: Asked) -> None:
        if asked.headers.get("Authorization") != "Bearer t0ken":
            self._say(handler, 401, {"error": {"reason": "UNAUTHORIZED", "details": "Access token is missing"}})
        elif self.failure is not None:
            handler.reply(*self.failure)
        elif asked.path == "/psa/pins" and asked.method == "POST":
            wanted = json.loads(asked.body)
            self._say(handler, 202, self.requests[self.add(wanted["cid"], "queued")])
        elif asked.path == "/psa/pins":
            self._list(handler, asked)
        else:
            name = asked.path.removeprefix("/psa/pins/").replace("%2F", "/")
            if name not in self.requests:
                self._say(handler, 404, {"error": {"reason": "NOT_FOUND", "details": "no such request"}})
            elif asked.method == "DELETE":
                del self.requests[name]
                handler.reply(202)
            else:
                self._look(self.requests[name])
                self._say(handler, 200, self.requests[name])

    def _look(self, entry: dict[str, Any]) -> None:
        entry["looks"] -= 1
        if entry["status"] == "queued":
            entry["status"] = "pinning"
        if entry["looks"] <= 0:
            entry["status"] = self.outcome
            entry["info"] = {"status_details": self.details}

    def _list(self, handler: Handler, asked: Asked) -> None:
        entries = sorted(self.requests.values(), key=lambda entry: entry["created"], reverse=True)
        if not self.ignores_filters:
            entries = [
                entry
                for entry in entries
                if entry["status"] in asked.query.get("status", "pinned").split(",")
                and entry["pin"]["cid"] == asked.query.get("cid", entry["pin"]["cid"])
                and entry["created"] < asked.query.get("before", "9")
            ]
        self._say(handler, 200, {"count": len(entries), "results": entries[: self.page]})

    def _say(self, handler: Handler, status: int, document: object) -> None:
        handler.reply(status, json.dumps(document).encode())


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def server(service: Service) -> Iterator[LocalServer]:
    with LocalServer(service.answer) as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def store(server: LocalServer, slept: list[float]) -> PinningStore:
    return PinningStore(
        place_of(f"{server.url}/psa"), Credential("Bearer", "t0ken"), wait=60, poll=5, sleep=slept.append
    )


def test_a_service_is_a_store(store: PinningStore, server: LocalServer) -> None:
    assert isinstance(store, Store)
    assert isinstance(open_store(f"pin:{server.url}/psa"), PinningStore)


def test_pinning_waits_until_the_service_has_everything(
    store: PinningStore, service: Service, server: LocalServer, slept: list[float]
) -> None:
    store.origins = ("/ip4/203.0.113.7/tcp/4001/p2p/12D3",)
    assert not store.has(CID)
    store.pin(CID)
    assert slept == [5, 5]
    assert store.has(CID)
    assert store.pins() == {CID}
    (sent,) = (json.loads(asked.body) for asked in server.asked if asked.method == "POST")
    assert sent == {"cid": CID, "origins": ["/ip4/203.0.113.7/tcp/4001/p2p/12D3"]}


def test_what_is_pinned_or_under_way_is_not_asked_for_again(store: PinningStore, service: Service) -> None:
    service.add(CID, "queued")
    store.pin(CID)
    store.pin(CID)
    store.request_all([CID, CID])
    assert len(service.requests) == 1


def test_a_failure_is_told_in_the_services_words(store: PinningStore, service: Service) -> None:
    service.outcome, service.details = "failed", "DAG too big"
    with pytest.raises(LlamafundError, match="It said: DAG too big"):
        store.pin(CID)


def test_waiting_has_an_end(store: PinningStore, service: Service, slept: list[float]) -> None:
    service.looks = 10**6
    with pytest.raises(NodeUnreachableError, match="after 60 seconds: it is pinning") as caught:
        store.pin(CID)
    assert caught.value.exit_code is ExitCode.NODE_UNREACHABLE
    assert sum(slept) == 60


def test_all_pages_are_read(store: PinningStore, service: Service) -> None:
    cids = {hash_bytes(bytes((number,))).cid for number in range(35)}
    for cid in cids:
        service.add(cid)
    assert store.pins() == cids


def test_a_service_that_ignores_filters_harms_nobody(store: PinningStore, service: Service) -> None:
    other = hash_bytes(b"other").cid
    service.add(other)
    service.add("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")
    service.ignores_filters, service.page = True, 1
    assert not store.has(CID)
    store.unpin(CID)
    assert len(service.requests) == 2


def test_unpinning_removes_every_request_for_the_address(store: PinningStore, service: Service) -> None:
    for status in ("pinned", "queued", "failed"):
        service.add(CID, status)
    other = service.add(hash_bytes(b"other").cid)
    store.unpin(CID)
    store.unpin(CID)
    assert list(service.requests) == [other]


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BAD_REQUEST", LlamafundError),
        (404, "NOT_FOUND", MissingContentError),
        (409, "INSUFFICIENT_FUNDS", LlamafundError),
        (500, "INTERNAL_SERVER_ERROR", NodeUnreachableError),
        (429, "TOO_MANY_REQUESTS", NodeUnreachableError),
    ],
)
def test_the_specifications_errors_are_passed_on(
    store: PinningStore, service: Service, status: int, reason: str, kind: type[LlamafundError]
) -> None:
    body = json.dumps({"error": {"reason": reason, "details": "Optional explanation"}}).encode()
    service.failure = (status, body)
    with pytest.raises(kind, match=f"{status}.*{reason}: Optional explanation"):
        store.request(CID)


def test_a_refused_token_is_not_shown(server: LocalServer) -> None:
    store = PinningStore(place_of(f"{server.url}/psa"), Credential("Bearer", "wr0ng"))
    with pytest.raises(LlamafundError, match="UNAUTHORIZED: Access token is missing") as caught:
        store.pins()
    assert "wr0ng" not in f"{caught.value}{store!r}"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"requestid": "", "status": "pinned", "created": "x", "pin": {"cid": "x"}}',
        b'{"requestid": "..", "status": "pinned", "created": "x", "pin": {"cid": "x"}}',
        b'{"requestid": "a", "status": "dancing", "created": "x", "pin": {"cid": "x"}}',
        b'{"requestid": "a", "status": "pinned", "created": "x", "pin": {"cid": "bafyother"}}',
        b'{"requestid": "a", "status": ["pinned"], "created": "x", "pin": "x"}',
        b"[" * 100_000,
        b" " * 5_000_000,
    ],
)
def test_answers_that_no_service_gives_are_refused(store: PinningStore, service: Service, body: bytes) -> None:
    service.failure = (200, body)
    with pytest.raises(VerificationError):
        store.request(CID)
    with pytest.raises(VerificationError):
        store.pins()


def test_a_service_takes_and_gives_no_bytes(store: PinningStore, server: LocalServer, tmp_path: Any) -> None:
    for action in (
        lambda: store.put_bytes(b"x"),
        lambda: store.put_file(tmp_path),
        lambda: store.stream(CID),
        lambda: store.fetch(CID, tmp_path / "out"),
        lambda: store.read(CID, limit=3),
    ):
        with pytest.raises(UsageError, match="neither takes nor returns bytes"):
            action()
    assert server.asked == []
