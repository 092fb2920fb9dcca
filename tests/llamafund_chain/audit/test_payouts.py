"""Payments simulated on a real chain: what would really arrive, whatever a token says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils import keccak

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.simulation import AT_ONCE
from llamafund_chain.chain.tokens import Token
from llamafund_chain.checks.run import BUILT_IN

DAY = 86_400
ETHER = 10**18
UNITS = 1_000_000


@pytest.fixture
def look(stage, tmp_path: Path):
    """Audits the books of the stage's campaign at the latest block."""

    def run() -> AuditReport:
        return audit(
            stage.client,
            stage.run.store,
            finality="latest",
            depth="books",
            workdir=tmp_path,
            progress=lambda text: None,
            checks=BUILT_IN,
        )

    return run


@pytest.fixture
def order(stage):
    """Sends a call to a contract that takes orders from anybody."""

    def give(contract: str, function: str, *arguments: Any) -> None:
        kinds = function[function.index("(") + 1 : -1].split(",") if arguments else []
        data = keccak(text=function)[:4] + encode(kinds, arguments)
        stage.devnet._send({"to": contract, "data": f"0x{data.hex()}"})

    return give


@pytest.fixture
def in_token(stage, nasty_code):
    """Opens a campaign in a token, with pledges of 1 and 2 million units; the token's address."""

    def start(name: str, *words: str) -> str:
        code = nasty_code[name] + b"".join(bytes.fromhex(word[2:].rjust(64, "0")) for word in words)
        token = stage.devnet.deploy(code)
        stage.open(asset=token, goal=UNITS, cap=5 * UNITS)
        for place, backer in enumerate(stage.backers[:2]):
            stage.devnet.mint_token(token, backer.address, 5 * UNITS)
            _approve(stage, token, backer.address)
            stage.client.pledge_token(backer, (place + 1) * UNITS)
        return token

    return start


@pytest.fixture
def without(node):
    """Makes the node refuse these methods, or every call in a changed state."""

    def refuse(*methods: str) -> None:
        def hook(method: str, params: tuple[Any, ...], forward: Any) -> Any:
            if method in methods or ("overrides" in methods and method == "eth_call" and len(params) > 2):
                raise RpcError(method, -32601, "the method does not exist", None)
            return forward()

        node(hook)

    return refuse


def found(report: AuditReport) -> dict[str, str]:
    """The checks about payments with their outcomes."""
    names = {
        "refunds-arrive",
        "claims-arrive",
        "bonds-arrive",
        "escrow-pays-all",
        "pledges-in-token-logs",
        "payouts-in-token-logs",
    }
    return {check.name: check.status for check in report.checks if check.name in names}


def detail(report: AuditReport, name: str) -> str:
    (text,) = [check.detail for check in report.checks if check.name == name]
    return text


def _approve(stage, token: str, owner: str) -> None:
    """Let the campaign take tokens, without the waiting for a journal that a wallet does."""
    connection = stage.devnet.connection
    connection.request("anvil_impersonateAccount", owner)
    data = Token(connection, token).approve(stage.client.address, 5 * UNITS).data
    connection.request("eth_sendTransaction", {"from": owner, "to": token, "data": f"0x{data.hex()}"})
    connection.request("anvil_stopImpersonatingAccount", owner)


def fail_funding(stage) -> None:
    """Let the first milestone's deadline pass."""
    stage.devnet.advance(21 * DAY)


