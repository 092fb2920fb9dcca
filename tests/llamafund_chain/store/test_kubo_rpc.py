"""The adapter for Kubo against a real node where `ipfs` is on the path, and elsewhere against documented answers.

`kubo_answers.json` was not recorded: it was written from Kubo's RPC reference and from its source, as it says itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_servers import Asked, Handler, LocalServer
from unixfs_reference import leaf_cid

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import hash_bytes
from llamafund_chain.store import MissingContentError, open_store
from llamafund_chain.store.http.client import place_of
from llamafund_chain.store.ipfs import car
from llamafund_chain.store.ipfs.unixfs import LEAF_SIZE
from llamafund_chain.store.kinds.kubo import KuboStore

ANSWERS = Path(__file__).with_name("kubo_answers.json")
SMALL = b"small"
TWO = bytes(LEAF_SIZE) + b"end"
ABSENT = hash_bytes(b"absent").cid
START_SECONDS = 60


def exercise(url: str, folder: Path) -> None:
    """Everything that publishing and fetching ask a node for, one after the other."""
    store = KuboStore(place_of(url))
    assert store.version()[0].isdigit()
    small, two = hash_bytes(SMALL).cid, hash_bytes(TWO).cid
    assert not store.has(small)
    assert store.put_bytes(SMALL).cid == small
    store.pin(small)
    assert small in store.pins()
    assert store.read(small, limit=10) == SMALL
    assert store.put_bytes(TWO).cid == two
    store.pin(two)
    store.fetch(two, folder / "two", size=len(TWO))
    assert (folder / "two").read_bytes() == TWO
    store.unpin(small)
    store.unpin(small)
    with pytest.raises(MissingContentError):
        store.pin(ABSENT)
    (folder / "x.car").write_bytes(b"".join(car.write([leaf_cid(b"absent")], [(leaf_cid(b"there"), b"there")])))
    with pytest.raises(LlamafundError, match="could not pin"):
        store.import_car(folder / "x.car")


def key_of(method: str, path: str, query: dict[str, str]) -> str:
    return f"{method} {path}?" + "&".join(f"{name}={query[name]}" for name in sorted(query))


def body_of(parts: list[list[Any]]) -> bytes:
    makers = {"text": lambda text: text.encode(), "hex": bytes.fromhex, "zeros": bytes}
    return b"".join(makers[kind](value) for kind, value in parts)


def test_the_documented_answers_are_understood(tmp_path: Path) -> None:
    waiting: defaultdict[str, deque[Any]] = defaultdict(deque)
    for entry in json.loads(ANSWERS.read_text())["exchanges"]:
        waiting[entry["request"]].append(entry)
    unknown: list[str] = []

    def answer(handler: Handler, asked: Asked) -> None:
        query = {name: value for name, value in asked.query.items() if name != "stream-channels"}
        key = key_of(asked.method, asked.path, query)
        if not waiting[key]:
            unknown.append(key)
            handler.reply(404)
            return
        # An answer that comes once holds for every time.
        entry = waiting[key].popleft() if len(waiting[key]) > 1 else waiting[key][0]
        entry["used"] = True
        if entry["status"] == 200:
            handler.stream(iter((body_of(entry["body"]),)), trailer=entry.get("trailer", ""))
        else:
            handler.reply(entry["status"], body_of(entry["body"]), {"Content-Type": "application/json"})

    with LocalServer(answer) as server:
        try:
            exercise(server.url, tmp_path)
        finally:
            assert unknown == [], "the adapter asks what is not written down"
    assert all(entry.get("used") for queue in waiting.values() for entry in queue), "an answer is never asked for"


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of the RPC interface and of the gateway of a real node that knows nobody."""
    program = shutil.which("ipfs")
    if program is None:
        pytest.skip("there is no ipfs on the path: no real Kubo was asked")
    environment = {**os.environ, "IPFS_PATH": str(tmp_path / "repo")}

    def ipfs(*arguments: str) -> None:
        subprocess.run([program, *arguments], env=environment, check=True, capture_output=True, timeout=START_SECONDS)

    ipfs("init", "--empty-repo")
    ipfs("bootstrap", "rm", "--all")
    for name, value in (
        ("Addresses.API", '"/ip4/127.0.0.1/tcp/0"'),
        ("Addresses.Gateway", '"/ip4/127.0.0.1/tcp/0"'),
        ("Addresses.Swarm", "[]"),
        ("Routing.Type", '"none"'),
    ):
        ipfs("config", "--json", name, value)
    daemon = subprocess.Popen(
        [program, "daemon", "--offline"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # A node that does not start must not hold the tests up.
    limit = threading.Timer(START_SECONDS, daemon.kill)
    limit.start()
    try:
        assert daemon.stdout is not None
        said = []
        for line in daemon.stdout:
            said.append(line)
            if "Daemon is ready" in line:
                break
        assert said, "it said nothing"
        assert "Daemon is ready" in said[-1], "".join(said)
        limit.cancel()
        port = (tmp_path / "repo" / "api").read_text().strip().rsplit("/", 1)[1]
        gateway = (tmp_path / "repo" / "gateway").read_text().strip()
        yield f"http://127.0.0.1:{port}", gateway.rsplit(":", 1)[1].rstrip("/")
    finally:
        limit.cancel()
        daemon.kill()
        daemon.wait()


def test_a_real_node_is_understood(real: tuple[str, str], tmp_path: Path) -> None:
    exercise(real[0], tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_gateway_of_a_real_node_is_used_as_it_is(real: tuple[str, str], host: str) -> None:
    KuboStore(place_of(real[0])).put_bytes(TWO)
    store = open_store(f"gateway:http://{host}:{real[1]}")
    assert store.read(hash_bytes(TWO).cid, limit=len(TWO)) == TWO
