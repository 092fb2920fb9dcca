"""Where the contracts are, putting them there, and noticing when something else is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from world import World

from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.deployment import addresses, artifacts
from llamafund_chain.deployment.court_arbiter import CourtArbiter, Recognised, recognise
from llamafund_chain.errors import LlamafundError, UsageError, VerificationError


class Sender:
    """Sends from the node's first account and remembers what it sent."""

    def __init__(self, w3: Web3) -> None:
        self.w3 = w3
        self.sent: list[dict[str, Any]] = []

    def __call__(self, transaction: dict[str, Any]) -> Any:
        self.sent.append(transaction)
        digest = self.w3.eth.send_transaction({**transaction, "from": self.w3.eth.accounts[0]})  # type: ignore[typeddict-item]
        return self.w3.eth.wait_for_transaction_receipt(digest, poll_latency=0.01)


@pytest.fixture
def bare() -> Any:
    """A chain without the contracts."""
    with Devnet(deploy=False) as chain:
        yield chain


def test_contracts_come_to_the_addresses_that_their_code_gives_them(bare: Devnet) -> None:
    send = Sender(bare.w3)

    done = addresses.deploy(bare.w3, send)

    assert (done.implementation, done.factory) == dataclasses.astuple(addresses.predicted())
    assert len(send.sent) == 2
    assert done.block is not None
    assert done.transactions.keys() == {"Campaign", "CampaignFactory"}
    code = bytes(bare.w3.eth.get_code(Web3.to_checksum_address(done.factory)))
    assert done.factory_code_hash == "0x" + Web3.keccak(code).hex()
    factory = bare.w3.eth.contract(
        address=Web3.to_checksum_address(done.factory), abi=artifacts.load("CampaignFactory").abi
    )
    assert factory.functions.implementation().call() == done.implementation


def test_deploying_again_sends_nothing_and_keeps_what_was_recorded(bare: Devnet, tmp_path: Path) -> None:
    first = addresses.deploy(bare.w3, Sender(bare.w3))
    path = addresses.record(first, tmp_path)
    send = Sender(bare.w3)

    again = addresses.deploy(bare.w3, send, addresses.load(first.chain_id, tmp_path))

    assert send.sent == []
    assert again == first
    assert json.loads(path.read_text(encoding="utf-8"))["factory"] == first.factory
    assert path.name == f"{first.chain_id}.json"


def test_a_deployment_that_stopped_halfway_is_finished(bare: Devnet) -> None:
    class StoppedError(Exception):
        pass

    whole = Sender(bare.w3)

    def once(transaction: dict[str, Any]) -> Any:
        if whole.sent:
            raise StoppedError
        return whole(transaction)

    with pytest.raises(StoppedError):
        addresses.deploy(bare.w3, once)
    send = Sender(bare.w3)
    done = addresses.deploy(bare.w3, send)

    assert len(send.sent) == 1
    assert done.transactions.keys() == {"CampaignFactory"}


def test_a_record_of_a_chain_that_was_reset_is_not_believed(bare: Devnet) -> None:
    done = addresses.deploy(bare.w3, Sender(bare.w3))
    stale = dataclasses.replace(done, block=7, transactions=dict.fromkeys(done.transactions, "0x" + "77" * 32))

    again = addresses.deploy(bare.w3, Sender(bare.w3), stale)

    assert (again.block, dict(again.transactions)) == (None, {})


def test_a_chain_without_the_contracts_is_named(bare: Devnet) -> None:
    with pytest.raises(VerificationError, match="not deployed on chain 31337"):
        addresses.verify(bare.w3)


def test_a_chain_without_the_deployer_is_named(world: World) -> None:
    world.rpc("anvil_setCode", addresses.CREATE2_DEPLOYER, "0x")
    with pytest.raises(LlamafundError, match="no CREATE2 deployer"):
        addresses.deploy(world.w3, Sender(world.w3))


@pytest.mark.parametrize("part", ["implementation", "factory"])
def test_threat_a_look_alike_factory_or_implementation_is_noticed(world: World, part: str) -> None:
    address = Web3.to_checksum_address(getattr(addresses.predicted(), part))
    code = bytearray(world.w3.eth.get_code(address))
    addresses.verify(world.w3)
    code[-60] ^= 1
    world.rpc("anvil_setCode", address, "0x" + bytes(code).hex())

    for attempt in (
        lambda: addresses.verify(world.w3),
        lambda: addresses.deploy(world.w3, Sender(world.w3)),
    ):
        with pytest.raises(VerificationError, match=address):
            attempt()


