"""What all backers have, read at once, is what the campaign says of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from faulty_node import FaultyNode

from llamafund_chain.campaign import backers
from llamafund_chain.campaign.backers import positions_of
from llamafund_chain.campaign.client import CampaignClient, connect

ETHER = 10**18


@pytest.fixture
def failed(stage) -> list[str]:
    """A failed campaign in which one backer has its refund; some accounts, of which two never pledged."""
    stage.open()
    stage.fund()
    for backer in stage.backers[:2]:
        stage.devnet.advance(86_400)
        stage.client.vote_stop(backer)
        if stage.client.refundable(backer.address):
            break
    stage.client.refund(stage.backers[2], stage.backers[2].address)
    stage.devnet.finalize()
    return [*(one.address for one in stage.backers), stage.judge.address, f"0x{bytes(20).hex()}"]


def each(client: CampaignClient, accounts: list[str], number: int) -> list[tuple[int, int]]:
    return [(client.pledge_of(one, number), client.refundable(one, number)) for one in accounts]


@pytest.mark.parametrize("most", [1, 2, 300])
def test_the_positions_are_those_of_each(stage, failed, monkeypatch, most: int) -> None:
    monkeypatch.setattr(backers, "_EACH", most)
    at = stage.devnet.connection.block()
    found = positions_of(stage.client, failed, at)
    assert list(found) == failed
    assert list(found.values()) == each(stage.client, failed, at.number)
    assert {one.refundable > 0 for one in found.values()} == {True, False}


def test_an_earlier_state_can_be_read(stage, failed) -> None:
    before = stage.devnet.connection.block(stage.client.verify_code().created)
    assert set(positions_of(stage.client, failed, before).values()) == {(0, 0)}


def test_three_hundred_backers_take_one_call(stage, failed) -> None:
    many = [f"0x{number:040x}" for number in range(1, 298)]
    with FaultyNode(stage.devnet.rpc_url) as node:
        client = CampaignClient(connect(node.url), stage.client.address)
        at, first = client.connection.block(), len(node.methods)
        found = positions_of(client, [*failed[:3], *many], at)
        assert node.methods[first:] == ["eth_call"]
    assert list(found.values())[:3] == each(stage.client, failed[:3], at.number)


def test_a_node_that_runs_no_such_program_is_asked_about_each(stage, failed) -> None:
    def refuse(number: int, request: dict[str, Any], forward: Callable[[Any], Any]) -> dict[str, Any]:
        if request["method"] == "eth_call" and "to" not in request["params"][0]:
            return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32602, "message": "missing `to`"}}
        return forward(request)

    with FaultyNode(stage.devnet.rpc_url, refuse) as node:
        client = CampaignClient(connect(node.url), stage.client.address)
        at = client.connection.block()
        assert list(positions_of(client, failed, at).values()) == each(stage.client, failed, at.number)


def test_nobody_takes_no_request(stage) -> None:
    stage.open()
    assert positions_of(stage.client, [], stage.devnet.connection.block()) == {}
