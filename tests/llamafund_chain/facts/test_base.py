"""The base of facts over a real chain: what it asks the node for, keeps, and forgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty_node import FaultyNode

from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.events import Pledged
from llamafund_chain.campaign.factory import list_campaigns
from llamafund_chain.campaign.history import events_of
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.node_errors import LaggingError
from llamafund_chain.facts.base import SETTLING, Facts
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.trouble import ContradictionError

ETHER = 10**18

Forward = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts.sqlite"


def known(url: str, file: Path) -> Connection:
    """A new connection that uses the base in a file."""
    connection = connect(url)
    connection.facts = Facts(Database(str(file)), connection)
    return connection


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def told(stage: Any, connection: Connection) -> list[Any]:
    """The campaign's events as a connection gives them."""
    return list(CampaignClient(connection, stage.client.address).each_event())


def test_it_gives_out_what_the_node_would(stage, file: Path) -> None:
    stage.open()
    stage.fund()
    asked = told(stage, connect(stage.devnet.rpc_url))
    assert told(stage, known(stage.devnet.rpc_url, file)) == asked
    again = known(stage.devnet.rpc_url, file)
    assert told(stage, again) == asked
    client = CampaignClient(again, stage.client.address)
    assert client.events(only=(Pledged,)) == tuple(event for event in asked if isinstance(event, Pledged))
    assert list_campaigns(again) == list_campaigns(connect(stage.devnet.rpc_url))


