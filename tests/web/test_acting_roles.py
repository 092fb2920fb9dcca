"""Researcher, payee, arbiter and holders of tokens do their part with nothing but the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from acting import DAY, ETHER, Acting
from playwright.sync_api import expect
from wallets import Wallet

from llamafund_chain.campaign.attestation import AttestationFile, propose
from llamafund_chain.chain.batch import BATCH, BATCH_CODE


def test_the_researcher_starts_submits_answers_and_claims(site: Any, stage: Any, tmp_path: Path) -> None:
    client = stage.open(slack=5 * DAY)
    client.pledge(stage.backers[0], 10 * ETHER)
    act = Acting(site, stage, Wallet(stage.devnet.connection, [stage.researcher]))
    act.look()
    act.connect()
    act.do("activate")
    assert client.state().active

    attestation = propose(client, 0, stage.run.dataset)
    digest = attestation.digest(client.connection.chain_id, client.address)
    files = []
    for place, score in ((0, attestation.score), (2, 7)):
        signer = stage.attestors[place]
        signature = f"0x{signer.unsafe_sign_hash(digest).signature.hex()}"
        signed = replace(attestation, score=score)
        path = tmp_path / f"{place}.json"
        AttestationFile.create(signed, client.connection.chain_id, client.address, {signer.address: signature}).save(
            path
        )
        files.append(path)
    act.start("submit")
    chosen = act.page.get_by_label("Attestation files")
    chosen.set_input_files(files)
    expect(act.page.get_by_text("not of the same attestation")).to_be_visible()
    chosen.set_input_files(files[0])
    expect(act.page.get_by_text("The attestation carries 1 signature")).to_be_visible()
    (tmp_path / "2.json").write_text(files[1].read_text().replace('"7"', '"0"'))
    chosen.set_input_files(files)
    expect(act.page.get_by_text("Milestone 0, with 2 signatures")).to_be_visible()
    act.ask()
    act.phase("submit", "mined")
    assert client.state().attested == 1

    client.challenge(stage.backers[0], attestation, 0, 2 * client.required_bond())
    act.look()
    act.start("answer")
    act.page.get_by_role("button", name="Fetch and prove the piece").click()
    act.ask()
    act.phase("answer", "mined")
    assert client.open_challenges() == ()

    act.do("extend", Days="2")
    assert client.state().slack_used == 2 * DAY
    stage.release()
    act.look()
    before = stage.devnet.w3.eth.get_balance(stage.judge.address)
    act.do("claim", Send_it_to=stage.judge.address)
    assert stage.devnet.w3.eth.get_balance(stage.judge.address) == before + client.state().claimed[0]
    assert act.window.errors == []


def test_the_arbiter_contests_and_refuses(site: Any, stage: Any) -> None:
    stage.honest_until(2, arbiter=stage.judge.address, ruling_window=7 * DAY)
    stage.attest(2, stage.run.export())
    act = Acting(site, stage, Wallet(stage.devnet.connection, [stage.judge]))
    act.look()
    act.connect()
    act.do("contest")
    act.start("rule")
    act.page.get_by_label("It is refused").check()
    act.ask()
    act.phase("rule", "mined")
    assert stage.client.state().refused
    # Anybody can send a backer its refund.
    stage.devnet.finalize()
    act.do("refundFor", Backer=stage.backers[1].address)
    assert stage.client.pledge_of(stage.backers[1].address) == 0


def test_tokens_are_pledged_by_signature_by_exact_approval_and_in_one_batch(site: Any, stage: Any) -> None:
    connection = stage.devnet.connection
    token = stage.devnet.deploy_token(decimals=6)
    client = stage.open(asset=token, goal=1_000 * 10**6, cap=5_000 * 10**6)
    backer, relay = stage.backers[:2]
    stage.devnet.mint_token(token, backer.address, 1_000 * 10**6)
    wallet = Wallet(connection, [backer])
    act = Acting(site, stage, wallet)
    act.look()
    act.connect()
    act.start("pledge")
    act.fill(Amount="1000.5")
    act.page.get_by_role("button", name="Sign in Test Wallet").wait_for()
    act.page.get_by_label("With a transaction before").check()
    expect(act.page.get_by_text("fewer tokens than that")).to_be_visible()

    act.fill(Amount="100.25")
    act.page.get_by_label("With a signature").check()
    act.page.get_by_role("button", name="Sign in Test Wallet").click()
    act.ask()
    act.phase("pledge", "mined")
    assert client.pledge_of(backer.address) == 100_250_000
    assert [method for method, _ in wallet.asked if method in ("eth_signTypedData_v4", "eth_sendTransaction")] == [
        "eth_signTypedData_v4",
        "eth_sendTransaction",
    ]

    act.start("pledge")
    act.fill(Amount="50")
    act.page.get_by_label("With a transaction before").check()
    expect(act.page.get_by_text("Step 1 of 2: allow the amount")).to_be_visible()
    act.ask()
    act.phase("allow", "mined")
    act.page.locator(".act-form").get_by_text("pledgeToken").wait_for(state="attached")
    act.ask()
    act.phase("pledge", "mined", "Pledge 50 DEV")
    assert client.pledge_of(backer.address) == 150_250_000

    # An account that can do several calls at once, or none (EIP-5792).
    connection.request("anvil_setCode", backer.address, f"0x{BATCH_CODE.hex()}")
    wallet.capabilities = {"atomic": {"status": "ready"}}
    wallet.sends_calls = lambda calls: _run(wallet, relay, backer.address, calls)
    act.look()
    act.start("pledge")
    act.fill(Amount="25")
    expect(act.page.get_by_text("turn your account into a smart account")).to_be_visible()
    act.page.get_by_label("Both in one transaction").check()
    act.ask()
    act.phase("pledge", "mined", "Pledge 25 DEV")
    assert client.pledge_of(backer.address) == 175_250_000


def _run(wallet: Wallet, relay: Any, account: str, calls: list[dict[str, Any]]) -> str:
    """Somebody else pays for the calls that an account with code makes."""
    data = BATCH.encode("run", [(call["to"], bytes.fromhex(call["data"][2:])) for call in calls])
    sender = Wallet(wallet.connection, [relay], allowed=True)
    return sender.send({"from": relay.address, "to": account, "data": f"0x{data.hex()}"})
