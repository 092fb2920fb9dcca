"""`llamafund claim`."""

from __future__ import annotations

NOBODY = "0x00000000000000000000000000000000000000bb"


def claim(llamafund, stage, *more: object, wallet: str = "researcher"):
    return llamafund(
        "claim", stage.client.address, *more, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


def test_a_payee_is_found_by_its_wallet_and_paid_where_it_wants(llamafund, stage) -> None:
    stage.honest_until(1)
    ready = stage.client.state().claimable
    ran = claim(llamafund, stage, "--to", NOBODY, wallet="compute")
    assert ran.json["payee"] == 1
    assert ran.json["amount"] == stage.client.asset.plain(ready[1])
    assert stage.devnet.connection.balance(NOBODY) == ready[1]
    assert stage.client.state().claimable == (ready[0], 0)


def test_nothing_is_paid_before_the_window_is_over_and_the_time_left_is_said(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        claim(llamafund, stage).refused(5, "No milestone has been attested yet")
    stage.attest(0, stage.run.dataset)
    stage.devnet.advance(1_800)
    with untouched():
        claim(llamafund, stage).refused(5, "challenge window until", "1 day 23 hours from now")


def test_a_share_is_paid_once(llamafund, stage, untouched) -> None:
    stage.honest_until(1)
    assert claim(llamafund, stage).code == 0
    with untouched():
        claim(llamafund, stage).refused(5, "has been claimed")


def test_only_payees_are_paid(llamafund, stage, untouched) -> None:
    stage.honest_until(1)
    with untouched():
        claim(llamafund, stage, wallet="backer0").refused(5, "not a payee", stage.compute.address)
        claim(llamafund, stage, "--payee", "1").refused(5, "is not payee 1")
        claim(llamafund, stage, "--payee", "2").refused(5, "no payee 2")
        claim(llamafund, stage, "--to", stage.client.address).refused(5, "cannot receive")


def test_what_is_no_campaign_pays_nothing(llamafund, stage) -> None:
    llamafund("claim", NOBODY, "--rpc", stage.devnet.rpc_url, wallet="researcher").refused(3)
    llamafund("claim", NOBODY, "--rpc", "http://127.0.0.1:9", wallet="researcher").refused(4)
