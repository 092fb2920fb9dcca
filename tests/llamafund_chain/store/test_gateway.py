"""Several gateways, of which one honest one is enough."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_stand_in import GatewayStandIn, blocks_of
from http_servers import Asked, Handler, LocalServer

from llamafund_chain.errors import ExitCode, NodeUnreachableError, UsageError, VerificationError, accuses
from llamafund_chain.evidence.file_dag import Link, cid_from_bytes, encode_node, node_cid
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import MissingContentError, Store, open_store
from llamafund_chain.store.base import OtherFormError
from llamafund_chain.store.http.client import place_of
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.unixfs import LEAF_SIZE, cid_to_bytes
from llamafund_chain.store.kinds.gateway import GatewayStore

SIZES = [0, 1, LEAF_SIZE, LEAF_SIZE + 1, 180 * LEAF_SIZE + 77]
DATA = os.urandom(20 * LEAF_SIZE + 5)
CID, BLOCKS = blocks_of(DATA)


class World:
    """Gateways that are running, and what a store said about them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[LocalServer] = []
        self.said: list[str] = []

    def store(self, *gateways: GatewayStandIn, seconds: float = 20.0) -> GatewayStore:
        self.servers = [self._stack.enter_context(gateway.serve()) for gateway in gateways]
        for gateway in gateways:
            self._stack.callback(gateway.release.set)
        return GatewayStore([place_of(server.url) for server in self.servers], seconds=seconds, report=self.said.append)


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


def misbehaving(**how: object) -> GatewayStandIn:
    gateway = GatewayStandIn(dict(BLOCKS))
    for name, value in how.items():
        setattr(gateway, name, value)
    return gateway


def test_gateways_are_a_store(world: World) -> None:
    store = world.store(misbehaving())
    assert isinstance(store, Store)
    urls = f"{world.servers[0].url},{world.servers[0].url}/x"
    assert open_store(f"gateway:{urls}").location == f"gateway:{urls}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [{}, {"cars": False}, {"ranges": False}])
