"""What is written here is read by the readers of IPFS's JavaScript tools: `@ipld/car` and `ipfs-unixfs-exporter`."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.store.ipfs.unixfs import FANOUT, LEAF_SIZE
from llamafund_chain.store.publishing import list_directory, publish

ROOT = Path(__file__).resolve().parents[3]

READ = """
import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { CarReader } from '@ipld/car'
import { exporter } from 'ipfs-unixfs-exporter'

const car = await CarReader.fromBytes(await readFile(process.argv[1]))
const blocks = new Map()
for await (const { cid, bytes } of car.blocks()) blocks.set(cid.toString(), bytes)
const store = {
  get: async function * (cid) {
    if (!blocks.has(cid.toString())) throw new Error(`there is no block ${cid}`)
    yield blocks.get(cid.toString())
  }
}
const found = {}
for (const root of await car.getRoots()) {
  const entry = await exporter(root, store)
  const hash = createHash('sha256')
  for await (const piece of entry.content()) hash.update(piece)
  found[root.toString()] = [Number(entry.size), hash.digest('hex')]
}
console.log(JSON.stringify(found))
"""


@pytest.fixture(scope="module")
def node() -> str:
    program = shutil.which("node")
    if program is None or not (ROOT / "node_modules" / "ipfs-unixfs-exporter").is_dir():
        pytest.skip("there is no Node here with the packages of package.json: run npm install")
    return program


def read(node: str, path: Path) -> dict[str, tuple[int, str]]:
    """What the peers read in an archive: size and SHA-256 of each root."""
    done = subprocess.run(
        [node, "--input-type=module", "--eval", READ, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {cid: (size, sha256) for cid, (size, sha256) in json.loads(done.stdout).items()}


def test_the_peers_read_a_published_archive(node: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for size in (0, 1, LEAF_SIZE, LEAF_SIZE + 1, (FANOUT + 2) * LEAF_SIZE + 3):
        (tree / str(size)).write_bytes(random.Random(size).randbytes(size))
    files = hash_tree(tree).files
    listing = list_directory(files)
    published = publish(tree, listing, files, [f"car:{tmp_path / 'x.car'}"])
    assert published.outcomes[0].problem is None
    expected = {entry.cid: (entry.size, entry.sha256) for entry in files}
    found = read(node, tmp_path / "x.car")
    whole = listing.to_bytes()
    assert {cid: fate for cid, fate in found.items() if cid not in expected} == {
        cid: (len(whole), hashlib.sha256(whole).hexdigest()) for cid in found.keys() - expected.keys()
    }
    assert expected.items() <= found.items()
    assert len(found) == len(files) + 1, "the listing is a root too"


def test_the_peers_would_notice_a_fault(node: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(bytes(LEAF_SIZE) + b"end")
    files = hash_tree(tree).files
    publish(tree, list_directory(files), files, [f"car:{tmp_path / 'x.car'}"])
    data = bytearray((tmp_path / "x.car").read_bytes())
    place = data.rindex(b"end")
    data[place] ^= 1
    (tmp_path / "x.car").write_bytes(data)
    (entry,) = files
    assert read(node, tmp_path / "x.car")[entry.cid] != (entry.size, entry.sha256)
