"""Serves the built page on this machine, with the headers that a static file cannot set, and a store beside it.

The page asks its own server for manifests and blocks of files as it asks any gateway (`/ipfs/<cid>?format=raw`), and
hashes what it gets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import urlencode

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES
from llamafund_chain.store.base import MissingContentError, Source, is_cid
from llamafund_chain.store.blocks import Blocks

HOST = "127.0.0.1"

_BLOCK_LIMIT = max(MAX_MANIFEST_BYTES, 1 << 20)
"""Bytes of the largest block that is served: those of the largest leaves."""

_SECONDS = 30.0
"""How long a connection may say nothing."""

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}

_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@cache
def site() -> dict[str, bytes]:
    """The built page's files by their path, with a slash in front."""
    root = files(__package__).joinpath("site")
    folders = [("/", root)]
    found: dict[str, bytes] = {}
    while folders:
        path, folder = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((f"{path}{entry.name}/", entry))
            else:
                found[path + entry.name] = entry.read_bytes()
    return found


def place(chain_id: int | None, campaign: str | None, rpc: str | None) -> str:
    """The part of the page's address that says what it shows.

    Args:
        chain_id: EIP-155 number; `None` for the first screen.
        campaign: Address; `None` for the list.
        rpc: The node that the page shall ask; `None` if its reader chooses.
    """
    path = "/".join([] if chain_id is None else [str(chain_id), *([] if campaign is None else [campaign])])
    return f"#/{path}" + ("" if rpc is None else f"?{urlencode({'rpc': rpc})}")


@contextmanager
def serving(port: int, store: Source | None = None, first: str = "#/") -> Iterator[str]:
    """Serve the page until the block ends; gives its address.

    Args:
        port: 0 picks a free one.
        store: Where manifests and files are; `None` serves none.
        first: Where `/open` leads, see `place`.

    Raises:
        UsageError: The port is taken.
    """
    try:
        blocks = None if store is None else Blocks(store, _BLOCK_LIMIT)
        server = ThreadingHTTPServer((HOST, port), _handler(blocks, first))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"The page cannot be served on port {port}", str(error), "Choose another --port, or 0 for a free one"
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def _handler(blocks: Blocks | None, first: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS

        def do_GET(self) -> None:
            self._reply(with_body=True)

        def do_HEAD(self) -> None:
            self._reply(with_body=False)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
            """Say nothing: what somebody looks at stays with them."""

        def _reply(self, *, with_body: bool) -> None:
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            # Another site whose name was pointed at this machine reads nothing here.
            answer = _answer(self.path, blocks, first) if host in (HOST, "localhost") else _FOREIGN
            self.send_response(answer.status)
            for name, value in {**_HEADERS, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if with_body:
                self.wfile.write(answer.body)

    return Handler


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]


_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_FOREIGN = _Answer(HTTPStatus.FORBIDDEN, b"Open this page as http://127.0.0.1\n", _TEXT)


def _answer(target: str, blocks: Blocks | None, first: str) -> _Answer:
    path = target.partition("?")[0]
    if path == "/open":
        return _Answer(HTTPStatus.SEE_OTHER, b"", {**_TEXT, "Location": f"/{first}"})
    path = "/index.html" if path == "/" else path
    content = site().get(path)
    if content is not None:
        kind = _KINDS.get(path[path.rfind(".") :], "application/octet-stream")
        return _Answer(HTTPStatus.OK, content, {"Content-Type": kind})
    cid = path.removeprefix("/ipfs/")
    if blocks is None or cid == path or not is_cid(cid):
        return _Answer(HTTPStatus.NOT_FOUND, b"There is nothing here\n", _TEXT)
    try:
        block = blocks.read(cid)
    except (MissingContentError, UsageError):
        return _Answer(HTTPStatus.NOT_FOUND, b"The store does not have it\n", _TEXT)
    except LlamafundError:
        # Trouble with the store says nothing about what it has.
        return _Answer(HTTPStatus.BAD_GATEWAY, b"The store could not be read\n", _TEXT)
    return _Answer(HTTPStatus.OK, block, {"Content-Type": "application/vnd.ipld.raw"})
