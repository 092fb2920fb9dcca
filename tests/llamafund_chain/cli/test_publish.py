"""`llamafund publish`, `fetch` and `store` as a person and a script see them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stand_in import GatewayStandIn
from http_servers import LocalServer
from kubo_stand_in import KuboStandIn

from llamafund_chain.evidence.hashing import hash_bytes, hash_tree
from llamafund_chain.evidence.manifests import Listing
from llamafund_chain.store import LocalStore

Llamafund = Callable[..., Any]

FILES = {"README.md": b"# Model\n", "empty": b"", "weights/a.bin": os.urandom(900_000), "weights/\n-b": b"odd name"}


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CREDENTIALS", "KUBO_TOKEN", "PIN_TOKEN", "GATEWAY_TOKEN"):
        monkeypatch.delenv(f"LLAMAFUND_{name}", raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "tree"


@pytest.fixture
def node() -> KuboStandIn:
    return KuboStandIn()


@pytest.fixture
def rpc(node: KuboStandIn) -> Iterator[LocalServer]:
    with node.serve() as server:
        yield server


def holds(directory: Path) -> bool:
    found = {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    return found == FILES


def test_a_directory_goes_to_every_place_and_comes_back_from_each(
    llamafund: Llamafund, tree: Path, tmp_path: Path, rpc: LocalServer, node: KuboStandIn
) -> None:
    ran = llamafund(
        "publish", tree, "--to", tmp_path / "s", "--to", f"kubo:{rpc.url}", "--to", f"car:{tmp_path / 'x.car'}",
        "--out", tmp_path / "m.json", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.stderr
    sha256 = ran.json["manifest"]
    assert hashlib.sha256((tmp_path / "m.json").read_bytes()).hexdigest() == sha256
    assert [place["error"] for place in ran.json["places"]] == [None, None, None]
    assert (ran.json["files"], ran.json["bytes"]) == (4, sum(map(len, FILES.values())))
    assert llamafund("store", "import", tmp_path / "x.car", "--store", tmp_path / "s2").code == 0
    with GatewayStandIn(node.blocks).serve() as gateway:
        for number, place in enumerate((tmp_path / "s", f"kubo:{rpc.url}", tmp_path / "s2", f"gateway:{gateway.url}")):
            out = tmp_path / f"out{number}"
            fetched = llamafund("fetch", sha256, "--from", place, "--out", out, "--json")
            assert fetched.code == 0, fetched.stderr
            assert fetched.json["files_fetched"] == 4
            assert holds(out)
            again = llamafund("fetch", f"0x{sha256.upper()}", "--from", place, "--out", out, "--json")
            assert (again.json["files_fetched"], again.json["files_present"]) == (0, 4)


def test_the_table_names_each_place(llamafund: Llamafund, tree: Path, tmp_path: Path) -> None:
    ran = llamafund("publish", tree, "--to", tmp_path / "s")
    assert ran.code == 0
    assert next(line for line in ran.stdout.splitlines() if str(tmp_path / "s") in line).endswith("complete")
    again = llamafund("publish", tree, "--to", tmp_path / "s", "--json")
    (place,) = again.json["places"]
    assert place["bytes_sent"] == 0
    assert place["pinned"] == 5


def test_a_place_that_fails_does_not_stop_the_others(
    llamafund: Llamafund, tree: Path, tmp_path: Path, rpc: LocalServer, node: KuboStandIn
) -> None:
    node.fail_import = 1
    ran = llamafund("publish", tree, "--to", f"kubo:{rpc.url}", "--to", tmp_path / "s", "--json")
    ran.refused(4, "1 of 2 locations", rpc.url)
    first, second = ran.json["places"]
    assert rpc.url in first["error"]
    assert second["error"] is None
    assert holds_from(llamafund, ran.json["manifest"], tmp_path / "s", tmp_path / "out")
    node.fail_import = None
    imports = node.imports
    assert llamafund("publish", tree, "--to", f"kubo:{rpc.url}").code == 0
    assert node.imports - imports == 5, "the file that got there before is not sent again"
    assert holds_from(llamafund, ran.json["manifest"], f"kubo:{rpc.url}", tmp_path / "out2")


def holds_from(llamafund: Llamafund, sha256: str, place: object, out: Path) -> bool:
    return llamafund("fetch", sha256, "--from", place, "--out", out).code == 0 and holds(out)


def test_a_killed_publish_goes_on_where_it_was(tmp_path: Path, llamafund: Llamafund) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(30):
        (tmp_path / "tree" / f"{number:02}").write_bytes(os.urandom(1_000_000))
    command = [sys.executable, "-m", "llamafund_chain", "publish", str(tmp_path / "tree"), "--to", str(tmp_path / "s")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    store = LocalStore(tmp_path / "s")
    while process.poll() is None and len(store.contents()) < 5:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    ran = llamafund("publish", tmp_path / "tree", "--to", tmp_path / "s", "--json")
    assert ran.code == 0
    (place,) = ran.json["places"]
    assert place["bytes_present"] >= 4_000_000
    assert place["bytes_present"] + place["bytes_sent"] > 30_000_000


def _bytes_in(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_a_publish_that_is_killed_at_ten_random_moments_loses_nothing(tmp_path: Path, llamafund: Llamafund) -> None:
    tree, place = tmp_path / "tree", tmp_path / "s"
    tree.mkdir()
    for number in range(40):
        (tree / f"{number:02}").write_bytes(os.urandom(500_000))
    store, seed = LocalStore(place), random.randrange(2**32)
    moments = random.Random(seed)
    command = [sys.executable, "-m", "llamafund_chain", "publish", str(tree), "--to", str(place)]
    for _ in range(10):
        before, size = store.contents(), _bytes_in(place)
        moment = size + moments.randrange(1, max(20_000_000 - size, 10) // 3)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _bytes_in(place) < moment:
            pass
        process.kill()
        process.wait()
        assert before <= store.contents(), seed
        for cid in store.contents():
            assert sum(map(len, store.stream(cid))) > 0, "it is verified while it is read"
    ran = llamafund("publish", tree, "--to", place, "--json")
    assert ran.code == 0, (seed, ran.stderr)
    fetched = llamafund("fetch", ran.json["manifest"], "--from", place, "--out", tmp_path / "out", "--json")
    assert fetched.json["files_fetched"] == 40, seed
    assert all((tmp_path / "out" / path.name).read_bytes() == path.read_bytes() for path in tree.iterdir())


def test_a_pinning_service_is_asked_last_and_only_if_somebody_has_the_content(
    llamafund: Llamafund, tree: Path, tmp_path: Path, rpc: LocalServer, node: KuboStandIn
) -> None:
    asked_before: list[int] = []

    def answer(handler: Any, asked: Any) -> None:
        asked_before.append(len(node.pinned))
        import json

        if asked.method == "GET":
            handler.reply(200, b'{"count": 0, "results": []}')
            return
        sent = json.loads(asked.body)
        assert sent["origins"] == ["/ip4/203.0.113.7/tcp/4001/p2p/12D3"]
        made = {"requestid": "r", "status": "pinned", "created": "c", "pin": {"cid": sent["cid"]}, "delegates": ["x"]}
        handler.reply(202, json.dumps(made).encode())

    with LocalServer(answer) as service:
        ran = llamafund("publish", tree, "--to", f"pin:{service.url}/psa", "--to", f"kubo:{rpc.url}", "--json")
        assert ran.code == 0, ran.stderr
        assert [place["pinned"] for place in ran.json["places"]] == [5, 5]
        assert set(asked_before) == {5}
        alone = llamafund("publish", tree, "--to", f"pin:{service.url}/psa")
        alone.refused(2, "No location takes the bytes")
        node.status = 500
        service.asked.clear()
        ran = llamafund("publish", tree, "--to", f"pin:{service.url}/psa", "--to", f"kubo:{rpc.url}")
        assert (ran.code, service.asked) == (4, []) or (ran.code, service.asked) == (1, [])
        assert "It was not asked" in ran.stderr


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("gateway:https://ipfs.example", "cannot be published to"),
        ("hf:ann/llama", "is not a store"),
        ("http://127.0.0.1:5001", "does not say what kind"),
        ("kubo:http://node.example:5001", "plain HTTP to another machine"),
        ("kubo:https://ann:pw@node.example", "user name or password"),
        ("car:", "names no file"),
        ("", "empty"),
    ],
)
def test_places_that_cannot_be_published_to_are_refused_before_anything_is_sent(
    llamafund: Llamafund, tree: Path, tmp_path: Path, location: str, words: str
) -> None:
    ran = llamafund("publish", tree, "--to", tmp_path / "s", "--to", location, "--no-cache")
    ran.refused(2, words)
    assert "pw@" not in ran.stderr
    assert not (tmp_path / "s").exists()


def test_a_file_changed_after_the_manifest_was_made_is_named(
    llamafund: Llamafund, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llamafund_chain.store.publishing as publishing

    original = publishing.publish

    def later(*arguments: Any, **options: Any) -> Any:
        (tree / "README.md").write_bytes(b"# Mod3l\n")
        return original(*arguments, **options)

    monkeypatch.setattr(publishing, "publish", later)
    for place in (tmp_path / "s", f"car:{tmp_path / 'x.car'}"):
        (tree / "README.md").write_bytes(FILES["README.md"])
        llamafund("publish", tree, "--to", place).refused(3, "README.md", "changed after the manifest was made")
    assert not (tmp_path / "x.car").exists()


def test_a_liar_is_passed_over_and_named_and_never_gets_a_name_on_disk(
    llamafund: Llamafund, tree: Path, tmp_path: Path, rpc: LocalServer, node: KuboStandIn
) -> None:
    sha256 = llamafund("publish", tree, "--to", f"kubo:{rpc.url}", "--to", tmp_path / "s", "--json").json["manifest"]
    lying = GatewayStandIn(dict(node.blocks))
    lying.lies = True
    with lying.serve() as gateway:
        ran = llamafund("fetch", sha256, "--from", f"gateway:{gateway.url}", "--out", tmp_path / "never")
        ran.refused(3, gateway.url)
        assert not (tmp_path / "never").exists()
        ran = llamafund(
            "fetch", sha256, "--from", f"gateway:{gateway.url}", "--from", tmp_path / "s", "--out", tmp_path / "o"
        )
        assert ran.code == 0
        assert gateway.url in ran.stderr
    assert holds(tmp_path / "o")


def test_one_file_is_fetched_by_its_address(llamafund: Llamafund, tree: Path, tmp_path: Path) -> None:
    llamafund("publish", tree, "--to", tmp_path / "s")
    cid = LocalStore(tmp_path / "x").put_file(tree / "weights/a.bin").cid
    ran = llamafund("fetch", cid, "--from", tmp_path / "s", "--out", tmp_path / "one", "--json")
    assert (ran.code, ran.json["source"]) == (0, str(tmp_path / "s"))
    assert (tmp_path / "one").read_bytes() == FILES["weights/a.bin"]
    llamafund("fetch", cid, "--from", tmp_path / "s", "--out", tmp_path).refused(2, "is a directory")


def test_files_come_from_mirrors_when_the_manifest_comes_from_elsewhere(
    llamafund: Llamafund, tree: Path, tmp_path: Path
) -> None:
    sha256 = llamafund("publish", tree, "--to", tmp_path / "s", "--json").json["manifest"]
    for cid in LocalStore(tmp_path / "s").contents():
        if (tmp_path / "s" / "content" / cid).read_bytes() in FILES.values():
            (tmp_path / "s" / "content" / cid).unlink()
    from urllib.parse import unquote

    def answer(handler: Any, asked: Any) -> None:
        name = unquote(asked.path).removeprefix("/m/")
        handler.reply(200, FILES[name]) if name in FILES else handler.reply(404)

    with LocalServer(answer) as web:
        out = tmp_path / "out"
        ran = llamafund("fetch", sha256, "--from", tmp_path / "s", "--from", f"mirror:{web.url}/m", "--out", out)
        assert ran.code == 0, ran.stderr
        assert holds(out)
        llamafund("fetch", sha256, "--from", f"mirror:{web.url}/m", "--out", out).refused(2, "Mirrors only have files")
        cid = LocalStore(tmp_path / "x").put_bytes(b"x").cid
        ran = llamafund(
            "fetch", cid, "--from", tmp_path / "s", "--from", f"mirror:{web.url}/m", "--out", tmp_path / "f"
        )
        ran.refused(2, "cannot be asked for an address")


def test_what_nobody_has_and_what_is_no_name_is_told(llamafund: Llamafund, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    out = tmp_path / "out"
    llamafund("fetch", "0" * 64, "--from", tmp_path / "s", "--out", out).refused(1, "has nothing under")
    llamafund("fetch", "nonsense", "--from", tmp_path / "s", "--out", out).refused(2, "neither a hash nor an address")
    llamafund("fetch", "0" * 64, "--from", "pin:https://p.example", "--out", out).refused(2, "serves no content")
    assert not out.exists()


def test_a_link_planted_in_the_destination_is_not_followed(llamafund: Llamafund, tree: Path, tmp_path: Path) -> None:
    sha256 = llamafund("publish", tree, "--to", tmp_path / "s", "--json").json["manifest"]
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "weights").symlink_to(tmp_path / "elsewhere")
    llamafund("fetch", sha256, "--from", tmp_path / "s", "--out", tmp_path / "out").refused(2, "written outside")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_store_is_looked_after(llamafund: Llamafund, tree: Path, tmp_path: Path) -> None:
    place = ("--store", tmp_path / "s")
    sha256 = llamafund("publish", tree, "--to", tmp_path / "s", "--json").json["manifest"]
    assert len(llamafund("store", "pins", *place, "--json").json["pins"]) == 5
    assert llamafund("store", "gc", "--grace", "0", *place, "--json").json["removed"] == []
    cid = llamafund("store", "unpin", sha256, *place, "--json").json["unpinned"][0]
    assert llamafund("store", "pin", cid, *place).code == 0
    assert llamafund("store", "export", sha256, "--out", tmp_path / "x.car", *place).code == 0
    assert llamafund("store", "unpin", sha256, *place).code == 0
    assert llamafund("store", "gc", *place, "--json").json["spared"] == 5
    removed = llamafund("store", "gc", "--grace", "0", *place, "--json").json["removed"]
    assert len(removed) == 5
    assert cid in removed
    llamafund("store", "pin", cid, *place).refused(1, cid)
    llamafund("store", "pin", "ab" * 32, *place).refused(1, f"has nothing under {'ab' * 32}.")
    llamafund("store", "export", "ab" * 32, "--out", tmp_path / "no.car", *place).refused(1, f"under {'ab' * 32}.")
    llamafund("store", "export", sha256, "--out", tmp_path / "y.car", *place).refused(1, sha256)
    assert llamafund("store", "import", tmp_path / "x.car", *place, "--json").json["incomplete"] == []
    assert holds_from(llamafund, sha256, tmp_path / "s", tmp_path / "out")
    llamafund("store", "gc", "--store", "gateway:https://a.example").refused(2, "is not a directory")
    (tmp_path / "x.car").write_bytes((tmp_path / "x.car").read_bytes()[:-1])
    llamafund("store", "import", tmp_path / "x.car", *place).refused(3, "cut short")


def test_one_unpin_undoes_the_pins_of_one_publish_alone(llamafund: Llamafund, tree: Path, tmp_path: Path) -> None:
    place = ("--store", tmp_path / "s")
    first = llamafund("publish", tree, "--to", tmp_path / "s", "--json").json["manifest"]
    (tree / "new").write_bytes(b"new")
    second = llamafund("publish", tree, "--to", tmp_path / "s", "--json").json["manifest"]
    shared = hash_bytes(FILES["README.md"]).cid
    listed = llamafund("store", "list", *place, "--json").json
    assert {entry["sha256"]: entry["contents"] for entry in listed["manifests"]} == {first: 5, second: 6}
    assert {entry["manifest_schema"] for entry in listed["manifests"]} == {"llamafund/listing/1"}
    assert listed["unpinned"] == {"contents": 0, "bytes": 0}
    # By its address: it is pinned by both all the same, and says so.
    ran = llamafund("store", "unpin", shared, *place, "--json")
    assert ran.json["still_pinned"] == {shared: sorted([first, second])}
    assert "still pinned by 2 published manifests" in llamafund("store", "unpin", shared, *place).stdout
    assert llamafund("store", "unpin", first, *place).code == 0
    assert len(llamafund("store", "gc", "--grace", "0", *place, "--json").json["removed"]) == 1
    assert holds_from(llamafund, second, tmp_path / "s", tmp_path / "out") is False
    assert (tmp_path / "out" / "new").read_bytes() == b"new"
    assert llamafund("store", "list", *place).stdout.splitlines()[0].startswith(second)


def test_a_store_is_checked_for_rot_for_lost_contents_and_for_leftovers(
    llamafund: Llamafund, tree: Path, tmp_path: Path
) -> None:
    place = ("--store", tmp_path / "s")
    llamafund("publish", tree, "--to", tmp_path / "s")
    sound = llamafund("store", "check", *place, "--json")
    assert sound.code == 0
    assert (sound.json["sound"], sound.json["contents"], sound.json["strays"]) == (True, 5, [])
    store = LocalStore(tmp_path / "s")
    rotten, lost = (hash_bytes(FILES[name]).cid for name in ("README.md", "weights/\n-b"))
    store.path_of(rotten).chmod(0o600)
    store.path_of(rotten).write_bytes(b"# Modem\n")
    store.path_of(lost).unlink()
    (tmp_path / "s" / "incoming" / ".dead.part").write_bytes(b"x")
    (tmp_path / "s" / "content" / "backup").mkdir()
    ran = llamafund("store", "check", *place, "--json")
    ran.refused(3, "1 damaged content and lacks 1 that are pinned")
    assert (ran.json["damaged"], ran.json["missing"], ran.json["unfinished"]) == ([rotten], [lost], 1)
    assert ran.json["strays"] == ["content/backup"]
    assert llamafund("publish", tree, "--to", tmp_path / "s").code == 0
    collected = llamafund("store", "gc", *place, "--json")
    assert collected.code == 0
    assert collected.json["strays"] == ["content/backup"]
    assert "left alone: content/backup" in collected.stderr
    assert llamafund("store", "check", *place).code == 0


def test_clutter_stays_behind_and_secrets_stop_a_publish_before_anything_is_sent(
    llamafund: Llamafund, tree: Path, tmp_path: Path
) -> None:
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_text("[remote]\n\turl = https://me:token@git.example/x.git\n")
    (tree / ".DS_Store").write_bytes(b"x")
    ran = llamafund("publish", tree, "--to", tmp_path / "s", "--json")
    assert ran.json["left_out"] == {".DS_Store": 1, ".git/": 1}
    assert ran.json["files"] == 4
    assert "2 files left out: 1 × .DS_Store, 1 × .git/. --include-hidden takes in" in ran.stderr
    assert llamafund("verify", tree, "--manifest", ran.json["manifest"], "--store", tmp_path / "s").code == 0
    hidden = ("publish", tree, "--include-hidden", "--to", tmp_path / "other")
    llamafund(*hidden).refused(2, ".git/config", "Git's settings with credentials", "--allow-secrets")
    assert not (tmp_path / "other").exists()
    assert llamafund(*hidden, "--allow-secrets", "--json").json["files"] == 6
    (tree / "readme.md").write_bytes(b"twin")
    assert "differ only in letter case" in llamafund("publish", tree, "--to", tmp_path / "s").stderr


def test_help_names_the_kinds_of_locations(llamafund: Llamafund) -> None:
    for command in ("publish", "fetch"):
        shown = llamafund(command, "--help").stdout
        assert "kubo:http://127.0.0.1:5001" in shown
        assert "LLAMAFUND_CREDENTIALS" in shown


def test_a_servers_words_cannot_draw_on_the_terminal(
    llamafund: Llamafund, tree: Path, rpc: LocalServer, node: KuboStandIn
) -> None:
    node.status, node.error = 500, b'{"Message": "\\u001b[2Jgone\\u202e", "Code": 0, "Type": "error"}'
    ran = llamafund("publish", tree, "--to", f"kubo:{rpc.url}")
    assert ran.code == 1
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "\\u{1b}" in ran.stderr


@pytest.fixture
def small_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of at most 2 KiB, so that a tree of a few files needs listings, and listings of listings."""
    for module in ("base", "encoding", "listings", "models", "reading", "saved"):
        monkeypatch.setattr(f"llamafund_chain.evidence.manifests.{module}.MAX_MANIFEST_BYTES", 2048)


