"""Several gateways, of which one honest one is enough."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_stand_in import GatewayStandIn, blocks_of
from http_servers import Asked, Handler, LocalServer

from llamafund_chain.errors import ExitCode, NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import MissingContentError, Store, open_store
from llamafund_chain.store.http.client import place_of
from llamafund_chain.store.ipfs.unixfs import LEAF_SIZE, Link, encode_node, node_cid
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


@pytest.mark.parametrize("how", [{"lies": True}, {"lies": True, "cars": False}, {"endless": True, "cars": False}])
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


def test_a_slow_gateway_is_dropped_and_named(world: World) -> None:
    store = world.store(misbehaving(hangs=True), misbehaving(), seconds=4)
    # The time one may be silent is part of the time one answer may take.
    import llamafund_chain.http.transport as web

    before, web.READ_SECONDS = web.READ_SECONDS, 3
    try:
        for _ in range(2):
            assert store.read(CID, limit=len(DATA)) == DATA
    finally:
        web.READ_SECONDS = before
    assert set(store.dropped) == {world.servers[0].url}
    assert "in time" in store.dropped[world.servers[0].url]


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
    with pytest.raises(VerificationError, match="redirects to") as caught:
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

    with LocalServer(answer) as server, pytest.raises(VerificationError, match="more than 5 times"):
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
    with pytest.raises(VerificationError, match="more than 5 times"):
        store.read(CID, limit=10)
    assert len(world.servers[0].asked) == 6


def test_directories_and_other_profiles_are_refused(world: World) -> None:
    directory = b"\x0a\x02\x08\x01"
    name = blocks_of(b"")[0]
    from llamafund_chain.store.ipfs.unixfs import cid_from_bytes

    cid = cid_from_bytes(node_cid(directory))
    with pytest.raises(VerificationError, match="not a file of the kind"):
        world.store(GatewayStandIn({cid: directory, name: b""})).read(cid, limit=10)


def test_a_node_that_lies_about_its_children_is_refused(world: World) -> None:
    from llamafund_chain.store.ipfs.unixfs import cid_from_bytes, cid_to_bytes

    leaf = hash_bytes(b"four").cid
    block = encode_node([Link(cid_to_bytes(leaf), 5, 5), Link(cid_to_bytes(leaf), 4, 4)])
    cid = cid_from_bytes(node_cid(block))
    with pytest.raises(VerificationError):
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
