"""Your own Kubo node, through its RPC interface.

Source: https://docs.ipfs.tech/reference/kubo/rpc/, the RPC API v0.

`ipfshttpclient` sends the requests. This module checks what it hides: every line of an import's response, pin errors,
and streams that end early without an error. Nothing depends on the node's configuration: the blocks are made here and
sent as CAR, so the address is the one computed from the bytes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, WrongAnswerError
from llamafund_chain.evidence.file_dag import FileDag, ReadAt, cid_from_bytes, matches
from llamafund_chain.evidence.hashing import FileDigest, FileHasher
from llamafund_chain.files import read_spans
from llamafund_chain.http.answers import MAX_DEPTH, parse_json
from llamafund_chain.http.deadline import STRIDE, Deadline, TooSlowError, current_deadline, watch_connections
from llamafund_chain.http.transport import CONNECT_SECONDS, network_errors
from llamafund_chain.store.base import MissingContentError, OtherFormError, RefusedError, check_cid, is_cid
from llamafund_chain.store.http.client import Credential, Place
from llamafund_chain.store.http.resume import RemoteStore
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.unixfs import MAX_BLOCK, cid_to_bytes, decode_node, is_leaf, reading_at
from llamafund_chain.strict_yaml import nesting

READ_SECONDS = 120.0
"""How long a node may be silent, or take for a short response, or for each `STRIDE` bytes of a file or an upload."""

ANSWER_SECONDS = 3600.0
"""How long a node may take for a response that makes it look through all blocks of a file."""

_ATTEMPTS = 3
_PIECE = 64 * 1024
_MAX_ERROR = 64 * 1024
_MAX_ANSWER = 128 * 1024 * 1024
_LONG = frozenset({"/refs", "/pin/add", "/pin/ls", "/pin/rm"})


class KuboStore(RemoteStore):
    """A node that keeps content and serves it to the IPFS network.

    Args:
        place: Where its RPC interface is; a path before `/api/v0` is kept.
        credential: Its credential, if it needs one.
        seconds: How long one response may take in all. A short one, and each `STRIDE` bytes of a file or an upload,
            may take at most `READ_SECONDS`.
    """

    def __init__(self, place: Place, credential: Credential | None = None, *, seconds: float = ANSWER_SECONDS) -> None:
        import ipfshttpclient

        # This is how the client opens connections; nobody at the command line can change it.
        warnings.filterwarnings("ignore", "The 'strict' parameter", FutureWarning, "urllib3")
        parts = urlsplit(place.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # Not `connect`: it refuses every version from 0.8 on.
        headers = {"User-Agent": "llamafund", "Accept-Encoding": "identity"}
        if credential is not None:
            headers["Authorization"] = credential.header
        try:
            self._client = ipfshttpclient.Client(
                f"/{_protocol(host)}/{host}/tcp/{port}/{parts.scheme}",
                base=f"{parts.path.rstrip('/')}/api/v0",
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        except ipfshttpclient.exceptions.AddressError as error:
            raise UsageError(
                f"{place.url!r} is not the address of a node",
                "Its host is neither a name nor a number",
                "Check the host",
            ) from error
        self._place = place
        self._long, self._short = seconds, min(READ_SECONDS, seconds)
        # For the session that the client opens for each request. No .netrc, whose password would replace the
        # credential, and no proxy on the way to the user's own node.
        with self._client._client._make_session() as session:
            watch_connections(session)
        self._client._client._session_props.update(
            trust_env=False, hooks={"response": [self._look_at]}, adapters=session.adapters
        )

    def __repr__(self) -> str:
        return f"KuboStore({self._place.url!r})"

    @property
    def location(self) -> str:
        """`kubo:` and the address."""
        return f"kubo:{self._place.url}"

    def version(self) -> str:
        """The node's name and version, for messages; nothing depends on it.

        Raises:
            NodeUnreachableError: It does not answer.
            LlamafundError: It does not answer like a Kubo node.
        """
        answer = self._one("/version", opts={"number": "false"})
        version = answer.get("Version")
        if not isinstance(version, str):
            raise self._strange("/version", answer)
        return version[:100]

    def addresses(self) -> tuple[str, ...]:
        """Where other IPFS nodes reach it (multiaddrs), for pinning services. They use at most 20."""
        answer = self._one("/id").get("Addresses")
        listed = answer if isinstance(answer, list) else []
        return tuple(address for address in listed if isinstance(address, str) and len(address) <= 500)[:20]

    def put_file(self, path: Path) -> FileDigest:
        """See `Store.put_file`. Blocks that an interrupted upload delivered are not sent again."""
        hasher = FileHasher()
        dag = FileDag.of(_through(read_spans(path), hasher.update))
        digest = hasher.finish()
        with reading_at(path) as read_at:
            self.put_dag(dag, read_at)
        return digest

    def put_bytes(self, data: bytes) -> FileDigest:
        """See `Store.put_bytes`."""
        hasher = FileHasher()
        hasher.update(data)
        self.put_dag(FileDag.of(iter((data,))), lambda offset, length: data[offset : offset + length])
        return hasher.finish()

    def put_dag(self, dag: FileDag, read_at: ReadAt) -> None:
        """Send a file whose blocks were computed before. Blocks that the node has are not sent again.

        Args:
            dag: Its blocks.
            read_at: Returns its bytes.

        Raises:
            VerificationError: The bytes have changed since the blocks were computed.
            NodeUnreachableError: The node does not answer, or the connection broke.
            LlamafundError: The node could not keep them.
        """
        if self.has(dag.cid):
            return
        if not dag.levels:
            self._import_blocks(dag.root, dag.blocks(read_at))
        else:
            for index, link in enumerate(dag.levels[0]):
                # Inner nodes are sent after their leaves, so a node that is there means that its leaves are too.
                if not self._has_block(cid_from_bytes(link.cid)):
                    self._import_blocks(link.cid, dag.subtree(index, read_at))
            self._import_blocks(dag.root, dag.upper())
            if not self.has(dag.cid):
                # A leaf is gone all the same, by a garbage collection between two attempts. Send everything.
                self._import_blocks(dag.root, dag.blocks(read_at))
        if not self.has(dag.cid):
            raise LlamafundError(
                f"{self.location} took all blocks of {dag.cid} but does not have them",
                "Its garbage collection may be running, or its disk may be full",
                "Look at its log, then run the command again",
            )

    def has(self, cid: str) -> bool:
        """Whether the node itself has all blocks under the address. It does not ask other nodes."""
        check_cid(cid)
        try:
            for _ in self._lines("/refs", (cid,), opts={"recursive": "true", "unique": "true"}, offline=True):
                pass
        except MissingContentError:
            return False
        # A leaf has no references, so this has not looked for it yet.
        return self._has_block(cid)

    def pin(self, cid: str) -> None:
        """See `Store.pin`. Blocks are not fetched from other nodes: a block that this node does not have is missing."""
        check_cid(cid)
        pinned = False
        for line in self._lines("/pin/add", (cid,), opts={"recursive": "true", "progress": "false"}, offline=True):
            pins = line.get("Pins")
            pinned = pinned or (isinstance(pins, list) and cid in pins)
        if not pinned:
            raise self._strange("/pin/add", {"Pins": None})

    def unpin(self, cid: str) -> None:
        """See `Store.unpin`."""
        check_cid(cid)
        try:
            for _ in self._lines("/pin/rm", (cid,), opts={"recursive": "true"}):
                pass
        except _NotPinnedError:
            return

    def pins(self) -> frozenset[str]:
        """See `Store.pins`. Pinned addresses of other kinds are left out."""
        found: set[str] = set()
        for line in self._lines("/pin/ls", opts={"type": "recursive", "stream": "true", "quiet": "false"}):
            keys = line.get("Keys")
            listed = list(keys) if isinstance(keys, dict) else [line.get("Cid")]
            found.update(cid for cid in listed if isinstance(cid, str) and is_cid(cid))
        return frozenset(found)

    def import_car(self, path: Path, *, pin_roots: bool = True) -> tuple[str, ...]:
        """Send a CAR file.

        Args:
            path: The file.
            pin_roots: Whether to pin its roots; their whole DAGs must be in it or on the node already.

        Returns:
            The roots in the node's response.

        Raises:
            LlamafundError: The file cannot be read, or the node could not import or pin it.
        """
        return self._import(read_spans(path), None, pin_roots=pin_roots)

    def _has_block(self, cid: str) -> bool:
        try:
            answer = self._one("/block/stat", (cid,), offline=True)
        except MissingContentError:
            return False
        return answer.get("Key") == cid

    def _import_blocks(self, root: bytes, blocks: Iterable[tuple[bytes, bytes]]) -> None:
        count = 0

        def counted() -> Iterator[tuple[bytes, bytes]]:
            nonlocal count
            for cid, block in blocks:
                count += 1
                yield cid, block

        roots = self._import(car.write([root], counted()), lambda: count, pin_roots=False)
        if roots and cid_from_bytes(root) not in roots:
            raise self._strange("/dag/import", {"Root": roots[0]})

    def _import(self, data: Iterator[bytes], blocks: Callable[[], int] | None, *, pin_roots: bool) -> tuple[str, ...]:
        from ipfshttpclient import multipart

        # Not `dag.imprt`: it takes the first line for the whole response, including pin errors.
        body, headers = multipart.stream_bytes(data, chunk_size=256 * 1024)
        options = {
            "pin-roots": "true" if pin_roots else "false",
            "silent": "false",
            "stats": "true",
            "allow-big-block": "false",
        }
        roots: list[str] = []
        counted: object = None
        for line in self._lines("/dag/import", opts=options, data=body, headers=headers):
            root, stats = line.get("Root"), line.get("Stats")
            if isinstance(root, dict):
                problem = root.get("PinErrorMsg")
                cid = root.get("Cid")
                name = cid.get("/") if isinstance(cid, dict) else None
                if problem:
                    raise LlamafundError(
                        f"{self.location} imported {name} but could not pin it",
                        f"It said: {str(problem)[:300]}",
                        "Run the command again; nothing is sent twice",
                    )
                if isinstance(name, str):
                    roots.append(name)
            elif isinstance(stats, dict):
                counted = stats.get("BlockCount")
            else:
                raise self._strange("/dag/import", line)
        if blocks is not None and counted != blocks():
            raise LlamafundError(
                f"{self.location} imported {counted if isinstance(counted, int) else 'an unknown number of'} blocks "
                f"of {blocks()} that were sent",
                "Its response broke off, or it failed without saying so",
                "Run the command again; nothing is sent twice",
            )
        return tuple(roots)

    def _spans(self, cid: str, start: int) -> Iterator[bytes]:
        root = self._block(cid)
        if is_leaf(cid_to_bytes(cid)):
            yield root[start:]
            return
        links = decode_node(root)
        if links is None:
            raise OtherFormError(
                f"{cid} at {self.location} is not a file of the kind that evidence uses",
                "It is a directory, or was added with other settings than ipfs add --cid-version=1",
                "Ask whoever published it for the address that the manifest names",
            )
        # The root was verified, so this is the file's length, which shows whether a stream ends early.
        end = sum(link.size for link in links)
        failures = 0
        while True:
            before = start
            try:
                for span in self._cat(cid, start, end - start):
                    start += len(span)
                    if start > end:
                        raise WrongAnswerError(
                            f"{self.location} sent more than the {end} bytes of {cid}",
                            "Something else may be listening there",
                        )
                    yield span
                if start == end:
                    return
                broken = NodeUnreachableError(
                    f"{self.location} stopped after {start} of {end} bytes of {cid}",
                    "It reports errors in a trailer, or not at all",
                    "Look at its log, then run the command again",
                )
            except TooSlowError:
                raise
            except NodeUnreachableError as error:
                broken = error
            # One byte each time is no progress.
            failures = failures + 1 if start - before < _PIECE else 0
            if failures >= _ATTEMPTS:
                raise broken

    def _length(self, cid: str) -> int | None:
        try:
            root = self._block(cid)
        except LlamafundError:
            return None
        if is_leaf(cid_to_bytes(cid)):
            return len(root)
        links = decode_node(root)
        return None if links is None else sum(link.size for link in links)

    def _cat(self, cid: str, offset: int, length: int) -> Iterator[bytes]:
        options = {"offset": str(offset), "length": str(length), "progress": "false"}
        with self._asked("/cat", (cid,), Deadline(self._short, stride=STRIDE), opts=options) as spans:
            yield from spans

    def _block(self, cid: str) -> bytes:
        block = bytearray()
        with self._asked("/block/get", (cid,), Deadline(self._short)) as spans:
            for span in spans:
                block += span
                if len(block) > MAX_BLOCK:
                    break
        if not matches(cid_to_bytes(cid), bytes(block)):
            raise WrongAnswerError(
                f"{self.location} sent another block for {cid}",
                f"It sent {len(block)} bytes; its disk or its response is damaged",
                "Do not use it. Get it from another store",
            )
        return bytes(block)

    def _one(self, path: str, arguments: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
        lines = list(itertools.islice(self._lines(path, arguments, **options), 2))
        if len(lines) != 1:
            raise self._strange(path, {"lines": len(lines)})
        return lines[0]

    def _lines(self, path: str, arguments: tuple[str, ...] = (), **options: Any) -> Iterator[dict[str, Any]]:
        """The lines of a response in JSON. An error in any of them is raised."""
        deadline = Deadline(self._long if path in _LONG else self._short)
        if "data" in options:
            deadline = Deadline(self._short, stride=STRIDE)
            options["data"] = self._uploading(options["data"], deadline)
        with self._asked(path, arguments, deadline, **options) as pieces:
            for text in _split_lines(pieces):
                try:
                    line = parse_json(text)
                except ValueError as error:
                    raise self._strange(path, error) from error
                if not isinstance(line, dict):
                    raise self._strange(path, line)
                problem = line.get("Err") or line.get("Error") or (line.get("Message") if "Code" in line else None)
                if problem:
                    raise self._said(str(problem), arguments[0] if arguments else "")
                yield line

    def _uploading(self, data: Iterator[bytes], deadline: Deadline) -> Iterator[bytes]:
        yield from _through(data, lambda piece: deadline.moved(len(piece)))
        # The node has everything now, and looks through it before it answers.
        deadline.renew(self._long)

    @contextlib.contextmanager
    def _asked(self, path: str, arguments: tuple[str, ...], deadline: Deadline, **options: Any) -> Iterator[Any]:
        """A response, piece by piece, for as long as it may take."""
        with deadline, deadline.enforced(self.location), self._errors(arguments[0] if arguments else ""):
            with deadline.applied():
                answer = self._client._client.request(path, arguments, stream=True, **options)
            with answer as pieces:
                yield pieces

    @contextlib.contextmanager
    def _errors(self, cid: str) -> Iterator[None]:
        import requests
        from ipfshttpclient import exceptions

        with network_errors(self.location):
            try:
                yield
            except exceptions.ErrorResponse as error:
                raise self._said(str(error.args[0]) if error.args else "", cid) from error
            except exceptions.StatusError as error:
                raise self._status(getattr(error.original, "response", None)) from error
            except exceptions.TimeoutError as error:
                raise requests.Timeout from error
            except exceptions.CommunicationError as error:
                raise requests.ConnectionError from error

    def _said(self, message: str, cid: str) -> LlamafundError:
        lowered = message.lower()
        if "not pinned" in lowered:
            return _NotPinnedError(f"{cid} is not pinned at {self.location}")
        if "not found" in lowered or "could not find" in lowered:
            return MissingContentError(
                f"The node {self.location} has nothing under {cid}" if cid else f"{self.location} has nothing there",
                f"It said: {message[:300]}",
                "Ask whoever published it to put it there again, or use another store",
            )
        return RefusedError(f"{self.location} reported an error", f"It said: {message[:300]}", "Look at its log")

    def _status(self, response: Any) -> LlamafundError:
        status = getattr(response, "status_code", 0)
        if status in (401, 403):
            return RefusedError(
                f"{self.location} refused access (HTTP {status})",
                "It needs a token or password, or does not accept requests from here",
                "Put a line for it into the file that LLAMAFUND_CREDENTIALS names",
            )
        if status == 404:
            return RefusedError(
                f"{self.location} is not the RPC interface of a Kubo node (HTTP 404)",
                "Gateways usually listen on port 8080, the RPC interface on 5001",
                "Check the address",
            )
        return NodeUnreachableError(f"{self.location} failed (HTTP {status})", remedy="Look at its log, or try again")

    def _strange(self, path: str, answer: object) -> LlamafundError:
        return RefusedError(
            f"{self.location} answered {path} unlike Kubo: {str(answer)[:200]}",
            "Something else may be listening there",
            "Check the address",
        )

    def _look_at(self, response: Any, **_: Any) -> None:
        """Follow no redirect, and read piece by piece where the client would read everything at once."""
        if response.is_redirect:
            response.close()
            raise LlamafundError(
                f"{self.location} redirects elsewhere (HTTP {response.status_code})",
                "A token must not be sent there",
                "If you trust the address that it redirects to, use that one",
            )
        limit = _MAX_ERROR if response.status_code >= 400 else _MAX_ANSWER
        endless = response.status_code < 400 and urlsplit(response.url).path.endswith("/cat")
        deadline = current_deadline()

        def pieces(chunk_size: int | None = None) -> Iterator[bytes]:
            total = 0
            with network_errors(self.location):
                while piece := response.raw.read1(chunk_size or _PIECE, decode_content=False):
                    total += len(piece)
                    if total > limit and not endless:
                        break
                    if deadline is not None:
                        deadline.moved(len(piece))
                    yield piece

        def explanation(chunk_size: int | None = None) -> Iterator[bytes]:
            body = b"".join(pieces(chunk_size))
            # The client would hand it to Python's parser, which any depth of brackets can end.
            if nesting(body) <= MAX_DEPTH:
                yield body

        response.iter_content = pieces if response.status_code < 400 else explanation


class _NotPinnedError(LlamafundError):
    """The answer of `pin rm` and `pin ls` for an address without a pin."""


def _protocol(host: str) -> str:
    try:
        return f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        return "dns"


def _split_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a response, without empty ones."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
        yield from (line for line in whole if line.strip())
    if rest.strip():
        yield rest


def _through(spans: Iterator[bytes], use: Callable[[bytes], None]) -> Iterator[bytes]:
    for span in spans:
        use(span)
        yield span
