"""The slots of a campaign are where the compiler puts them, and hold what the contract's views say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.campaign import storage
from llamafund_chain.chain.header_book import read_headers
from llamafund_chain.chain.state_proofs import Nodes, prove_account, prove_word, take_in

ROOT = Path(__file__).resolve().parents[3]
SOLC = ROOT / ".venv" / "solc" / "solc-v0.8.37"
DAY = 86_400
ETHER = 10**18


@pytest.fixture(scope="module")
def layout() -> dict[str, Any]:
    """What the compiler says about the storage of `Campaign`."""
    contracts = ROOT / "contracts"
    sources = {
        f"contracts/{path.relative_to(contracts).as_posix()}": {"content": path.read_text(encoding="utf-8")}
        for path in contracts.rglob("*.sol")
        if "test" not in path.parts and "arbitration" not in path.parts
    }
    request = {
        "language": "Solidity",
        "sources": sources,
        "settings": {
            "evmVersion": "cancun",
            "remappings": ["@openzeppelin/contracts=node_modules/@openzeppelin/contracts"],
            "outputSelection": {"contracts/Campaign.sol": {"Campaign": ["storageLayout"]}},
        },
    }
    libraries = str((ROOT / "node_modules").resolve())
    ran = subprocess.run(
        [str(SOLC), "--standard-json", "--base-path", str(ROOT), "--allow-paths", libraries],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    said: dict[str, Any] = json.loads(ran.stdout)["contracts"]["contracts/Campaign.sol"]["Campaign"]["storageLayout"]
    return said


def test_the_slots_are_those_of_the_compiler(layout) -> None:
    assert {one["label"]: (int(one["slot"]), one["offset"]) for one in layout["storage"]} == {
        "_ledger": (storage.LEDGER, 0),
        "_latestEvidence": (storage.LATEST_EVIDENCE, 0),
        "latestContent": (storage.LATEST_CONTENT, 0),
        "_backers": (storage.BACKERS, 0),
        "trainingSeed": (storage.TRAINING_SEED, 0),
        "_votes": (storage.VOTES, 0),
        "claimed": (storage.CLAIMED, 0),
        "_queue": (storage.QUEUE, 0),
        "_challenges": (storage.CHALLENGES, 0),
        "_bonds": (storage.BONDS, 0),
    }


def test_the_parts_of_words_are_those_of_the_compiler(layout) -> None:
    fields = {
        kind["label"]: [(one["label"], one["offset"], layout["types"][one["type"]]["numberOfBytes"]) for one in members]
        for kind in layout["types"].values()
        if (members := kind.get("members"))
    }

    assert fields == {
        "struct Campaign.Votes": [("support", 0, "16"), ("opensAt", 16, "5")],
        "struct Campaign.Bond": [("challenger", 0, "20"), ("amount", 20, "12")],
        "struct Campaign.Queue": [("next", 0, "16"), ("end", 16, "16")],
        "struct Campaign.QueuedChallenge": [("chunk", 0, "8"), ("openedAt", 8, "5")],
    }
    kinds = {one["label"]: layout["types"][one["type"]]["label"] for one in layout["storage"]}
    assert kinds["_backers"] == "mapping(address => uint256)"
    assert kinds["_bonds"] == "mapping(uint256 => mapping(uint256 => struct Campaign.Bond))"


def words_of(stage, *slots: int) -> list[int]:
    """What is stored, proven."""
    connection, address = stage.devnet.connection, stage.client.address
    (header,) = read_headers(connection, [connection.block().number])
    answer = connection.request("eth_getProof", address, [f"0x{slot:064x}" for slot in slots], hex(header.number))
    nodes = Nodes()
    take_in(answer, address, slots, nodes, nodes)
    root = prove_account(header.state_root, address, nodes).storage_root
    return [prove_word(root, slot, nodes) for slot in slots]


def test_a_real_campaign_keeps_its_books_there(stage) -> None:
    stage.honest_until(1, slack=5 * DAY)
    stage.client.claim(stage.compute, 1)
    stage.client.extend_deadlines(stage.researcher, 3 * DAY)
    stage.run.filling = 1 << 20
    stage.attest(1, stage.run.train(stage.seed, steps=(0,)))
    attestation = stage.client.latest_attestation()
    for backer, chunk in zip(stage.backers, (5, 0, 3), strict=True):
        stage.client.challenge(backer, attestation, chunk, stage.client.required_bond())
    stage.client.vote_stop(stage.backers[1])
    stage.devnet.finalize()
    state = stage.client.state()

    ledger, evidence, content, seed, votes, queue = words_of(stage, *storage.FIXED)
    record = storage.ledger_in(ledger)
    assert {name: getattr(state, name) for name in vars(record)} == vars(record)
    assert (f"{evidence:064x}", f"{content:064x}") == (state.latest_evidence, state.latest_content)
    assert f"{seed:064x}" == state.training_seed
    assert storage.votes_in(votes) == (state.stop_support, state.votes_from)
    assert storage.queue_in(queue) == (0, 3)
    assert words_of(stage, storage.claimed_slot(0), storage.claimed_slot(1)) == list(state.claimed)
    backers = [
        storage.backer_in(word) for word in words_of(stage, *(storage.backer_slot(b.address) for b in stage.backers))
    ]
    assert backers == [(stage.client.pledge_of(b.address), b is stage.backers[1]) for b in stage.backers]
    opened = [storage.challenge_in(word) for word in words_of(stage, *map(storage.challenge_slot, range(3)))]
    listed = stage.client.open_challenges()
    assert opened == [(one.chunk, one.opened_at) for one in listed]
    bonds = [storage.bond_in(word) for word in words_of(stage, *(storage.bond_slot(2, one.chunk) for one in listed))]
    assert bonds == [(one.challenger.lower(), one.bond) for one in listed]


def test_flags_that_end_a_campaign_are_read(stage) -> None:
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=7 * DAY)
    stage.client.contest(stage.judge)
    assert storage.ledger_in(words_of(stage, storage.LEDGER)[0]).contested
    stage.client.rule(stage.judge, upheld=False)

    (word,) = words_of(stage, storage.LEDGER)

    record, state = storage.ledger_in(word), stage.client.state()
    assert (record.stopped, record.withheld, record.contested, record.active) == (True, True, True, True)
    assert (state.stopped, state.withheld, state.contested) == (True, True, True)
