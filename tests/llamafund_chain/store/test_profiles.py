"""Directories published with the addresses of another profile (IPIP-499) go everywhere and come back."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from gateway_stand_in import GatewayStandIn
from http_servers import Asked, Handler, LocalServer
from kubo_stand_in import KuboStandIn
from unixfs_reference import unixfs_address

from llamafund_chain.errors import WrongAnswerError
from llamafund_chain.evidence.file_dag import FileDag, cid_from_bytes
from llamafund_chain.evidence.hashing import hash_bytes, hash_tree
from llamafund_chain.evidence.manifests import FileEntry, Listing
from llamafund_chain.evidence.profiles import USUAL, V1_2025
from llamafund_chain.store import LocalStore
from llamafund_chain.store.publishing import list_directory, readdressed

MIB = 1024 * 1024
SIZES = {"0": 0, "1": 1, "2": 256 * 1024, "3": 256 * 1024 + 1, "4": MIB, "5": MIB + 1, "6": 3 * MIB + 5}
"""Around the ends of both profiles' leaves."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles") / "tree"
    folder.mkdir()
    for name, size in SIZES.items():
        (folder / name).write_bytes(random.Random(size).randbytes(size))
    return folder


def entries(tree: Path) -> tuple[FileEntry, ...]:
    return readdressed(tree, hash_tree(tree).files, V1_2025)


def test_the_addresses_are_those_of_the_specification(tree: Path) -> None:
    for entry in entries(tree):
        data = (tree / entry.path).read_bytes()
        assert entry.cid == unixfs_address(data, version=1, raw_leaves=True, block=MIB)
        assert entry.sha256 == hash_bytes(data).sha256


def publish(llamafund, tree: Path, place: object) -> str:
    ran = llamafund("publish", tree, "--to", place, "--profile", "unixfs-v1-2025", "--no-cache", "--json")
    assert ran.code == 0, ran.stderr
    return str(json.loads(ran.stdout)["manifest"])


def fetched(llamafund, sha256: str, tree: Path, out: Path, *places: object) -> None:
    """Fetch from some places, and compare with the original."""
    options = [word for place in places for word in ("--from", place)]
    ran = llamafund("fetch", sha256, *options, "--out", out)
    assert ran.code == 0, ran.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        name: (tree / name).read_bytes() for name in SIZES
    }


def test_the_listing_says_which_profile_and_every_command_understands_it(llamafund, tree: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sha256 = publish(llamafund, tree, store)
    document = json.loads(llamafund("manifest", "show", sha256, "--store", store, "--json").stdout)["document"]
    assert document["profile"] == "unixfs-v1-2025"
    assert llamafund("manifest", "check", sha256, "--store", store).code == 0
    assert llamafund("verify", tree, "--manifest", sha256, "--store", store).code == 0
    fetched(llamafund, sha256, tree, tmp_path / "out", store)
    assert llamafund("store", "export", sha256, "--store", store, "--out", tmp_path / "x.car").code == 0
    other = tmp_path / "other"
    assert llamafund("store", "import", tmp_path / "x.car", "--store", other).code == 0
    fetched(llamafund, sha256, tree, tmp_path / "again", other)


def test_what_usual_addresses_would_be_is_not_said_to_be_of_the_profile(llamafund, tree: Path, tmp_path: Path) -> None:
    wrong = Listing(files=hash_tree(tree).files, profile="unixfs-v1-2025")
    (tmp_path / "wrong.json").write_bytes(wrong.to_bytes())
    ran = llamafund("manifest", "check", tmp_path / "wrong.json")
    ran.refused(3, "3: its address")
    ran = llamafund("verify", tree, "--manifest", tmp_path / "wrong.json")
    ran.refused(3, "does not match")
    assert ran.stdout.count("contradicts itself") == sum(size > USUAL.leaf_size for size in SIZES.values())


def test_listings_of_two_profiles_are_not_one_tree(llamafund, tree: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    inner = list_directory(hash_tree(tree).files)
    store.put_bytes(inner.to_bytes())
    outer = Listing(listings=(inner.reference(),), profile="unixfs-v1-2025")
    store.put_bytes(outer.to_bytes())
    ran = llamafund("fetch", outer.sha256, "--from", store.location, "--out", tmp_path / "out")
    ran.refused(3, "has addresses of the profile")


def test_an_archive_a_node_a_gateway_and_a_mirror_give_it_back(
    llamafund, tree: Path, tmp_path: Path, node: KuboStandIn, rpc: LocalServer
) -> None:
    archive = tmp_path / "x.car"
    sha256 = publish(llamafund, tree, f"car:{archive}")
    store = tmp_path / "store"
    assert llamafund("store", "import", archive, "--store", store).code == 0
    fetched(llamafund, sha256, tree, tmp_path / "a", store)
    assert publish(llamafund, tree, f"kubo:{rpc.url}") == sha256
    fetched(llamafund, sha256, tree, tmp_path / "k", f"kubo:{rpc.url}")

    def files(handler: Handler, asked: Asked) -> None:
        handler.reply(200, (tree / asked.path.lstrip("/")).read_bytes())

    with GatewayStandIn(node.blocks).serve() as gateway, LocalServer(files) as web:
        fetched(llamafund, sha256, tree, tmp_path / "g", f"gateway:{gateway.url}")
        # Only the manifest is in this store.
        LocalStore(tmp_path / "manifests").put_bytes(list_directory(entries(tree), V1_2025).to_bytes())
        fetched(llamafund, sha256, tree, tmp_path / "m", tmp_path / "manifests", f"mirror:{web.url}")


def test_damaged_content_of_the_profile_is_noticed(tree: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    data = (tree / "6").read_bytes()
    dag = FileDag.of(iter((data,)), V1_2025)
    path = store.path_of(cid_from_bytes(dag.root))
    path.parent.mkdir(parents=True)
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    with pytest.raises(WrongAnswerError, match="other bytes"):
        store.fetch(dag.cid, tmp_path / "out")
    path.write_bytes(data)
    store.fetch(dag.cid, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_a_manifest_keeps_its_profile(llamafund, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "listing.json"
    path.write_bytes(list_directory(entries(tree), V1_2025).to_bytes())
    common = ("publish", tree, "--manifest", path, "--to", tmp_path / "store")
    llamafund(*common, "--profile", "unixfs-v1-2025").refused(2, "contradict each other")
    assert llamafund(*common).code == 0
