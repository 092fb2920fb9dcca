"""Searches on a long chain: few requests, no matter which limits a node has, and nothing secret remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faulty_node import FaultyNode
from node_answers import BLOCK_LIMITS, RESULT_LIMITS, Said

from llamafund_chain.chain import creations, ranges
from llamafund_chain.chain.connection import Block, Connection, connect
from llamafund_chain.chain.creations import Creation, KnownCreations
from llamafund_chain.chain.node import Question
from llamafund_chain.chain.node_errors import PrunedError, RpcError, meaning_of
from llamafund_chain.chain.ranges import KnownRanges, search

HEAD = 400_000_000
CONTRACT = "0x00000000000000000000000000000000000000aa"


def searched(error: Said, limit: int, known: KnownRanges, last: int) -> int:
    """Search a chain through a node with a limit; the number of requests. Every block is seen once, in order."""
    asked = 0

    def ask(first: int, last: int) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        if last - first + 1 > limit:
            raise meaning_of("eth_getLogs", ({},), error.error, node="n")
        return first, last

    parts = list(search(ask, 0, last, most=known.of("n"), found=lambda blocks: known.remember("n", blocks)))
    assert [first for first, _ in parts] == [0, *(end + 1 for _, end in parts[:-1])]
    assert parts[-1][1] == last
    return asked


@pytest.mark.parametrize(("said", "blocks"), BLOCK_LIMITS, ids=lambda value: getattr(value, "who", None))
def test_a_limit_is_found_in_few_requests_and_remembered(tmp_path: Path, said: Said, blocks: int | None) -> None:
    limit, path = blocks or 10_000, tmp_path / "nodes.json"
    fewest = -(-1_000_000 // limit)
    assert searched(said, limit, KnownRanges(path), 999_999) <= fewest + 8
    assert KnownRanges(path).of("n") == limit
    assert searched(said, limit, KnownRanges(path), 999_999) == fewest


@pytest.mark.parametrize("said", [said for said, _ in RESULT_LIMITS], ids=lambda said: said.who)
def test_a_limit_on_results_is_not_remembered(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "nodes.json"
    searched(said, 10_000, KnownRanges(path), 100_000)
    assert not path.exists()


def test_a_node_that_refuses_single_blocks_is_given_up() -> None:
    def ask(first: int, last: int) -> None:
        raise RpcError("eth_getLogs", -32601, "no such method", None)

    with pytest.raises(RpcError, match="no such method"):
        list(search(ask, 0, HEAD, most=None, found=lambda _: None))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"n": 5}', '{"n": {"blocks": "x"}}', '{"n": {"blocks": 1e999}}', "[" * 900_000]
)
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(text)
    known = KnownRanges(path)
    assert known.of("n") is None
    known.remember("n", 7)
    assert KnownRanges(path).of("n") == 7


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = KnownRanges(tmp_path / "file" / "nodes.json")
    known.remember("n", 7)
    assert known.of("n") == 7
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_remembered_ages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownRanges(tmp_path / "nodes.json")
    known.remember("n", 7)
    now = ranges.time.time()
    monkeypatch.setattr(ranges.time, "time", lambda: now + ranges.FORGET_AFTER)
    assert known.of("n") is None


def test_nothing_secret_of_a_nodes_address_is_remembered(devnet) -> None:
    with FaultyNode(devnet.rpc_url) as node:
        connection = connect(node.url.replace("http://", "http://user:hunter2@") + "/key-in-path?token=hidden")
        connection._ranges.remember(connection.shown_url, 10)
        text = connection._ranges._file.path.read_text()
        assert json.loads(text).keys() == {node.url}
    for secret in ("hunter2", "key-in-path", "hidden"):
        assert secret not in text


class LongChain:
    """The answers of a node at block `HEAD` of a long chain, with one contract."""

    def __init__(self, created: int, kept: int = HEAD) -> None:
        self._created = created
        self._kept = kept
        self.count = 0

    def ask(self, questions: list[Question]) -> list[Any]:
        self.count += 1
        return [self._code(int(question.params[1], 16)) for question in questions]

    def _code(self, block: int) -> Any:
        if block < HEAD - self._kept:
            return PrunedError("missing trie node")
        return "0x60" if block >= self._created else "0x"


@pytest.fixture
def long_chain(devnet, monkeypatch: pytest.MonkeyPatch):
    """A connection to a long chain."""

    def start(created: int, kept: int = HEAD) -> tuple[Connection, LongChain]:
        connection, chain = connect(devnet.rpc_url), LongChain(created, kept)
        monkeypatch.setattr(connection._nodes, "ask", chain.ask)
        return connection, chain

    return start


@pytest.mark.parametrize("age", [0, 1, 9, 10, 11, 4_999, 100_000, 1_234_567, HEAD - 1, HEAD])
def test_the_block_of_creation_is_found_in_few_requests(long_chain, age: int) -> None:
    connection, chain = long_chain(HEAD - age)
    assert connection.first_block_of(CONTRACT, Block(HEAD, "12" * 32, 0)) == HEAD - age
    assert chain.count <= 10


@pytest.mark.parametrize("since", [HEAD - 100_000, HEAD - 50_001])
def test_a_record_of_the_deployment_shortens_the_search(long_chain, since: int) -> None:
    connection, chain = long_chain(HEAD - 50_000)
    assert connection.first_block_of(CONTRACT, Block(HEAD, "12" * 32, 0), since=since) == HEAD - 50_000
    assert chain.count <= 6


def test_a_short_stretch_is_searched_without_looking_for_the_block(long_chain) -> None:
    connection, chain = long_chain(HEAD - 50)
    assert connection.first_block_of(CONTRACT, Block(HEAD, "12" * 32, 0), since=HEAD - 1_000) is None
    assert chain.count == 0


def test_a_node_without_old_states_says_so(long_chain) -> None:
    connection, _ = long_chain(HEAD - 100_000, kept=128)
    with pytest.raises(PrunedError):
        connection.first_block_of(CONTRACT, Block(HEAD, "12" * 32, 0))


# ------------------------------------------------- what is remembered of creations


@pytest.fixture
def known(tmp_path: Path) -> KnownCreations:
    return KnownCreations(tmp_path / "creations.json")


def test_the_block_of_creation_is_remembered_by_chain_and_contract(known: KnownCreations) -> None:
    found, passed = Creation(7, "ab" * 32, True), Creation(9, "cd" * 32, False)
    known.remember(1, CONTRACT, found)
    known.remember(5, CONTRACT, passed)
    assert (known.of(1, CONTRACT.upper().replace("0X", "0x")), known.of(5, CONTRACT)) == (found, passed)
    assert known.of(2, CONTRACT) is None
    known.remember(1, CONTRACT, passed)
    assert known.of(1, CONTRACT) == passed


@pytest.mark.parametrize("text", ["", "[]", "{", '{"n": 5}', '{"n": {"block": "x"}}', "[" * 900_000])
def test_a_damaged_memory_of_creations_is_none(known: KnownCreations, text: str) -> None:
    known._file.path.write_text(text)
    assert known.of(1, CONTRACT) is None
    known.remember(1, CONTRACT, Creation(7, "ab" * 32, True))
    assert known.of(1, CONTRACT) is not None


def test_the_memory_of_creations_does_not_grow_for_ever(known: KnownCreations, monkeypatch) -> None:
    monkeypatch.setattr(creations, "_MAX_CONTRACTS", 3)
    for number in range(5):
        known.remember(1, f"0x{number:040x}", Creation(number, "ab" * 32, True))
    assert [known.of(1, f"0x{number:040x}") is None for number in range(5)] == [True, True, False, False, False]


def test_what_is_remembered_counts_only_on_the_chain_that_it_is_of(devnet) -> None:
    connection = connect(devnet.rpc_url)
    head = connection.block()
    assert connection.known_creation(CONTRACT, head) is None
    connection.remember_creation(CONTRACT, head, found=True)
    assert connection.known_creation(CONTRACT, head) == Creation(head.number, head.hash, True)
    for other in (Block(head.number, "12" * 32, 0), Block(head.number + 1, head.hash, 0)):
        connection.remember_creation(CONTRACT, other, found=True)
        assert connection.known_creation(CONTRACT, head) is None
