"""Gateways as https://specs.ipfs.tech/http-gateways/trustless-gateway/ describes them, honest and other."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from http_servers import Asked, Handler, LocalServer

from llamafund_chain.evidence.file_dag import cid_from_bytes
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes, decode_node, is_leaf


class GatewayStandIn:
    """A gateway over some blocks.

    Attributes:
        blocks: By address.
        cars: Whether it knows CAR requests; with `False` it answers 406.
        ranges: Whether it knows `entity-bytes`; otherwise it sends everything.
        lies: Whether it changes a byte of every leaf.
        breaks_after: Number of blocks of a CAR after which the connection breaks.
        empty_cars: Whether its CAR files have a header and no blocks.
        endless: Whether it sends a block that never ends.
        hangs: Whether it answers nothing until `release` is set.
        redirect: Where it redirects to; `%s` is the path.
    """

    def __init__(self, blocks: dict[str, bytes]) -> None:
        self.blocks = blocks
        self.cars = True
        self.ranges = True
        self.lies = False
        self.breaks_after: int | None = None
        self.empty_cars = False
        self.endless = False
        self.hangs = False
        self.release = threading.Event()
        self.redirect = ""
        self.status = 200

    def serve(self) -> LocalServer:
        return LocalServer(self.answer)

    def answer(self, handler: Handler, asked: Asked) -> None:
        if self.redirect:
            handler.reply(302, b"", {"Location": self.redirect.replace("%s", asked.path + "?format=raw")})
            return
        if self.hangs:
            self.release.wait(10)
        if self.status != 200:
            handler.reply(self.status, b"<html>sorry")
            return
        cid = asked.path.removeprefix("/ipfs/")
        form = asked.query["format"]
        assert asked.headers["Accept"].startswith(
            {"raw": "application/vnd.ipld.raw", "car": "application/vnd.ipld.car"}[form]
        )
        if form == "car" and not self.cars:
            handler.reply(406, b"no CAR here")
        elif cid not in self.blocks:
            handler.reply(404, b"ipld: could not find " + cid.encode())
        elif form == "raw" and self.endless:
            handler.stream(b"x" * 1_000_000 for _ in range(1_000))
        elif form == "raw":
            handler.reply(200, self._altered(cid), {"Content-Type": "application/vnd.ipld.raw"})
        else:
            self._car(handler, cid, asked)

    def _altered(self, cid: str) -> bytes:
        block = self.blocks[cid]
        if self.lies and is_leaf(cid_to_bytes(cid)):
            return bytes((block[0] ^ 1,)) + block[1:]
        return block

    def _car(self, handler: Handler, cid: str, asked: Asked) -> None:
        first, last = (int(end) for end in asked.query["entity-bytes"].split(":"))
        assert asked.query["dag-scope"] == "entity"
        if not self.ranges:
            first, last = 0, 2**62
        root = cid_to_bytes(cid)
        blocks = ((binary, self._altered(cid_from_bytes(binary))) for binary in self._within(root, 0, first, last))
        pieces = car.write([root], () if self.empty_cars else blocks)
        if self.breaks_after is not None:
            some = (piece for _, piece in zip(range(self.breaks_after + 1), pieces, strict=False))
            handler.stream(some, broken=True)
        else:
            handler.stream(pieces)

    def _within(self, binary: bytes, offset: int, first: int, last: int) -> Iterator[bytes]:
        yield binary
        if is_leaf(binary):
            return
        for link in decode_node(self.blocks[cid_from_bytes(binary)]) or ():
            if offset <= last and offset + link.size > first:
                yield from self._within(link.cid, offset, first, last)
            offset += link.size


def blocks_of(data: bytes) -> tuple[str, dict[str, bytes]]:
    """The address of a file and all its blocks."""
    from llamafund_chain.evidence.file_dag import FileDag

    dag = FileDag.of(iter((data,)))
    found = dag.blocks(lambda offset, length: data[offset : offset + length])
    return dag.cid, {cid_from_bytes(cid): block for cid, block in found}
