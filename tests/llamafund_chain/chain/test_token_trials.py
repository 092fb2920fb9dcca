"""Tokens tried out on a real chain: what each danger looks like, and what a node does not let us tell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.chain import token_trials
from llamafund_chain.chain.batch import BATCH_CODE
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.node_errors import RpcError
from llamafund_chain.chain.token_trials import Trial, try_token

ROOT = Path(__file__).resolve().parents[3]
SOLC = ROOT / ".venv" / "solc" / "solc-v0.8.37"
ESCROW = "0x000000000000000000000000000000000000E5c1"
UNITS = 1_000_000


@pytest.fixture
def tried(devnet: Devnet, nasty_code: dict[str, bytes]):
    """Deploys a token by its name, with words for its constructor, and tries it out."""

    def run(name: str, *words: str, connection: Connection | None = None, amount: int = UNITS) -> Trial:
        token = devnet.deploy(nasty_code[name] + b"".join(bytes.fromhex(word[2:].rjust(64, "0")) for word in words))
        reading = connection or devnet.connection
        return try_token(reading, token, ESCROW, amount, reading.block())

    return run


def test_the_code_of_the_batch_is_what_its_source_compiles_to() -> None:
    source = Path(token_trials.__file__).with_name("Batch.sol").read_text(encoding="utf-8")
    request = {
        "language": "Solidity",
        "sources": {"Batch.sol": {"content": source}},
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True, "runs": 1},
            "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
            "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
        },
    }
    ran = subprocess.run(
        [str(SOLC), "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    made = json.loads(ran.stdout)["contracts"]["Batch.sol"]["Batch"]["evm"]["deployedBytecode"]["object"]
    assert made == BATCH_CODE.hex()


def test_a_plain_token_has_no_danger(tried) -> None:
    assert tried("PlainToken") == Trial(
        sent=UNITS,
        arrived=UNITS,
        debited=UNITS,
        paid=UNITS,
        received=UNITS,
        taken=UNITS,
        answers_differ=False,
        balance_computed=False,
        switch=False,
        blocks=False,
        fee_switch=False,
        upgraded_by="",
    )


def test_the_token_of_the_development_chain_has_no_danger(devnet: Devnet) -> None:
    """One of OpenZeppelin's, with its usual storage."""
    token = devnet.deploy_token()
    found = try_token(devnet.connection, token, ESCROW, UNITS, devnet.connection.block())
    assert (found.problem, found.received, found.switch, found.blocks, found.fee_switch) == ("", UNITS, *3 * (False,))


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("FeeToken", {"arrived": 990_000, "debited": UNITS, "paid": 990_000, "received": 980_100, "taken": 990_000}),
        ("GenerousToken", {"arrived": 2 * UNITS, "debited": UNITS}),
        ("SurchargingToken", {"arrived": UNITS, "debited": 1_010_000, "received": UNITS, "taken": 1_010_000}),
        ("SilentToken", {"received": UNITS, "switch": False}),
        ("FalseToken", {"received": UNITS, "switch": True, "blocks": False}),
        ("BlocklistToken", {"received": UNITS, "switch": False, "blocks": True}),
        ("BlocklistingToken", {"received": UNITS, "switch": False, "blocks": True}),
        ("MarkingToken", {"received": UNITS, "switch": False, "blocks": True}),
        ("PausableToken", {"received": UNITS, "switch": True, "blocks": False, "fee_switch": False}),
        ("LaterFeeToken", {"received": UNITS, "fee_switch": True, "blocks": False}),
        ("TwoFacedToken", {"answers_differ": True}),
        ("RebasingToken", {"received": UNITS, "switch": True}),
        ("TrapToken", {"arrived": UNITS, "received": 0, "taken": 0}),
    ],
)
def test_each_danger_is_seen(tried, name: str, facts: dict[str, Any]) -> None:
    found = tried(name)
    assert {fact: getattr(found, fact) for fact in facts} == facts


def test_threat_a_token_that_favors_known_addresses_cannot_know_who_tries_it_out(tried, monkeypatch) -> None:
    asked: set[str] = set()
    request_many = Connection.request_many

    def listen(connection: Connection, requests: Any, *rest: Any, **more: Any) -> Any:
        asked.update(str(words[0].get("from")) for method, words in requests if method == "eth_call")
        return request_many(connection, requests, *rest, **more)

    monkeypatch.setattr(Connection, "request_many", listen)
    assert tried("FavoringToken").received == 0
    first = set(asked)
    asked.clear()
    tried("FavoringToken")
    assert len(first - asked) >= 2


def test_balances_that_melt_with_time_are_seen(tried) -> None:
    found = tried("MeltingToken")
    assert (found.received, found.balance_computed) == (UNITS, True)


def test_balances_that_are_computed_from_shares_are_seen(devnet: Devnet, nasty_code: dict[str, bytes]) -> None:
    token = devnet.deploy(nasty_code["RebasingToken"])
    # rebase(uint256): each share is worth half a unit from now on.
    devnet._send({"to": token, "data": f"0x{_selector('rebase(uint256)')}{5 * 10**17:064x}"})
    found = try_token(devnet.connection, token, ESCROW, UNITS, devnet.connection.block())
    assert found.balance_computed is True
    assert found.received == UNITS


