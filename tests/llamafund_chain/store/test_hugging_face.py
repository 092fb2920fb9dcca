"""Downloads from a server that answers as Hugging Face's does, and that server before Hugging Face's own library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import COMMIT, TOKEN, HubStandIn

from llamafund_chain.errors import NodeUnreachableError, VerificationError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.evidence.manifests import FileEntry
from llamafund_chain.http.patience import Patience
from llamafund_chain.store.base import BrokeOffError, MissingContentError, OtherFormError, RefusedError
from llamafund_chain.store.kinds.mirror import MirrorStore

DATA = b"\1" + os.urandom(699_999)
SMALL, LARGE = "config.json", "sub folder/model ü.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with HubStandIn() as running:
        running.files = {SMALL: DATA, LARGE: DATA}
        running.large = {LARGE}
        monkeypatch.setattr("llamafund_chain.store.kinds.mirror.HUGGING_FACE", running.hub.url)
        yield running


def entry(path: str = LARGE, size: int | None = None) -> FileEntry:
    digest = hash_bytes(DATA)
    return FileEntry(path=path, size=digest.size if size is None else size, sha256=digest.sha256, cid=digest.cid)


def fetch(folder: Path, file: FileEntry | None = None, name: str = "hf:ann/llama@v1", wait: float = 0) -> None:
    file = entry() if file is None else file
    store = MirrorStore(name, [file], patience=Patience(wait))
    store.fetch(file.cid, folder / "out", size=file.size, sha256=file.sha256)


def give_token(folder: Path, monkeypatch: pytest.MonkeyPatch, hub: HubStandIn, token: str = TOKEN) -> None:
    path = folder / "credentials"
    path.touch(mode=0o600)
    path.write_text(f"{hub.hub.url} bearer {token}\n")
    monkeypatch.setenv("LLAMAFUND_CREDENTIALS", str(path))


@pytest.mark.parametrize("path", [SMALL, LARGE])
@pytest.mark.parametrize("name", ["hf:ann/llama", "hf:ann/llama@v1", f"hf:ann/llama@{COMMIT}"])
def test_a_file_comes_from_the_hub_or_from_where_the_hub_sends_for_it(
    hub: HubStandIn, tmp_path: Path, path: str, name: str
) -> None:
    fetch(tmp_path, entry(path), name)
    assert (tmp_path / "out").read_bytes() == DATA
    assert [asked.method for asked in hub.hub.asked] == ["GET"], "one request, and no other before it"
    assert len(hub.cdn.asked) == (path == LARGE)


def test_a_token_of_the_hub_never_goes_to_the_host_to_which_it_redirects(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    give_token(tmp_path, monkeypatch, hub)
    fetch(tmp_path)
    assert (tmp_path / "out").read_bytes() == DATA
    assert hub.hub.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Authorization" not in hub.cdn.asked[0].headers
    assert TOKEN not in str(vars(hub.cdn.asked[0]))


def test_a_gated_repository_says_what_to_do_with_and_without_a_token(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    for token, shown in (("", "a request without a token"), ("hf_other", "the token that was sent")):
        if token:
            give_token(tmp_path, monkeypatch, hub, token)
        with pytest.raises(RefusedError, match=rf"refused {shown}.*agreed to the repository's conditions") as refused:
            fetch(tmp_path)
        assert "Agree on its page" in refused.value.remedy
        assert "hf_other" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "path", "kind", "words"),
    [
        ("hf:ann/none", LARGE, RefusedError, "no such repository, or it is private"),
        ("hf:ann/llama@v9", LARGE, MissingContentError, "no such revision"),
        ("hf:ann/llama@v1", "other.bin", MissingContentError, "no file of that name"),
    ],
)
def test_what_is_not_there_is_told_from_what_is_refused(
    hub: HubStandIn, tmp_path: Path, name: str, path: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        fetch(tmp_path, entry(path), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [SMALL, LARGE])
def test_a_body_that_was_cut_goes_on_where_it_was_within_a_run_and_in_the_next(
    hub: HubStandIn, tmp_path: Path, path: str, waited: list[float]
) -> None:
    hub.cut = 300_000
    with pytest.raises(NodeUnreachableError, match="300000 bytes are kept"):
        fetch(tmp_path, entry(path))
    hub.cut = 200_000
    fetch(tmp_path, entry(path), wait=9)
    assert (tmp_path / "out").read_bytes() == DATA
    asked = (hub.cdn if path == LARGE else hub.hub).asked
    assert [one.headers.get("Range") for one in asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"RateLimit": '"api";r=0;t=7'}])
def test_the_hub_gets_the_time_that_it_asks_for_within_the_budget(
    hub: HubStandIn, tmp_path: Path, waited: list[float], headers: dict[str, str]
) -> None:
    hub.busy = [headers, headers]
    fetch(tmp_path, wait=20)
    assert waited == [7.0, 7.0]
    hub.busy = [{"Retry-After": "86400"}]
    with pytest.raises(BrokeOffError, match="HTTP 429"):
        fetch(tmp_path, wait=20)
    assert waited == [7.0, 7.0], "nobody waits for a day"
    hub.busy = [{"RateLimit": '"api";r=3;t=86400'}]
    fetch(tmp_path, wait=20)
    assert waited[2:] == [1.0], "something is left, so this is not the reason"


def test_the_three_verdicts_lied_broke_off_and_another_form(hub: HubStandIn, tmp_path: Path) -> None:
    hub.files[LARGE] = DATA[:-1] + bytes([DATA[-1] ^ 1])
    with pytest.raises(VerificationError, match="replaced"):
        fetch(tmp_path)
    hub.files[LARGE], hub.cut = DATA, 1
    with pytest.raises(BrokeOffError):
        fetch(tmp_path)
    hub.files[LARGE] = DATA[:-1]
    with pytest.raises(OtherFormError, match="has 699999 bytes"):
        fetch(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_size_that_the_hub_announces_saves_the_download_of_another_file(hub: HubStandIn, tmp_path: Path) -> None:
    hub.files[LARGE] = DATA[:9]
    with pytest.raises(OtherFormError, match="has 9 bytes"):
        fetch(tmp_path)
    assert hub.cdn.asked == []
    # Said wrongly: the bytes decide.
    hub.files[LARGE], hub.linked_size = DATA, len(DATA) + 1
    with pytest.raises(OtherFormError, match="another file"):
        fetch(tmp_path)
    with pytest.raises(VerificationError, match="but the manifest says 9"):
        fetch(tmp_path, entry(size=9))


LIBRARY = """
import json, sys
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
endpoint, folder, small, large = sys.argv[1:]
found = {}
for path in (small, large):
    seen = get_hf_file_metadata(hf_hub_url("ann/llama", path, revision="v1", endpoint=endpoint), endpoint=endpoint)
    got = hf_hub_download("ann/llama", path, revision="v1", endpoint=endpoint, local_dir=folder)
    found[path] = [seen.commit_hash, seen.size, seen.location.startswith(endpoint), open(got, "rb").read().hex()]
for name, repository, path, revision in (
    ("repository", "ann/none", small, "main"),
    ("revision", "ann/llama", small, "v9"),
    ("entry", "ann/llama", "other", "main"),
):
    try:
        get_hf_file_metadata(hf_hub_url(repository, path, revision=revision, endpoint=endpoint), endpoint=endpoint)
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""


def test_hugging_faces_own_library_reads_from_the_stand_in_as_from_its_own(hub: HubStandIn, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", minversion="1.0")
    hub.files = {SMALL: DATA[:500], LARGE: DATA[:900]}
    settings = {
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "*",
    }
    arguments = [hub.hub.url, str(tmp_path / "got"), SMALL, LARGE]
    ended = subprocess.run(
        [sys.executable, "-c", LIBRARY, *arguments], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found[SMALL] == [COMMIT, 500, True, DATA[:500].hex()]
    assert found[LARGE] == [COMMIT, 900, False, DATA[:900].hex()]
    assert found["repository"] == "RepositoryNotFoundError"
    assert (found["revision"], found["entry"]) == ("RevisionNotFoundError", "RemoteEntryNotFoundError")
