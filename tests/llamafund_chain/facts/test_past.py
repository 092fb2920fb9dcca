"""What the base keeps of states, transactions and receipts: fewer requests, and nothing else changes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from faulty_node import FaultyNode

from llamafund_chain.audit import AuditReport, audit
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.chain import nodes
from llamafund_chain.chain.connection import Connection
from llamafund_chain.chain.origins import Origins, origins_of
from llamafund_chain.facts.base import Facts
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.trouble import ContradictionError, FactsError

ETHER = 10**18
TABLES = ("states", "transactions", "receipts")
KILLS = 60 if "LLAMAFUND_ASSURE" in os.environ else 4
PATIENCE = 120.0
PRUNED = {"code": -32000, "message": "missing trie node 1234 (path ) state 0x12 is not available"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "sleep", lambda _: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts.sqlite"


def known(url: str, file: Path) -> Connection:
    """A new connection that uses the base in a file."""
    connection = connect(url)
    connection.facts = Facts(Database(str(file)), connection)
    return connection


def rows(file: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        return sorted(database.execute(f"SELECT * FROM {table}").fetchall())


def change(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        assert database.execute(sql).rowcount


def key(number: int) -> Any:
    return Account.from_key(number.to_bytes(32, "big"))


@pytest.fixture
def pay(stage: Any) -> Callable[[int, int, int], None]:
    """Sends coins from one key to another, in a block of its own, followed by others."""
    connection = stage.devnet.connection

    def run(sender: int, recipient: int, value: int) -> None:
        fields = {"to": key(recipient).address, "value": value, "nonce": connection.nonce(key(sender).address)}
        fields |= {"gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1, "chainId": connection.chain_id}
        raw = key(sender).sign_transaction(fields).raw_transaction.hex().removeprefix("0x")
        connection.request("eth_sendRawTransaction", f"0x{raw}")
        connection.request("anvil_mine", hex(40))

    return run


@pytest.fixture
def people(stage: Any, pay: Callable[[int, int, int], None]) -> list[str]:
    """Two accounts that one paid, whom another paid, whose coins are from nowhere."""
    connection = stage.devnet.connection
    stage.open()
    connection.request("anvil_mine", hex(40))
    stage.devnet.fund(key(81).address, 100 * ETHER)
    connection.request("anvil_mine", hex(40))
    pay(81, 82, 50 * ETHER)
    pay(82, 83, ETHER)
    pay(82, 84, ETHER)
    return [key(83).address, key(84).address]


def looked(stage: Any, connection: Connection, people: list[str]) -> Origins:
    """Who paid people, looked at after the campaign's logs, as an audit does."""
    end = connection.block()
    list(connection.logs(stage.client.address, last=end))
    return origins_of(connection, people, end.number)


def old(params: Any) -> bool:
    """Whether a state of the past was asked for."""
    return isinstance(params[-1], dict) or (str(params[-1]).startswith("0x") and len(params[-1]) < 10)


