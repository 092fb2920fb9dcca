"""`llamafund refund`."""

from __future__ import annotations

NOBODY = "0x00000000000000000000000000000000000000bb"
ETHER = 10**18
DAY = 86_400


def refund(llamafund, stage, *more: object, wallet: str = "backer0"):
    return llamafund(
        "refund", stage.client.address, *more, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def failed(stage) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 3 * ETHER + 1)
    client.pledge(stage.backers[1], ETHER)
    stage.devnet.advance(11 * DAY)


def test_a_missed_goal_gives_everything_back(llamafund, stage) -> None:
    failed(stage)
    ran = refund(llamafund, stage, "--to", NOBODY)
    assert ran.json["amount"] == "3.000000000000000001"
    assert stage.devnet.connection.balance(NOBODY) == 3 * ETHER + 1
    assert refund(llamafund, stage, wallet="backer1").json["amount"] == "1"
    assert stage.client.state().balance == 0


def test_anyone_may_push_a_refund_to_its_owner(llamafund, stage) -> None:
    failed(stage)
    before = stage.devnet.connection.balance(stage.backers[1].address)
    ran = refund(llamafund, stage, "--backer", stage.backers[1].address)
    assert (ran.json["backer"], ran.json["recipient"]) == (stage.backers[1].address, stage.backers[1].address)
    assert stage.devnet.connection.balance(stage.backers[1].address) == before + ETHER


def test_nobody_sends_anothers_refund_elsewhere(llamafund, stage, untouched) -> None:
    failed(stage)
    with untouched():
        refund(llamafund, stage, "--backer", stage.backers[1].address, "--to", NOBODY).refused(2, "Only the backer")


def test_a_campaign_that_has_not_failed_refunds_nothing(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        refund(llamafund, stage).refused(5, "Active")


def test_a_refund_is_paid_once(llamafund, stage, untouched) -> None:
    failed(stage)
    assert refund(llamafund, stage).code == 0
    with untouched():
        refund(llamafund, stage).refused(5, "is owed no refund")
        refund(llamafund, stage, wallet="backer2").refused(5, "is owed no refund")


def test_what_is_no_campaign_refunds_nothing(llamafund, stage) -> None:
    llamafund("refund", NOBODY, "--rpc", stage.devnet.rpc_url, wallet="backer0").refused(3)
    llamafund("refund", NOBODY, "--rpc", "http://127.0.0.1:9", wallet="backer0").refused(4)