@pytest.mark.parametrize(
    ("proxy", "words"),
    [("ProxiedToken", "its proxy names the code 0x"), ("OldProxiedToken", "it runs the code of 0x")],
)
def test_threat_a_token_that_can_be_upgraded_is_told(
    devnet: Devnet, nasty_code: dict[str, bytes], tried, proxy: str, words: str
) -> None:
    code = devnet.deploy(nasty_code["PlainToken"])
    found = tried(proxy, code)
    assert found.upgraded_by is not None
    assert words in found.upgraded_by


def test_a_proxys_pointer_is_no_pause(devnet: Devnet, nasty_code: dict[str, bytes], tried) -> None:
    found = tried("ProxiedToken", devnet.deploy(nasty_code["PlainToken"]))
    assert (found.problem, found.received, found.switch, found.blocks) == ("", UNITS, False, False)


@pytest.mark.parametrize(
    ("name", "words"),
    [("MuteToken", "does not tell balances"), ("ProxiedToken", "where the token keeps balances could not be found")],
)
def test_a_token_that_cannot_be_tried_is_neither_good_nor_bad(tried, name: str, words: str) -> None:
    found = tried(name, *(["0x00"] if name == "ProxiedToken" else []))
    assert words in found.problem or "does not tell balances" in found.problem
    assert (found.sent, found.received, found.switch, found.blocks, found.fee_switch) == (None,) * 5


def test_a_token_that_burns_all_gas_ends_in_an_answer(tried) -> None:
    found = tried("GreedyToken")
    assert found.received is None or found.received == 0
    assert found.switch is None


def _selector(signature: str) -> str:
    from eth_utils import keccak

    return keccak(text=signature)[:4].hex()


class Stubborn(Connection):
    """A node that refuses, or ignores, what old ones refuse or ignore."""

    refused: tuple[str, ...] = ()
    ignores_overrides = False

    def request_many(self, requests):
        answers = []
        for method, parameters in requests:
            if method in self.refused:
                answers.append(RpcError(method, -32601, "the method does not exist", None))
            elif method == "eth_call" and len(parameters) > 2 and "overrides" in self.refused:
                answers.append(RpcError(method, -32602, "too many arguments, want at most 2", None))
            else:
                if method == "eth_call" and self.ignores_overrides:
                    parameters = parameters[:2]
                answers += super().request_many([(method, parameters)])
        return answers


@pytest.mark.parametrize("how", ["refuses", "ignores"])
def test_a_node_without_state_overrides_ends_in_could_not_be_told(devnet: Devnet, tried, how: str) -> None:
    node = Stubborn(devnet.rpc_url)
    if how == "refuses":
        node.refused = ("overrides",)
    else:
        node.ignores_overrides = True
    found = tried("PausableToken", connection=node)
    assert "state overrides" in found.problem
    # What needs no trial is told all the same.
    assert found.upgraded_by == ""
    assert (found.answers_differ, found.sent, found.received, found.switch, found.blocks) == (None,) * 5


def test_a_node_without_access_lists_ends_in_could_not_be_told(devnet: Devnet, tried) -> None:
    node = Stubborn(devnet.rpc_url)
    node.refused = ("eth_createAccessList",)
    found = tried("PausableToken", connection=node)
    assert "eth_createAccessList" in found.problem
    assert (found.answers_differ, found.switch, found.received) == (False, None, None)


def test_a_trial_that_the_node_did_not_run_is_no_good_news(devnet: Devnet, tried) -> None:
    """It stops where payouts from a changed state begin."""
    node = Stubborn(devnet.rpc_url)
    plain = node.request_many

    def tire(requests):
        many = sum(method == "eth_call" and len(parameters) > 2 for method, parameters in requests) > 3
        return [RpcError("eth_call", -32000, "out of gas", None)] * len(requests) if many else plain(requests)

    node.request_many = tire
    found = tried("PausableToken", connection=node)
    assert found.received == UNITS
    assert (found.switch, found.blocks, found.fee_switch) == (None,) * 3
    assert found.problem == "not every stored value could be tried"


def test_a_node_that_hides_storage_does_not_tell_whether_code_can_be_replaced(devnet: Devnet, tried) -> None:
    node = Stubborn(devnet.rpc_url)
    node.refused = ("eth_getStorageAt",)
    found = tried("PausableToken", connection=node)
    assert (found.upgraded_by, found.switch, found.blocks) == (None,) * 3
    assert "what the token has stored" in found.problem


def test_a_token_that_reads_more_than_is_tried_is_not_called_free_of_switches(
    tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_trials, "_MOST_SLOTS", 0)
    found = tried("PausableToken")
    assert (found.received, found.switch, found.problem) == (UNITS, None, "not every stored value could be tried")


def test_a_trial_sends_nothing(devnet: Devnet, tried) -> None:
    tried("PlainToken")
    before = devnet.connection.block()
    token = devnet.deploy_token()
    at = devnet.connection.block()
    try_token(devnet.connection, token, ESCROW, UNITS, at)
    assert devnet.connection.block() == at
    assert at.number == before.number + 1
