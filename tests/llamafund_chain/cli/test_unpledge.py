"""`llamafund unpledge`."""

from __future__ import annotations

import pytest

NOBODY = "0x00000000000000000000000000000000000000bb"
ETHER = 10**18


def unpledge(llamafund, stage, amount: str, *more: object, wallet: str = "backer0"):
    return llamafund(
        "unpledge", stage.client.address, amount, *more, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def test_a_part_and_then_all_of_a_pledge_are_taken_back(llamafund, stage) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 3 * ETHER)
    ran = unpledge(llamafund, stage, "1.000000000000000001", "--to", NOBODY)
    assert (ran.json["amount"], ran.json["pledge"]) == ("1.000000000000000001", "1.999999999999999999")
    assert stage.devnet.connection.balance(NOBODY) == ETHER + 1
    assert unpledge(llamafund, stage, "all").json["amount"] == "1.999999999999999999"
    assert client.state().pledged == client.state().balance == 0


def test_what_would_break_the_goal_is_locked_in(llamafund, stage, untouched) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 11 * ETHER)
    with untouched():
        unpledge(llamafund, stage, "1.1").refused(5, "would leave 9.9 ETH", "Campaign_GoalLocked")
    assert unpledge(llamafund, stage, "1").code == 0


@pytest.mark.parametrize("amount", ["1e-19", "0", "half", "1.0000000000000000001"])
def test_an_amount_that_is_none_moves_nothing(llamafund, stage, untouched, amount: str) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], ETHER)
    with untouched():
        unpledge(llamafund, stage, amount).refused(2)


def test_nobody_takes_back_what_it_has_not_pledged(llamafund, stage, untouched) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], ETHER)
    with untouched():
        unpledge(llamafund, stage, "1", wallet="backer1").refused(5, "no pledge")
        unpledge(llamafund, stage, "all", wallet="backer1").refused(5, "no pledge")
        unpledge(llamafund, stage, "2").refused(5, "pledge is 1 ETH")


def test_an_active_campaign_gives_nothing_back(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        unpledge(llamafund, stage, "1").refused(5, "Active")


def test_what_is_no_campaign_gives_nothing_back(llamafund, stage) -> None:
    llamafund("unpledge", NOBODY, "1", "--rpc", stage.devnet.rpc_url, wallet="backer0").refused(3)
    llamafund("unpledge", NOBODY, "1", "--rpc", "http://127.0.0.1:9", wallet="backer0").refused(4)