def test_every_size_comes_whole(world: World, tmp_path: Path, size: int, how: dict[str, object]) -> None:
    data = os.urandom(size)
    cid, blocks = blocks_of(data)
    store = world.store(misbehaving(blocks=blocks, **how), misbehaving(blocks=blocks, **how))
    store.fetch(cid, tmp_path / "out", size=size)
    assert (tmp_path / "out").read_bytes() == data
    assert store.dropped == {}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_all_gateways_are_used_at_once(world: World) -> None:
    data = os.urandom(100 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    store = world.store(GatewayStandIn(blocks), GatewayStandIn(blocks))
    assert store.read(cid, limit=len(data)) == data
    assert all(len(server.asked) >= 2 for server in world.servers)


@pytest.mark.parametrize("how", [{"lies": True}, {"lies": True, "cars": False}])
def test_a_lying_gateway_is_dropped_and_named(world: World, how: dict[str, object]) -> None:
    store = world.store(misbehaving(**how), misbehaving())
    for _ in range(2):
        assert store.read(CID, limit=len(DATA)) == DATA
    assert set(store.dropped) == {world.servers[0].url}
    assert len(world.said) == 1
    assert world.servers[0].url in world.said[0]


def test_only_liars_give_nothing(world: World, tmp_path: Path) -> None:
    store = world.store(misbehaving(lies=True), misbehaving(lies=True, cars=False))
    with pytest.raises(VerificationError) as caught:
        store.fetch(CID, tmp_path / "out")
    for server in world.servers:
        assert server.url in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_gateway_is_asked_last_and_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The time one may be silent is part of the time one answer may take.
    monkeypatch.setattr("llamafund_chain.http.transport.READ_SECONDS", 3)
    store = world.store(misbehaving(hangs=True), misbehaving(), seconds=4)
    for _ in range(3):
        assert store.read(CID, limit=len(DATA)) == DATA
    assert store.dropped == {}, "it has not lied"
    assert len(world.said) == 1
    assert world.servers[0].url in world.said[0]
    assert "in time" in world.said[0]
    assert len(world.servers[0].asked) == 2


def page(handler: Handler, asked: Asked) -> None:
    handler.reply(200, b"<html>Please log in", {"Content-Type": "text/html; charset=utf-8"})


def overloaded(handler: Handler, asked: Asked) -> None:
    handler.reply(429, b"slow down", {"Retry-After": "7"})


def broken(handler: Handler, asked: Asked) -> None:
    handler.reply(503)


def short(handler: Handler, asked: Asked) -> None:
    handler.reply(200, BLOCKS[asked.path.removeprefix("/ipfs/")][:-1], {"Content-Type": "application/vnd.ipld.raw"})


def cut(handler: Handler, asked: Asked) -> None:
    handler.stream(iter((BLOCKS[asked.path.removeprefix("/ipfs/")][:100],)), broken=True)


@pytest.mark.parametrize("answer", [page, overloaded, broken, cut])
def test_a_gateway_that_fails_without_a_lie_is_not_dropped(
    world: World, answer: Callable[[Handler, Asked], None], waited: list[float]
) -> None:
    with LocalServer(answer) as odd, misbehaving().serve() as honest:
        store = GatewayStore([place_of(odd.url), place_of(honest.url)], report=world.said.append)
        for _ in range(3):
            assert store.read(CID, limit=len(DATA)) == DATA
        assert store.dropped == {}
        assert waited == [], "nobody is waited for while another one delivers"
    assert [odd.url in line for line in world.said] == [True]


def test_a_short_leaf_is_no_lie(world: World) -> None:
    def answer(handler: Handler, asked: Asked) -> None:
        if asked.query["format"] == "car":
            handler.reply(406)
        elif asked.path.endswith(CID):
            handler.reply(200, BLOCKS[CID], {"Content-Type": "application/vnd.ipld.raw"})
        else:
            short(handler, asked)

    with LocalServer(answer) as server:
        store = GatewayStore([place_of(server.url)])
        with pytest.raises(NodeUnreachableError, match="of 262144 bytes"):
            store.read(CID, limit=len(DATA))
        assert store.dropped == {}


def test_a_gateway_that_asks_for_time_gets_it_within_a_budget_that_is_shown(world: World, waited: list[float]) -> None:
    cid, blocks = blocks_of(b"small")
    answers = [429, 503, 200]

    def answer(handler: Handler, asked: Asked) -> None:
        status = answers.pop(0)
        handler.reply(status, blocks[cid] if status == 200 else b"", {"Retry-After": "9"} if status == 429 else None)

    with LocalServer(answer) as server:
        store = GatewayStore([place_of(server.url)], report=world.said.append)
        assert store.read(cid, limit=10) == b"small"
    assert waited == [9.0, 2.0]
    assert "HTTP 429" in world.said[0]
    assert "111 s more at most" in world.said[0]


def test_a_block_that_was_cut_is_asked_for_again(waited: list[float]) -> None:
    cid, blocks = blocks_of(b"small block")
    cuts = [True, True]

    def answer(handler: Handler, asked: Asked) -> None:
        if cuts:
            cuts.pop()
            handler.stream(iter((blocks[cid][:5],)), broken=True)
        else:
            handler.reply(200, blocks[cid])

    with LocalServer(answer) as server:
        assert GatewayStore([place_of(server.url)]).read(cid, limit=20) == b"small block"
    assert waited == [1.0, 2.0]


def test_a_gateway_that_is_not_there_is_not_waited_for(waited: list[float]) -> None:
    with LocalServer(page) as server:
        url = server.url
    with pytest.raises(NodeUnreachableError, match="Connection refused"):
        GatewayStore([place_of(url)]).read(CID, limit=10)
    assert waited == []


def test_a_gateway_that_asks_for_too_much_time_is_not_waited_for(waited: list[float]) -> None:
    def answer(handler: Handler, asked: Asked) -> None:
        handler.reply(429, b"", {"Retry-After": "3600"})

    with LocalServer(answer) as server, pytest.raises(NodeUnreachableError, match="429"):
        GatewayStore([place_of(server.url)]).read(CID, limit=10)
    assert waited == []


def test_a_gateway_whose_cars_are_pages_is_asked_for_blocks(world: World) -> None:
    def answer(handler: Handler, asked: Asked) -> None:
        if asked.query["format"] == "car":
            page(handler, asked)
        else:
            honest.answer(handler, asked)

    honest = misbehaving()
    with LocalServer(answer) as server:
        store = GatewayStore([place_of(server.url)], report=world.said.append)
        assert store.read(CID, limit=len(DATA)) == DATA
        assert (store.dropped, world.said) == ({}, [])
        assert sum(asked.query["format"] == "car" for asked in server.asked) == 1


def odd_cars() -> dict[str, Callable[[bytes], bytes]]:
    """Forms of archives that are sound, made of one of version 1."""

    def second_version(data: bytes) -> bytes:
        offset = 11 + 40
        places = bytes(16) + offset.to_bytes(8, "little") + len(data).to_bytes(8, "little") + bytes(8)
        return b"\x0a\xa1\x67version\x02" + places + data

    def another_block(data: bytes) -> bytes:
        block = b"\xa1\x61a\x01"
        cid = b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()
        return data + bytes((len(cid) + len(block),)) + cid + block

    return {
        "version 2": second_version,
        "an end mark": lambda data: data + bytes(9),
        "a block of another codec": another_block,
        "an identity block": lambda data: data + b"\x09\x01\x55\x00\x05hello",
    }


@pytest.mark.parametrize("name", sorted(odd_cars()))
def test_cars_of_other_forms_are_no_lies(world: World, name: str) -> None:
    honest = misbehaving()

    def answer(handler: Handler, asked: Asked) -> None:
        if asked.query["format"] != "car":
            honest.answer(handler, asked)
            return
        first, last = (int(end) for end in asked.query["entity-bytes"].split(":"))
        cid = asked.path.removeprefix("/ipfs/")
        pairs = [(found, BLOCKS[cid_from_bytes(found)]) for found in honest._within(cid_to_bytes(cid), 0, first, last)]
        # The leaves come last, so that all of the odd part is read.
        body = odd_cars()[name](b"".join(car.write([cid_to_bytes(cid)], pairs)))
        handler.reply(200, body, {"Content-Type": "application/vnd.ipld.car"})

    with LocalServer(answer) as server:
        store = GatewayStore([place_of(server.url)], report=world.said.append)
        assert store.read(CID, limit=len(DATA)) == DATA
        assert (store.dropped, world.said) == ({}, [])


def test_a_bad_last_block_does_not_throw_the_file_away(world: World, tmp_path: Path) -> None:
    data = os.urandom(100 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    last = hash_bytes(data[-LEAF_SIZE:]).cid
    liar = GatewayStandIn({**blocks, last: b"x" * LEAF_SIZE})
    with pytest.raises(VerificationError):
        world.store(liar).fetch(cid, tmp_path / "out")
    kept = (tmp_path / f".{cid}.partial").read_bytes()
    assert len(kept) >= 64 * LEAF_SIZE
    assert data.startswith(kept)
    world.store(GatewayStandIn(blocks)).fetch(cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    asked = [entry for entry in world.servers[0].asked if entry.query["format"] == "car"]
    assert min(int(entry.query["entity-bytes"].split(":")[0]) for entry in asked) >= 64 * LEAF_SIZE


def test_what_somebody_else_left_wrong_is_mended_block_by_block(world: World, tmp_path: Path) -> None:
    data = os.urandom(100 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    left = bytearray(data[: 70 * LEAF_SIZE])
    left[5 * LEAF_SIZE + 3] ^= 1
    (tmp_path / f".{cid}.partial").write_bytes(left)
    world.store(GatewayStandIn(blocks)).fetch(cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    raw = [entry.path for entry in world.servers[0].asked if entry.query["format"] == "raw"]
    assert len([path for path in raw if not path.endswith(cid)]) == 1, "only the wrong leaf was fetched again"


def test_a_connection_that_breaks_in_a_car_costs_only_what_was_missing(world: World) -> None:
    store = world.store(misbehaving(breaks_after=5))
    assert store.read(CID, limit=len(DATA)) == DATA
    blocks = [asked.path for asked in world.servers[0].asked if asked.query["format"] == "raw"]
    assert len(blocks) == 1 + 21 - 4, "the root, and the leaves that the CAR did not bring"


def test_a_gateway_whose_cars_always_break_off_is_asked_for_blocks(world: World) -> None:
    data = os.urandom(180 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    store = world.store(misbehaving(blocks=blocks, breaks_after=5))
    assert store.read(cid, limit=len(data)) == data
    assert store.dropped == {}
    assert sum(asked.query["format"] == "car" for asked in world.servers[0].asked) <= 2


def test_what_one_does_not_have_another_one_gives(world: World) -> None:
    names = sorted(BLOCKS)
    store = world.store(
        misbehaving(blocks={name: BLOCKS[name] for name in names[:12]}, cars=False),
        misbehaving(blocks={name: BLOCKS[name] for name in names[12:]}, cars=False),
    )
    assert store.read(CID, limit=len(DATA)) == DATA
    assert store.dropped == {}


def test_what_nobody_has_is_missing(world: World) -> None:
    store = world.store(misbehaving(blocks={}), misbehaving(blocks={}))
    assert not store.has(CID)
    with pytest.raises(MissingContentError, match=CID) as caught:
        store.read(CID, limit=10)
    assert caught.value.exit_code is ExitCode.ERROR


def test_broken_gateways_are_not_the_same_as_missing_content(world: World) -> None:
    store = world.store(misbehaving(status=502), misbehaving(blocks={}))
    with pytest.raises(NodeUnreachableError, match="502"):
        store.read(CID, limit=10)


def test_a_fetch_goes_on_where_it_broke_off(world: World, tmp_path: Path) -> None:
    data = os.urandom(100 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    kept = 70 * LEAF_SIZE + 11
    (tmp_path / f".{cid}.partial").write_bytes(data[:kept])
    world.store(GatewayStandIn(blocks)).fetch(cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    starts = [
        int(asked.query["entity-bytes"].split(":")[0])
        for asked in world.servers[0].asked
        if asked.query["format"] == "car"
    ]
    assert starts
    assert min(starts) >= 64 * LEAF_SIZE


def test_what_verified_before_a_gateway_died_is_kept(world: World, tmp_path: Path) -> None:
    data = os.urandom(100 * LEAF_SIZE)
    cid, blocks = blocks_of(data)
    gateway = GatewayStandIn(
        {name: block for name, block in blocks.items() if block != data[-4 * LEAF_SIZE : -3 * LEAF_SIZE]}
    )
    with pytest.raises(MissingContentError):
        world.store(gateway).fetch(cid, tmp_path / "out")
    (partial,) = tmp_path.iterdir()
    kept = partial.read_bytes()
    assert kept
    assert data.startswith(kept)


@pytest.mark.parametrize(
    "target",
    [
        "http://gateway.example%s",
        "https://192.168.1.1%s",
        "https://[fd00::1]%s",
        "https://localhost.%s",
        "https://intranet%s",
        "https://ann:pw@gateway.example%s",
        "file:///etc/passwd",
        "https://[::1%s",
        "https://gateway.example:99999%s",
    ],
)
def test_redirections_into_private_networks_are_refused(world: World, target: str) -> None:
    store = world.store(misbehaving(redirect=target))
    with pytest.raises(OtherFormError, match="redirects to") as caught:
        store.read(CID, limit=10)
    assert "ann" not in str(caught.value)


def test_the_endless_body_of_a_redirection_is_not_read(world: World) -> None:
    sent = 0

    def answer(handler: Handler, asked: Asked) -> None:
        def zeros() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(500):
                sent += 1
                yield bytes(1_000_000)

        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in zeros():
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    with LocalServer(answer) as server, pytest.raises(OtherFormError, match="more than 5 times"):
        GatewayStore([place_of(server.url)]).read(CID, limit=10)
    assert sent < 6 * 100


def test_redirections_are_followed_a_few_times(world: World) -> None:
    honest = misbehaving()
    with honest.serve() as server:
        store = world.store(misbehaving(redirect=f"{server.url}%s", cars=False))
        cid = hash_bytes(b"small").cid
        honest.blocks[cid] = b"small"
        assert store.read(cid, limit=10) == b"small"
    assert "raw" in server.asked[0].query["format"]


def test_redirections_without_end_are_refused(world: World) -> None:
    loop = misbehaving()
    store = world.store(loop)
    loop.redirect = f"{world.servers[0].url}%s"
    with pytest.raises(OtherFormError, match="more than 5 times"):
        store.read(CID, limit=10)
    assert len(world.servers[0].asked) == 6


@pytest.mark.parametrize("length", [40, len(DATA)], ids=["a block", "several blocks"])
def test_a_manifest_with_too_small_a_size_is_told_from_a_gateway_that_lies(
    world: World, tmp_path: Path, length: int
) -> None:
    cid, blocks = blocks_of(DATA[:length])
    store = world.store(misbehaving(blocks=blocks))
    for ask in (lambda: list(store.stream(cid, size=length - 1)), lambda: store.fetch(cid, tmp_path / "out", size=8)):
        with pytest.raises(VerificationError, match=f"has {length} bytes, but the manifest says") as caught:
            ask()
        assert accuses(caught.value)
    assert store.dropped == {}


def test_directories_and_other_profiles_are_refused(world: World) -> None:
    directory = b"\x0a\x02\x08\x01"
    name = blocks_of(b"")[0]
    cid = cid_from_bytes(node_cid(directory))
    with pytest.raises(OtherFormError, match="not a file of the kind"):
        world.store(GatewayStandIn({cid: directory, name: b""})).read(cid, limit=10)


def test_a_node_that_lies_about_its_children_is_refused(world: World) -> None:
    leaf = hash_bytes(b"four").cid
    block = encode_node([Link(cid_to_bytes(leaf), 5, 5), Link(cid_to_bytes(leaf), 4, 4)])
    cid = cid_from_bytes(node_cid(block))
    with pytest.raises(OtherFormError):
        world.store(GatewayStandIn({cid: block, leaf: b"four"})).read(cid, limit=100)


def test_nothing_can_be_put_into_a_gateway(world: World, tmp_path: Path) -> None:
    store = world.store(misbehaving())
    for action in (
        lambda: store.put_bytes(b"x"),
        lambda: store.put_file(tmp_path),
        lambda: store.pin(CID),
        lambda: store.unpin(CID),
    ):
        with pytest.raises(UsageError, match="read-only"):
            action()
    assert store.pins() == frozenset()
    assert world.servers[0].asked == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_gateway_of_a_node_with_default_settings_is_used(host: str) -> None:
    """Under the name localhost a Kubo node sends each request to a name of its own below it; not under a number."""
    honest = misbehaving()

    def answer(handler: Handler, asked: Asked) -> None:
        name, _, port = asked.headers["Host"].partition(":")
        kind = asked.query["format"]
        if name == "localhost":
            cid = asked.path.removeprefix("/ipfs/")
            query = "&".join(f"{key}={value}" for key, value in asked.query.items())
            handler.reply(301, b"", {"Location": f"http://{cid}.ipfs.localhost:{port}/?{query}"})
            return
        if name != "127.0.0.1":
            assert name.endswith(".ipfs.localhost")
            asked.path = "/ipfs/" + name.removesuffix(".ipfs.localhost")
        assert kind in ("raw", "car")
        honest.answer(handler, asked)

    with LocalServer(answer) as server:
        store = open_store(f"gateway:http://{host}:{server.server_port}")
        assert store.read(CID, limit=len(DATA)) == DATA
