"""`llamafund mine`: what an account has in all campaigns, and what waits for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faulty_node import FaultyNode

ETHER = 10**18
DAY = 86_400
MANY = 200


@pytest.fixture
def mine(llamafund, stage, keystore: Path):
    """Runs the command for an address, or for a wallet."""

    def run(who, *more: object):
        name = ("--wallet", who, "--keystore", keystore) if isinstance(who, str) else ("--backer", who.address)
        return llamafund("mine", *name, "--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, *more)

    return run


def part(ran) -> dict:
    """The only campaign of an account."""
    assert ran.code == 0, ran.stderr
    (found,) = ran.json["campaigns"]
    return found


def steps(ran) -> list[tuple[str, str]]:
    return [(step["urgency"], step["command"].split()[1]) for step in part(ran)["steps"]]


def test_who_has_no_part_in_anything_is_told_so(mine, stage) -> None:
    assert "no part in a campaign" in mine(stage.judge).stdout
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    stage.client.unpledge(stage.backers[0], ETHER)
    ran = mine(stage.backers[0])
    assert "no part in a campaign" in ran.stdout
    assert "Waits" not in ran.stdout


def test_a_pledge_can_be_taken_back_then_votes_and_then_is_refunded(mine, stage, llamafund) -> None:
    client, backer = stage.open(), stage.backers[1]
    stage.client.pledge(backer, 3 * ETHER)
    found = part(mine(backer, "--json"))
    assert (found["roles"], found["pledge"], found["title"]) == (["backer"], "3", stage.run.proposal.title)
    assert steps(mine(backer, "--json")) == [("choice", "unpledge")]
    stage.client.pledge(stage.backers[0], 7 * ETHER + 1)
    client.activate(stage.researcher)
    (vote,) = part(mine(backer, "--json"))["steps"]
    assert vote["opens"] == client.state().votes_from
    stage.devnet.advance(DAY)
    client.vote_stop(backer)
    found = part(mine(backer, "--json"))
    assert found["votes_to_stop"] is True
    assert found["steps"][0]["command"] == f"llamafund vote-stop {client.address} --retract"
    client.vote_stop(stage.backers[0])
    assert part(mine(backer, "--json"))["refundable"] == "3"
    text = mine("backer1").stdout
    waiting = text[: text.index(f"\n{client.address}")]
    assert "Waits for you" in waiting
    assert f"  Collect your refund of 3 ETH\n    llamafund refund {client.address} --wallet backer1\n" in waiting
    client.refund(backer, backer.address)
    found = part(mine(backer, "--json"))
    assert (found["pledge"], found["refundable"], found["refunded"], found["steps"]) == ("0", "0", "3", [])
    assert "Nothing waits for you" in mine(backer).stdout


def test_only_what_a_met_goal_does_not_need_can_be_taken_back(mine, stage, llamafund) -> None:
    client, backer = stage.open(), stage.backers[0]
    client.pledge(backer, 12 * ETHER)
    (step,) = part(mine(backer, "--json"))["steps"]
    assert step["command"] == f"llamafund unpledge {client.address} 2"
    ran = llamafund(*step["command"].split()[1:], "--rpc", stage.devnet.rpc_url, "--yes", wallet="backer0")
    assert ran.code == 0, ran.stderr
    assert part(mine(backer, "--json"))["steps"] == []


def test_every_command_that_is_told_does_what_it_says(mine, stage, llamafund) -> None:
    client = stage.open()
    stage.fund()
    stage.devnet.advance(DAY)
    client.vote_stop(stage.backers[0])
    stage.devnet.finalize()
    (command,) = re.findall(r"^    llamafund (.*) --wallet backer0$", mine("backer0").stdout, re.MULTILINE)
    ran = llamafund(*command.split(), "--rpc", stage.devnet.rpc_url, "--yes", wallet="backer0")
    assert ran.code == 0, ran.stderr
    assert part(mine("backer0", "--json"))["refunded"] == "7.000000000000000001"


def test_researcher_attestors_and_payees_see_what_is_due(mine, stage) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 10 * ETHER)
    assert steps(mine(stage.researcher, "--json")) == [("duty", "campaign")]
    client.activate(stage.researcher)
    deadline = client.terms.milestones[0].deadline
    (due,) = part(mine(stage.researcher, "--json"))["steps"]
    assert (due["urgency"], due["until"]) == ("duty", deadline)
    (due,) = part(mine(stage.attestors[1], "--json"))["steps"]
    assert (due["command"], due["until"]) == (
        f"llamafund attest {client.address} --milestone 0 --evidence HASH",
        deadline,
    )
    assert "Soon: " not in mine(stage.attestors[1]).stdout
    stage.devnet.advance(deadline - stage.devnet.connection.timestamp() - 2 * DAY)
    assert "  Soon: Check milestone 0 (DATASET) and sign it before" in mine(stage.attestors[1]).stdout


def test_a_payee_sees_what_it_can_claim_and_what_it_has(mine, stage) -> None:
    stage.honest_until(1)
    found = part(mine(stage.compute, "--json"))
    (payout,) = found["payouts"]
    assert payout == {"payee": 1, "claimable": "0.44435556", "claimed": "0"}
    assert found["steps"][0]["command"] == f"llamafund claim {stage.client.address} --payee 1"
    stage.client.claim(stage.compute, 1)
    found = part(mine(stage.compute, "--json"))
    assert found["payouts"] == [{"payee": 1, "claimable": "0", "claimed": "0.44435556"}]
    assert found["steps"] == []


def test_a_bond_is_shown_until_it_is_answered_or_returned(mine, stage) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    client, (one, two, _) = stage.client, stage.backers
    latest = client.latest_attestation()
    client.challenge(one, latest, 0, ETHER // 10)
    assert part(mine(one, "--json"))["bonds"] == [{"milestone": 0, "chunk": 0, "bond": "0.1"}]
    assert part(mine(two, "--json"))["bonds"] == []
    assert ("duty", "answer") in steps(mine(stage.researcher, "--json"))
    stage.devnet.advance(2 * DAY)
    found = part(mine(one, "--json"))
    assert found["steps"][1]["command"] == f"llamafund return-bond {client.address}"
    assert "Reclaim the bonds of your challenges, 0.1 ETH" in mine(one).stdout
    client.return_bond(one, 0)
    assert part(mine(one, "--json"))["bonds"] == []


def test_an_answered_challenge_leaves_no_bond(mine, stage, llamafund) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    client, backer = stage.client, stage.backers[0]
    client.challenge(backer, client.latest_attestation(), 0, ETHER // 10)
    where = ("--rpc", stage.devnet.rpc_url, "--store", stage.run.store.location, "--yes")
    assert llamafund("answer", client.address, *where, wallet="backer1").code == 0
    assert part(mine(backer, "--json"))["bonds"] == []


def test_the_arbiter_sees_until_when_it_can_rule(mine, stage) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=7 * DAY)
    assert steps(mine("judge", "--json")) == [("choice", "contest")]
    stage.client.contest(stage.judge)
    assert steps(mine("judge", "--json")) == [("duty", "rule")]
    # How to rule is nobody else's suggestion.
    assert part(mine("judge", "--json"))["steps"][0]["command"] == f"llamafund rule {stage.client.address}"


@pytest.mark.parametrize("most", [1, 2])
def test_more_campaigns_than_a_node_searches_at_once_are_searched_in_turn(mine, stage, monkeypatch, most: int) -> None:
    monkeypatch.setattr("llamafund_chain.campaign.history.MOST_AT_ONCE", most)
    backer = stage.backers[0]
    pledged = []
    for goal in (9, 10, 11):
        client = stage.open(goal=goal * ETHER)
        client.pledge(backer, goal)
        pledged.append(client.address)
    assert [found["campaign"] for found in mine(backer, "--json").json["campaigns"]] == pledged


def test_an_account_in_many_campaigns_takes_few_requests(mine, stage, crowd, llamafund, keystore) -> None:
    stage.open().pledge(stage.backers[0], ETHER)
    crowd(MANY - 1)
    with FaultyNode(stage.devnet.rpc_url) as node:
        account = ("--wallet", "backer0", "--keystore", keystore)
        ran = llamafund("mine", *account, "--rpc", node.url, "--store", stage.run.store.location, "--json")
        assert len(ran.json["campaigns"]) == 1
        assert node.count <= 14, node.methods
        first = node.count
        again = llamafund("mine", *account, "--rpc", node.url, "--store", stage.run.store.location, "--json")
        assert again.json["campaigns"] == ran.json["campaigns"]
        assert node.count - first <= 13, node.methods[first:]


def test_nobody_or_a_wallet_that_is_not_there_is_refused(llamafund, stage, keystore) -> None:
    llamafund("mine", "--rpc", stage.devnet.rpc_url).refused(2, "Nobody was named", "--backer")
    llamafund("mine", "--wallet", "none", "--keystore", keystore).refused(2, "no wallet 'none'")


def test_no_node_shows_nothing(llamafund, stage, no_node: str) -> None:
    llamafund("mine", "--backer", stage.judge.address, "--rpc", no_node).refused(4)
