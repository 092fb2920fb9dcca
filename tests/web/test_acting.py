"""Somebody takes part with nothing but the page and a wallet."""

from __future__ import annotations

from typing import Any

from acting import DAY, ETHER, Acting
from playwright.sync_api import expect
from wallets import Wallet


def test_somebody_pledges_sees_a_milestone_votes_challenges_and_takes_a_refund(site: Any, stage: Any) -> None:
    client = stage.open(stop_bps=8_000)
    backer, elsewhere = stage.backers[0], stage.judge.address
    client.pledge(stage.backers[1], 5 * ETHER)
    act = Acting(site, stage, Wallet(stage.devnet.connection, [backer]))
    act.look()
    act.connect()

    act.start("pledge")
    act.fill(Amount="1,5")
    expect(act.page.get_by_text("Write a number like 0.5")).to_be_visible()
    act.fill(Amount="10.5")
    act.page.get_by_text("What your wallet will show").click()
    for words in ("pledgeCoin", "10.5 ETH", "In all, at most", "not to a person"):
        expect(act.page.locator(".act-form").get_by_text(words).first).to_be_visible()
    act.ask()
    act.phase("pledge", "mined")
    assert client.pledge_of(backer.address) == 10 * ETHER + ETHER // 2
    expect(act.page.locator("[data-phase=final]")).to_have_count(0)
    # It is followed on after a reload, and called done only when it is final.
    act.look()
    act.phase("pledge", "mined")
    act.final("pledge")
    expect(act.page.get_by_text("You have pledged 10.5 ETH")).to_be_visible()
    act.do("unpledge", Amount="0.5")
    assert client.pledge_of(backer.address) == 10 * ETHER

    client.activate(stage.researcher)
    stage.attest(0, stage.run.dataset)
    act.look()
    expect(act.offer("stop").get_by_role("button")).to_be_disabled()
    stage.devnet.advance(DAY)
    act.look()
    act.do("stop")
    assert client.state().stop_support == 10 * ETHER
    act.do("retract")
    assert client.state().stop_support == 0
    act.do("challenge", Number_of_the_piece="0")
    bond = client.open_challenges()[0].bond
    assert bond >= client.required_bond()

    # Nobody answers: the campaign fails, and everything that was not paid out comes back.
    stage.devnet.advance(DAY)
    act.look()
    expect(act.page.get_by_text("waits for you")).to_have_count(2)
    before = stage.devnet.w3.eth.get_balance(elsewhere)
    act.do("bond", Send_it_to=elsewhere)
    act.do("refund", Send_it_to=elsewhere.lower())
    assert stage.devnet.w3.eth.get_balance(elsewhere) == before + bond + 10 * ETHER
    act.final("refund")
    expect(act.page.get_by_text("You have got 10 ETH back")).to_be_visible()
    assert act.window.errors == []
