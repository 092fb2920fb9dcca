"""Opening a base of facts: what is wrong with it is said, and nobody's data is touched."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from llamafund_chain.errors import UsageError
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.trouble import FactsError

PASSWORD = "correct-horse"
SERVER = f"postgresql+psycopg://alice:{PASSWORD}@127.0.0.1:9/facts"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "facts.sqlite"


def test_a_new_file_is_the_owners_alone_and_opens_as_plain_sqlite(file: Path) -> None:
    Database(str(file)).close()
    assert file.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(file)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        assert {"headers", "logs", "events", "campaigns", "timeline"} <= names
        assert database.execute("SELECT * FROM timeline").fetchall() == []
        assert database.execute("SELECT * FROM campaigns").fetchall() == []
    Database(str(file)).close()


def test_a_damaged_file_is_neither_used_nor_replaced(file: Path) -> None:
    Database(str(file)).close()
    for damage in (b"no database at all" * 99, file.read_bytes()[:4096] + b"\xff" * 8192):
        for beside in file.parent.glob("facts.sqlite-*"):
            beside.unlink()
        file.write_bytes(damage)
        with pytest.raises(FactsError, match="is damaged"):
            Database(str(file))
        assert file.read_bytes() == damage


def test_a_file_of_a_newer_program_is_refused_and_left_alone(file: Path) -> None:
    Database(str(file)).close()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE about SET value = '99'")
    with pytest.raises(FactsError, match="tables of version 99"):
        Database(str(file))
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT value FROM about").fetchall() == [("99",)]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letters.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE letters (text)")
    file.chmod(0o600)
    with pytest.raises(FactsError, match="is no base of facts"):
        Database(str(file))
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("letters",)]


def test_threat_a_file_that_others_may_write_to_is_refused(file: Path) -> None:
    Database(str(file)).close()
    file.chmod(0o666)
    with pytest.raises(FactsError, match="Others may write"):
        Database(str(file))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FactsError, match="is no file"):
        Database(str(tmp_path / "pipe"))
    (tmp_path / "there").write_text("in the way")
    with pytest.raises(FactsError):
        Database(str(tmp_path / "there" / "facts.sqlite"))


@pytest.mark.parametrize("location", ["mysql://host/db", "sqlite:///facts.sqlite", "postgresql://host/db"])
def test_only_files_and_postgresql_are_bases(location: str) -> None:
    with pytest.raises(UsageError, match="cannot be at an address that begins with"):
        Database(location)


def test_no_message_shows_the_password_of_a_server(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
    for location in (SERVER, SERVER.replace(":9/", ":none/")):
        with pytest.raises((FactsError, UsageError)) as caught:
            Database(location)
        seen: BaseException | None = caught.value
        while seen is not None:
            assert PASSWORD not in f"{seen!r} {seen}"
            seen = seen.__cause__
    assert PASSWORD not in "".join(capfd.readouterr())


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from sqlalchemy import insert
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.tables import chains
from llamafund_chain.facts.trouble import FactsError
database = Database(sys.argv[1])
try:
    with database.writing() as session:
        session.execute(insert(chains), [
            {"chain_id": number, "genesis": f"{number:064x}", "final_block": 0} for number in range(1, 50_000)])
except FactsError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_harms_nothing(file: Path) -> None:
    """The system's limit on a file's size stands for a full disk."""
    Database(str(file)).close()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file), "300000"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "base of facts" in done.stdout
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM chains").fetchone() == (0,)
    Database(str(file)).close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000


def test_the_documented_tables_are_those_that_there_are() -> None:
    import export_facts

    text = export_facts.PAGE.read_text(encoding="utf-8")
    assert export_facts.page(text) == text, "run python scripts/export_facts.py"