def _large_tree(root: Path) -> Path:
    for number in range(120):
        path = root / "train" / f"{number:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"document {number}")
    (root / "heldout").mkdir()
    (root / "heldout" / "a.txt").write_text("held out")
    return root


@pytest.mark.usefixtures("small_manifests")
@pytest.mark.parametrize("kind", ["dataset", "listing"])
def test_a_manifest_file_with_listings_is_published(llamafund: Llamafund, tmp_path: Path, kind: str) -> None:
    tree, manifest = _large_tree(tmp_path / "tree"), tmp_path / "m" / "manifest.json"
    if kind == "dataset":
        made = llamafund(
            "dataset", "build", tree, "--title", "t", "--license", "CC0-1.0", "--source", "s",
            "--out", manifest, "--store", tmp_path / "first", "--json",
        )  # fmt: skip
    else:
        made = llamafund("publish", tree, "--to", tmp_path / "first", "--out", manifest, "--json")
    assert made.code == 0, made.stderr
    sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert b'"files":[' not in manifest.read_bytes()
    listings = manifest.parent / "listings"
    names = {path.stem for path in listings.iterdir()}
    assert names == {hashlib.sha256(path.read_bytes()).hexdigest() for path in listings.iterdir()}
    assert len(names) > 10

    # With the listings beside it.
    ran = llamafund("publish", tree, "--manifest", manifest, "--to", f"car:{tmp_path / 'x.car'}", "--json")
    assert ran.code == 0, ran.stderr
    assert (ran.json["manifest"], ran.json["files"]) == (sha256, 121)
    assert llamafund("verify", tree, "--manifest", manifest, "--store", tmp_path / "nothing").code == 0
    # With the listings in the store.
    for path in listings.iterdir():
        path.unlink()
    assert llamafund("publish", tree, "--manifest", manifest, "--to", tmp_path / "first").code == 0
    fetched = llamafund("fetch", sha256, "--from", tmp_path / "first", "--out", tmp_path / "out", "--json")
    assert fetched.json["files_fetched"] == 121, fetched.stderr
    # With the listings nowhere.
    llamafund("publish", tree, "--manifest", manifest, "--to", tmp_path / "new").refused(1, "has nothing under")
    llamafund("publish", tree, "--manifest", manifest, "--to", f"car:{tmp_path / 'y.car'}").refused(
        1, "There is no listing"
    )
    assert not (tmp_path / "y.car").exists()


