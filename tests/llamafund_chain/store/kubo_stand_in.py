"""The part of Kubo's RPC interface that is used, as https://docs.ipfs.tech/reference/kubo/rpc/ describes it.

It keeps blocks and nothing else, and knows nothing of the code under test but the reader of CAR files and nodes,
which other tests compare with other programs.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from http_servers import Asked, Handler, LocalServer

from llamafund_chain.evidence.file_dag import cid_from_bytes
from llamafund_chain.store.ipfs.car import CarReader
from llamafund_chain.store.ipfs.unixfs import cid_to_bytes, decode_node, is_leaf


class KuboStandIn:
    """A node with blocks and pins, and ways to misbehave.

    Attributes:
        blocks: By address.
        pinned: Addresses.
        token: What `Authorization` must be; anything when empty.
        pin_error: Said in `PinErrorMsg` and by `pin/add`.
        import_error: Said in a trailer after half of an import's answer.
        drop_from_import: Number of blocks that an import forgets.
        cat_limit: Bytes after which `cat` ends with an error in a trailer; for `cat_breaks` with a closed connection.
        cat_trailers: How many times it does so.
        wrong_bytes: Whether `cat` changes a byte.
        wrong_block: Whether `block/get` changes a byte.
        status: Status code of every answer that is not 200, with `error` as its body.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}
        self.pinned: set[str] = set()
        self.version = "0.43.0"
        self.token = ""
        self.pin_error = ""
        self.import_error = ""
        self.drop_from_import = 0
        self.cat_limit: int | None = None
        self.cat_breaks = False
        self.cat_trailers = 10**9
        self.wrong_bytes = False
        self.wrong_block = False
        self.status = 200
        self.error = b""
        self.redirect = ""
        self.imports = 0
        self.fail_import: int | None = None

    def serve(self) -> LocalServer:
        return LocalServer(self.answer)

    def answer(self, handler: Handler, asked: Asked) -> None:
        if asked.method != "POST":
            handler.reply(405, b"405 - Method Not Allowed\n")
            return
        if self.redirect:
            handler.reply(307, b"", {"Location": self.redirect})
            return
        if self.token and asked.headers.get("Authorization") != self.token:
            handler.reply(403, b"403 - Forbidden")
            return
        if self.status != 200:
            handler.reply(self.status, self.error)
            return
        name = asked.path.removeprefix("/api/v0/").replace("/", "_")
        action = getattr(self, f"do_{name}", None)
        if action is None:
            handler.reply(404, b"404 page not found\n")
            return
        try:
            action(handler, asked)
        except _Error as error:
            handler.reply(500, json.dumps({"Message": str(error), "Code": 0, "Type": "error"}).encode())

    def do_version(self, handler: Handler, asked: Asked) -> None:
        handler.reply(200, json.dumps({"Version": self.version, "Commit": "", "Repo": "16"}).encode())

    def do_id(self, handler: Handler, asked: Asked) -> None:
        handler.reply(200, json.dumps({"ID": "12D3", "Addresses": ["/ip4/203.0.113.7/tcp/4001/p2p/12D3"]}).encode())

    def do_block_stat(self, handler: Handler, asked: Asked) -> None:
        cid = asked.query["arg"]
        assert asked.query.get("offline") == "true", "it would look for the block in the whole network"
        handler.reply(200, json.dumps({"Key": cid, "Size": len(self.block(cid))}).encode())

    def do_block_get(self, handler: Handler, asked: Asked) -> None:
        block = self.block(asked.query["arg"])
        handler.stream(iter((block[:-1] + bytes((block[-1] ^ 1,)) if self.wrong_block else block,)))

    def do_refs(self, handler: Handler, asked: Asked) -> None:
        assert (asked.query["recursive"], asked.query.get("offline")) == ("true", "true")
        self.block(asked.query["arg"])

        def lines() -> Iterator[bytes]:
            try:
                for cid in self.below(asked.query["arg"]):
                    yield json.dumps({"Ref": cid, "Err": ""}).encode() + b"\n"
            except _Error as error:
                yield json.dumps({"Ref": "", "Err": str(error)}).encode() + b"\n"

        handler.stream(lines())

    def do_pin_add(self, handler: Handler, asked: Asked) -> None:
        assert asked.query.get("offline") == "true", "it would wait for blocks that nobody has"
        cid = asked.query["arg"]
        if self.pin_error:
            raise _Error(self.pin_error)
        self.block(cid)
        list(self.below(cid))
        self.pinned.add(cid)
        handler.stream(iter((json.dumps({"Pins": [cid]}).encode() + b"\n",)))

    def do_pin_rm(self, handler: Handler, asked: Asked) -> None:
        cid = asked.query["arg"]
        if cid not in self.pinned:
            raise _Error("not pinned or pinned indirectly")
        self.pinned.remove(cid)
        handler.reply(200, json.dumps({"Pins": [cid]}).encode())

    def do_pin_ls(self, handler: Handler, asked: Asked) -> None:
        assert asked.query["type"] == "recursive"
        others = ["QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"]
        lines = (json.dumps({"Cid": cid, "Type": "recursive"}).encode() + b"\n" for cid in sorted(self.pinned) + others)
        handler.stream(lines)

    def do_dag_import(self, handler: Handler, asked: Asked) -> None:
        assert {name: asked.query[name] for name in ("silent", "stats", "allow-big-block")} == {
            "silent": "false",
            "stats": "true",
            "allow-big-block": "false",
        }
        if self.fail_import == self.imports:
            handler.close_connection = True
            handler.connection.close()
            return
        self.imports += 1
        reader = CarReader(io.BytesIO(multipart_file(asked)).read, "the upload")
        frames = list(reader)
        for frame in frames[self.drop_from_import :]:
            self.blocks[cid_from_bytes(frame.cid)] = frame.block
        lines: list[dict[str, Any]] = []
        if asked.query["pin-roots"] == "true":
            for root in (root.text for root in reader.roots):
                lines.append({"Root": {"Cid": {"/": root}, "PinErrorMsg": self.pin_error}})
                if not self.pin_error:
                    self.pinned.add(root)
        if self.import_error:
            handler.stream((json.dumps(line).encode() + b"\n" for line in lines), trailer=self.import_error)
            return
        count = len(frames) - self.drop_from_import
        size = sum(len(frame.block) for frame in frames)
        lines.append({"Stats": {"BlockCount": count, "BlockBytesCount": size}})
        handler.stream(json.dumps(line).encode() + b"\n" for line in lines)

    def do_cat(self, handler: Handler, asked: Asked) -> None:
        data = self.content(asked.query["arg"])
        offset, length = int(asked.query["offset"]), int(asked.query["length"])
        wanted = data[offset : offset + length]
        if self.wrong_bytes:
            wanted = bytes((wanted[0] ^ 1,)) + wanted[1:]
        pieces = (wanted[place : place + 100_000] for place in range(0, len(wanted), 100_000))
        if self.cat_limit is not None and self.cat_limit < len(wanted) and self.cat_trailers:
            self.cat_trailers -= 1
            cut = iter((wanted[: self.cat_limit],))
            if self.cat_breaks:
                handler.stream(cut, broken=True)
            else:
                handler.stream(cut, trailer="unexpected EOF")
            return
        handler.stream(pieces)

    def block(self, cid: str) -> bytes:
        if cid not in self.blocks:
            raise _Error(f"block was not found locally (offline): ipld: could not find {cid}")
        return self.blocks[cid]

    def below(self, cid: str) -> Iterator[str]:
        if not is_leaf(cid_to_bytes(cid)):
            for link in decode_node(self.block(cid)) or ():
                child = cid_from_bytes(link.cid)
                self.block(child)
                yield child
                yield from self.below(child)

    def content(self, cid: str) -> bytes:
        if is_leaf(cid_to_bytes(cid)):
            return self.block(cid)
        links = decode_node(self.block(cid))
        assert links is not None
        return b"".join(self.content(cid_from_bytes(link.cid)) for link in links)


class _Error(Exception):
    pass


def multipart_file(asked: Asked) -> bytes:
    """The one file of an upload (RFC 7578)."""
    kind, _, boundary = asked.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    mark = b"--" + boundary.strip('"').encode()
    assert asked.body.startswith(mark + b"\r\n")
    head, _, rest = asked.body[len(mark) + 2 :].partition(b"\r\n\r\n")
    assert b"filename=" in head
    end = b"\r\n" + mark + b"--"
    place = rest.rindex(end)
    assert rest[place + len(end) :].strip() == b""
    return rest[:place]
