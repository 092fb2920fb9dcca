"""Sock puppets around a campaign, planted on a real chain; and honest people, who are accused of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from faulty_node import FaultyNode
from node_answers import PRUNED

from llamafund_chain.audit import AuditReport, ReportCheck, audit
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.terms import Payee
from llamafund_chain.chain import abi
from llamafund_chain.chain.sending import Sender
from llamafund_chain.chain.transactions import Call
from llamafund_chain.checks.run import BUILT_IN

DAY = 86_400
ETHER = 10**18


def account(number: int):
    return Account.from_key(number.to_bytes(32, "big"))


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits the stage's campaign."""

    def run(depth: str = "books", client: Any = None) -> AuditReport:
        stage.devnet.finalize()
        return audit(
            client or stage.client,
            stage.run.store,
            depth=depth,
            replay_segments=0,
            workdir=tmp_path,
            progress=lambda _: None,
            checks=BUILT_IN,
        )

    return run


@pytest.fixture
def deploy(stage, nasty_code):
    """Deploys a contract of the tests with addresses and numbers as arguments."""

    def run(name: str, *words: str | int) -> str:
        numbers = (word if isinstance(word, int) else int(word, 16) for word in words)
        return stage.devnet.deploy(nasty_code[name] + b"".join(number.to_bytes(32, "big") for number in numbers))

    return run


@pytest.fixture
def pay(stage):
    """Sends coins in a transaction, as people do; `fund` of the chain puts them there."""

    def run(sender, *recipients: str, value: int = ETHER) -> None:
        connection = stage.devnet.connection
        for recipient in recipients:
            fields = {
                "to": recipient,
                "value": value,
                "nonce": connection.nonce(sender.address),
                "gas": 21_000,
                "maxFeePerGas": 10**11,
                "maxPriorityFeePerGas": 1,
                "chainId": connection.chain_id,
            }
            signed = sender.sign_transaction(fields)
            connection.request("eth_sendRawTransaction", f"0x{signed.raw_transaction.hex().removeprefix('0x')}")
            connection.request("evm_mine")

    return run


NAMES = {"people-readable", "wallets-apart", "first-payments-apart", "stakes-apart", "attestors-gain"}


def people(report: AuditReport) -> dict[str, ReportCheck]:
    return {check.name: check for check in report.checks if check.name in NAMES}


def puppets(stage, pay, *numbers: int, payer: int = 61) -> None:
    """Everybody of the next campaign, funded by people with nothing in common; attestors by one if `payer` says so."""
    stage.attestors = tuple(account(number) for number in (71, 72, 73))
    stage.researcher, stage.compute = account(74), account(75)
    everybody = (*stage.attestors, stage.researcher, stage.compute)
    for place, person in enumerate(everybody):
        number = numbers[place] if place < len(numbers) else payer + place
        stage.devnet.fund(account(number).address, 100 * ETHER)
        pay(account(number), person.address, value=20 * ETHER)


def test_honest_people_who_share_nothing_are_accused_of_nothing(stage, look, pay) -> None:
    puppets(stage, pay)
    stage.open()
    stage.fund()
    report = look("evidence")
    assert {name: check.status for name, check in people(report).items()} == {
        "wallets-apart": "pass",
        "first-payments-apart": "pass",
        "stakes-apart": "pass",
        "attestors-gain": "pass",
    }
    assert report.verdict.failed == 0
    assert report.people is not None
    assert all(node.group is None for node in report.people.accounts if node.roles.startswith("attestor"))


def test_threat_one_payer_behind_two_attestors_is_told_and_called_no_proof(stage, look, pay) -> None:
    puppets(stage, pay, 61, 61)
    stage.open()
    found = people(look())
    assert found["wallets-apart"].status == "pass"
    told = found["first-payments-apart"]
    assert told.status == "warn"
    first, second = (one.address for one in stage.attestors[:2])
    assert f"{first} (attestor 0) and {second} (attestor 1)" in told.detail
    assert f"{account(61).address} paid {first} first, 20 ETH in block " in told.detail
    assert told.detail.endswith("This is no proof: ask them")
    for tie in told.data["ties"]:
        raw = stage.devnet.connection.request("eth_getTransactionByHash", f"0x{tie['transaction']}")
        assert int(raw["blockNumber"], 16) == tie["block"]


