"""`llamafund vote-stop`."""

from __future__ import annotations

import pytest

from llamafund_chain.campaign.events import Activated
from llamafund_chain.campaign.terms import DAY, VOTE_DELAY, Status
from llamafund_chain.times import when

ETHER = 10**18
NOBODY = "0x00000000000000000000000000000000000000bb"


def vote(llamafund, stage, *more: object, wallet: str = "backer0"):
    return llamafund(
        "vote-stop", stage.client.address, *more, "--rpc", stage.devnet.rpc_url, "--yes", "--json", wallet=wallet
    )


@pytest.fixture
def voting(stage):
    """A campaign that has been active for a day."""
    stage.open()
    stage.fund()
    stage.devnet.advance(DAY)
    return stage


def test_enough_pledges_stop_a_campaign(llamafund, voting) -> None:
    stage = voting
    first = vote(llamafund, stage, wallet="backer1").json
    assert (first["stopped"], first["stop_support"], first["needed"]) == (False, "3", "6.000000000000000004")
    second = vote(llamafund, stage).json
    assert second["stopped"] is True
    assert stage.client.state().status is Status.FAILED


def test_who_votes_is_told_beforehand_whether_the_vote_decides(answering, voting) -> None:
    stage = voting
    early = answering("n", "vote-stop", stage.client.address, wallet="backer1")
    assert "3 ETH would want to stop; it takes 6.000000000000000004 ETH. Vote with" in early.stderr
    assert "DECIDES" not in early.stderr
    assert early.stderr.count("?") == 1
    stage.client.vote_stop(stage.backers[1])
    deciding = answering("n", "vote-stop", stage.client.address, wallet="backer0")
    words = "10.000000000000000001 ETH would want to stop; it takes 6.000000000000000004 ETH: THIS VOTE DECIDES"
    assert words in deciding.stderr
    assert deciding.stderr.count("?") == 1
    assert "its backers get back 12.000000000000000008 ETH" in deciding.stderr
    deciding.refused(1, "Nothing was sent")
    assert stage.client.state().status is Status.ACTIVE
    decided = answering("y", "vote-stop", stage.client.address, wallet="backer0")
    assert "this vote decided. The campaign is stopped" in decided.stdout
    assert stage.client.state().status is Status.FAILED


def test_a_vote_decides_from_the_last_unit_on_that_is_needed(answering, stage) -> None:
    """11 ETH are pledged and half of them stop: 5.5 ETH are needed, and one wei less does not decide."""
    client = stage.open()
    half = 11 * ETHER // 2
    for backer, amount in zip(stage.backers, (half - 1, 1, half), strict=True):
        client.pledge(backer, amount)
    client.activate(stage.researcher)
    stage.devnet.advance(DAY)
    assert "DECIDES" not in answering("n", "vote-stop", client.address, wallet="backer0").stderr
    assert "DECIDES" in answering("n", "vote-stop", client.address, wallet="backer2").stderr
    client.vote_stop(stage.backers[0])
    assert "DECIDES" in answering("n", "vote-stop", client.address, wallet="backer1").stderr
    assert "DECIDES" not in answering("n", "vote-stop", client.address, "--retract", wallet="backer0").stderr


def test_a_vote_can_be_retracted(llamafund, voting) -> None:
    vote(llamafund, voting, wallet="backer1")
    ran = vote(llamafund, voting, "--retract", wallet="backer1")
    assert (ran.json["support"], ran.json["stop_support"]) == (False, "0")


def test_votes_that_change_nothing_or_are_nobodys_are_refused(llamafund, voting, untouched) -> None:
    with untouched():
        vote(llamafund, voting, "--retract").refused(5, "You have no vote to retract (")
        vote(llamafund, voting, wallet="researcher").refused(5, "no pledge")
    assert vote(llamafund, voting, wallet="backer1").code == 0
    with untouched():
        vote(llamafund, voting, wallet="backer1").refused(5, "You have already voted to stop (")


def test_on_the_first_day_a_backer_is_told_from_when_votes_are_taken(llamafund, stage, untouched) -> None:
    client = stage.open()
    stage.fund()
    opens = client.state().votes_from
    (activated,) = client.events(only=[Activated])
    assert opens == stage.devnet.connection.timestamp(activated.block) + VOTE_DELAY
    with untouched():
        vote(llamafund, stage).refused(5, f"opens at {when(opens)} (in ", "Campaign_VotingNotOpen")
    stage.devnet.advance(opens - stage.devnet.connection.timestamp())
    assert vote(llamafund, stage).json["stopped"] is True


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
