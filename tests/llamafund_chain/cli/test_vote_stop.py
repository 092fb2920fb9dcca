"""`llamafund vote-stop`."""

from __future__ import annotations

from llamafund_chain.terms import Status

NOBODY = "0x00000000000000000000000000000000000000bb"


def vote(llamafund, stage, *more: object, wallet: str = "backer0"):
    return llamafund("vote-stop", stage.client.address, *more, "--rpc", stage.devnet.rpc_url, "--json", wallet=wallet)


def test_enough_pledges_stop_a_campaign(llamafund, stage) -> None:
    stage.open()
    stage.fund()
    first = vote(llamafund, stage, wallet="backer1").json
    assert (first["stopped"], first["stop_support"], first["needed"]) == (False, "3", "6.000000000000000004")
    second = vote(llamafund, stage).json
    assert second["stopped"] is True
    assert stage.client.state().status is Status.FAILED


def test_a_vote_can_be_retracted(llamafund, stage) -> None:
    stage.open()
    stage.fund()
    vote(llamafund, stage, wallet="backer1")
    ran = vote(llamafund, stage, "--retract", wallet="backer1")
    assert (ran.json["support"], ran.json["stop_support"]) == (False, "0")


def test_votes_that_change_nothing_or_are_nobodys_are_refused(llamafund, stage, untouched) -> None:
    stage.open()
    stage.fund()
    with untouched():
        vote(llamafund, stage, "--retract").refused(5, "already as asked")
        vote(llamafund, stage, wallet="researcher").refused(5, "no pledge")


def test_a_funding_campaign_is_not_voted_on(llamafund, stage, untouched) -> None:
    client = stage.open()
    client.pledge(stage.backers[0], 5)
    with untouched():
        vote(llamafund, stage).refused(5, "Funding")


def test_voting_is_closed_once_the_weights_are_attested(llamafund, stage, untouched) -> None:
    stage.honest_until(2)
    stage.attest(2, stage.run.export())
    with untouched():
        vote(llamafund, stage).refused(5, "Voting is closed")


def test_what_is_no_campaign_is_not_voted_on(llamafund, stage) -> None:
    llamafund("vote-stop", NOBODY, "--rpc", stage.devnet.rpc_url, wallet="backer0").refused(3)
    llamafund("vote-stop", NOBODY, "--rpc", "http://127.0.0.1:9", wallet="backer0").refused(4)