def test_threat_a_payer_two_hops_back_is_told(stage, look, pay) -> None:
    stage.devnet.fund(account(60).address, 100 * ETHER)
    pay(account(60), account(62).address, account(63).address, value=40 * ETHER)
    stage.attestors = tuple(account(number) for number in (71, 72, 73))
    pay(account(62), stage.attestors[0].address)
    pay(account(63), stage.attestors[1].address)
    stage.open()
    told = people(look())["first-payments-apart"]
    assert told.status == "warn"
    assert told.detail.count(" first, ") == 4


def test_an_exchange_that_paid_everybody_connects_nobody(stage, look, pay) -> None:
    stage.devnet.fund(account(61).address, 1_000 * ETHER)
    stage.devnet.connection.request("anvil_setNonce", account(61).address, hex(4_000))
    puppets(stage, pay, 61, 61, 61, 61, 61)
    stage.open()
    report = look()
    assert people(report)["first-payments-apart"].status == "pass"
    assert any("as exchanges do" in tie.text and not tie.binds for tie in report.people.ties)


def test_coins_that_came_from_no_transaction_could_not_be_told(stage, look) -> None:
    stage.open()
    told = people(look())["first-payments-apart"]
    assert told.status == "unchecked"
    assert "from inside a contract, or as a reward" in told.detail
    # It decides nothing.
    assert look().verdict.outcome == "holds"


def test_a_node_without_old_states_leaves_first_payments_untold(stage, look, pay) -> None:
    puppets(stage, pay, 61, 61)
    stage.open()

    def pruned(number: int, request: dict[str, Any], forward: Any) -> dict[str, Any]:
        if request["method"] == "eth_getBalance" and request["params"][-1] == "0x0":
            return {"jsonrpc": "2.0", "id": request["id"], "error": PRUNED[0].error}
        return forward(request)

    with FaultyNode(stage.devnet.rpc_url, pruned) as node:
        report = look(client=CampaignClient(connect(node.url), stage.client.address))
    told = people(report)["first-payments-apart"]
    assert told.status == "unchecked"
    assert "the node does not keep the state of block 0" in told.detail
    assert report.verdict.outcome == "holds"


def test_threat_an_attestor_that_is_paid_through_a_splitter_is_told(stage, look, deploy) -> None:
    hidden = stage.attestors[1].address
    splitter = deploy("Splitter", stage.judge.address, hidden)
    stage.open(payees=(Payee(stage.researcher.address, 6_000), Payee(splitter, 4_000)))
    found = people(look())
    assert found["wallets-apart"].status == "warn"
    assert f"the contract {splitter} may pay {hidden}: payee(1) of its code" in found["wallets-apart"].detail
    gain = found["attestors-gain"]
    assert (gain.status, gain.data["bps"]) == ("warn", {"attestor 1": 4_000})
    assert "gets 4 ETH" in gain.detail


def test_threat_a_splitter_that_does_not_say_whom_it_pays_is_told(stage, look, deploy) -> None:
    hidden = stage.attestors[0].address
    splitter = deploy("QuietSplitter", hidden)
    stage.open(payees=(Payee(stage.researcher.address, 6_000), Payee(splitter, 4_000)))
    told = people(look())["wallets-apart"]
    assert told.status == "warn"
    assert "in slot 1 of its storage" in told.detail


def test_threat_a_safe_that_the_researcher_owns_is_told(stage, look, deploy) -> None:
    safe = deploy("Several", 1, stage.researcher.address, account(99).address)
    wanted = stage.attestors
    stage.open(attestors=(safe, wanted[1].address, wanted[2].address))
    told = people(look())["wallets-apart"]
    assert told.status == "warn"
    assert f"{stage.researcher.address} can act alone for {safe}" in told.detail


def test_one_of_several_owners_does_not_act_alone(stage, look, deploy) -> None:
    safe = deploy("Several", 2, stage.researcher.address, account(99).address)
    stage.open(attestors=(safe, stage.attestors[1].address, stage.attestors[2].address))
    report = look()
    assert people(report)["wallets-apart"].status == "pass"
    assert any("is one of 2 owners (2 act)" in tie.text and not tie.binds for tie in report.people.ties)


