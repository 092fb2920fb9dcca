"""`llamafund people`: what an account did in all campaigns, each number with its events."""

from __future__ import annotations

from typing import Any

import pytest
from faulty_node import FaultyNode

ETHER = 10**18
DAY = 86_400
MANY = 200


@pytest.fixture
def people(llamafund, stage):
    """Runs the command for an account."""

    def run(account, *more: object, rpc: str | None = None):
        return llamafund("people", account.address, "--rpc", rpc or stage.devnet.rpc_url, *more)

    return run


@pytest.fixture
def numbers(people):
    """An account's numbers by role and name."""

    def run(account) -> dict[str, dict[str, Any]]:
        ran = people(account, "--json")
        assert ran.code == 0, ran.stderr
        return {
            record["role"]: {number["name"]: number for number in record["numbers"]} for record in ran.json["records"]
        }

    return run


def values(found: dict[str, Any]) -> dict[str, str]:
    return {name: number["value"] for name, number in found.items()}


def test_a_stranger_has_no_record_and_that_says_nothing(people, stage) -> None:
    stage.open()
    ran = people(stage.judge)
    assert "no part in a campaign of this chain. That says nothing about it." in ran.stdout
    assert people(stage.judge, "--json").json["records"] == []


def test_a_campaign_that_is_delivered_is_in_everybodys_record(numbers, stage) -> None:
    stage.honest_until(3)
    stage.client.claim(stage.compute, 1)
    found = values(numbers(stage.researcher)["researcher"])
    assert found == {"campaigns": "1", "completed": "1", "deadlines-kept": "3", "released": "12.000000000000000008"}
    assert values(numbers(stage.attestors[0])["attestor"]) == {
        "campaigns": "1",
        "signed": "3",
        "released": "12.000000000000000008",
    }
    # The second one signs nothing in these stories.
    assert values(numbers(stage.attestors[1])["attestor"]) == {"campaigns": "1"}
    paid = numbers(stage.compute)["payee"]["claimed"]
    assert (paid["asset"], paid["asset_address"]) == ("ETH", None)
    assert paid["value"] == stage.client.asset.plain(stage.client.state().claimed[1])
    assert values(numbers(stage.backers[0])["backer"]) == {"campaigns": "1", "pledged": "7.000000000000000001"}


def test_each_number_leads_to_its_transactions(numbers, people, stage) -> None:
    stage.honest_until(1)
    (signed,) = numbers(stage.attestors[0])["attestor"]["signed"]["events"]
    connection = stage.devnet.connection
    raw = connection.request("eth_getTransactionReceipt", f"0x{signed['transaction']}")
    assert int(raw["blockNumber"], 16) == signed["block"]
    assert raw["to"].lower() == signed["campaign"].lower() == stage.client.address.lower()
    assert f"transaction 0x{signed['transaction']}" in people(stage.attestors[0]).stdout


def test_slack_and_deadlines_are_told_apart(numbers, stage) -> None:
    stage.open(slack=20 * DAY)
    stage.fund()
    stage.client.extend_deadlines(stage.researcher, 5 * DAY)
    stage.devnet.advance(21 * DAY)
    stage.attest(0, stage.run.dataset)
    found = values(numbers(stage.researcher)["researcher"])
    assert (found["slack-used"], found["deadlines-kept"], found["deadlines-moved"]) == (str(5 * DAY), "1", "1")
    assert "deadlines-missed" not in found
    stage.devnet.advance(30 * DAY)
    found = numbers(stage.researcher)["researcher"]
    assert (found["deadlines-missed"]["value"], found["failed"]["value"]) == ("1", "1")
    assert found["failed"]["events"][0]["what"] == "failed: milestone"
    # The first tranche was paid for what was delivered.
    assert found["released"]["value"].startswith("1.333")


def test_a_challenge_that_is_answered_and_one_that_is_lost_are_in_the_records(numbers, stage, llamafund) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    client, backer = stage.client, stage.backers[0]
    client.challenge(backer, client.latest_attestation(), 0, ETHER // 10)
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, "--yes")
    assert llamafund("answer", client.address, *where, wallet="backer1").code == 0
    found = values(numbers(stage.researcher)["researcher"])
    assert (found["challenges"], found["challenges-answered"]) == ("1", "1")
    assert values(numbers(stage.backers[1])["backer"])["bonds-earned"] == "0.1"
    stage.release()
    stage.attest(1, stage.run.train(stage.seed))
    client.challenge(backer, client.latest_attestation(), 0, ETHER // 10)
    stage.devnet.advance(2 * DAY)
    found = values(numbers(stage.researcher)["researcher"])
    assert (found["challenges"], found["challenges-answered"], found["challenges-lost"]) == ("2", "1", "1")
    assert values(numbers(stage.attestors[0])["attestor"])["contradicted"] == "1"
    assert "contradicted" not in numbers(stage.attestors[1])["attestor"]
    mine = values(numbers(backer)["backer"])
    assert mine["challenges-made"] == "2"


def test_an_attestation_that_the_arbiter_refuses_is_in_the_record_of_those_who_signed(numbers, stage) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=7 * DAY)
    stage.client.contest(stage.judge)
    stage.client.rule(stage.judge, upheld=False)
    assert numbers(stage.attestors[0])["attestor"]["contradicted"]["events"][0]["what"] == "refused by the arbiter"
    assert "contradicted" not in numbers(stage.attestors[1])["attestor"]
    found = values(numbers(stage.researcher)["researcher"])
    assert (found["refused"], found["failed"]) == ("1", "1")
    # Two of three tranches were released before.
    assert found["released"].startswith("5.33")


def test_a_record_spans_campaigns_and_assets(people, stage) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, stage.backers[0].address, 5_000_000)
    stage.open(asset=token, goal=10**6, cap=10**7)
    stage.client.approve(stage.backers[0], 2_000_000)
    stage.client.pledge_token(stage.backers[0], 2_000_000)
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    pledged = [
        number
        for record in people(stage.backers[0], "--json").json["records"]
        for number in record["numbers"]
        if number["name"] == "pledged"
    ]
    assert {(one["asset"], one["value"], one["asset_address"]) for one in pledged} == {
        ("DEMO", "2", token),
        ("ETH", "1", None),
    }


def test_a_record_over_many_campaigns_takes_few_requests(people, stage, crowd) -> None:
    stage.open()
    stage.fund()
    stage.attest(0, stage.run.dataset)
    crowd(MANY - 1)
    with FaultyNode(stage.devnet.rpc_url) as node:
        ran = people(stage.researcher, "--json", rpc=node.url)
        record = ran.json["records"][0]
        assert len(record["campaigns"]) == ran.json["campaigns_looked_at"] == MANY
        assert node.count <= 14, node.methods


def test_no_node_shows_nothing(llamafund, stage, no_node: str) -> None:
    llamafund("people", stage.judge.address, "--rpc", no_node).refused(4)
