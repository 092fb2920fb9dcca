"""IPFS gateways, several at once, none of them trusted.

Requests are only for what can be verified: blocks (`?format=raw`) and CAR files (`?format=car`) of the trustless
gateway specification, https://specs.ipfs.tech/http-gateways/trustless-gateway/. Each block is compared with its
address before any of its bytes are used, so one honest gateway among liars is enough.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, VerificationError, WrongAnswerError
from llamafund_chain.evidence.file_dag import Link, ReadAt, cid_from_bytes, matches
from llamafund_chain.evidence.profiles import V1_2025
from llamafund_chain.http.patience import Patience
from llamafund_chain.http.transport import Reply, TooLongError
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, check_cid
from llamafund_chain.store.http.client import Credential, Place, WebClient, breaking_off
from llamafund_chain.store.http.resume import ReadOnlyStore, Repair
from llamafund_chain.store.ipfs.car import CarReader, MalformedError
from llamafund_chain.store.ipfs.unixfs import MAX_BLOCK, cid_to_bytes, decode_node, is_leaf
from llamafund_chain.store.sources import reason_of, worst_kind

BLOCK_SECONDS = 60.0
"""How long a gateway may take for one request, however much it sends."""

_RUN = 8 * 1024 * 1024
"""Bytes of the leaves of one CAR request."""

_STRIKES = 2
"""Failures in a row after which a gateway is asked only for what no other one has. Only a lie drops it."""

_UNTYPED = ("", "application/octet-stream", "binary/octet-stream")
"""What servers call bytes that they know nothing about."""

_MAX_DEPTH = 8
# 174 ** 8 leaves are far more than any disk holds.


@dataclass
class _Gateway:
    """A gateway and what it did so far.

    Attributes:
        client: Sends requests to it.
        strikes: Failures in a row.
        dropped: Why it is asked for nothing more; empty otherwise.
        aside: Whether it is asked last.
        cars: Whether it is asked for CAR files.
        car_strikes: Requests for CAR files that brought nothing.
    """

    client: WebClient
    strikes: int = 0
    dropped: str = ""
    aside: bool = False
    cars: bool = True
    car_strikes: int = 0

    @property
    def url(self) -> str:
        return self.client.place.url


class GatewayStore(ReadOnlyStore):
    """Several gateways as one store. If one does not have a block, or garbles it, the next one is asked.

    Args:
        places: Where they are, the preferred one first.
        credentials: The credential of each, by address.
        seconds: How long one request may take in all.
        report: Called for each gateway that is dropped or set aside, with the reason.
        patience: For gateways that break off when no other one delivers.
    """

    def __init__(
        self,
        places: Sequence[Place],
        credentials: dict[str, Credential] | None = None,
        *,
        seconds: float = BLOCK_SECONDS,
        report: Callable[[str], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        known = credentials or {}
        self._gateways = [
            _Gateway(WebClient(place, known.get(place.url), seconds=seconds)) for place in dict.fromkeys(places)
        ]
        self._report = report
        self._patience = Patience(report=report) if patience is None else patience
        self._lock = threading.Lock()
        self._turn = 0

    def __repr__(self) -> str:
        return f"GatewayStore({self.location!r})"

    @property
    def location(self) -> str:
        """`gateway:` and the addresses."""
        return "gateway:" + ",".join(gateway.url for gateway in self._gateways)

    @property
    def dropped(self) -> dict[str, str]:
        """Gateways that lied, by address, with the reason."""
        with self._lock:
            return {gateway.url: gateway.dropped for gateway in self._gateways if gateway.dropped}

    def has(self, cid: str) -> bool:
        """See `Store.has`: whether some gateway has the first block."""
        check_cid(cid)
        try:
            self._block(cid_to_bytes(cid))
        except MissingContentError:
            return False
        return True

    def _spans(self, cid: str, start: int) -> Iterator[bytes]:
        """Verified bytes from an offset on."""
        binary = cid_to_bytes(cid)
        root = self._block(binary)
        if is_leaf(binary):
            yield root[start:]
            return
        links = self._links(binary, root)
        # One request per gateway, and one whose result is in use.
        with ThreadPoolExecutor(max_workers=min(len(self._gateways) + 1, 4), thread_name_prefix="gateway") as pool:
            waiting: deque[tuple[int, Future[list[bytes]]]] = deque()
            runs = self._runs(binary, links, start, 0)
            try:
                for offset, parent, first, run in runs:
                    waiting.append((offset, pool.submit(self._leaves, parent, first, run)))
                    if len(waiting) > len(self._gateways):
                        yield from _cut(waiting.popleft(), start)
                while waiting:
                    yield from _cut(waiting.popleft(), start)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _runs(
        self, binary: bytes, links: Sequence[Link], start: int, offset: int, depth: int = 0
    ) -> Iterator[tuple[int, bytes, int, Sequence[Link]]]:
        """Neighbouring leaves to request together: their offset in the file, parent, first byte below it."""
        if depth > _MAX_DEPTH:
            raise _strange(binary)
        if all(is_leaf(link.cid) for link in links):
            most = max(1, _RUN // max(links[0].size, 1))
            for place in range(0, len(links), most):
                run = links[place : place + most]
                first = sum(link.size for link in links[:place])
                if offset + first + sum(link.size for link in run) > start:
                    yield offset + first, binary, first, run
            return
        for link in links:
            if offset + link.size > start:
                if is_leaf(link.cid):
                    raise _strange(binary)
                below = self._links(link.cid, self._block(link.cid), size=link.size)
                yield from self._runs(link.cid, below, start, offset, depth + 1)
            offset += link.size

    def _links(self, binary: bytes, block: bytes, *, size: int | None = None) -> tuple[Link, ...]:
        links = decode_node(block)
        if links is None or any(link.size > V1_2025.leaf_size for link in links if is_leaf(link.cid)):
            raise _strange(binary)
        if size is not None and sum(link.size for link in links) != size:
            raise _strange(binary)
        return links

    def _leaves(self, parent: bytes, first: int, run: Sequence[Link]) -> list[bytes]:
        """Some neighbouring leaves: by CAR from one gateway, and the missing ones one by one from any gateway."""
        wanted = {link.cid: link.size for link in run}
        found: dict[bytes, bytes] = {}
        gateway = self._next(car=True) if len(run) > 1 else None
        if gateway is not None:
            last = first + sum(link.size for link in run) - 1
            self._take(gateway, parent, f"{first}:{last}", wanted, found)
        for cid, size in wanted.items():
            if cid not in found:
                found[cid] = self._block(cid, size)
            if len(found[cid]) != size:
                raise _strange(parent)
        return [found[link.cid] for link in run]

    def _take(
        self, gateway: _Gateway, parent: bytes, span: str, wanted: dict[bytes, int], found: dict[bytes, bytes]
    ) -> None:
        """The leaves of these that one gateway has, by CAR. After an odd answer it is asked for blocks only."""
        try:
            self._collect(gateway, parent, span, wanted, found)
        except MissingContentError:
            return
        except LlamafundError as error:
            lied = isinstance(error, VerificationError) and not isinstance(error, MalformedError)
            if lied or (not found and isinstance(error, NodeUnreachableError)):
                self._failed(gateway, error, lied=lied)
            gateway.car_strikes += 1
            # It may only have no time now.
            if not found and isinstance(error, BrokeOffError) and gateway.car_strikes < _STRIKES:
                return
        if len(found) < len(wanted):
            # Also if it has only a part, or the connection broke: block by block is surer.
            gateway.cars = False

    def _collect(
        self, gateway: _Gateway, parent: bytes, span: str, wanted: dict[bytes, int], found: dict[bytes, bytes]
    ) -> None:
        params = {"format": "car", "dag-scope": "entity", "entity-bytes": span}
        accept = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
        with gateway.client.request(
            "GET", f"/ipfs/{cid_from_bytes(parent)}", params=params, headers={"Accept": accept}, what="Blocks"
        ) as reply:
            if _media_type(reply) not in ("application/vnd.ipld.car", *_UNTYPED):
                raise OtherFormError(f"The gateway {gateway.url} sent {_media_type(reply)} instead of a CAR file")
            strangers = 0
            for frame in CarReader(_reader(reply), gateway.url):
                if frame.cid in wanted:
                    found[frame.cid] = frame.block
                    if len(found) == len(wanted):
                        # It may go on with the rest of the file, which this request does not need.
                        break
                elif frame.cid != parent:
                    strangers += 1
                    # A gateway without entity-bytes first sends the leaves before these: at most those of one node.
                    if strangers > 200:
                        break

    def _block(self, cid: bytes, size: int | None = None) -> bytes:
        """One verified block from any gateway that has it.

        Args:
            cid: Its address.
            size: Its length, if a verified node says so.

        Raises:
            MissingContentError: All gateways answered, and none has it.
            WrongAnswerError: None has it, and one sent other bytes.
            NodeUnreachableError: None has it, and one did not answer or broke off.
            OtherFormError: None has it, and one sent something else than blocks.
        """
        name = cid_from_bytes(cid)
        for attempt in itertools.count(1):
            problems: list[LlamafundError] = []
            asked: set[str] = set()
            while (gateway := self._next(without=asked)) is not None:
                asked.add(gateway.url)
                try:
                    block = self._ask(gateway, cid, name, size)
                except LlamafundError as error:
                    problems.append(error)
                    if not isinstance(error, MissingContentError):
                        self._failed(gateway, error, lied=isinstance(error, VerificationError))
                    continue
                with self._lock:
                    gateway.strikes, gateway.aside = 0, False
                return block
            busy = [problem for problem in problems if isinstance(problem, BrokeOffError)]
            waits = [problem.wait for problem in busy if problem.wait is not None]
            if not busy or not self._patience.wait(busy[0].what, attempt, min(waits, default=None)):
                break
        raise self._nobody(name, problems)

    def _ask(self, gateway: _Gateway, cid: bytes, name: str, size: int | None) -> bytes:
        """One verified block from one gateway; otherwise an error that tells a lie from other failures."""
        headers = {"Accept": "application/vnd.ipld.raw"}
        with gateway.client.request(
            "GET", f"/ipfs/{name}", params={"format": "raw"}, headers=headers, what=name
        ) as reply:
            kind = _media_type(reply)
            try:
                with breaking_off():
                    block = reply.read_exactly(MAX_BLOCK)
            except TooLongError as error:
                block, problem = b"", error.what
            else:
                if matches(cid, block):
                    return block
                problem = f"The gateway {gateway.url} sent other bytes for {name}"
        if kind not in ("application/vnd.ipld.raw", *(_UNTYPED if is_leaf(cid) else ())):
            # A page of a portal or a whole file: it does not know what was asked for.
            raise OtherFormError(
                f"The gateway {gateway.url} sent {kind or 'something'} instead of the block {name}",
                "It may want a login, or not know requests for blocks",
                "Use another gateway",
            )
        if size is not None and 0 < len(block) < size:
            raise BrokeOffError(f"The gateway {gateway.url} sent {len(block)} of {size} bytes of {name}")
        raise WrongAnswerError(problem, "It is broken or lies")

    def _length(self, cid: str) -> int | None:
        binary = cid_to_bytes(cid)
        try:
            root = self._block(binary)
            return len(root) if is_leaf(binary) else sum(link.size for link in self._links(binary, root))
        except LlamafundError:
            return None

    def _repair(self, cid: str) -> Repair:
        binary = cid_to_bytes(cid)

        def repair(read_at: ReadAt, length: int) -> Iterator[tuple[int, bytes]]:
            end = 0
            for offset, link in self._all_leaves(binary, length):
                end = offset + link.size
                if not matches(link.cid, read_at(offset, link.size)):
                    yield offset, self._block(link.cid, link.size)
            if end < length:
                yield end, b""

        return repair

    def _all_leaves(self, binary: bytes, length: int) -> Iterator[tuple[int, Link]]:
        """The leaves of the first bytes of a file, with their offsets."""
        root = self._block(binary)
        if is_leaf(binary):
            yield 0, Link(binary, len(root), len(root))
            return
        for offset, _, _, run in self._runs(binary, self._links(binary, root), 0, 0):
            for link in run:
                if offset >= length:
                    return
                yield offset, link
                offset += link.size

    def _nobody(self, name: str, problems: Sequence[LlamafundError]) -> LlamafundError:
        dropped = [WrongAnswerError(f"{url}: {reason}") for url, reason in self.dropped.items()]
        told = [*dropped, *problems] if dropped else problems
        return worst_kind(told)(
            f"No gateway delivered {name}",
            "; ".join(dict.fromkeys(map(reason_of, told)))[:1000],
            "Name another gateway, or ask whoever published it to keep it available",
        )

    def _next(self, *, without: frozenset[str] | set[str] = frozenset(), car: bool = False) -> _Gateway | None:
        """The next gateway. They take turns, so that all of them are busy; those that failed come last."""
        with self._lock:
            usable = [
                gateway
                for gateway in self._gateways
                if not gateway.dropped
                and gateway.url not in without
                and (not car or (gateway.cars and not gateway.aside))
            ]
            usable = [gateway for gateway in usable if not gateway.aside] or usable
            if not usable:
                return None
            self._turn += 1
            return usable[self._turn % len(usable)]

    def _failed(self, gateway: _Gateway, error: LlamafundError, *, lied: bool) -> None:
        with self._lock:
            gateway.strikes += 1
            if gateway.dropped or not (lied or (gateway.strikes >= _STRIKES and not gateway.aside)):
                return
            if lied:
                gateway.dropped = error.what
            gateway.aside = True
        if self._report is not None:
            fate = "is dropped" if lied else "is asked last from now on"
            self._report(f"The gateway {gateway.url} {fate}: {error}")


def _cut(piece: tuple[int, Future[list[bytes]]], start: int) -> Iterator[bytes]:
    offset, future = piece
    for block in future.result():
        if offset + len(block) > start:
            yield block[max(start - offset, 0) :]
        offset += len(block)


def _reader(reply: Reply) -> Callable[[int], bytes]:
    """Small reads from a reply, through a buffer."""
    buffer = bytearray()

    def read(amount: int) -> bytes:
        if not buffer:
            buffer.extend(reply.read())
        piece = bytes(buffer[:amount])
        del buffer[:amount]
        return piece

    return read


def _media_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()[:80]


def _strange(binary: bytes) -> OtherFormError:
    return OtherFormError(
        f"{cid_from_bytes(binary)} is not a file of the kind that evidence uses",
        "It is a directory, or was added with other settings than ipfs add --cid-version=1",
        "Ask whoever published it for the address that the manifest names",
    )
