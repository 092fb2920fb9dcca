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
from llamafund_chain.http.patience import Patience
from llamafund_chain.store import MissingContentError, Store
from llamafund_chain.store.base import OtherFormError
from llamafund_chain.store.http.client import is_public
from llamafund_chain.store.kinds.mirror import MAX_MIRRORS, MirrorStore, check_mirror, mirrors_of

NAME = "model weights/ü #1?.bin"
NAME_QUOTED = "model%20weights/%C3%BC%20%231%3F.bin"
DATA = b"\1" + os.urandom(699_999)
DIGEST = hash_bytes(DATA)


class Web:
    """A web server with one file."""

    def __init__(self) -> None:
        self.data = DATA
        self.ranges = True
        self.cut: int | None = None
        self.cut_ranges = True
        self.shift = 0
        self.encoding = ""
        self.kind = ""
        self.past_the_end: int | None = None
        self.busy: list[int] = []

    def answer(self, handler: Handler, asked: Asked) -> None:
        if asked.path != "/base/model%20weights/%C3%BC%20%231%3F.bin":
            handler.reply(404, b"<html>no")
            return
        wanted = asked.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if self.busy:
            handler.reply(self.busy.pop(0), b"", {"Retry-After": "11"})
            return
        if start and start == self.past_the_end:
            handler.reply(416, b"", {"Content-Range": f"bytes */{start - 1}"})
            return
        body = self.data[start:]
        headers = {"Content-Encoding": self.encoding} if self.encoding else {}
        if self.kind:
            headers["Content-Type"] = self.kind
        if start:
            headers["Content-Range"] = f"bytes {start + self.shift}-{len(self.data) - 1}/{len(self.data)}"
        status = 206 if start else 200
        if self.cut is not None and (self.cut_ranges or not start):
            handler.stream(iter((body[: self.cut],)), broken=True, status=status, headers=headers)
        else:
            handler.reply(status, body, headers)


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
    return MirrorStore(f"mirror:{server.url}/base/", [entry()], patience=Patience(0))


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
    with pytest.raises((VerificationError, NodeUnreachableError, OtherFormError), match=words):
        fetch(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("most", [len(DATA) - 1, len(DATA)])
def test_a_manifest_with_too_small_a_size_is_told_from_a_mirror_with_another_file(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("llamafund_chain.store.kinds.mirror.MAX_MEASURED", most)
    short = entry().model_copy(update={"size": len(DATA) - 1})
    store = MirrorStore(f"mirror:{server.url}/base/", [short], patience=Patience(0))
    with pytest.raises((VerificationError, OtherFormError)) as refused:
        store.fetch(DIGEST.cid, tmp_path / "out", size=short.size, sha256=DIGEST.sha256)
    told = f"has {len(DATA)} bytes, but the manifest says {len(DATA) - 1}" in str(refused.value)
    # A file that is too long to be measured stays what it was: another file, which accuses nobody.
    assert told is isinstance(refused.value, VerificationError) is (most == len(DATA))
    assert list(tmp_path.iterdir()) == []


def test_a_kept_end_that_the_server_does_not_have_starts_the_file_anew(
    store: MirrorStore, server: LocalServer, tmp_path: Path, web: Web
) -> None:
    # A longer file that was there before; its first bytes were kept.
    (tmp_path / f".{DIGEST.cid}.partial").write_bytes(os.urandom(699_990))
    web.past_the_end = 699_990
    fetch(store, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [asked.headers.get("Range") for asked in server.asked] == ["bytes=699990-", None]


def test_what_was_kept_survives_a_mirror_with_other_bytes(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    (tmp_path / f".{DIGEST.cid}.partial").write_bytes(DATA[:400_000])
    web.data = DATA[:-1] + bytes((DATA[-1] ^ 1,))
    with pytest.raises(VerificationError):
        fetch(store, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {f".{DIGEST.cid}.partial": DATA[:400_000]}
    web.data = DATA
    fetch(store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_new_attempt_from_the_beginning_is_continued_too(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    (tmp_path / f".{DIGEST.cid}.partial").write_bytes(b"x" * 699_000)
    web.cut, web.cut_ranges = 300_000, False
    with pytest.raises(NodeUnreachableError):
        fetch(store, tmp_path / "out")
    assert (tmp_path / f".{DIGEST.cid}.again.partial").read_bytes() == DATA[:300_000]
    web.cut = None
    fetch(store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_download_that_breaks_off_goes_on_by_itself(
    server: LocalServer, web: Web, tmp_path: Path, waited: list[float]
) -> None:
    web.cut = 300_000
    fetch(MirrorStore(f"mirror:{server.url}/base/", [entry()]), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA
    assert [asked.headers.get("Range") for asked in server.asked] == [None, "bytes=300000-", "bytes=600000-"]
    assert waited == [1.0, 1.0], "whoever makes progress begins anew"


def test_a_mirror_that_asks_for_time_gets_it(
    server: LocalServer, web: Web, tmp_path: Path, waited: list[float]
) -> None:
    web.busy = [429, 503]
    fetch(MirrorStore(f"mirror:{server.url}/base/", [entry()]), tmp_path / "out")
    assert waited == [11.0, 11.0]


def test_a_page_instead_of_a_file_is_called_a_page(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    web.data, web.kind = b"<html>Log in", "text/html"
    with pytest.raises(OtherFormError, match="it sent a page"):
        fetch(store, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def credentials(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    path = folder / "credentials"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(path))


def test_a_token_goes_to_its_mirror_only(
    server: LocalServer, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path, monkeypatch, f"{server.url} basic ann:pw", "https://elsewhere.example bearer other")
    fetch(MirrorStore(f"mirror:{server.url}/base/", [entry()]), tmp_path / "out")
    assert server.asked[0].headers["Authorization"] == "Basic YW5uOnB3"


def test_compressed_answers_are_refused(store: MirrorStore, web: Web, tmp_path: Path) -> None:
    web.encoding = "gzip"
    with pytest.raises(OtherFormError, match="compressed"):
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
