"""Trees of real sizes: one file of 40 GB, a million files, 10 GB through a store. Minutes, so with LLAMAFUND_ASSURE."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing.one_pass import subtree_root
from llamafund_chain.evidence.merkle import RootBuilder
from llamafund_chain.files import SPAN

pytestmark = pytest.mark.skipif("LLAMAFUND_ASSURE" not in os.environ, reason="minutes; runs with LLAMAFUND_ASSURE")

GB = 10**9
MB = 10**6
LIMIT = 300 * MB
"""Resident memory that an ordinary tree may take, whatever its size."""

# Linux gives kilobytes; a process of its own, so that nothing else counts.
MEASURE = """
import json, resource, sys
from pathlib import Path
from llamafund_chain.evidence.hashing.listing import list_tree
from llamafund_chain.evidence.hashing.tree import find_digests
digests = find_digests(list_tree(Path(sys.argv[1])))
print(json.dumps({
    "root": digests.root().hex(),
    "size": digests.starts[-1],
    "files": len(digests.listing),
    "first": digests.sha256(0).hex(),
    "last": digests.sha256(len(digests.listing) - 1).hex(),
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
"""


def measure(root: Path) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", MEASURE, str(root)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_sparse_file_of_40_gb_takes_little_memory(tmp_path: Path) -> None:
    size = 40 * GB
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", size)
    found = measure(tmp_path)
    # Zeros: every full span has one and the same root.
    tree, full = RootBuilder(), subtree_root(bytes(SPAN))
    for _ in range(size // SPAN):
        tree.append(full)
    assert found["root"] == tree.root(subtree_root(bytes(size % SPAN))).hex()
    hasher, zeros = hashlib.sha256(), bytes(SPAN)
    for start in range(0, size, SPAN):
        hasher.update(zeros[: size - start])
    assert found["first"] == hasher.hexdigest()
    assert found["memory"] < LIMIT


def test_a_million_files_are_listed_and_hashed(tmp_path: Path) -> None:
    for folder in range(1000):
        directory = tmp_path / f"{folder:03}"
        directory.mkdir()
        for number in range(1000):
            (directory / f"{number:03}.txt").write_bytes(b"%d" % (folder * 1000 + number))
    found = measure(tmp_path)
    assert found["files"] == 1_000_000
    assert (found["first"], found["last"]) == (
        hashlib.sha256(b"0").hexdigest(),
        hashlib.sha256(b"999999").hexdigest(),
    )
    # Names and digests are held, nothing more: some 400 bytes a file.
    assert found["memory"] < LIMIT + 400 * MB


PUBLISH = """
import json, resource, sys
from pathlib import Path
from llamafund_chain.store.content import publish_tree, verify_content
from llamafund_chain.evidence.hashing import compare_tree, hash_tree
from llamafund_chain.evidence.manifests import DatasetManifest, DatasetPart
from llamafund_chain.store import open_store
root, store = Path(sys.argv[1]), open_store(sys.argv[2])
tree = hash_tree(root)
names = tuple(file.path for file in tree.files)
parts = tuple(
    DatasetPart(name=name, paths=paths, source="tests", license="CC0-1.0", samples=len(paths))
    for name, paths in (("train", names[1:]), ("heldout", names[:1]))
)
manifest = DatasetManifest(title="10 GB", files=tree.files, content=tree.content, parts=parts, preparation="none")
publish_tree(store, root, manifest)
verify_content(store, manifest)
print(json.dumps({
    "matches": compare_tree(root, manifest.files, manifest.content).matches,
    "size": tree.content.size,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
"""


def test_10_gb_publish_to_a_local_store_and_verify_back_in_little_memory(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    sizes = [4 * GB, 3 * GB, *[100 * MB] * 29, *[MB] * 100]
    block = os.urandom(SPAN)
    for number, size in enumerate(sizes):
        with (root / f"{number:03}.bin").open("wb") as stream:
            for start in range(0, size, SPAN):
                data = f"{number}/{start}".encode().ljust(32) + block[32:]
                stream.write(data[: size - start])
    command = [sys.executable, "-c", PUBLISH, str(root), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(found)
    assert (found["matches"], found["size"]) == (True, 10 * GB)
    assert found["memory"] < LIMIT
