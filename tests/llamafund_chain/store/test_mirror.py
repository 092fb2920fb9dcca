"""Web servers and Hugging Face repositories as hints: what they send is compared with the manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import Asked, Handler, LocalServer
from pydantic import ConfigDict

from llamafund_chain.errors import NodeUnreachableError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.evidence.manifests import FileEntry, Listing, Manifest
from llamafund_chain.store import MissingContentError, Store
from llamafund_chain.store.http.client import is_public
from llamafund_chain.store.kinds.mirror import MAX_MIRRORS, MirrorStore, check_mirror, mirrors_of

NAME = "model weights/ü #1?.bin"
DATA = b"\1" + os.urandom(699_999)
DIGEST = hash_bytes(DATA)


class Web:
    """A web server with one file."""

    def __init__(self) -> None:
        self.data = DATA
        self.ranges = True
        self.cut: int | None = None
        self.shift = 0
        self.encoding = ""

    def answer(self, handler: Handler, asked: Asked) -> None:
        if asked.path != "/base/model%20weights/%C3%BC%20%231%3F.bin":
            handler.reply(404, b"<html>no")
            return
        wanted = asked.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        body = self.data[start:]
        headers = {"Content-Encoding": self.encoding} if self.encoding else {}
        if self.cut is not None:
            handler.stream(iter((body[: self.cut],)), broken=True)
        elif start:
            headers["Content-Range"] = f"bytes {start + self.shift}-{len(self.data) - 1}/{len(self.data)}"
            handler.reply(206, body, headers)
        else:
            handler.reply(200, body, headers)


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def server(web: Web) -> Iterator[LocalServer]:
    with LocalServer(web.answer) as running:
        yield running


def entry(path: str = NAME, data: bytes = DATA) -> FileEntry:
    digest = hash_bytes(data)
    return FileEntry(path=path, size=digest.size, sha256=digest.sha256, cid=digest.cid)


@pytest.fixture
def store(server: LocalServer) -> MirrorStore:
    return MirrorStore(f"mirror:{server.url}/base/", [entry()])


def fetch(store: MirrorStore, path: Path) -> None:
    store.fetch(DIGEST.cid, path, size=DIGEST.size, sha256=DIGEST.sha256)


def test_a_mirror_is_a_store_that_gives_files_by_their_paths(store: MirrorStore, tmp_path: Path) -> None:
    assert isinstance(store, Store)
    assert store.has(DIGEST.cid)
    fetch(store, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    with pytest.raises(MissingContentError, match="no name for"):
        store.read(hash_bytes(b"other").cid, limit=5)
    with pytest.raises(UsageError):
        store.put_bytes(b"x")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_is_continued(
    store: MirrorStore, web: Web, server: LocalServer, tmp_path: Path, ranges: bool
) -> None:
    web.cut, web.ranges = 300_000, ranges
    with pytest.raises(NodeUnreachableError, match="300000 bytes are kept"):
        fetch(store, tmp_path / "out")
    web.cut = None
    fetch(store, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert server.asked[-1].headers["Range"] == "bytes=300000-"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_part_than_was_asked_for_is_refused(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    web.cut = 300_000
    with pytest.raises(NodeUnreachableError):
        fetch(store, tmp_path / "out")
    web.cut, web.shift = None, 1
    fetch(store, tmp_path / "out")
    # What was kept was thrown away, and the file fetched from its beginning.
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "words"),
    [(DATA + b"x", "more than 700000 bytes"), (DATA[:-1], "stopped after 699999"), (b"\0" + DATA[1:], "replaced")],
    ids=["longer", "shorter", "changed"],
)
def test_other_bytes_are_refused(store: MirrorStore, web: Web, tmp_path: Path, data: bytes, words: str) -> None:
    web.data = data
    with pytest.raises((VerificationError, NodeUnreachableError), match=words):
        fetch(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_compressed_answers_are_refused(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    web.encoding = "gzip"
    with pytest.raises(VerificationError, match="compressed"):
        fetch(store, tmp_path / "out")


def test_a_repository_of_hugging_face_is_an_address() -> None:
    for name, url in {
        "hf:ann/llama": "https://huggingface.co/ann/llama/resolve/main",
        "hf:datasets/ann/notes@v1": "https://huggingface.co/datasets/ann/notes/resolve/v1",
        "hf:ann/llama@refs/pr/1": "https://huggingface.co/ann/llama/resolve/refs%2Fpr%2F1",
    }.items():
        assert MirrorStore(name, [])._client.place.url == url


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:ann", "hf:../../x", "hf:ann/..", "hf:a/b/c/d", "hf:a/b@x?y", "mirror:http://a.b", "mirror:", "x"],
)
def test_what_is_no_mirror_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_mirror(name)


def manifest_with(mirrors: object) -> Manifest:
    class Hinting(Listing):
        model_config = ConfigDict(extra="allow")

    return Hinting.model_validate({"files": (entry(),), "mirrors": mirrors})


def test_a_manifest_names_mirrors_and_only_public_ones_are_asked() -> None:
    hints = [
        "https://models.example/llama",
        "hf:ann/llama@v1",
        "http://models.example",
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://[fd00::1]/x",
        "https://localhost/x",
        "https://router.local/x",
        "https://ann:pw@models.example",
        "file:///etc/passwd",
        "https://169.254.169.254/latest/meta-data",
        7,
        None,
        "x" * 10_000,
        "https://models.example/llama",
    ]
    assert mirrors_of(manifest_with(hints)) == ("https://models.example/llama", "hf:ann/llama@v1")
    assert len(mirrors_of(manifest_with([f"https://m{number}.example" for number in range(1000)]))) == MAX_MIRRORS
    for nothing in (None, "https://models.example", {}, 3, []):
        assert mirrors_of(manifest_with(nothing)) == ()


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a.b:0", "https://a.b:x", "https://", "https://.", "ftp://a.b"]
)
def test_malformed_addresses_are_not_public(url: str) -> None:
    assert not is_public(url)
