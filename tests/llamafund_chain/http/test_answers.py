"""Brackets without end from a server end nothing, whatever the recursion limit is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from http_servers import Asked, Handler, LocalServer

from llamafund_chain.http.answers import MAX_DEPTH, parse_json

DEEP = 200_000

# What py_ecc does when web3.py 8 imports it. Then Python 3.11's parser ends the process instead of raising an error.
PROGRAM = """
import sys
sys.setrecursionlimit(100_000)
from llamafund_chain.errors import LlamafundError
from llamafund_chain.store.http.client import WebClient, place_of

def node(url):
    from llamafund_chain.chain.connection import connect
    connect(url)

def kubo(url):
    from llamafund_chain.store.kinds.kubo import KuboStore
    KuboStore(place_of(url)).version()

def service(url):
    with WebClient(place_of(url)).request("GET") as reply:
        reply.json()

try:
    locals()[sys.argv[1]](sys.argv[2])
except LlamafundError as error:
    print(f"refused: {type(error).__name__}")
"""


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("client", ["node", "kubo", "service"])
def test_deeply_nested_json_cannot_kill_the_process(client: str, status: int, opening: bytes) -> None:
    depth = DEEP if status == 200 else 16_000

    def answer(handler: Handler, _: Asked) -> None:
        handler.reply(status, opening * depth)

    with LocalServer(answer) as server:
        argv = [sys.executable, "-c", PROGRAM, client, server.url]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("refused: ")


def test_a_depth_that_answers_have_is_read_and_no_deeper_one() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse_json(b'"' + b"[" * 1000 + b'"') == "[" * 1000
    with pytest.raises(ValueError, match="nested more than"):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"{"])
def test_what_is_not_json_in_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(data)