@pytest.mark.usefixtures("small_manifests")
def test_a_changed_listing_beside_a_manifest_is_refused(llamafund: Llamafund, tmp_path: Path) -> None:
    tree, manifest = _large_tree(tmp_path / "tree"), tmp_path / "manifest.json"
    assert llamafund("publish", tree, "--to", tmp_path / "first", "--out", manifest).code == 0
    listings = sorted((tmp_path / "listings").iterdir())
    for path in listings:
        path.write_bytes(listings[0].read_bytes())
    llamafund("publish", tree, "--manifest", manifest, "--to", tmp_path / "second").refused(3, "hashes to")
    for path in listings:
        path.write_bytes(bytes(2049))
    llamafund("publish", tree, "--manifest", manifest, "--to", tmp_path / "second").refused(3, "longer than 2048")


@pytest.mark.usefixtures("small_manifests")
def test_a_listing_that_was_cut_otherwise_is_refused(llamafund: Llamafund, tmp_path: Path) -> None:
    tree = _large_tree(tmp_path / "tree")
    (tmp_path / "listings").mkdir()
    files = hash_tree(tree).files
    parts = [Listing(files=(entry,)) for entry in files[:3]]
    for part in parts:
        (tmp_path / "listings" / f"{part.sha256}.json").write_bytes(part.to_bytes())
    head = Listing(listings=tuple(part.reference() for part in parts))
    (tmp_path / "odd.json").write_bytes(head.to_bytes())
    llamafund("publish", tree, "--manifest", tmp_path / "odd.json", "--to", tmp_path / "s").refused(3, "in another way")
