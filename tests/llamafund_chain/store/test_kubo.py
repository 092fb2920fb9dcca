"""A Kubo node through its RPC interface: what it does, and what it does wrong."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from http_servers import LocalServer
from kubo_stand_in import KuboStandIn

from llamafund_chain.errors import (
    ExitCode,
    LlamafundError,
    NodeUnreachableError,
    UsageError,
    VerificationError,
    accuses,
)
from llamafund_chain.evidence.file_dag import FileDag, cid_from_bytes, node_cid
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import MissingContentError, Store, open_store
from llamafund_chain.store.base import OtherFormError
from llamafund_chain.store.http.client import Credential, place_of
from llamafund_chain.store.ipfs.unixfs import FANOUT, LEAF_SIZE
from llamafund_chain.store.kinds.kubo import KuboStore

SIZES = [0, 1, LEAF_SIZE, LEAF_SIZE + 1, 3_000_000]


@pytest.fixture
def store(rpc: LocalServer) -> KuboStore:
    return KuboStore(place_of(rpc.url))


def test_a_node_is_a_store(store: KuboStore, rpc: LocalServer) -> None:
    assert isinstance(store, Store)
    assert store.location == f"kubo:{rpc.url}"
    opened = open_store(f"kubo:{rpc.url}")
    assert isinstance(opened, KuboStore)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_comes_back(store: KuboStore, node: KuboStandIn, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    digest = store.put_file(tmp_path / "file")
    assert digest == hash_bytes(data) == store.put_bytes(data)
    assert store.has(digest.cid)
    assert node.content(digest.cid) == data
    assert store.read(digest.cid, limit=size) == data
    store.fetch(digest.cid, tmp_path / "out", size=size, sha256=digest.sha256)
    assert (tmp_path / "out").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_every_version_is_served_and_reported(store: KuboStore, node: KuboStandIn) -> None:
    for version in ("0.4.22", "0.43.0", "1.0.0-rc1", "something else"):
        node.version = version
        assert store.version() == version
        assert store.put_bytes(version.encode()) == hash_bytes(version.encode())


def test_pins_come_and_go(store: KuboStore, node: KuboStandIn) -> None:
    cid = store.put_bytes(b"x" * 600_000).cid
    assert store.pins() == frozenset()
    store.pin(cid)
    store.pin(cid)
    assert store.pins() == {cid} == node.pinned
    store.unpin(cid)
    store.unpin(cid)
    assert store.pins() == frozenset()


@pytest.mark.parametrize("size", [9, LEAF_SIZE + 1])
def test_a_manifest_with_too_small_a_size_is_told_from_a_node_that_lies(
    store: KuboStore, tmp_path: Path, size: int
) -> None:
    digest = store.put_bytes(os.urandom(size))
    with pytest.raises(VerificationError, match=f"has {size} bytes, but the manifest says {size - 1}"):
        store.fetch(digest.cid, tmp_path / "out", size=size - 1, sha256=digest.sha256)
    assert list(tmp_path.iterdir()) == []


def test_what_a_node_does_not_have_is_missing(store: KuboStore, tmp_path: Path) -> None:
    cid = hash_bytes(b"never put").cid
    assert not store.has(cid)
    for action in (
        lambda: store.read(cid, limit=9),
        lambda: store.fetch(cid, tmp_path / "out"),
        lambda: store.pin(cid),
    ):
        with pytest.raises(MissingContentError, match=cid):
            action()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_missing_block_is_neither_there_nor_pinned(store: KuboStore, node: KuboStandIn) -> None:
    data = os.urandom(600_000)
    cid = store.put_bytes(data).cid
    del node.blocks[cid_from_bytes(FileDag.of(iter((data,))).leaf(1).cid)]
    assert not store.has(cid)
    with pytest.raises(MissingContentError):
        store.pin(cid)


def test_an_interrupted_upload_goes_on_where_it_was(store: KuboStore, node: KuboStandIn, rpc: LocalServer) -> None:
    data = os.urandom((2 * FANOUT + 3) * LEAF_SIZE)
    node.fail_import = 2
    with pytest.raises(NodeUnreachableError):
        store.put_bytes(data)
    assert not store.has(hash_bytes(data).cid)
    node.fail_import = None
    before = len(rpc.asked)
    digest = store.put_bytes(data)
    assert node.content(digest.cid) == data
    sent = sum(len(asked.body) for asked in rpc.asked[before:])
    assert sent < 4 * LEAF_SIZE, "only the three leaves that were missing, and the nodes, are sent again"


def test_blocks_that_a_node_collected_between_two_attempts_are_sent_again(store: KuboStore, node: KuboStandIn) -> None:
    data = os.urandom(3 * LEAF_SIZE)
    dag = FileDag.of(iter((data,)))
    cid = store.put_bytes(data).cid
    del node.blocks[cid_from_bytes(dag.leaf(2).cid)]
    store.put_bytes(data)
    assert node.content(cid) == data


def test_a_pin_error_in_the_middle_of_an_import_is_raised(store: KuboStore, node: KuboStandIn, tmp_path: Path) -> None:
    from llamafund_chain.store import LocalStore
    from llamafund_chain.store.archive import export_car

    local = LocalStore(tmp_path / "local")
    cids = [local.put_bytes(data).cid for data in (b"one", b"two")]
    export_car(local, cids, tmp_path / "x.car")
    assert store.import_car(tmp_path / "x.car") == tuple(cids)
    assert node.pinned == set(cids)
    node.pin_error = "pin: disk is on fire"
    with pytest.raises(LlamafundError, match="disk is on fire"):
        store.import_car(tmp_path / "x.car")
    with pytest.raises(LlamafundError, match="disk is on fire"):
        store.pin(cids[0])


def test_an_import_that_lost_blocks_is_not_a_success(store: KuboStore, node: KuboStandIn) -> None:
    node.drop_from_import = 1
    with pytest.raises(LlamafundError, match="imported 3 blocks of 4 that were sent"):
        store.put_bytes(os.urandom(600_000))


def test_an_error_in_a_trailer_of_an_import_is_noticed(store: KuboStore, node: KuboStandIn) -> None:
    node.import_error = "no space left on device"
    with pytest.raises(LlamafundError, match="unknown number of blocks"):
        store.put_bytes(b"x")


@pytest.mark.parametrize("breaks", [False, True])
def test_a_stream_that_ends_early_is_continued(store: KuboStore, node: KuboStandIn, breaks: bool) -> None:
    data = os.urandom(2_000_000)
    cid = store.put_bytes(data).cid
    node.cat_limit, node.cat_breaks, node.cat_trailers = 700_001, breaks, 2
    assert store.read(cid, limit=len(data)) == data


@pytest.mark.parametrize("breaks", [False, True])
def test_a_stream_that_always_ends_early_is_no_success(
    store: KuboStore, node: KuboStandIn, tmp_path: Path, breaks: bool
) -> None:
    data = os.urandom(1_000_000)
    cid = store.put_bytes(data).cid
    node.cat_limit, node.cat_breaks = 0, breaks
    with pytest.raises(NodeUnreachableError) as caught:
        store.fetch(cid, tmp_path / "out")
    assert caught.value.exit_code is ExitCode.NODE_UNREACHABLE
    assert list(tmp_path.iterdir()) == []


def test_a_fetch_that_broke_off_is_continued_by_the_next_process(
    store: KuboStore, node: KuboStandIn, rpc: LocalServer, tmp_path: Path
) -> None:
    data = os.urandom(1_000_000)
    cid = store.put_bytes(data).cid
    node.cat_limit, node.cat_breaks = 400_000, True

    def once(start: int) -> None:
        node.cat_limit = 400_000 if start == 0 else 0

    stopped = node.do_cat
    node.do_cat = lambda handler, asked: (once(int(asked.query["offset"])), stopped(handler, asked))[1]  # type: ignore[method-assign]
    with pytest.raises(NodeUnreachableError, match="400000 bytes are kept"):
        store.fetch(cid, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [f".{cid}.partial"]
    node.do_cat = stopped  # type: ignore[method-assign]
    node.cat_limit = None
    KuboStore(place_of(rpc.url)).fetch(cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert rpc.asked[-1].query["offset"] == "400000"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_damaged_beginning_is_not_continued_but_fetched_again(store: KuboStore, tmp_path: Path) -> None:
    data = os.urandom(600_000)
    cid = store.put_bytes(data).cid
    (tmp_path / f".{cid}.partial").write_bytes(b"not the beginning")
    store.fetch(cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_wrong_bytes_are_refused_and_thrown_away(store: KuboStore, node: KuboStandIn, tmp_path: Path) -> None:
    cid = store.put_bytes(os.urandom(600_000)).cid
    (tmp_path / "out").write_bytes(b"earlier")
    node.wrong_bytes = True
    with pytest.raises(VerificationError, match=cid):
        store.fetch(cid, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"earlier"}


def test_a_wrong_block_is_refused(store: KuboStore, node: KuboStandIn) -> None:
    cid = store.put_bytes(b"small").cid
    node.wrong_block = True
    with pytest.raises(VerificationError, match="another block"):
        store.read(cid, limit=100)


def test_a_directory_is_no_file_of_evidence_and_accuses_nobody(store: KuboStore, node: KuboStandIn) -> None:
    directory = b"\x0a\x02\x08\x01"
    cid = cid_from_bytes(node_cid(directory))
    node.blocks[cid] = directory
    with pytest.raises(OtherFormError, match="not a file of the kind") as caught:
        store.read(cid, limit=10)
    assert not accuses(caught.value)


@pytest.mark.parametrize(
    ("credential", "header"),
    [(Credential("Bearer", "s3cret"), "Bearer s3cret"), (Credential("Basic", "ann:s3cret"), "Basic YW5uOnMzY3JldA==")],
)
def test_credentials_are_sent_and_never_shown(
    rpc: LocalServer, node: KuboStandIn, credential: Credential, header: str
) -> None:
    node.token = header
    store = KuboStore(place_of(rpc.url), credential)
    assert store.version() == "0.43.0"
    assert store.put_bytes(b"x") == hash_bytes(b"x")
    node.token = "something else"
    with pytest.raises(LlamafundError, match="refused access") as caught:
        store.version()
    assert "s3cret" not in f"{caught.value} {store!r} {credential!r} {vars(caught.value)}"


def test_a_netrc_does_not_replace_the_token(
    rpc: LocalServer, node: KuboStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    node.token = "Bearer mine"
    assert KuboStore(place_of(rpc.url), Credential("Bearer", "mine")).version() == "0.43.0"


def test_the_token_comes_from_the_credentials_file(
    rpc: LocalServer, node: KuboStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").touch(mode=0o600)
    (tmp_path / "credentials").write_text(f"# mine\nhttps://other.example bearer wrong\n{rpc.url} basic ann:pw\n")
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(tmp_path / "credentials"))
    node.token = "Basic YW5uOnB3"
    open_store(f"kubo:{rpc.url}").put_bytes(b"x")


def test_a_redirection_is_not_followed_with_the_token(node: KuboStandIn, rpc: LocalServer) -> None:
    with KuboStandIn().serve() as other:
        node.redirect = f"{other.url}/api/v0/version"
        with pytest.raises(LlamafundError, match="redirects elsewhere"):
            KuboStore(place_of(rpc.url), Credential("Bearer", "s3cret")).version()
        assert other.asked == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"<html>404 page not found", "not the RPC interface of a Kubo node"),
        (200, b"<html>hello", "unlike Kubo"),
        (200, b"[1, 2]", "unlike Kubo"),
        (200, b"", "unlike Kubo"),
    ],
)
def test_something_that_is_no_node_is_told_apart(status: int, body: bytes, words: str) -> None:
    with LocalServer(lambda handler, asked: handler.reply(status, body)) as web:
        store = KuboStore(place_of(web.url))
        for action in (store.version, lambda: store.pin(hash_bytes(b"x").cid)):
            with pytest.raises(LlamafundError, match=words):
                action()


@pytest.mark.parametrize("body", [b"", b"x" * 10_000_000, b'{"Message": "boom", "Code": 0, "Type": "error"}'])
def test_errors_of_a_node_are_errors_with_words(node: KuboStandIn, store: KuboStore, body: bytes) -> None:
    node.status, node.error = 500, body
    with pytest.raises(LlamafundError) as caught:
        store.version()
    assert len(str(caught.value)) < 1000


def test_a_node_that_is_not_there_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for action in (
        lambda: KuboStore(place_of(url)).version(),
        lambda: KuboStore(place_of(url)).put_bytes(b"x"),
        lambda: KuboStore(place_of(url)).pins(),
    ):
        with pytest.raises(NodeUnreachableError, match=url):
            action()


def test_a_silent_node_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamafund_chain.store.kinds.kubo.READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NodeUnreachableError, match="in time"):
            KuboStore(place_of(url)).version()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://node.example:5001", "plain HTTP to another machine"),
        ("https://ann:pw@node.example", "user name or password"),
        ("ftp://127.0.0.1", "not an address of a server"),
        ("https://node.example/?token=1", "query"),
        ("https://", "not an address of a server"),
        ("http://127.0.0.1:99999", "not an address"),
    ],
)
def test_addresses_that_would_leak_or_cannot_be_are_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        open_store(f"kubo:{url}")
    assert "pw" not in str(caught.value).replace("password", "")


def test_plain_http_to_another_machine_is_allowed_when_told_but_never_with_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert open_store("kubo+insecure:http://node.example:5001").location == "kubo:http://node.example:5001"
    monkeypatch.setenv("LLAMAFUND_KUBO_TOKEN", "s3cret")
    with pytest.raises(UsageError, match="unencrypted") as caught:
        open_store("kubo+insecure:http://node.example:5001")
    assert "s3cret" not in str(caught.value)