# ------------------------------------------------------------------------ honest


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_an_honest_campaign_in_the_chains_coin_pays_in_every_status(stage, look, without, mode: str) -> None:
    if mode == "called":
        without("eth_simulateV1")
    stage.open()
    stage.client.pledge(stage.backers[0], 7 * ETHER)
    stage.client.pledge(stage.backers[1], 5 * ETHER + 1)
    # While it collects, and while it works: what would come back if nothing more happened.
    assert found(look()) == {"refunds-arrive": "pass"}
    stage.client.activate(stage.researcher)
    assert found(look()) == {"refunds-arrive": "pass"}
    stage.attest(0, stage.run.dataset)
    stage.release()
    report = look()
    assert found(report) == {"refunds-arrive": "pass", "claims-arrive": "pass"}
    assert "if nothing more happens" in detail(report, "refunds-arrive")
    stage.client.claim(stage.researcher, 0)
    stage.devnet.advance(40 * DAY)
    report = look()
    assert found(report) == {"refunds-arrive": "pass", "claims-arrive": "pass"}
    assert detail(report, "refunds-arrive").startswith("Each of 2 refunds would arrive in full: simulated, 10.6668 ")
    stage.client.refund(stage.compute, stage.backers[0].address)
    stage.client.claim(stage.compute, 1)
    report = look()
    assert found(report) == {"refunds-arrive": "pass"}
    assert report.verdict.outcome == "holds"


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_an_honest_campaign_in_a_token_pays_in_every_status(stage, look, in_token, without, mode: str) -> None:
    if mode == "called":
        without("eth_simulateV1")
    in_token("PlainToken")
    fine = {"pledges-in-token-logs": "pass", "refunds-arrive": "pass", "escrow-pays-all": "pass"}
    assert found(look()) == fine
    stage.client.activate(stage.researcher)
    assert found(look()) == fine
    stage.attest(0, stage.run.dataset)
    stage.release()
    assert found(look()) == fine | {"claims-arrive": "pass"}
    stage.client.claim(stage.researcher, 0)
    stage.devnet.advance(40 * DAY)
    stage.client.refund(stage.compute, stage.backers[0].address)
    report = look()
    assert found(report) == fine | {"claims-arrive": "pass", "payouts-in-token-logs": "pass"}
    assert report.verdict.outcome == "holds"


def test_a_completed_campaign_in_a_token_pays(stage, look) -> None:
    token = stage.devnet.deploy_token(decimals=6)
    stage.open(asset=token, goal=UNITS, cap=5 * UNITS)
    stage.devnet.mint_token(token, stage.backers[0].address, 5 * UNITS)
    stage.client.approve(stage.backers[0], 5 * UNITS)
    stage.client.pledge_token(stage.backers[0], 5 * UNITS)
    stage.client.activate(stage.researcher)
    stage.attest(0, stage.run.dataset)
    stage.release()
    stage.attest(1, stage.run.train(stage.seed))
    stage.release()
    stage.attest(2, stage.run.export())
    fine = {"pledges-in-token-logs": "pass", "claims-arrive": "pass", "escrow-pays-all": "pass"}
    assert found(look()) == fine
    stage.release()
    report = look()
    assert (found(report), report.verdict.outcome) == (fine, "holds")


def test_bonds_of_challenges_that_nobody_answered_arrive(stage, look) -> None:
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, ETHER)
    fine = {"refunds-arrive": "pass", "bonds-arrive": "pass"}
    assert found(look()) == fine
    stage.devnet.advance(2 * DAY)
    report = look()
    assert (found(report), report.verdict.outcome) == (fine, "holds")
    stage.client.return_bond(stage.backers[0], 0)
    assert found(look()) == {"refunds-arrive": "pass"}