def test_a_second_run_asks_only_for_new_blocks(stage, file: Path) -> None:
    stage.open()
    stage.fund()
    stage.devnet.connection.request("anvil_mine", hex(3 * SETTLING))
    told(stage, known(stage.devnet.rpc_url, file))
    before = stage.devnet.connection.block().number
    stage.devnet.finalize()
    asked: list[int] = []

    def watch(number: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_getLogs" and "fromBlock" in request["params"][0]:
            asked.append(int(request["params"][0]["fromBlock"], 16))
        return forward(request)

    with FaultyNode(stage.devnet.rpc_url, watch) as node:
        connection = known(node.url, file)
        told(stage, connection)
        assert asked
        assert min(asked) > before - SETTLING
        head = connection.block()
        count = node.count
        for _ in range(3):
            list(connection.logs(stage.client.address, first=head.number - 1, last=head))
        assert node.count == count, "what is known of a block costs nothing"


def test_an_undone_block_is_forgotten_with_all_that_is_in_it(stage, file: Path) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    before = stage.devnet.snapshot()
    stage.client.pledge(stage.backers[1], 2 * ETHER)
    stage.devnet.finalize()
    assert len(told(stage, known(stage.devnet.rpc_url, file))) == 2
    stage.devnet.revert(before)
    stage.client.pledge(stage.backers[2], 3 * ETHER)
    for _ in range(5):
        stage.devnet.finalize()
    asked = told(stage, connect(stage.devnet.rpc_url))
    assert told(stage, known(stage.devnet.rpc_url, file)) == asked
    assert rows(file, "SELECT amount FROM events WHERE event = 'Pledged' ORDER BY amount") == [
        (str(ETHER),),
        (str(3 * ETHER),),
    ]
    assert rows(file, "SELECT count(*) FROM logs")[0][0] == rows(file, "SELECT count(*) FROM events")[0][0]


def test_a_chain_that_became_shorter_is_followed(stage, file: Path) -> None:
    stage.open()
    before = stage.devnet.snapshot()
    stage.client.pledge(stage.backers[1], 2 * ETHER)
    stage.devnet.finalize()
    assert len(told(stage, known(stage.devnet.rpc_url, file))) == 1
    stage.devnet.revert(before)
    assert told(stage, known(stage.devnet.rpc_url, file)) == []
    stage.client.pledge(stage.backers[2], 3 * ETHER)
    assert told(stage, known(stage.devnet.rpc_url, file)) == told(stage, connect(stage.devnet.rpc_url))


def silent(number: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    """A node that has lost its old logs, and answers with none."""
    if request["method"] == "eth_getLogs":
        return {"jsonrpc": "2.0", "id": request["id"], "result": []}
    return forward(request)


def test_the_empty_answer_of_a_pruned_node_deletes_nothing(stage, file: Path) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    stage.devnet.finalize()
    asked = told(stage, known(stage.devnet.rpc_url, file))
    with closing(sqlite3.connect(file)) as database, database:
        # As if the search had been cut off before it was noted down.
        database.execute("DELETE FROM searches")
    kept = rows(file, "SELECT * FROM logs")
    with FaultyNode(stage.devnet.rpc_url, silent) as node:
        connection = known(node.url, file)
        with pytest.raises(ContradictionError, match="does not show"):
            list(connection.logs(stage.client.address, first=1))
    assert rows(file, "SELECT * FROM logs") == kept
    assert told(stage, known(stage.devnet.rpc_url, file)) == asked


def test_a_node_without_old_blocks_makes_nothing_forgotten(stage, file: Path, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.chain.nodes.LAG_SECONDS", 0)
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    told(stage, known(stage.devnet.rpc_url, file))
    kept = rows(file, "SELECT * FROM logs"), rows(file, "SELECT * FROM headers")
    stage.devnet.finalize()
    old = stage.devnet.connection.block().number - 1

    def pruned(number: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber" and str(request["params"][0]).startswith("0x"):
            at = int(request["params"][0], 16)
            if 0 < at < old:
                return {"jsonrpc": "2.0", "id": request["id"], "result": None}
        return forward(request)

    with FaultyNode(stage.devnet.rpc_url, pruned) as node, pytest.raises(LaggingError):
        list(known(node.url, file).logs(stage.client.address, first=1))
    assert (rows(file, "SELECT * FROM logs"), rows(file, "SELECT * FROM headers")) == kept


def test_another_chain_with_the_same_number_is_another_chain(stage, file: Path) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    asked = told(stage, known(stage.devnet.rpc_url, file))

    def other(number: int, request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] == "0x0":
            answer["result"]["hash"] = "0x" + 64 * "7"
        return answer

    with FaultyNode(stage.devnet.rpc_url, other) as node:
        assert told(stage, known(node.url, file)) == asked
    assert [row[0] for row in rows(file, "SELECT chain_id FROM chains")] == [31337, 31337]
    assert rows(file, "SELECT chain, count(*) FROM events WHERE event = 'Pledged' GROUP BY chain") == [(1, 1), (2, 1)]
    assert told(stage, known(stage.devnet.rpc_url, file)) == asked


def test_all_campaigns_tell_their_events_in_order(stage, file: Path) -> None:
    first = stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    second = stage.open(slack=1)
    for client, backer in ((first, 1), (second, 0), (first, 2)):
        client.pledge(stage.backers[backer], ETHER)
    at, both = stage.devnet.connection.block(), [first.address, second.address]
    asked = list(events_of(connect(stage.devnet.rpc_url), both, [], first=0, last=at))
    assert [(campaign, event.backer) for campaign, event in asked] == [
        (client.address, stage.backers[backer].address)
        for client, backer in ((first, 0), (first, 1), (second, 0), (first, 2))
    ]
    assert list(events_of(known(stage.devnet.rpc_url, file), both, [], first=0, last=at)) == asked


def test_logs_that_a_node_showed_too_late_are_found_where_they_are_missed(stage, file: Path, monkeypatch) -> None:
    """A node's index may be so far behind that a search passes over what happened."""
    monkeypatch.setattr("llamafund_chain.facts.base.SETTLING", 0)
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    stage.devnet.finalize()
    with FaultyNode(stage.devnet.rpc_url, silent) as node:
        assert list(known(node.url, file).logs(stage.client.address)) == []
    connection = known(stage.devnet.rpc_url, file)
    end = connection.block()
    assert list(connection.logs(stage.client.address, first=0, last=end)) == []
    with pytest.raises(ContradictionError, match="shows 1 logs that were not in"):
        connection.facts.confirm(connection, [stage.client.address], 0, end)
    assert len(list(connection.logs(stage.client.address, first=0, last=end))) == 1


def test_the_last_blocks_are_searched_again_for_nodes_whose_index_is_behind(stage, file: Path) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    with FaultyNode(stage.devnet.rpc_url, silent) as node:
        assert list(known(node.url, file).logs(stage.client.address)) == []
    assert len(list(known(stage.devnet.rpc_url, file).logs(stage.client.address))) == 1