def forgetful(at: int, request: dict[str, Any], forward: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A node that keeps neither old states nor old transactions."""
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
        return {**answer, "result": None}
    if request["method"] in ("eth_getBalance", "eth_getTransactionCount") and old(request["params"]):
        return {**answer, "error": PRUNED}
    return forward(request)


def test_first_payments_are_searched_once(stage, people, file) -> None:
    plain = looked(stage, connect(stage.devnet.rpc_url), people)
    assert [plain.paid[one].sender for one in people] == [key(82).address] * 2
    with FaultyNode(stage.devnet.rpc_url) as node:
        assert looked(stage, known(node.url, file), people) == plain
        first, methods = node.count, len(node.methods)
        stage.devnet.connection.request("anvil_mine", hex(50))
        assert looked(stage, known(node.url, file), people) == plain
        second, asked = node.count - first, node.methods[methods:]
    assert "eth_getTransactionReceipt" not in asked
    assert "eth_getBalance" not in asked
    # What each sender has sent by now, and once more the block whose coins came from nowhere.
    assert asked.count("eth_getTransactionCount") == 3
    assert second <= first - 12, (first, second)


def test_an_earlier_block_is_not_told_what_came_later(stage, people, file) -> None:
    connection = known(stage.devnet.rpc_url, file)
    looked(stage, connection, people)
    (paid,) = {looked(stage, connection, people).paid[people[1]].block}
    assert origins_of(connection, people, paid - 1).unpaid == {people[1]}


def test_what_was_found_out_is_forgotten_with_its_blocks(stage, people, file, pay) -> None:
    late = key(85).address
    before = looked(stage, known(stage.devnet.rpc_url, file), people)
    kept = [rows(file, table) for table in TABLES]
    back = stage.devnet.snapshot()
    pay(84, 85, ETHER // 2)
    assert looked(stage, known(stage.devnet.rpc_url, file), [late]).paid[late].sender == people[1]
    assert all(len(rows(file, table)) > len(some) for table, some in zip(TABLES, kept, strict=True))
    stage.devnet.revert(back)
    stage.devnet.finalize()
    again = looked(stage, known(stage.devnet.rpc_url, file), [*people, late])
    assert again.unpaid == {late}
    assert again.paid == before.paid
    # The state before it was paid is that of a block which is still there.
    before_it = [row for row in rows(file, "states") if row[2] == late.lower()]
    assert {row[4] for row in before_it} == {"0x0"}
    assert [rows(file, table) for table in TABLES] == [sorted([*kept[0], *before_it]), *kept[1:]]


def test_a_node_that_has_thrown_the_past_away_adds_nothing_and_deletes_nothing(stage, people, file) -> None:
    with FaultyNode(stage.devnet.rpc_url, forgetful) as node:
        assert set(looked(stage, known(node.url, file), people).untold) == {*people}
        assert [rows(file, table) for table in TABLES] == [[], [], []]
        found = looked(stage, known(stage.devnet.rpc_url, file), people)
        kept = [rows(file, table) for table in TABLES]
        assert all(kept)
        connection = known(node.url, file)
        end = connection.block()
        list(connection.logs(stage.client.address, last=end))
        facts = connection.facts.first_payments(connection, people, end.number)
        assert {one: block for one, (block, _) in facts.items()} == {one: found.paid[one].block for one in people}
        hashes = [found.paid[one].tx_hash for one in people]
        assert None not in connection.transactions(hashes)
        assert None not in connection.outcomes(hashes)
        connection.facts.confirm(connection, [stage.client.address], 0, end)
    assert [rows(file, table) for table in TABLES] == kept


def test_what_was_taken_from_the_base_is_asked_for_again_before_anybody_is_accused(stage, people, file) -> None:
    for sql in (
        "UPDATE states SET answer = '0x77' WHERE asked = 'balance' AND answer != '0x0'",
        "UPDATE transactions SET value = '7'",
        "UPDATE receipts SET succeeded = 0",
    ):
        looked(stage, known(stage.devnet.rpc_url, file), people)
        change(file, sql)
        connection = known(stage.devnet.rpc_url, file)
        looked(stage, connection, people)
        with pytest.raises(ContradictionError, match="or somebody changed the base"):
            connection.facts.confirm(connection, [stage.client.address], 0, connection.block())
        file.unlink()


def test_what_is_too_long_is_not_kept(stage, people, file, monkeypatch) -> None:
    monkeypatch.setattr("llamafund_chain.facts.past.MOST_CHARACTERS", 66)
    looked(stage, known(stage.devnet.rpc_url, file), people)
    assert rows(file, "states")
    monkeypatch.setattr("llamafund_chain.facts.past.MOST_CHARACTERS", 1)
    file.unlink()
    looked(stage, known(stage.devnet.rpc_url, file), people)
    assert rows(file, "states") == []


def test_a_row_that_makes_no_sense_is_damage_and_no_word_about_anybody(stage, people, file) -> None:
    for table, sql in (
        ("transactions", "UPDATE transactions SET value = 'many'"),
        ("receipts", "UPDATE receipts SET logs = '[[1]]'"),
        ("states", "UPDATE states SET answer = '0xzz'"),
    ):
        looked(stage, known(stage.devnet.rpc_url, file), people)
        change(file, sql)
        with pytest.raises(FactsError, match="is damaged"):
            looked(stage, known(stage.devnet.rpc_url, file), people)
        told: list[FactsError] = []
        connection = connect(stage.devnet.rpc_url)
        connection.facts = Facts(Database(str(file)), connection, told.append)
        assert looked(stage, connection, people) == looked(stage, connect(stage.devnet.rpc_url), people), table
        assert len(told) == 1
        assert connection.facts is None
        file.unlink()


# ------------------------------------------------------------------- audits


@pytest.fixture
def busy(stage: Any) -> Any:
    """A campaign with two attestations and a finalized head."""
    stage.honest_until(1)
    stage.attest(1, stage.run.train(stage.seed))
    stage.devnet.connection.request("anvil_mine", hex(2_000))
    stage.devnet.finalize()
    return stage


def audited(stage: Any, connection: Connection, tmp_path: Path) -> AuditReport:
    client = CampaignClient(connection, stage.client.address)
    more: dict[str, Any] = {"depth": "books", "workdir": tmp_path, "progress": lambda text: None}
    return audit(client, stage.run.store, **more)


def test_a_second_audit_says_the_same_with_fewer_requests(busy, file, tmp_path) -> None:
    plain = audited(busy, connect(busy.devnet.rpc_url), tmp_path)
    assert plain.verdict.outcome == "holds"
    counts, methods = [], []
    with FaultyNode(busy.devnet.rpc_url) as node:
        for _ in range(2):
            before, asked = node.count, len(node.methods)
            assert audited(busy, known(node.url, file), tmp_path) == plain
            counts.append(node.count - before)
            methods.append(node.methods[asked:])
    assert methods[0].count("eth_getTransactionByHash") == 2
    assert "eth_getTransactionByHash" not in methods[1]
    assert len(rows(file, "transactions")) == 2
    assert counts[1] <= counts[0] - 10, counts


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE states SET answer = substr(answer, 1, 129) || '7' || substr(answer, 131) WHERE length(asked) = 10",
        "UPDATE transactions SET data = '0x' || substr(data, 3, 8) || '00'",
        "UPDATE transactions SET recipient = '0x' || substr(recipient, 4) || '0'",
    ],
    ids=["record", "signatures", "recipient"],
)
def test_threat_a_changed_base_accuses_nobody(busy, file, tmp_path, sql: str) -> None:
    assert audited(busy, known(busy.devnet.rpc_url, file), tmp_path).verdict.outcome == "holds"
    change(file, sql)
    if "states" in sql:
        with pytest.raises(ContradictionError, match="or somebody changed the base"):
            audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
        return
    report = audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
    assert report.verdict.outcome == "holds"
    assert {check.status for check in report.checks if check.name == "attestation-signed"} == {"warn"}


def test_a_record_that_is_damaged_is_not_the_nodes_fault(busy, file, tmp_path) -> None:
    audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
    change(file, "UPDATE states SET answer = '0xzz' WHERE length(asked) = 10")
    report = audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
    (found,) = (check for check in report.checks if check.name == "attestations-dated")
    assert (found.status, found.contradiction) == ("unchecked", None)
    assert "is damaged" in found.detail


def test_an_older_base_gets_the_tables_that_it_lacks_and_keeps_its_facts(busy, file, tmp_path) -> None:
    audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
    kept = rows(file, "logs")
    with closing(sqlite3.connect(file)) as database, database:
        for table in TABLES:
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE about SET value = '1'")
    audited(busy, known(busy.devnet.rpc_url, file), tmp_path)
    assert rows(file, "logs") == kept
    assert len(rows(file, "transactions")) == 2
    assert rows(file, "about") == [("schema", "2")]


def start(stage: Any, file: Path) -> subprocess.Popen[str]:
    words = ("audit", stage.client.address, "--depth", "books", "--rpc", stage.devnet.rpc_url, "--facts", str(file))
    return subprocess.Popen(
        [sys.executable, "-m", "llamafund_chain", *words, "--store", str(file.parent)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGKILL), stderr


def test_an_audit_that_is_killed_at_any_moment_leaves_only_what_is_so(busy, file, tmp_path) -> None:
    began = time.monotonic()
    end(start(busy, tmp_path / "whole.sqlite"))
    whole, chance = time.monotonic() - began, random.SystemRandom()
    expected = [rows(tmp_path / "whole.sqlite", table) for table in TABLES]
    assert all(expected[:2])
    for _ in range(KILLS):
        process = start(busy, file)
        threading.Timer(chance.uniform(whole / 3, whole), process.kill).start()
        end(process)
        if file.exists() and file.stat().st_size:
            Database(str(file)).close()
            for table, all_of_it in zip(TABLES, expected, strict=True):
                assert {*rows(file, table)} <= {*all_of_it}
    end(start(busy, file))
    assert [rows(file, table) for table in TABLES] == expected
