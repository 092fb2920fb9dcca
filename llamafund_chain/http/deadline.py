"""How long one HTTP request may take in all, whatever the server sends meanwhile.

`requests` and urllib3 limit how long a server may be silent, but not how long it may go on. A server that now and then
sends a byte of a header, a chunk size or a trailer, or `100 Continue`, could hold its reader up forever. Here one
thread shuts down every connection whose time is up, and bytes that are not content are counted. Only name lookup is
left to the system's resolver, which has its own limits.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import ipaddress
import math
import os
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


class PrivateAddressError(OSError):
    """A name leads to an address in a private network, where a stranger must not send anybody."""

    def __init__(self, name: str, address: str) -> None:
        super().__init__(errno.EACCES, f"{name} leads to the private address {address}")


class Deadline:
    """Shuts down the connection of one request when its time is up. A context manager around the whole request.

    Args:
        seconds: Counted from now; with `stride`, again after every `stride` bytes.
        stride: Bytes, or `None`. A server that sends fewer bytes than this in `seconds` is too slow.
        most: Seconds in all, however fast the server is; `None` for no limit.

    Attributes:
        public_only: Whether connections may only go to public addresses, whatever a name leads to.
    """

    def __init__(self, seconds: float, *, stride: int | None = None, most: float | None = None) -> None:
        self.public_only = False
        self._seconds = seconds
        self._stride = stride
        self._began = time.monotonic()
        self._end = None if most is None else self._began + most
        self._until = self._began + seconds
        self._limit()
        self._moved = 0
        # Re-entrant: the garbage collector may end this request in the middle of a look at it.
        self._lock = threading.RLock()
        self._line: socket.socket | None = None

    def __enter__(self) -> Self:
        _guard.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _guard.remove(self)
        with self._lock:
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

    def _look(self) -> bool:
        """Shut down the connection if the time is up; whether it is."""
        with self._lock:
            up = self.left <= 0
            if up:
                self._cut()
            return up

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


class _Guard:
    """One thread that looks at every armed deadline when its time is up.

    To start a thread, or to wake one, takes a good part of the time that a request to a node on this machine takes.
    So the thread starts once, and sleeps until the earliest time that it knew of, even if that request is long over.

    Nobody waits for a deadline's lock with the lock of this class in hand, so the two cannot block each other.
    """

    def __init__(self) -> None:
        self._begin()
        # A child has none of its parent's threads, and one of them may have held the lock.
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._armed: set[Deadline] = set()
        self._changed = threading.Condition()
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._armed.add(deadline)
            if deadline._until < self._wakes:
                self._wakes = deadline._until
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._armed.discard(deadline)

    def _run(self) -> None:
        while True:
            self._sleep()
            self._look()

    def _sleep(self) -> None:
        with self._changed:
            # Of a copy, here and below: the garbage collector may end a request, and so remove it, at any time.
            self._wakes = min((deadline._until for deadline in self._armed.copy()), default=math.inf)
            self._changed.wait(min(self._wakes - time.monotonic(), threading.TIMEOUT_MAX))

    def _look(self) -> None:
        with self._changed:
            armed = self._armed.copy()
        for deadline in armed:
            up = True
            # Whatever goes wrong with one connection, the others still need their end.
            with contextlib.suppress(Exception):
                up = deadline._look()
            if up:
                self.remove(deadline)


_guard = _Guard()


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

    @property
    def _by_proxy(self) -> bool:
        # The proxy is the user's own, and looks names up itself.
        return getattr(self, "proxy", None) is not None

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
            for *_, address in socket.getaddrinfo(_looked_up(name), self.port, type=socket.SOCK_STREAM):
                if deadline.left <= 0:
                    break
                # After the look-up: whoever owns a name decides where it leads, and may decide anew each time.
                if deadline.public_only and not is_public_address(str(address[0])) and not self._by_proxy:
                    problem = PrivateAddressError(name, str(address[0]))
                    continue
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


def is_public_address(text: str) -> bool:
    """Whether a numeric address is on the public internet, not this machine's or a private network's."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # Addresses of version 4 in those of version 6: mapped, 6to4, Teredo, and NAT64 (RFC 6052).
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not inner.is_global:
            return False
        # Python calls others global that only private networks use: site-local ones, other translations of version 4.
        if not (address in _UNICAST or address in _NAT64):
            return False
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of version 6 that IANA gives to the public internet."""


def _looked_up(name: str) -> str:
    """The name to look up: every name below `localhost` is this machine (RFC 6761), though few resolvers know it."""
    return "localhost" if name.lower().endswith(".localhost") else name.strip("[]")


def _http_error() -> type[Exception]:
    import urllib3

    return urllib3.exceptions.HTTPError
