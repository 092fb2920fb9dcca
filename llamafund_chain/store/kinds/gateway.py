"""IPFS gateways, several at once, none of them trusted.

Requests are only for what can be verified: blocks (`?format=raw`) and CAR files (`?format=car`) of the trustless
gateway specification, https://specs.ipfs.tech/http-gateways/trustless-gateway/. Each block is compared with its
address before any of its bytes are used, so one honest gateway among liars is enough.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, VerificationError
from llamafund_chain.http.transport import Reply
from llamafund_chain.store.base import MissingContentError, RefusedError, check_cid
from llamafund_chain.store.http.client import Credential, Place, WebClient
from llamafund_chain.store.http.resume import ReadOnlyStore
from llamafund_chain.store.ipfs.car import CarReader
from llamafund_chain.store.ipfs.unixfs import (
    LEAF_SIZE,
    MAX_BLOCK,
    Link,
    cid_from_bytes,
    cid_to_bytes,
    decode_node,
    is_leaf,
    matches,
)

BLOCK_SECONDS = 60.0
"""How long a gateway may take for one request, however much it sends."""

_RUN = 32
"""Leaves per CAR request: 8 MiB."""

_STRIKES = 2
"""Failures in a row after which a gateway is dropped; one lie is enough. Failed requests for CAR files are counted
separately: blocks that the gateway delivers one by one do not make up for them."""

_MAX_DEPTH = 8
# 174 ** 8 leaves are far more than any disk holds.


@dataclass
class _Gateway:
    client: WebClient
    strikes: int = 0
    car_strikes: int = 0
    dropped: str = ""
    cars: bool = True

    @property
    def url(self) -> str:
        return self.client.place.url


class GatewayStore(ReadOnlyStore):
    """Several gateways as one store. If one does not have a block, or garbles it, the next one is asked.

    Args:
        places: Where they are, the preferred one first.
        credentials: The credential of each, by address.
        seconds: How long one request may take in all.
        report: Called for each gateway that is dropped, with the reason.
    """

    def __init__(
        self,
        places: Sequence[Place],
        credentials: dict[str, Credential] | None = None,
        *,
        seconds: float = BLOCK_SECONDS,
        report: Callable[[str], None] | None = None,
    ) -> None:
        known = credentials or {}
        self._gateways = [
            _Gateway(WebClient(place, known.get(place.url), seconds=seconds)) for place in dict.fromkeys(places)
        ]
        self._report = report
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
        """Dropped gateways, by address, with the reason."""
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
            for place in range(0, len(links), _RUN):
                run = links[place : place + _RUN]
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
        if links is None or any(link.size > LEAF_SIZE for link in links if is_leaf(link.cid)):
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
                found[cid] = self._block(cid)
            if len(found[cid]) != size:
                raise _strange(parent)
        return [found[link.cid] for link in run]

    def _take(
        self, gateway: _Gateway, parent: bytes, span: str, wanted: dict[bytes, int], found: dict[bytes, bytes]
    ) -> None:
        """The leaves of these that one gateway has, by CAR. The outcome decides whether it is dropped."""
        try:
            self._collect(gateway, parent, span, wanted, found)
            if not found:
                raise NodeUnreachableError(
                    f"The gateway {gateway.url} sent none of the requested blocks",
                    f"It answered for {cid_from_bytes(parent)} without any of {len(wanted)} blocks",
                )
        except MissingContentError:
            return
        except RefusedError:
            # Older gateways do not support CAR, but all support blocks.
            gateway.cars = False
            return
        except LlamafundError as error:
            if not found or isinstance(error, VerificationError):
                self._failed(gateway, error, car=True)
                return
        if len(found) == len(wanted):
            with self._lock:
                gateway.car_strikes = 0
        else:
            # It has only a part, or the connection broke: block by block is faster for the rest.
            gateway.cars = False

    def _collect(
        self, gateway: _Gateway, parent: bytes, span: str, wanted: dict[bytes, int], found: dict[bytes, bytes]
    ) -> None:
        params = {"format": "car", "dag-scope": "entity", "entity-bytes": span}
        accept = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
        with gateway.client.request(
            "GET", f"/ipfs/{cid_from_bytes(parent)}", params=params, headers={"Accept": accept}, what="Blocks"
        ) as reply:
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

    def _block(self, cid: bytes) -> bytes:
        """One verified block from any gateway that has it.

        Raises:
            MissingContentError: All gateways answered, and none has it.
            VerificationError: None has it, and one sent something else.
            NodeUnreachableError: None has it, and one did not answer.
        """
        name = cid_from_bytes(cid)
        problems: list[LlamafundError] = []
        asked: set[str] = set()
        while (gateway := self._next(without=asked)) is not None:
            asked.add(gateway.url)
            try:
                with gateway.client.request(
                    "GET",
                    f"/ipfs/{name}",
                    params={"format": "raw"},
                    headers={"Accept": "application/vnd.ipld.raw"},
                    what=name,
                ) as reply:
                    block = reply.read_exactly(MAX_BLOCK)
                if not matches(cid, block):
                    raise VerificationError(
                        f"The gateway {gateway.url} sent other bytes for {name}", "It is broken or lies", ""
                    )
            except LlamafundError as error:
                problems.append(error)
                if not isinstance(error, MissingContentError):
                    self._failed(gateway, error)
                continue
            with self._lock:
                gateway.strikes = 0
            return block
        raise self._nobody(name, problems)

    def _nobody(self, name: str, problems: Sequence[LlamafundError]) -> LlamafundError:
        dropped = "; ".join(f"{url}: {reason}" for url, reason in self.dropped.items())
        reasons = dropped or "; ".join(problem.what for problem in problems)
        worst: type[LlamafundError] = MissingContentError
        if dropped or any(not isinstance(problem, MissingContentError) for problem in problems):
            lies = any(isinstance(problem, VerificationError) for problem in problems)
            worst = VerificationError if lies else NodeUnreachableError
        return worst(
            f"No gateway delivered {name}",
            reasons[:1000],
            "Name another gateway, or ask whoever published it to keep it available",
        )

    def _next(self, *, without: frozenset[str] | set[str] = frozenset(), car: bool = False) -> _Gateway | None:
        """The next gateway. They take turns, so that all of them are busy."""
        with self._lock:
            usable = [
                gateway
                for gateway in self._gateways
                if not gateway.dropped and gateway.url not in without and (gateway.cars or not car)
            ]
            if not usable:
                return None
            self._turn += 1
            return usable[self._turn % len(usable)]

    def _failed(self, gateway: _Gateway, error: LlamafundError, *, car: bool = False) -> None:
        with self._lock:
            gateway.strikes += not car
            gateway.car_strikes += car
            lied = isinstance(error, VerificationError)
            if gateway.dropped or not (lied or max(gateway.strikes, gateway.car_strikes) >= _STRIKES):
                return
            gateway.dropped = error.what
        if self._report is not None:
            self._report(f"The gateway {gateway.url} is dropped: {error}")


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


def _strange(binary: bytes) -> VerificationError:
    return VerificationError(
        f"{cid_from_bytes(binary)} is not a file of the kind that evidence uses",
        "It is a directory, or was added with other settings than ipfs add --cid-version=1",
        "Ask whoever published it for the address that the manifest names",
    )
