"""Attacks on fetching and storing that once went through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.files import write_file
from llamafund_chain.hashing import hash_bytes, hash_tree
from llamafund_chain.manifests import FileEntry, Listing
from llamafund_chain.store import LocalStore, MissingContentError, open_store
from llamafund_chain.store.fetching import fetch_tree
from llamafund_chain.store.kubo import KuboStore
from llamafund_chain.store.remote import fetch_resuming
from llamafund_chain.store.unixfs import FANOUT, LEAF_SIZE, Link, decode_node, encode_node, leaf_cid
from llamafund_chain.store.web import Credential, RefusedError, WebClient, credential_for, place_of


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
    with pytest.raises(VerificationError, match="still being fetched"):
        fetch_tree([store], manifest, tmp_path / "out")
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
    done = fetch_tree([Refusing(tmp_path / "bad"), good], manifest, tmp_path / "out", report=said.append)
    assert done == (1, 0)
    assert any("HTTP 403" in text for text in said)
    with pytest.raises(RefusedError, match="'a'"):
        fetch_tree([Refusing(tmp_path / "bad")], manifest, tmp_path / "other")


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
    with pytest.raises(UsageError, match="not an address of a node"):
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
    (tmp_path / "credentials").write_text(line + "\n")
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(tmp_path / "credentials"))
    with pytest.raises(UsageError, match="line 1") as caught:
        credential_for(place_of("https://host"), "kubo")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
