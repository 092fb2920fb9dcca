"""What people do with a wallet, readable by everybody; and what one account has in all campaigns."""

from __future__ import annotations

from typing import Any

from acting import DAY, ETHER, Acting
from playwright.sync_api import expect
from test_every_view import looked_at
from wallets import Wallet

from llamafund_chain.campaign.mine import parts_of
from llamafund_chain.campaign.overview import Overview, overview


def test_nobody_is_shut_out_of_acting_and_everything_that_waits_is_shown(site: Any, stage: Any) -> None:
    backer = stage.backers[0]
    wallet = Wallet(stage.devnet.connection, [backer])
    failed = stage.open(proposal={"title": "<b>Failed</b> numbers"})
    failed.pledge(backer, 2 * ETHER)
    stage.devnet.advance(10 * DAY)
    stage.open(proposal={"title": "Running numbers"})
    stage.fund()
    client = stage.open(proposal={"title": "More numbers"})
    act = Acting(site, stage, wallet)
    with looked_at(act.window, "act-wallets", at="#act"):
        act.look()
        act.page.get_by_text("another device").click()
        act.page.locator("#phone-amount").fill("1")
        act.page.locator("#phone-backer").fill(backer.address)
        act.page.locator(".qr").wait_for()
    act.connect()
    act.start("pledge")
    with looked_at(act.window, "act-form", at=".offer"):
        act.fill(Amount="0")
        expect(act.page.get_by_text("Name an amount above zero")).to_be_visible()
    with looked_at(act.window, "act-refused", at=".offer"):
        act.fill(Amount="21")
        expect(act.page.get_by_text("The contract would refuse this now")).to_be_visible()
    with looked_at(act.window, "act-ready", at=".offer"):
        act.fill(Amount="3.25")
        expect(act.page.get_by_role("button", name="Ask Test Wallet")).to_be_enabled()
    act.ask()
    act.phase("pledge", "mined")
    act.final("pledge")
    expect(act.page.locator("#transactions")).to_be_focused()
    with looked_at(act.window, "act-sent", at="#transactions"):
        expect(act.page.get_by_text("You have pledged 3.25 ETH")).to_be_visible()

    with looked_at(act.window, "mine"):
        act.page.get_by_role("link", name="My pledges").click()
        expect(act.page.locator("[data-waits]")).to_have_attribute("data-waits", "refund")
        expect(act.page.get_by_text("A refund of 2 ETH waits for you")).to_be_visible()
        expect(act.page.get_by_role("link", name="More numbers")).to_be_visible()
        expect(act.page.get_by_role("link", name="<b>Failed</b> numbers")).to_be_visible()
    act.page.get_by_label("Or look at any account").fill(stage.attestors[1].address)
    expect(act.page.get_by_text("Here as: attestor 1")).to_have_count(3)
    for account in (stage.researcher, stage.attestors[0], backer):
        # The same as the command line says.
        act.page.get_by_label("Or look at any account").fill(account.address)
        shown = act.page.locator(f"[data-account='{account.address}']")
        shown.wait_for()
        waits = [one.get_attribute("data-waits") for one in shown.locator("[data-waits]").all()]
        assert waits == _waits(stage, account.address)
    act.page.get_by_label("Or look at any account").fill(stage.judge.address)
    expect(act.page.get_by_text("has no part in a campaign")).to_be_visible()
    act.page.get_by_label("Or look at any account").fill("")

    # In German, with a comma, and with the reminder followed to the button.
    act.page.get_by_label("Language").select_option("de")
    act.page.get_by_role("link", name="Die Kampagne öffnen").click()
    act.start("refund")
    expect(act.page.get_by_text("Was es höchstens kostet")).to_be_visible()
    act.page.get_by_role("button", name="Test Wallet fragen").click()
    act.phase("refund", "mined", "Rückzahlung von 2 ETH")
    assert failed.pledge_of(backer.address) == 0
    assert client.pledge_of(backer.address) == 13 * ETHER // 4
    assert act.window.errors == []


def _waits(stage: Any, account: str) -> list[str]:
    """What waits for an account according to `llamafund mine`, as the page calls it."""
    connection = stage.devnet.connection
    latest = connection.block()
    found = overview(connection, latest)
    parts = parts_of(connection, [one for one in found if isinstance(one, Overview)], account, latest)
    steps = [step for part in reversed(parts) for step in part.steps() if step.urgency != "choice"]
    names = {"return-bond": "bond", "campaign": "activate"}
    commands = [step.command.split()[0] for step in steps]
    return [names.get(command, command) for command in commands]