def test_a_transaction_that_creates_nothing_is_noticed(bare: Devnet) -> None:
    send = Sender(bare.w3)
    with pytest.raises(VerificationError, match="not deployed"):
        addresses.deploy(bare.w3, lambda transaction: send({**transaction, "to": bare.w3.eth.accounts[1]}))


def test_a_chain_that_nobody_recorded_has_no_record(tmp_path: Path) -> None:
    assert addresses.load(987_654_321, tmp_path) is None
    assert addresses.load(987_654_321) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chain_id": 1}'])
def test_a_spoilt_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text, encoding="utf-8")
    with pytest.raises(VerificationError, match=r"1\.json"):
        addresses.load(1, tmp_path)


def test_a_record_of_other_contracts_is_refused(world: World, tmp_path: Path) -> None:
    other = dataclasses.replace(addresses.verify(world.w3), factory="0x" + "12" * 20)
    addresses.record(other, tmp_path)
    with pytest.raises(VerificationError, match="other contracts"):
        addresses.load(other.chain_id, tmp_path)


def test_the_code_of_the_contracts_holds_no_address_but_the_implementations() -> None:
    """One code hash is good for every chain."""
    assert artifacts.load("Campaign").immutable_references.keys() == {"SELF"}
    assert artifacts.load("CampaignFactory").immutable_references.keys() == {"implementation"}
    with pytest.raises(ValueError, match="SELF"):
        artifacts.load("Campaign").runtime({})


def test_contracts_fit_into_the_size_that_chains_allow() -> None:
    for name in ("Campaign", "CampaignFactory", "CourtArbiter"):
        assert len(artifacts.load(name).deployed_bytecode) < 24_576


def _arbiter(world: World) -> CourtArbiter:
    return CourtArbiter(world.deploy("MockCourt", 1).address, b"\1\2", "/ipfs/bafkreiquestion", 14 * 86_400)


def test_an_arbiter_comes_to_the_address_that_its_court_and_question_give_it_once(world: World) -> None:
    arbiter, send = _arbiter(world), Sender(world.w3)
    for _ in range(2):
        arbiter.deploy(world.w3, send)
    assert len(send.sent) == 1
    contract = world.w3.eth.contract(
        address=Web3.to_checksum_address(arbiter.address), abi=artifacts.load("CourtArbiter").abi
    )
    said = [contract.functions[name]().call() for name in ("court", "extraData", "metaEvidence", "appealReserve")]
    assert said == [arbiter.court, arbiter.extra_data, arbiter.meta_evidence, arbiter.appeal_reserve]
    assert contract.functions.factory().call() == world.factory.address
    others = (
        dataclasses.replace(arbiter, court=world.stranger),
        dataclasses.replace(arbiter, extra_data=b""),
        dataclasses.replace(arbiter, meta_evidence=""),
        dataclasses.replace(arbiter, appeal_reserve=arbiter.appeal_reserve + 1),
    )
    assert len({arbiter.address, *(other.address for other in others)}) == 5


def test_an_arbiter_for_a_court_that_is_not_there_is_not_deployed(world: World) -> None:
    send = Sender(world.w3)
    with pytest.raises(UsageError, match="no contract"):
        dataclasses.replace(_arbiter(world), court=world.stranger).deploy(world.w3, send)
    assert send.sent == []


def test_an_arbiter_that_a_transaction_did_not_create_is_noticed(world: World) -> None:
    send = Sender(world.w3)
    with pytest.raises(LlamafundError, match="was not deployed"):
        _arbiter(world).deploy(world.w3, lambda transaction: send({**transaction, "to": world.stranger}))


def test_an_arbiter_is_recognised_by_every_byte_of_its_code(world: World) -> None:
    arbiter = _arbiter(world)
    arbiter.deploy(world.w3, Sender(world.w3))
    code = bytes(world.w3.eth.get_code(Web3.to_checksum_address(arbiter.address)))
    assert recognise(code) == Recognised(arbiter.court, arbiter.appeal_reserve)
    foreign = world.deploy("CourtArbiter", world.stranger, arbiter.court, b"", "", 14 * 86_400)
    for other in (
        b"",
        code[:-1],
        bytes(world.w3.eth.get_code(foreign.address)),
        *(code[:place] + bytes([code[place] ^ 1]) + code[place + 1 :] for place in range(0, len(code), 97)),
    ):
        assert recognise(other) is None
    references = artifacts.load("CourtArbiter").immutable_references["court"]
    for start, _ in references:
        assert recognise(code[:start] + b"\1" + code[start + 1 :]) is None
