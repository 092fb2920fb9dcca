"""Attacks on fetching and storing that once went through."""

from __future__ import annotations

import json
import os
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from gateway_stand_in import GatewayStandIn, blocks_of
from http_servers import Asked, Handler, LocalServer
from hypothesis import given
from hypothesis import strategies as st
from unixfs_reference import leaf_cid

from llamafund_chain.errors import LlamafundError, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.file_dag import Link, encode_node
from llamafund_chain.evidence.hashing import hash_bytes, hash_tree
from llamafund_chain.evidence.manifests import FileEntry, Listing
from llamafund_chain.files import write_file
from llamafund_chain.http.deadline import MAX_LINES, Deadline
from llamafund_chain.store import LocalStore, MissingContentError, open_store
from llamafund_chain.store.base import RefusedError
from llamafund_chain.store.content import Fetched, fetch_files
from llamafund_chain.store.http.client import Credential, WebClient, credential_for, is_public, place_of
from llamafund_chain.store.http.resume import fetch_resuming
from llamafund_chain.store.ipfs.unixfs import FANOUT, LEAF_SIZE, decode_node
from llamafund_chain.store.kinds.gateway import GatewayStore
from llamafund_chain.store.kinds.kubo import KuboStore
from llamafund_chain.store.kinds.mirror import MirrorStore
from llamafund_chain.store.kinds.pinning import PinningStore
from llamafund_chain.store.sources import Sources


def _entry(path: str, data: bytes) -> FileEntry:
    digest = hash_bytes(data)
    return FileEntry(path=path, size=digest.size, sha256=digest.sha256, cid=digest.cid)


