"""Every call that changes something on chain is offered by a command: what the contracts promise can be used.

A command counts only when it is run, and the transaction that it sent is found on the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command_scenes as scenes
import pytest
from command_scenes import Place, Scene
from eth_utils.abi import function_abi_to_4byte_selector

from llamafund_chain.chain import abi
from llamafund_chain.deployment import artifacts

OFFERS: dict[str, Callable[[Place], Scene]] = {
    "CampaignFactory.createCampaign": scenes.creating,
    "Campaign.activate": scenes.activating,
    "Campaign.answer": scenes.answering,
    "Campaign.attest": scenes.submitting,
    "Campaign.challenge": scenes.challenging,
    "Campaign.claim": scenes.claiming,
    "Campaign.collectRefund": scenes.refunding,
    "Campaign.contest": scenes.contesting,
    "Campaign.extendDeadlines": scenes.extending,
    "Campaign.pledgeCoin": scenes.pledging,
    "Campaign.pledgeToken": scenes.pledging_a_token_that_was_approved,
    "Campaign.pledgeTokenWithPermit": scenes.pledging_a_token_with_a_permit,
    "Campaign.postUpdate": scenes.updating,
    "Campaign.refundTo": scenes.refunding_to_another,
    "Campaign.returnBond": scenes.returning_a_bond,
    "Campaign.rule": scenes.refusing,
    "Campaign.unpledge": scenes.unpledging,
    "Campaign.voteStop": scenes.voting,
    "CourtArbiter.appeal": scenes.appealing,
    "CourtArbiter.dispute": scenes.disputing,
    "CourtArbiter.submitEvidence": scenes.adding_evidence,
}
"""Which scene's command offers a call."""

FOR_CONTRACTS = {"CourtArbiter.rule"}
"""Calls that a person cannot make: a court gives its ruling."""


def changing(contract: str, interface: list[dict[str, Any]]) -> Iterator[str]:
    """The functions of a contract that change something."""
    for item in interface:
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure"):
            yield f"{contract}.{item['name']}"


CALLS = [
    call
    for contract in ("Campaign", "CampaignFactory", "CourtArbiter")
    for call in changing(contract, list(artifacts.load(contract).abi))
    if call not in FOR_CONTRACTS
]


def selector(call: str) -> str:
    contract, _, function = call.partition(".")
    (item,) = (item for item in artifacts.load(contract).abi if item["type"] == "function" and item["name"] == function)
    return f"0x{function_abi_to_4byte_selector(item).hex()}"


def addressee(stage, call: str) -> str:
    """The contract that a call goes to."""
    contract = call.partition(".")[0]
    if contract == "CampaignFactory":
        return str(stage.devnet.deployment.factory)
    return str(stage.client.terms.arbiter if contract == "CourtArbiter" else stage.client.address)


@pytest.fixture
def offers(llamafund, stage, campaign_file, tmp_path: Path) -> Callable[[str], bool]:
    """Whether the command of a call's scene sends that call to that contract."""

    def check(call: str, make: Callable[[Place], Scene] | None = None) -> bool:
        assert make or call in OFFERS, f"no command offers {call}: write one, and a scene for it"
        scene = (make or OFFERS[call])(Place(stage, tmp_path, campaign_file))
        stage.devnet.finalize()
        connection = stage.devnet.connection
        before = connection.block().number
        ran = llamafund(*scene.command, "--rpc", stage.devnet.rpc_url, "--yes", wallet=scene.wallet)
        assert ran.code == 0, ran.stderr
        to = addressee(stage, call)
        blocks = (
            connection.request("eth_getBlockByNumber", hex(number), True)
            for number in range(before + 1, connection.block().number + 1)
        )
        sent = [
            transaction["input"][:10]
            for block in blocks
            for transaction in block["transactions"]
            if (transaction["to"] or "").lower() == to.lower()
        ]
        assert sent, f"{scene.command} sent nothing to {to}"
        return selector(call) in sent

    return check


@pytest.mark.parametrize("call", CALLS)
def test_every_call_that_changes_something_is_offered_by_a_command(offers, call: str) -> None:
    assert offers(call)


def test_no_offer_is_for_a_call_that_there_is_not() -> None:
    assert set(OFFERS) == set(CALLS)
    assert len(CALLS) == len(set(CALLS)) >= 16


def test_a_call_that_no_command_offers_is_found(offers) -> None:
    """A function more in a contract, or a command that sends something else, makes the test above fail."""
    rescue = {"type": "function", "name": "rescue", "inputs": [], "outputs": [], "stateMutability": "nonpayable"}
    (call,) = changing("Campaign", [rescue, {**rescue, "name": "rescued", "stateMutability": "view"}])
    with pytest.raises(AssertionError, match=r"no command offers Campaign\.rescue"):
        offers(call)
    assert not offers("Campaign.refundTo", scenes.refunding)


def test_the_selectors_that_are_looked_for_are_those_that_the_client_sends() -> None:
    assert abi.contract("Campaign").encode("activate").hex() == selector("Campaign.activate")[2:]