def test_many_backers_take_few_requests(stage, look, node) -> None:
    stage.open(goal=10 * ETHER, cap=20 * ETHER)
    count = 2 * AT_ONCE + 3
    for number in range(count):
        _pledge_for(stage, f"0xbac{number:037x}", ETHER // 100)
    fail_funding(stage)
    asked: list[str] = []

    def listen(method: str, params: Any, forward: Any) -> Any:
        asked.append(method)
        return forward()

    node(listen)
    report = look()
    assert found(report) == {"refunds-arrive": "pass"}
    assert detail(report, "refunds-arrive").startswith(f"Each of {count} refunds")
    assert asked.count("eth_simulateV1") == 3


# -------------------------------------------------------------------- a liar each


def test_threat_a_fee_switched_on_later_is_found_by_simulated_refunds(stage, look, in_token, order) -> None:
    token = in_token("LaterFeeToken")
    assert found(look())["refunds-arrive"] == "pass"
    order(token, "setFee(uint256)", 100)
    report = look()
    assert found(report) == {"pledges-in-token-logs": "pass", "refunds-arrive": "fail", "escrow-pays-all": "fail"}
    assert "of 1 NASTY, 0.99 NASTY" in detail(report, "refunds-arrive")
    assert report.verdict.outcome == "fails"


def test_a_refund_that_paid_a_fee_nobody_knew_of_is_found_in_the_tokens_logs(stage, look, in_token, order) -> None:
    token = in_token("LaterFeeToken")
    order(token, "setFee(uint256)", 100)
    fail_funding(stage)
    for backer in stage.backers[:2]:
        stage.client.refund(stage.compute, backer.address)
    order(token, "setFee(uint256)", 0)
    assert found(look()) == {"pledges-in-token-logs": "pass", "payouts-in-token-logs": "fail"}


def test_a_fee_that_backers_knew_from_their_pledges_is_a_remark(stage, look, in_token) -> None:
    in_token("AlwaysFeeToken")
    report = look()
    assert found(report) == {"pledges-in-token-logs": "pass", "refunds-arrive": "warn", "escrow-pays-all": "warn"}
    assert "as it did from the pledges" in detail(report, "refunds-arrive")
    assert report.verdict.outcome == "holds"


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_threat_a_token_paused_later_is_found_by_simulated_refunds(
    stage, look, in_token, order, without, mode: str
) -> None:
    if mode == "called":
        without("eth_simulateV1")
    token = in_token("PausableToken")
    order(token, "setPaused(bool)", True)
    report = look()
    assert found(report) == {"pledges-in-token-logs": "pass", "refunds-arrive": "fail", "escrow-pays-all": "fail"}
    assert "would reach nobody" in detail(report, "refunds-arrive")


def test_threat_a_token_that_blocks_the_escrow_is_found_by_simulated_refunds(stage, look, in_token, order) -> None:
    token = in_token("BlocklistToken")
    order(token, "setBlocked(address,bool)", stage.client.address, True)
    assert found(look()) == {"pledges-in-token-logs": "pass", "refunds-arrive": "fail", "escrow-pays-all": "fail"}


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_a_backer_whom_a_token_blocks_harms_nobody_else(stage, look, in_token, order, without, mode: str) -> None:
    if mode == "called":
        without("eth_simulateV1")
    token = in_token("BlocklistToken")
    order(token, "setBlocked(address,bool)", stage.backers[1].address, True)
    report = look()
    assert found(report) == {"pledges-in-token-logs": "pass", "refunds-arrive": "warn", "escrow-pays-all": "pass"}
    assert f"The refund of {stage.backers[1].address} would be refused" in detail(report, "refunds-arrive")
    assert stage.backers[0].address not in detail(report, "refunds-arrive")
    assert report.verdict.outcome == "holds"


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_threat_a_token_with_two_faces_is_found_by_simulated_refunds(stage, look, in_token, without, mode: str) -> None:
    if mode == "called":
        without("eth_simulateV1")
    in_token("TwoFacedToken")
    report = look()
    assert found(report)["refunds-arrive"] == "fail"
    assert "2 NASTY to the recipient, 1 NASTY to others" in detail(report, "refunds-arrive")


def test_threat_a_balance_that_only_boasts_is_told_from_what_the_token_logs(stage, look, in_token, order) -> None:
    token = in_token("BoastingToken")
    order(token, "setLying(bool)", True)
    report = look()
    assert found(report)["refunds-arrive"] == "fail"
    assert "0.1 NASTY in its logs" in detail(report, "refunds-arrive")


def test_threat_a_token_that_returns_false_later_is_found_by_simulated_refunds(stage, look, in_token, order) -> None:
    token = in_token("SulkingToken")
    order(token, "setSulking(bool)", True)
    assert found(look()) == {"pledges-in-token-logs": "pass", "refunds-arrive": "fail", "escrow-pays-all": "fail"}


def test_threat_a_token_whose_balances_shrank_cannot_pay_everybody(stage, look, in_token, order) -> None:
    token = in_token("ShrinkingToken")
    order(token, "rebase(uint256)", 900)
    report = look()
    # Each refund alone would arrive; all of them together would not.
    assert found(report)["escrow-pays-all"] == "fail"


def test_threat_a_token_upgraded_later_to_code_that_pays_nobody_is_found(stage, look, in_token, nasty_code) -> None:
    good, bad = (stage.devnet.deploy(nasty_code[name]) for name in ("PlainToken", "GreedyToken"))
    token = in_token("ProxiedToken", good)
    report = look()
    assert found(report) == {"pledges-in-token-logs": "pass", "refunds-arrive": "pass", "escrow-pays-all": "pass"}
    assert {check.name: check.status for check in report.checks}["token-keeps-its-code"] == "warn"
    slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
    stage.devnet.connection.request("anvil_setStorageAt", token, slot, f"0x{bad[2:]:0>64}")
    stage.devnet.advance(1)
    assert found(look())["refunds-arrive"] == "fail"


def test_a_token_without_logs_is_a_remark(stage, look, in_token) -> None:
    in_token("UnloggedToken")
    report = look()
    assert found(report) == {"pledges-in-token-logs": "warn", "refunds-arrive": "pass", "escrow-pays-all": "pass"}


@pytest.mark.parametrize("mode", ["simulated", "called"])
def test_threat_a_recipient_that_refuses_money_harms_only_itself(stage, look, without, mode: str) -> None:
    if mode == "called":
        without("eth_simulateV1")
    # Six bytes that return five: code that reverts whatever it is called with.
    refusing = stage.devnet.deploy(bytes.fromhex("6005600c60003960056000f360006000fd"))
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    _pledge_for(stage, refusing, ETHER)
    report = look()
    # Nobody but the recipient could ask for another one, and this contract cannot: still nobody else is harmed.
    assert found(report) == {"refunds-arrive": "warn"}
    assert detail(report, "refunds-arrive").startswith(f"The refund of {refusing} would be refused by the recipient")
    assert report.verdict.outcome == "holds"


def _pledge_for(stage, backer: str, amount: int) -> None:
    stage.client.sender.send(stage.backers[0], stage.client._call("pledgeCoin", backer), amount)


# ------------------------------------------------------------------------- nodes


def test_a_node_that_simulates_nothing_leaves_payments_unchecked(stage, look, in_token, without) -> None:
    in_token("PlainToken")
    without("eth_simulateV1", "overrides")
    report = look()
    assert found(report) == {
        "pledges-in-token-logs": "pass",
        "refunds-arrive": "unchecked",
        "escrow-pays-all": "unchecked",
    }
    assert report.verdict.outcome == "unchecked"


def test_a_node_that_refuses_a_tokens_logs_leaves_the_past_unchecked(stage, look, in_token, node) -> None:
    token = in_token("PlainToken")

    def refuse(method: str, params: tuple[Any, ...], forward: Any) -> Any:
        if method == "eth_getLogs" and params[0].get("address") == token:
            raise RpcError(method, -32005, "limited", None)
        return forward()

    node(refuse)
    report = look()
    assert {check.name: check.status for check in report.checks}["token-logs-readable"] == "unchecked"
    assert report.verdict.outcome == "unchecked"


def test_a_node_that_does_not_turn_the_clock_tells_nothing(stage, look, node) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)

    def stand_still(method: str, params: tuple[Any, ...], forward: Any) -> Any:
        answer = forward()
        if method == "eth_simulateV1":
            answer[0]["calls"][0]["returnData"] = f"0x{1:064x}"
        if method == "eth_call" and len(params) > 2:
            raise RpcError(method, -32602, "too many arguments", None)
        return answer

    node(stand_still)
    assert found(look()) == {"refunds-arrive": "unchecked"}


@pytest.mark.parametrize("nonsense", [None, [], [{}], [{"calls": None}], [{"calls": [1, 2, 3, 4]}], {"calls": []}])
def test_nonsense_instead_of_a_simulation_falls_back_to_calls(stage, look, node, nonsense: Any) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    node(lambda method, params, forward: nonsense if method == "eth_simulateV1" else forward())
    assert found(look()) == {"refunds-arrive": "pass"}
