"""How long one HTTP request may take in all, whatever the server sends meanwhile.

`requests` and urllib3 limit how long a server may be silent, but not how long it may go on. A server that now and then
sends a byte of a header, a chunk size or a trailer, or `100 Continue`, could hold its reader up forever. Here a timer
shuts down the connection, and bytes that are not content are counted. Only name lookup is left to the system's
resolver, which has its own limits.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any, Self

from llamafund_chain.errors import LlamafundError, NodeUnreachableError

STRIDE = 8 * 1024 * 1024
"""Bytes after which a deadline with a stride starts again."""

MAX_LINES = 256 * 1024
"""Most bytes of status lines, headers, chunk sizes and trailers, before, between or after the bytes of a body."""

_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class TooSlowError(NodeUnreachableError):
    """A server did not finish a request in time. Another attempt would take as long again."""


class Deadline:
    """Shuts down the connection of one request when its time is up. A context manager around the whole request.

    Args:
        seconds: Counted from now; with `stride`, again after every `stride` bytes.
        stride: Bytes, or `None`. A server that sends fewer bytes than this in `seconds` is too slow.
        most: Seconds in all, however fast the server is; `None` for no limit.
    """

    def __init__(self, seconds: float, *, stride: int | None = None, most: float | None = None) -> None:
        self._seconds = seconds
        self._stride = stride
        self._began = time.monotonic()
        self._end = None if most is None else self._began + most
        self._until = self._began + seconds
        self._limit()
        self._moved = 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._line: socket.socket | None = None

    def __enter__(self) -> Self:
        with self._lock:
            self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._forget()

    @property
    def left(self) -> float:
        """Seconds until the time is up; zero or less afterwards."""
        return self._until - time.monotonic()

    def moved(self, count: int) -> None:
        """Count bytes of content that went over the connection."""
        self._moved += count
        if self._stride is not None and self._moved >= self._stride:
            self._moved = 0
            self.renew(self._seconds)

    def renew(self, seconds: float) -> None:
        """Start again with `seconds` from now, unless the time is up already."""
        with self._lock:
            if self.left > 0:
                self._until = time.monotonic() + seconds
                self._limit()

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Watch the connection that a request in this block uses; see `watch_connections`."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextlib.contextmanager
    def enforced(self, place: str) -> Iterator[None]:
        """Turn every outcome of a connection that was shut down, even a complete-looking response, into one error.

        Args:
            place: The server, for messages.

        Raises:
            TooSlowError: The time was up before the end of the block.
        """
        try:
            yield
        except LlamafundError as error:
            if self.left > 0:
                raise
            raise self._error(place) from error
        if self.left <= 0:
            raise self._error(place)

    def watch(self, line: socket.socket) -> None:
        """When the time is up, shut down this connection instead of the previous one."""
        # A copy: nobody else closes it, so its number cannot be reused for another connection meanwhile.
        copy = socket.fromfd(line.fileno(), line.family, line.type)
        with self._lock:
            self._forget()
            self._line = copy
            if self.left <= 0:
                self._cut()

    def _limit(self) -> None:
        if self._end is not None:
            self._until = min(self._until, self._end)

    def _arm(self) -> None:
        self._timer = threading.Timer(max(self.left, 0.0), self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            if self.left > 0:
                # It started again since the timer was set.
                self._arm()
            else:
                self._cut()

    def _cut(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _error(self, place: str) -> TooSlowError:
        rule = f"{self._seconds:g} seconds"
        if self._stride is not None:
            rule = f"{rule} for each {self._stride} bytes"
        return TooSlowError(
            f"{place} did not finish in time: it is too slow, or holds the connection up",
            f"It had {rule}, whatever it sent meanwhile",
            "Try another server, or try again later",
        )


def current_deadline() -> Deadline | None:
    """The deadline of the request that this thread is making."""
    return _current.get()


def watch_connections(session: Any) -> None:
    """Make a session of `requests` obey the deadlines of its requests.

    Args:
        session: A `requests.Session`. Adapters mounted later are not watched.
    """
    for adapter in session.adapters.values():
        _watch_pools(adapter.poolmanager)
        _watch_proxies(adapter)


def _watch_proxies(adapter: Any) -> None:
    make = adapter.proxy_manager_for

    def proxy_manager_for(proxy: str, **options: Any) -> Any:
        manager = make(proxy, **options)
        _watch_pools(manager)
        return manager

    adapter.proxy_manager_for = proxy_manager_for


def _watch_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


@cache
def _watched(pool: Any) -> Any:
    """The subclass of a connection pool's class whose connections are watched."""
    if issubclass(pool.ConnectionCls, _Watched):
        return pool
    connection = type(pool.ConnectionCls.__name__, (_Watched, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _Lines:
    """The bytes of a response. Everything that is not content comes in lines; too many bytes of lines are refused."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def readline(self, limit: int = -1) -> bytes:
        line = bytes(self._stream.readline(limit if 0 <= limit <= MAX_LINES else MAX_LINES + 1))
        self._count += len(line)
        if self._count > MAX_LINES:
            raise OSError(errno.EMSGSIZE, f"It sent more than {MAX_LINES} bytes of headers, chunk sizes or trailers")
        return line

    def read(self, amount: int = -1) -> bytes:
        self._count = 0
        return bytes(self._stream.read(amount))

    def read1(self, amount: int = -1) -> bytes:
        self._count = 0
        return bytes(self._stream.read1(amount))

    def readinto(self, buffer: Any) -> int:
        self._count = 0
        return int(self._stream.readinto(buffer))


class _Response(http.client.HTTPResponse):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp: Any = _Lines(self.fp)


class _Watched:
    """The additions to urllib3's connections."""

    response_class = _Response
    timeout: Any
    port: Any
    sock: Any
    _dns_host: str

    def _new_conn(self) -> Any:
        deadline = _current.get()
        if deadline is None or hasattr(self, "_socks_options"):
            line = super()._new_conn()  # type: ignore[misc]
            if deadline is not None:
                deadline.watch(line)
            return line
        # One address at a time: urllib3 would give each address of a name the whole time to connect.
        name, timeout = self._dns_host, self.timeout
        problem: Exception = OSError(errno.EHOSTUNREACH, f"{name} has no address")
        try:
            for *_, address in socket.getaddrinfo(name.strip("[]"), self.port, type=socket.SOCK_STREAM):
                if deadline.left <= 0:
                    break
                self._dns_host = str(address[0])
                self.timeout = max(min(timeout, deadline.left), 0.001)
                try:
                    line = super()._new_conn()  # type: ignore[misc]
                except (OSError, _http_error()) as error:
                    problem = error
                    continue
                deadline.watch(line)
                return line
        finally:
            self._dns_host, self.timeout = name, timeout
        raise problem

    def request(self, *args: Any, **options: Any) -> None:
        deadline = _current.get()
        # A connection that is left from an earlier request.
        if deadline is not None and self.sock is not None:
            deadline.watch(self.sock)
        super().request(*args, **options)  # type: ignore[misc]


def _http_error() -> type[Exception]:
    import urllib3

    return urllib3.exceptions.HTTPError
