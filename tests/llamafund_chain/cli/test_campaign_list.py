"""`llamafund campaign list`: which campaigns there are, in a few requests, with titles from strangers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faulty_node import FaultyNode

from llamafund_chain.chain import abi
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call
from llamafund_chain.times import from_now

ETHER = 10**18
DAY = 86_400
MANY = 200


def listed(llamafund, stage, *more: object, store: object = None):
    place = store or stage.run.store.location
    return llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url, "--store", place, *more)


def addresses(ran) -> list[str]:
    assert ran.code == 0, ran.stderr
    return [entry["campaign"] for entry in ran.json["campaigns"]]


@pytest.fixture
def three(stage) -> list[str]:
    """One campaign that takes pledges, one that is active, one that failed; all of them in this order."""
    failed = stage.open(goal=9 * ETHER, funding_deadline=stage.devnet.connection.timestamp() + DAY)
    active = stage.open(proposal={"title": "Letters of Ada"})
    stage.fund()
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.advance(2 * DAY)
    open_ = stage.open(proposal={"title": "A model of birds"}, asset=token, goal=10**6, cap=10**7)
    return [failed.address, active.address, open_.address]


def test_a_token_that_calls_itself_the_coin_is_named_as_a_token(llamafund, stage) -> None:
    token = stage.devnet.deploy_token("Ether", "ETH", 18)
    stage.open(asset=token)
    told = f"ETH is the token {token}"
    assert told in listed(llamafund, stage).stdout
    words = ("mine", "--rpc", stage.devnet.rpc_url, "--backer", stage.researcher.address)
    assert f"ETH (token {token})" in llamafund(*words).stdout
    stage.open()
    assert listed(llamafund, stage).stdout.count("is the token") == 1


def test_filters_leave_what_was_asked_for(llamafund, stage, three) -> None:
    failed, active, open_ = three
    token = stage.client.terms.asset
    for words, left in {
        (): three,
        ("--status", "failed"): [failed],
        ("--status", "active", "--status", "Failed"): [failed, active],
        ("--open",): [open_],
        ("--asset", "eth"): [failed, active],
        ("--asset", "DEMO"): [open_],
        ("--asset", token.lower()): [open_],
        ("--researcher", stage.researcher.address): three,
        ("--researcher", stage.compute.address): [],
        ("--text", "of ada"): [active],
        ("--text", active[2:10].lower()): [active],
    }.items():
        assert addresses(listed(llamafund, stage, *words, "--json")) == left, words


def test_the_order_is_the_one_that_was_asked_for(llamafund, stage, three) -> None:
    failed, active, open_ = three
    for order, expected in {
        "created": [failed, active, open_],
        "deadline": [open_, active, failed],
        "progress": [active, failed, open_],
        "title": [open_, failed, active],
    }.items():
        ran = listed(llamafund, stage, "--sort", order, "--json")
        assert addresses(ran) == expected, order
        assert addresses(listed(llamafund, stage, "--sort", order, "--reverse", "--json"))[-1] == expected[0], order


def test_a_campaign_is_listed_with_its_title_its_progress_and_what_comes_next(llamafund, stage, three) -> None:
    document = listed(llamafund, stage, "--json").json
    failed, active, open_ = document["campaigns"]
    assert failed["deadline"] is None
    assert active["deadline"] == {"what": "milestone", "at": active["deadline"]["at"]}
    assert open_["deadline"] == {"what": "funding", "at": stage.client.terms.funding_deadline}
    assert (open_["takes_pledges"], active["takes_pledges"]) == (True, False)
    assert (active["title"], active["attested"], active["milestones"]) == ("Letters of Ada", 0, 3)
    text = listed(llamafund, stage).stdout
    assert "“Letters of Ada”" in text
    assert "[####################] 120 %  12.000000000000000008 of 10 ETH  0 of 3 milestones" in text
    assert "milestone 0 is due before " in text
    assert f"{from_now(open_['deadline']['at'], document['timestamp'])})" in text


def test_nothing_that_fits_is_told_apart_from_an_empty_chain(llamafund, stage) -> None:
    assert "There are no campaigns on this chain" in listed(llamafund, stage).stdout
    stage.open()
    assert "None of the 1 campaign on this chain" in listed(llamafund, stage, "--status", "failed").stdout


def test_a_hostile_title_changes_neither_the_terminal_nor_the_columns(llamafund, stage) -> None:
    stage.open(proposal={"title": "\x1b[2J\u202egood\n0xEvil  Active  9 of 9 ETH" + "x" * 200})
    (line,) = (line for line in listed(llamafund, stage).stdout.splitlines() if "good" in line)
    assert "\\u{1b}[2J\\u{202e}good 0xEvil" in line
    assert "more characters)”" in line
    assert line.startswith(stage.client.address)


def test_a_list_asks_no_store_on_the_network_unless_told_to(llamafund, stage, no_node) -> None:
    stage.open()
    stage.open(goal=11 * ETHER)
    gateway = f"gateway:{no_node}"
    silent = listed(llamafund, stage, store=gateway)
    assert (silent.code, silent.stderr) == (0, "")
    assert silent.stdout.count("no title found") == 2
    asked = listed(llamafund, stage, "--fetch-titles", store=gateway)
    assert asked.code == 0
    # A store that does not answer is asked once, not for each campaign.
    assert asked.stderr.count("Note: ") == 1
    assert "127.0.0.1:9" in asked.stderr


def test_what_cannot_be_read_is_counted_where_a_filter_hides_it(llamafund, stage) -> None:
    stage.open()
    broken = stage.devnet.deploy_token("x", "x", 255)
    data = abi.contract("CampaignFactory").encode(
        "createCampaign", replace(stage.client.terms, asset=broken).to_abi(), bytes(32)
    )
    Sender(stage.devnet.connection).send(stage.researcher, Call(stage.devnet.deployment.factory, data))
    ran = listed(llamafund, stage, "--status", "funding")
    assert "1 campaign cannot be read" in ran.stderr
    entries = listed(llamafund, stage, "--json").json["campaigns"]
    assert [entry["problem"] is None for entry in entries] == [True, False]
    assert "255 decimals" in entries[1]["problem"]


# ----------------------------------------------------------------- many of them


def test_many_campaigns_take_few_requests(llamafund, stage, crowd) -> None:
    stage.open()
    crowd(MANY - 1)
    with FaultyNode(stage.devnet.rpc_url) as node:
        ran = llamafund("campaign", "list", "--rpc", node.url, "--store", stage.run.store.location, "--json")
        assert len(addresses(ran)) == MANY
        assert node.count <= 10, node.methods
