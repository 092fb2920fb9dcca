"""`llamafund web`, as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import requests

from llamafund_chain.errors import LlamafundError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.store.base import MissingContentError
from llamafund_chain.web.server import serving

ARGUMENTS = (sys.executable, "-m", "llamafund_chain", "web", "--no-open", "--json")


def start(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The program once it runs, and what it printed."""
    process = subprocess.Popen(
        [*ARGUMENTS, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    return process, json.loads(text)


def stop(process: subprocess.Popen[str], how: signal.Signals) -> str:
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_page_and_manifests_until_it_is_told_to_stop(stage: Any, how: signal.Signals) -> None:
    address = stage.open().address
    secret = f"{stage.devnet.rpc_url}/?key=secret"
    options = ("--campaign", address, "--rpc", secret, "--store", stage.run.store.location)
    process, printed = start(*options)
    try:
        assert printed["url"].endswith(f"/#/31337/{address}")
        assert "secret" not in json.dumps(printed)
        url = printed["url"].partition("#")[0]
        assert "<title>LlamaFund</title>" in requests.get(url, timeout=60).text
        opened = requests.get(f"{url}open", timeout=60, allow_redirects=False).headers["Location"]
        assert opened.endswith("rpc=" + requests.utils.quote(secret, safe=""))
        cid = raw_cid(stage.run.proposal.sha256)
        assert requests.get(f"{url}ipfs/{cid}?format=raw", timeout=60).content == stage.run.proposal.to_bytes()
        said = stop(process, how)
    finally:
        process.kill()
    assert "secret" not in said


def test_without_a_node_the_page_begins_at_its_first_screen_unless_a_campaign_is_asked_for(
    llamafund: Any, no_node: str, stage: Any
) -> None:
    process, printed = start("--network", "sepolia", "--rpc", no_node)
    try:
        assert printed["url"].endswith("/#/11155111")
        assert printed["chain"] == "eip155:11155111"
        stop(process, signal.SIGTERM)
    finally:
        process.kill()
    ran = llamafund("web", "--no-open", "--campaign", "0x" + "ab" * 20, "--rpc", no_node)
    assert ran.code == 4
    busy = stage.devnet.rpc_url.rpartition(":")[2]
    ran = llamafund("web", "--no-open", "--port", busy, "--rpc", stage.devnet.rpc_url)
    assert ran.code == 2
    assert "Choose another --port" in ran.stderr


class Broken:
    """A stand-in for a store: it has nothing, or cannot be read."""

    location = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, cid: str, *, limit: int) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"),
    [(MissingContentError("It is not there"), 404), (LlamafundError("The disk cannot be read"), 502)],
)
def test_trouble_with_the_store_is_not_told_as_something_missing(error: Exception, status: int) -> None:
    with serving(0, Broken(error)) as url:
        assert requests.get(f"{url}ipfs/{raw_cid('ab' * 32)}", timeout=60).status_code == status