def test_threat_a_key_that_delegates_to_the_researchers_code_is_told(stage, look, deploy) -> None:
    code, key = deploy("Owned", stage.researcher.address), stage.attestors[0].address
    stage.devnet.connection.request("anvil_setCode", key, f"0xef0100{code[2:]}")
    stage.open()
    told = people(look())["wallets-apart"]
    stage.devnet.connection.request("anvil_setCode", key, "0x")
    assert told.status == "warn"
    assert f"{stage.researcher.address} can act alone for {key}" in told.detail


def test_a_clone_is_called_one(stage, look, deploy) -> None:
    target = deploy("Owned", account(98).address)
    clone = stage.devnet.deploy(
        bytes.fromhex("3d602d80600a3d3981f3363d3d373d3d3d363d73")
        + bytes.fromhex(target[2:])
        + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    )
    stage.open(attestors=(clone, stage.attestors[1].address, stage.attestors[2].address))
    (node,) = [one for one in look().people.accounts if one.address == clone]
    assert node.kind == f"a contract of {account(98).address}, a clone of {target.lower()} (EIP-1167)"


def test_threat_pledges_that_block_a_stop_and_were_paid_by_the_researcher_are_told(stage, look) -> None:
    stage.open()
    stage.devnet.fund(stage.researcher.address, 100 * ETHER)
    stage.client.pledge(stage.researcher, 8 * ETHER, backer=stage.backers[0].address)
    stage.client.pledge(stage.backers[1], 3 * ETHER)
    told = people(look())["stakes-apart"]
    assert told.status == "warn"
    assert f"{stage.researcher.address} paid for the pledge of {stage.backers[0].address}, 8 ETH" in told.detail


def test_threat_a_refund_to_the_researcher_ties_the_backer_to_it(stage, look) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], 8 * ETHER)
    stage.devnet.advance(11 * DAY)
    stage.client.refund_to(stage.backers[0], stage.researcher.address)
    told = people(look())["stakes-apart"]
    assert told.status == "warn"
    assert f"the refund of {stage.backers[0].address} went to {stage.researcher.address}, 8 ETH" in told.detail


def test_threat_a_payment_of_the_researcher_to_an_attestor_is_told(stage, look) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, stage.researcher.address, 9_000_000)
    stage.open(asset=token, goal=10**6, cap=10**7)
    bribed, sender = stage.attestors[1].address, Sender(stage.devnet.connection)
    interface = abi.contract("DevToken")
    # Nothing, which anybody can write, ties nobody.
    sender.send(stage.researcher, Call(token, interface.encode("transfer", stage.attestors[0].address, 0)))
    assert people(look())["wallets-apart"].status == "pass"
    sender.send(stage.researcher, Call(token, interface.encode("transfer", bribed, 2_500_000)))
    told = people(look())["wallets-apart"]
    assert told.status == "warn"
    assert f"the token says that {stage.researcher.address} paid {bribed} 2.5 DEMO" in told.detail


def test_threat_two_attestors_with_one_name_are_told(stage, look) -> None:
    from llamafund_chain.evidence.manifests import Party

    first, second, third = (one.address for one in stage.attestors)
    parties = (
        Party(name="Institute of Checks", address=first, promise="x"),
        Party(name="ＩＮＳＴＩＴＵＴＥ of  checks", address=second, promise="x"),
        Party(name="Other", address=third, promise="x"),
    )
    stage.open(proposal={"attestors": parties})
    told = people(look("evidence"))["wallets-apart"]
    assert told.status == "warn"
    assert "the proposal calls both" in told.detail


def test_an_attestor_that_is_openly_a_payee_gains_and_is_tied_to_nobody(stage, look) -> None:
    verifier = stage.attestors[2].address
    stage.open(payees=(Payee(stage.researcher.address, 9_000), Payee(verifier, 1_000)))
    found = people(look())
    assert found["wallets-apart"].status == "pass"
    assert found["attestors-gain"].data["bps"] == {"attestor 2": 1_000}


def test_what_the_node_does_not_tell_accuses_nobody(stage, look, node) -> None:
    from llamafund_chain.chain.node_errors import RpcError

    stage.open()

    def silent(method: str, params: tuple[Any, ...], forward: Any) -> Any:
        if method == "eth_getCode" and params[0] == stage.researcher.address:
            raise RpcError(method, -32601, "not today", None)
        return forward()

    node(silent)
    report = look()
    assert {name: check.status for name, check in people(report).items()} == {"people-readable": "unchecked"}
    assert "not today" in people(report)["people-readable"].detail
    assert report.people is None
    assert report.verdict.outcome == "holds"