def test_a_file_in_the_directory_cannot_stand_in_for_the_manifest_of_a_hash(
    llamafund, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("honest", "evil"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_text(name)
    honest, evil = (Listing(files=hash_tree(tmp_path / name).files) for name in ("honest", "evil"))
    LocalStore(tmp_path / "store").put_bytes(honest.to_bytes())
    monkeypatch.chdir(tmp_path)
    Path(honest.sha256).write_bytes(evil.to_bytes())
    ran = llamafund("verify", "evil", "--manifest", honest.sha256, "--store", tmp_path / "store")
    assert ran.code == 3
    assert "changed" in ran.stdout


def test_no_file_is_called_what_unfinished_ones_are_called(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    first, second = b"first", b"second"
    store.put_bytes(first)
    store.put_bytes(second)
    trap = f".{hash_bytes(second).cid}.partial"
    manifest = Listing(files=(_entry(trap, first), _entry("b", second)))
    with pytest.raises(VerificationError, match="Unfinished files have such names"):
        fetch_files(store, manifest.files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_received_is_never_written_through_a_link(tmp_path: Path) -> None:
    precious, data = tmp_path / "precious", b"new"
    precious.write_bytes(b"precious")
    cid = hash_bytes(data).cid
    os.link(precious, tmp_path / f".{cid}.partial")
    with pytest.raises(LlamafundError, match="linked to another file"):
        fetch_resuming(lambda start: iter((data[start:],)), cid, tmp_path / "out", "somewhere")
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "sizes",
    [[0] * FANOUT, [LEAF_SIZE, 0], [1, 1], [LEAF_SIZE], [LEAF_SIZE] * (FANOUT + 1), [LEAF_SIZE, LEAF_SIZE + 1]],
)
def test_few_blocks_cannot_unfold_to_a_file_without_end(sizes: list[int]) -> None:
    link = leaf_cid(b"x")
    assert decode_node(encode_node([Link(link, size, size) for size in sizes])) is None


@pytest.mark.parametrize("sizes", [[LEAF_SIZE, 1], [LEAF_SIZE] * FANOUT, [LEAF_SIZE * FANOUT, LEAF_SIZE + 3]])
def test_balanced_nodes_are_read(sizes: list[int]) -> None:
    links = tuple(Link(leaf_cid(b"x"), size, size) for size in sizes)
    assert decode_node(encode_node(links)) == links


class Refusing(LocalStore):
    """Answers as a server that wants no part of it."""

    def fetch(self, cid: str, destination: Path, *, size: int | None = None, sha256: str | None = None) -> None:
        raise RefusedError(f"{self.location} refused a request without a token (HTTP 403)")


def test_a_source_that_refuses_does_not_keep_the_next_one_from_helping(tmp_path: Path) -> None:
    good = LocalStore(tmp_path / "good")
    good.put_bytes(b"data")
    said: list[str] = []
    manifest = Listing(files=(_entry("a", b"data"),))
    sources = Sources([Refusing(tmp_path / "bad"), good], said.append)
    assert fetch_files(sources, manifest.files, tmp_path / "out") == Fetched(1, 0)
    assert any("HTTP 403" in text for text in said)
    with pytest.raises(RefusedError, match="'a'"):
        fetch_files(Refusing(tmp_path / "bad"), manifest.files, tmp_path / "other")


def test_a_token_for_this_machine_does_not_pass_a_proxy(rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody listens there: a request that took the proxy would fail.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = WebClient(place_of(rpc.url), Credential("Bearer", "s3cr3t"))
    with pytest.raises((MissingContentError, RefusedError)), client.request("GET", "/nowhere"):
        pass


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_a_server_that_repeats_the_secret_is_not_quoted_with_it(scheme: str) -> None:
    credential = Credential(scheme, "user:hunter2")
    shown = credential.hidden_in(f"bad token {credential.header}, I mean user:hunter2")
    assert "hunter2" not in shown
    assert credential.header.split()[1] not in shown
    assert shown.startswith("bad token (hidden)")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        write_file(tmp_path / "pipe", b"data")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("grace", ["nan", "inf"])
def test_a_grace_that_is_no_number_collects_nothing(llamafund, tmp_path: Path, grace: str) -> None:
    cid = LocalStore(tmp_path / "store").put_bytes(b"young").cid
    llamafund("store", "gc", "--store", tmp_path / "store", "--grace", grace).refused(2, "--grace")
    assert LocalStore(tmp_path / "store").has(cid)


def test_a_node_whose_host_is_no_host_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not the address of a node"):
        KuboStore(place_of("https://a..b"))


@pytest.mark.parametrize(
    "location",
    [
        "ipfs+https://user:hunter2@host",
        "mirror:https://user:hunter2@host",
        "kubo:https://user:hunter2@host",
        "gateway:https://host?token=hunter2",
        "kubo:user:hunter2@host",
    ],
)
def test_a_secret_in_a_location_is_not_repeated(location: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(location)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("line", ["hunter2 bearer https://host", "https://user:hunter2@host bearer x", "hunter2"])
def test_a_credentials_line_in_another_order_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "credentials").touch(mode=0o600)
    (tmp_path / "credentials").write_text(line + "\n")
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(tmp_path / "credentials"))
    with pytest.raises(UsageError, match="line 1") as caught:
        credential_for(place_of("https://host"), "kubo")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_credentials_that_others_can_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text("https://host bearer hunter2\n")
    file.chmod(0o644)
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(file))
    with pytest.raises(UsageError, match=f"chmod 600 {file}") as caught:
        credential_for(place_of("https://host"), "kubo")
    assert "hunter2" not in str(caught.value)
    file.chmod(0o600)
    assert credential_for(place_of("https://host"), "kubo") is not None


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DRIPS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "100 Continue": (b"", CONTINUE),
    "chunk size": (CHUNKED, b"0"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", b" "),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
}
SOON = 0.3
"""Seconds: a deadline that such a server would let pass by far."""

FILE = _entry("a", b"never sent")


class Dripping:
    """A server that sends a beginning, and then a few bytes every hundredth of a second for a minute."""

    def __init__(self, beginning: bytes, drop: bytes) -> None:
        self._beginning = beginning
        self._drop = drop
        self._released = threading.Event()
        self.finished = False

    def answer(self, handler: Handler, asked: Asked) -> None:
        handler.close_connection = True
        handler.connection.sendall(self._beginning)
        for _ in range(6000):
            if self._released.wait(0.01):
                return
            handler.connection.sendall(self._drop)
        self.finished = True

    def __enter__(self) -> str:
        self._server = LocalServer(self.answer)
        return self._server.__enter__().url

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.__exit__()


def _whole_answer(url: str, seconds: float = SOON) -> None:
    with WebClient(place_of(url), seconds=seconds).request("GET") as reply:
        reply.json()


def _patient_answer(url: str) -> None:
    _whole_answer(url, seconds=3600)


CLIENTS: dict[str, Callable[[str], object]] = {
    "client": _whole_answer,
    "Kubo": lambda url: KuboStore(place_of(url), seconds=SOON).version(),
    "Kubo block": lambda url: KuboStore(place_of(url), seconds=SOON).read(FILE.cid, limit=10),
    "Kubo upload": lambda url: KuboStore(place_of(url), seconds=SOON).import_car(Path(__file__)),
    "gateway": lambda url: GatewayStore([place_of(url)], seconds=SOON).read(FILE.cid, limit=10),
    "mirror": lambda url: MirrorStore(f"mirror:{url}", [FILE], seconds=SOON).read(FILE.cid, limit=10),
    "pinning service": lambda url: PinningStore(place_of(url), seconds=SOON).pins(),
}


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("client", ["client", "Kubo"])
def test_a_server_that_drips_is_given_up_when_its_time_is_over(client: str, drip: str) -> None:
    server = Dripping(*DRIPS[drip])
    with server as url, pytest.raises(NodeUnreachableError, match="in time"):
        CLIENTS[client](url)
    assert not server.finished, "it was waited for"


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_no_store_waits_for_a_server_that_drips(client: str) -> None:
    server = Dripping(*DRIPS["header"])
    with server as url, pytest.raises(NodeUnreachableError, match="in time"):
        CLIENTS[client](url)
    assert not server.finished, "it was waited for"


def test_a_second_request_over_the_same_connection_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    drip = Dripping(*DRIPS["header"])
    ports: list[int] = []

    def answer(handler: Handler, asked: Asked) -> None:
        ports.append(handler.client_address[1])
        if len(ports) == 1:
            handler.reply(200, b"{}")
        else:
            drip.answer(handler, asked)

    with LocalServer(answer) as server:
        client = WebClient(place_of(server.url))
        with client.request("GET") as reply:
            assert reply.json() == {}
        monkeypatch.setattr(client, "_limits", lambda: Deadline(SOON))
        with pytest.raises(NodeUnreachableError, match="in time"), client.request("GET"):
            pass
    assert len(set(ports)) == 1
    assert not drip.finished, "it was waited for"


@pytest.mark.parametrize(
    ("beginning", "more"), [(b"", CONTINUE), (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"), (CHUNKED, b"0;a=b" * 10)]
)
@pytest.mark.parametrize("ask", [_patient_answer, lambda url: KuboStore(place_of(url)).version()])
def test_a_server_that_pours_out_headers_is_given_up_long_before_its_time_is_over(
    ask: Callable[[str], object], beginning: bytes, more: bytes
) -> None:
    sent = 0

    def answer(handler: Handler, asked: Asked) -> None:
        nonlocal sent
        handler.close_connection = True
        handler.connection.sendall(beginning)
        for _ in range(40_000):
            handler.connection.sendall(more * 500)
            sent += len(more) * 500

    with LocalServer(answer) as server, pytest.raises(NodeUnreachableError, match="failed or broke off"):
        ask(server.url)
    # What the system's buffers hold comes on top.
    assert sent < MAX_LINES + 60_000_000


def test_a_name_with_a_thousand_dead_addresses_has_no_longer_with_mocked_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"203.0.113.{n % 250}", 443)) for n in range(1000)]
    given_to_each: list[float] = []

    def dead(_: object, timeout: float, **options: object) -> None:
        given_to_each.append(timeout)
        threading.Event().wait(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr("urllib3.util.connection.create_connection", dead)
    client = WebClient(place_of("https://many.example"), seconds=SOON)
    with pytest.raises(NodeUnreachableError, match="in time"), client.request("GET"):
        pass
    assert sum(given_to_each) < 3 * SOON


def test_a_deadline_moves_with_what_is_received_and_no_further_than_its_end() -> None:
    with Deadline(1000, stride=10, most=1500) as deadline:
        first = deadline.left
        deadline.moved(9)
        assert deadline.left <= first <= 1000
        deadline.renew(400)
        assert deadline.left <= 400
        deadline.moved(1)
        assert 900 < deadline.left <= 1000
        deadline.renew(9999)
        assert deadline.left <= 1500
    late = Deadline(-1, stride=10)
    late.moved(10)
    late.renew(1000)
    assert late.left < 0


def test_a_node_that_sends_a_byte_at_a_time_and_breaks_off_is_given_up() -> None:
    data = os.urandom(LEAF_SIZE + 1)
    cid, blocks = blocks_of(data)
    asked_for: list[int] = []

    def answer(handler: Handler, asked: Asked) -> None:
        if asked.path.endswith("/block/get"):
            handler.reply(200, blocks[asked.query["arg"]])
            return
        offset = int(asked.query["offset"])
        asked_for.append(offset)
        handler.stream(iter((data[offset : offset + 1],)), broken=True)

    with LocalServer(answer) as server, pytest.raises(NodeUnreachableError):
        KuboStore(place_of(server.url)).read(cid, limit=len(data))
    assert asked_for == [0, 1, 2]


PRIVATE_URLS = [
    "https://127.1/",
    "https://127.0.0.1/",
    "https://0x7f.1/",
    "https://0X7F.1/",
    "https://2130706433/",
    "https://0x7f000001",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://10.1.2/",
    "https://host.0x7f/",
    "https://host.1",
    "https://8.8.8.8/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2606:4700::1111]/",
    "https://host.example./",
    "https://localhost/",
    "https://localhost./",
    "https://a.localhost/",
    "https://printer.local/",
    "https://PRINTER.LOCAL/",
    "https://nas.lan/",
    "https://box.home.arpa/",
    "https://db.internal:8443/",
    "https://intranet/",
    "https://host.example\\@127.0.0.1/",
    "https://127.0.0.1\\@host.example/",
    "https://host.example\\.intern.example/",
    "https:\\\\host.example/",
    "https:/host.example/",
    "https:host.example/",
    "https://user@host.example/",
    "https://host.example:0/",
    "https://host.example:65536/",
    "https://host.example:/",
    "https://host.example:+443/",
    "https://ho st.example/",
    "https://ho\tst.example/",
    "https://host.example/\n",
    " https://host.example/",
    "https://host.example#@127.0.0.1/",
    "https://host.example?@127.0.0.1/",
    "https://host%2eexample/",
    "https://127%2e0%2e0%2e1/",
    "https://host_name.example/",
    "https://-host.example/",
    "https://host-.example/",
    "https://ho..st.example/",
    "https://.example/",
    "https://h\u00f6st.example/",
    "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "https://host\u3002example/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
    "http://host.example/",
    "https://",
    "",
]


@pytest.mark.parametrize("url", PRIVATE_URLS)
def test_addresses_that_some_program_takes_for_private_ones_are_not_asked(url: str) -> None:
    assert not is_public(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example",
        "https://a-1.host.example:8443/some/path?x=1&y=%20",
        "https://xn--hst-sna.example/",
        "https://0x7f.example/",
        "https://1.2.3.4.example/",
        "https://HOST.Example/",
        "https://host.xn--p1ai/",
    ],
)
def test_plain_host_names_may_be_asked(url: str) -> None:
    assert is_public(url)


@given(st.from_regex(r"https://[a-z0-9.\\x:@%#?\[\]\t /-]{1,30}", fullmatch=True))
def test_whatever_may_be_asked_is_read_alike_by_all_and_is_no_number(url: str) -> None:
    if not is_public(url):
        return
    read = urllib3.util.parse_url(url)
    host = read.host or ""
    assert url.startswith((f"https://{host}/", f"https://{host}:")) or url == f"https://{host}"
    with pytest.raises(OSError, match="illegal"):
        socket.inet_aton(host)


@pytest.mark.parametrize("how", [{"empty_cars": True}, {"breaks_after": 0}])
def test_a_gateway_whose_cars_bring_nothing_is_soon_asked_for_blocks_only(how: dict[str, Any]) -> None:
    data = os.urandom(180 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    idle, said = GatewayStandIn(blocks), []
    for name, value in how.items():
        setattr(idle, name, value)
    with idle.serve() as server:
        store = GatewayStore([place_of(server.url)], report=said.append)
        for _ in range(3):
            assert store.read(cid, limit=len(data)) == data
        # Requests that were on their way already count too.
        assert sum(asked.query["format"] == "car" for asked in server.asked) <= 4
    assert store.dropped == {}


@pytest.fixture
def endless_service() -> Iterator[LocalServer]:
    """A pinning service whose list never ends; names of requests are as long as they may be."""
    pages = 0

    def answer(handler: Handler, asked: Asked) -> None:
        nonlocal pages
        pages += 1
        results = [
            {
                "requestid": f"{pages}-{number}-".ljust(500, "x"),
                "status": "pinned",
                "created": "2026-01-01T00:00:00Z",
                "pin": {"cid": hash_bytes(b"%d-%d" % (pages, number)).cid},
            }
            for number in range(1000)
        ]
        handler.reply(200, json.dumps({"count": 10**9, "results": results}).encode())

    with LocalServer(answer) as server:
        yield server


def test_a_list_of_pins_without_end_is_given_up_and_not_kept(
    endless_service: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamafund_chain.store.kinds.pinning._MAX_PAGES", 20)
    store = PinningStore(place_of(endless_service.url))
    peaks: list[int] = []
    tracemalloc.start()
    try:
        with pytest.raises(LlamafundError, match="does not end"):
            peaks.extend(tracemalloc.get_traced_memory()[0] for _ in store.requests())
    finally:
        tracemalloc.stop()
    assert len(endless_service.asked) == 20
    assert len(peaks) == 20_000
    # The names of one page are half a megabyte; seventeen more pages added less than two of them.
    assert peaks[-1] < peaks[2_000] + 1_000_000


def test_a_list_of_pins_has_a_most(endless_service: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamafund_chain.store.kinds.pinning.MAX_LISTED", 2500)
    with pytest.raises(LlamafundError, match="more than 2500 requests"):
        PinningStore(place_of(endless_service.url)).pins()


def _disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr("llamafund_chain.store.disk_space.shutil.disk_usage", lambda _: SimpleNamespace(free=free))


def test_nothing_is_fetched_for_a_disk_that_cannot_hold_it_with_a_mocked_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    parts = {"a": b"a" * 1000, "d/b": b"b" * 500}
    for data in parts.values():
        store.put_bytes(data)
    manifest = Listing(files=tuple(_entry(path, data) for path, data in parts.items()))
    _disk(monkeypatch, 1499)
    with pytest.raises(LlamafundError, match="no room for the missing files: 1500 bytes") as caught:
        fetch_files(store, manifest.files, tmp_path / "out")
    assert "1499 bytes left" in str(caught.value)
    assert not (tmp_path / "out").exists()
    _disk(monkeypatch, 1500)
    assert fetch_files(store, manifest.files, tmp_path / "out") == Fetched(2, 0)


def test_only_what_is_missing_needs_room_with_a_mocked_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, out = LocalStore(tmp_path / "store"), tmp_path / "out"
    parts = {"broken off": b"a" * 1000, "replaced": b"b" * 500, "there": b"c" * 5000, "z": b"d" * 100}
    for data in parts.values():
        store.put_bytes(data)
    manifest = Listing(files=tuple(_entry(path, data) for path, data in parts.items()))
    out.mkdir()
    (out / "there").write_bytes(parts["there"])
    # As a fetch over a network leaves it.
    (out / f".{manifest.files[0].cid}.partial").write_bytes(parts["broken off"][:600])
    (out / "replaced").write_bytes(b"older, and longer" * 100)
    # The new one is complete before the old one is gone, whose room is there for the last one.
    _disk(monkeypatch, 400 + 500 - 1)
    with pytest.raises(LlamafundError, match="900 bytes"):
        fetch_files(store, manifest.files, out)
    assert (out / "replaced").read_bytes() == b"older, and longer" * 100
    _disk(monkeypatch, 400 + 500)
    assert fetch_files(store, manifest.files, out) == Fetched(3, 1)


def test_links_need_no_room_with_a_mocked_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store", link=True)
    store.put_bytes(b"data")
    _disk(monkeypatch, 0)
    assert fetch_files(store, [_entry("a", b"data")], tmp_path / "out") == Fetched(1, 0)


@pytest.mark.parametrize("command", [("publish",), ("verify",), ("dataset", "build")])
def test_the_help_says_what_a_cache_cannot_see(llamafund, command: tuple[str, ...]) -> None:
    shown = " ".join(llamafund(*command, "--help").stdout.split())
    assert "memory-mapped files (mmap) may leave their times" in shown
