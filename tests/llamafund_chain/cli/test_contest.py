"""`llamafund contest` and `llamafund rule`, by the key that is the arbiter."""

from __future__ import annotations

import pytest

from llamafund_chain.campaign.terms import DAY, Status
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call
from llamafund_chain.times import when

ETHER = 10**18
LAST = "6.667200000000000005"
WINDOW = 2 * DAY
RULING = 7 * DAY


@pytest.fixture
def lied(stage):
    """A quorum has attested other weights than the trained ones; the arbiter is a key."""
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=RULING)
    return stage


def decide(llamafund, stage, command: str, *more: object, wallet: str | None = "judge"):
    where = ("--rpc", stage.devnet.rpc_url, "--yes", "--json")
    return llamafund(command, stage.client.address, *more, *where, wallet=wallet)


def test_a_contest_prolongs_the_window_and_a_refusal_gives_the_last_tranche_back(llamafund, lied) -> None:
    attested_at = lied.client.state().attested_at
    contested = decide(llamafund, lied, "contest").json
    assert contested["rule_by"] == attested_at + WINDOW + RULING
    assert contested["arbiter"] == lied.judge.address

    lied.devnet.advance(WINDOW + RULING - DAY)
    ruled = decide(llamafund, lied, "rule", "--refuse").json

    assert (ruled["upheld"], ruled["status"], ruled["released_from"]) == (False, "Failed", None)
    state = lied.client.state()
    refunds = [lied.client.refundable(backer.address) for backer in lied.backers]
    assert sum(refunds) == pytest.approx(state.pledged - state.released, abs=3)
    assert all(refunds)


def test_an_upheld_attestation_is_released_as_if_nobody_had_contested_it(llamafund, lied) -> None:
    attested_at = lied.client.state().attested_at
    decide(llamafund, lied, "contest")
    ruled = decide(llamafund, lied, "rule", "--uphold").json
    assert (ruled["upheld"], ruled["status"]) == (True, "Active")
    assert ruled["released_from"] == attested_at + WINDOW


def test_an_attestation_upheld_after_its_window_completes_the_campaign(llamafund, lied) -> None:
    decide(llamafund, lied, "contest")
    lied.devnet.advance(WINDOW)
    assert decide(llamafund, lied, "rule", "--uphold").json["status"] == "Completed"


def test_whoever_rules_reads_when_the_money_goes(llamafund, answering, lied) -> None:
    ends = lied.client.state().attested_at + WINDOW
    asked = answering("n", "contest", lied.client.address, wallet="judge")
    assert f"until {when(ends + RULING)} at the latest, instead of until {when(ends)}" in asked.stderr
    lied.client.contest(lied.judge)
    asked = answering("n", "rule", lied.client.address, "--uphold", wallet="judge")
    assert f"The last tranche, {LAST} ETH, is released at {when(ends)}." in asked.stderr
    lied.devnet.advance(WINDOW)
    asked = answering("n", "rule", lied.client.address, "--uphold", wallet="judge")
    assert f"The last tranche, {LAST} ETH, is released at once." in asked.stderr


def test_nobody_but_the_arbiter_contests_or_rules(llamafund, lied, untouched) -> None:
    with untouched():
        for wallet in ("researcher", "backer0", "attestor0"):
            decide(llamafund, lied, "contest", wallet=wallet).refused(5, "is not the campaign's arbiter")
    lied.client.contest(lied.judge)
    with untouched():
        decide(llamafund, lied, "rule", "--refuse", wallet="backer0").refused(5, "Campaign_NotArbiter")


def test_a_ruling_without_a_contest_and_a_second_contest_are_refused(llamafund, lied, untouched) -> None:
    with untouched():
        decide(llamafund, lied, "rule", "--refuse").refused(5, "Campaign_NotContested")
    lied.client.contest(lied.judge)
    with untouched():
        decide(llamafund, lied, "contest").refused(5, "Campaign_AlreadyContested")


def test_what_comes_too_early_or_too_late_is_refused(llamafund, stage, untouched) -> None:
    stage.honest_until(2, arbiter=stage.judge.address, ruling_window=RULING)
    with untouched():
        decide(llamafund, stage, "contest").refused(5, "Campaign_NothingToContest")
    stage.attest(2, stage.run.export())
    stage.client.contest(stage.judge)
    stage.devnet.advance(WINDOW + RULING)
    assert stage.client.status() is Status.COMPLETED
    with untouched():
        decide(llamafund, stage, "rule", "--refuse").refused(5, "The campaign is Completed")


def test_a_ruling_says_which(llamafund, lied) -> None:
    decide(llamafund, lied, "rule").refused(2, "It is not clear how you rule", "--uphold or --refuse")


@pytest.mark.parametrize("command", [("contest",), ("rule", "--refuse"), ("rule", "--uphold")])
def test_a_safe_gets_the_call_that_does_the_same(llamafund, lied, untouched, command: tuple[str, ...]) -> None:
    """It is a contract without any coins: whoever executes its call pays the fee."""
    if command[0] == "rule":
        lied.client.contest(lied.judge)
    lied.devnet.connection.request("anvil_setCode", lied.judge.address, "0x6000")
    lied.devnet.fund(lied.judge.address, 0)
    nobody = ("--signer", "print", "--from", lied.judge.address)
    with untouched():
        unsigned = decide(llamafund, lied, *command, *nobody, wallet=None).json["unsigned"]
    assert (unsigned["from"], unsigned["to"]) == (lied.judge.address, lied.client.address)
    assert int(unsigned["value"], 16) == 0
    lied.devnet.connection.request("anvil_setCode", lied.judge.address, "0x")
    lied.devnet.fund(lied.judge.address, ETHER)
    Sender(lied.devnet.connection).send(lied.judge, Call(unsigned["to"], bytes.fromhex(unsigned["data"][2:])))
    state = lied.client.state()
    assert (state.contested, state.refused) == (command[-1] != "--uphold", command[-1] == "--refuse")


def test_a_key_without_coins_cannot_pay_even_if_it_delegates_to_a_contract(llamafund, lied) -> None:
    lied.devnet.fund(lied.judge.address, 0)
    for code in ("0x", "0xef0100" + "12" * 20):
        lied.devnet.connection.request("anvil_setCode", lied.judge.address, code)
        nobody = ("--signer", "print", "--from", lied.judge.address)
        decide(llamafund, lied, "contest", *nobody, wallet=None).refused(1, "has 0 ETH", "highest possible fee")


def test_a_call_that_the_campaign_would_refuse_is_not_printed(llamafund, lied) -> None:
    ran = decide(llamafund, lied, "rule", "--refuse", "--signer", "print", "--from", lied.judge.address, wallet=None)
    ran.refused(5, "Campaign_NotContested")
    assert set(ran.json) == {"schema", "command", "error"}


def test_a_campaign_without_an_arbiter_has_nobody_to_contest_it(llamafund, stage, untouched) -> None:
    stage.lie_about_the_weights()
    with untouched():
        decide(llamafund, stage, "contest").refused(5, "is not the campaign's arbiter", "they may name none")
