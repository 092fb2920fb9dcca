"""HTTP servers on a port that the system chooses, which count what they are asked and misbehave on demand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Handler(BaseHTTPRequestHandler):
    """One request; `answer` of the server does the work."""

    protocol_version = "HTTP/1.1"
    # Two small packets would wait for one another.
    wbufsize = -1
    server: LocalServer

    def log_message(self, *_: Any) -> None:
        pass

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(
        self,
        pieces: Iterator[bytes],
        *,
        trailer: str = "",
        broken: bool = False,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """A chunked answer, as Kubo streams; with an error in a trailer, or cut off."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        if trailer:
            self.send_header("Trailer", "X-Stream-Error")
        self.end_headers()
        for piece in pieces:
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if broken:
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n" + (f"X-Stream-Error: {trailer}\r\n".encode() if trailer else b"") + b"\r\n")

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        data = self.body()
        asked = Asked(self.command, parts.path, parse_qsl(parts.query), dict(self.headers), data)
        self.server.asked.append(asked)
        self.server.answer(self, asked)

    do_GET = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().finish()


class Asked:
    """A request."""

    def __init__(
        self, method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
    ) -> None:
        self.method = method
        self.path = path
        self.query = dict(query)
        self.headers = headers
        self.body = body


class LocalServer(ThreadingHTTPServer):
    """Serves until the block ends.

    Args:
        answer: Answers one request.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Callable[[Handler, Asked], None]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> LocalServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass
