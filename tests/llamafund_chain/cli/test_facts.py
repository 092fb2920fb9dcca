"""`--facts`, `--no-facts` and the base that commands use by default."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty_node import FaultyNode

ETHER = 10**18
DEFAULT = ".local/state/llamafund/facts.sqlite"


@pytest.fixture
def audit(llamafund, stage):
    """Audits the books of the stage's campaign."""

    def run(*more: object, rpc: str | None = None):
        words = ("audit", stage.client.address, "--rpc", rpc or stage.devnet.rpc_url, "--depth", "books", "--json")
        return llamafund(*words, "--finality", "latest", "--store", stage.run.store.location, *more)

    return run


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".local/state"))
    return tmp_path


def verdicts(ran) -> list[tuple[str, str]]:
    return [(check["name"], check["status"]) for check in ran.json["report"]["checks"]]


def test_the_base_is_beside_the_journal_unless_nothing_is_to_be_kept(audit, stage, home: Path) -> None:
    stage.open()
    stage.fund()
    plain = audit("--no-facts")
    assert plain.code == 0, plain.stderr
    assert not (home / DEFAULT).exists()
    for _ in range(2):
        ran = audit()
        assert verdicts(ran) == verdicts(plain)
        assert "facts" not in ran.stderr
    with closing(sqlite3.connect(home / DEFAULT)) as database:
        assert database.execute("SELECT count(*) FROM events WHERE event = 'Pledged'").fetchone() == (3,)


def test_a_base_that_nobody_named_stands_in_nobodys_way(audit, stage, home: Path) -> None:
    stage.open()
    stage.fund()
    (home / DEFAULT).parent.mkdir(parents=True)
    (home / DEFAULT).write_text("nonsense")
    (home / DEFAULT).chmod(0o600)
    ran = audit()
    assert ran.code == 0
    assert "Note: going on without the base of facts" in ran.stderr
    assert (home / DEFAULT).read_text() == "nonsense"


def test_a_base_that_was_named_must_be_usable(audit, stage, tmp_path: Path) -> None:
    stage.open()
    (tmp_path / "facts.sqlite").write_text("nonsense")
    (tmp_path / "facts.sqlite").chmod(0o600)
    audit("--facts", tmp_path / "facts.sqlite").refused(1, "damaged", "Move it away")


def test_the_users_file_may_name_the_base(audit, stage, home: Path, monkeypatch) -> None:
    stage.open()
    config = home / "config.toml"
    config.write_text('facts = "kept.sqlite"\n')
    monkeypatch.setenv("LLAMAFUND_CONFIG", str(config))
    assert audit().code == 0
    assert (home / "kept.sqlite").exists()


def test_an_audit_of_many_backers_takes_few_requests_and_hardly_any_again(audit, stage, tmp_path: Path) -> None:
    client = stage.open()
    for number in range(60):
        client.pledge(stage.backers[number % 3], 10**15 + number, f"0x{(1 << 150) + number:040x}")
    with FaultyNode(stage.devnet.rpc_url) as node:
        counts = []
        for _ in range(2):
            before = node.count
            ran = audit("--facts", tmp_path / "facts.sqlite", rpc=node.url)
            assert ran.code == 0, ran.stderr
            counts.append(node.count - before)
    assert max(counts) <= 30, counts


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM logs WHERE topic0 IN (SELECT topic0 FROM logs GROUP BY topic0 HAVING count(*) = 3)",
        "UPDATE logs SET data = '0x' || substr(data, 3, 63) || '9' WHERE data LIKE '0x%' AND length(data) = 66",
    ],
    ids=["a log is removed", "amounts are changed"],
)
def test_threat_a_base_that_somebody_changed_accuses_nobody(audit, stage, tmp_path: Path, change: str) -> None:
    """Before anybody is accused, the logs are read from the node again."""
    stage.open()
    stage.fund()
    stage.devnet.connection.request("anvil_mine", hex(300))
    file = tmp_path / "facts.sqlite"
    assert audit("--facts", file).code == 0
    with closing(sqlite3.connect(file)) as database, database:
        assert database.execute(change).rowcount
    ran = audit("--facts", file)
    ran.refused(4, "Repeat the command" if "DELETE" in change else "does not show")
    assert "fraud" not in (ran.stdout + ran.stderr).lower()
    if "DELETE" in change:
        assert audit("--facts", file).code == 0


def test_a_pruned_node_is_in_trouble_and_the_campaign_is_not(audit, stage, tmp_path: Path) -> None:
    stage.open()
    stage.fund()
    file = tmp_path / "facts.sqlite"
    assert audit("--facts", file).code == 0

    def pruned(number: int, request: dict[str, Any], forward: Callable[[Any], Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            return {"jsonrpc": "2.0", "id": request["id"], "result": []}
        return forward(request)

    with FaultyNode(stage.devnet.rpc_url, pruned) as node:
        audit("--facts", file, rpc=node.url).refused(4, "does not show")
    assert audit("--facts", file).code == 0
