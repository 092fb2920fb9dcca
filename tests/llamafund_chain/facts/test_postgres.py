"""The base of facts in PostgreSQL: a server of Debian's package, started for these tests (`make test-postgres`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.chain.connection import Connection
from llamafund_chain.facts.base import Facts
from llamafund_chain.facts.database import Database
from llamafund_chain.facts.trouble import FactsError

ETHER = 10**18
PASSWORD = "tr0ub4dor&3"
ESCAPED = "tr0ub4dor%263"
OWNERS = ("postgres", "nobody")


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[4]))
    named = shutil.which("initdb")
    return found[0].parent if found else Path(named).resolve().parent if named else None


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """The folder of a server's socket. It listens nowhere else."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    if find_spec("psycopg") is None:
        pytest.skip("the driver is not installed: pip install 'llamafund[postgres]'")
    # Not below pytest's folders: the path of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="lf-pg-"))
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        # The server refuses to run as root.
        import pwd

        entry = next(pwd.getpwnam(name) for name in OWNERS if name in {one.pw_name for one in pwd.getpwall()})
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    secret, data = folder / "password", folder / "data"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)

    def do(program: str, *words: str) -> None:
        environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [str(where / program), *words], check=True, stdout=subprocess.DEVNULL, env=environment, cwd=folder, **who
        )

    try:
        do("initdb", "-D", str(data), "-U", "alice", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        do("pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield folder
        finally:
            do("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(socket: Path, request: pytest.FixtureRequest) -> str:
    """The address of an empty database."""
    import psycopg

    name = f"facts_{abs(hash(request.node.name))}"
    with psycopg.connect(
        host=str(socket), user="alice", password=PASSWORD, dbname="postgres", autocommit=True
    ) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://alice:{ESCAPED}@/{name}?host={socket}"


def known(url: str, server: str) -> Connection:
    connection = connect(url)
    connection.facts = Facts(Database(server), connection)
    return connection


def told(stage: Any, connection: Connection) -> list[Any]:
    return list(CampaignClient(connection, stage.client.address).each_event())


def rows(server: str, query: str) -> list[Any]:
    with Database(server).reading() as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_a_server_keeps_what_a_file_keeps(stage, server: str) -> None:
    stage.open()
    stage.fund()
    asked = told(stage, connect(stage.devnet.rpc_url))
    assert told(stage, known(stage.devnet.rpc_url, server)) == asked
    assert told(stage, known(stage.devnet.rpc_url, server)) == asked
    amounts = rows(server, "SELECT amount, time FROM timeline WHERE event = 'Pledged' ORDER BY block, log_index")
    assert [amount for amount, _ in amounts] == [str(event.amount) for event in asked[:3]]
    assert all(time.startswith("20") for _, time in amounts)


def test_an_undone_block_is_forgotten_by_a_server_too(stage, server: str) -> None:
    stage.open()
    stage.client.pledge(stage.backers[0], ETHER)
    before = stage.devnet.snapshot()
    stage.client.pledge(stage.backers[1], 2 * ETHER)
    stage.devnet.finalize()
    assert len(told(stage, known(stage.devnet.rpc_url, server))) == 2
    stage.devnet.revert(before)
    stage.client.pledge(stage.backers[2], 3 * ETHER)
    for _ in range(5):
        stage.devnet.finalize()
    assert told(stage, known(stage.devnet.rpc_url, server)) == told(stage, connect(stage.devnet.rpc_url))
    assert rows(server, "SELECT count(*) FROM events WHERE event = 'Pledged'") == [(2,)]


def test_a_server_keeps_states_transactions_and_receipts_and_forgets_them_with_their_blocks(stage, server) -> None:
    stage.open()
    before = stage.devnet.snapshot()
    stage.client.pledge(stage.backers[0], ETHER)
    (pledged,) = told(stage, connect(stage.devnet.rpc_url))
    block, ledger = stage.devnet.connection.block(pledged.block), stage.client.view("ledger")

    def look(connection: Connection) -> list[Any]:
        told(stage, connection)
        hashes = [pledged.tx_hash]
        return [connection.read_past([([ledger], block)]), connection.transactions(hashes), connection.outcomes(hashes)]

    asked = look(connect(stage.devnet.rpc_url))
    assert look(known(stage.devnet.rpc_url, server)) == asked
    again = known(stage.devnet.rpc_url, server)
    assert look(again) == asked
    again.facts.confirm(again, [stage.client.address], 0, again.block())
    counts = (
        "SELECT (SELECT count(*) FROM states), (SELECT count(*) FROM transactions), (SELECT count(*) FROM receipts)"
    )
    assert rows(server, counts) == [(1, 1, 1)]
    stage.devnet.revert(before)
    stage.devnet.finalize()
    told(stage, known(stage.devnet.rpc_url, server))
    assert rows(server, counts) == [(0, 0, 0)]


def test_several_may_fill_a_server_at_once(stage, server: str) -> None:
    stage.open()
    stage.fund()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: told(stage, known(stage.devnet.rpc_url, server)), range(4)))
    assert found == [told(stage, connect(stage.devnet.rpc_url))] * 4
    assert rows(server, "SELECT count(*) FROM chains") == [(1,)]


def test_a_wrong_password_is_refused_and_not_shown(server: str, llamafund, stage) -> None:
    wrong = "wr0ng-and-secret"
    with pytest.raises(FactsError) as caught:
        Database(server.replace(ESCAPED, wrong))
    assert wrong not in str(caught.value)
    ran = llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url, "--facts", server.replace(ESCAPED, wrong))
    ran.refused(1, "base of facts", "postgresql+psycopg://alice:***@")
    assert wrong not in ran.stderr
    assert llamafund("campaign", "list", "--rpc", stage.devnet.rpc_url, "--facts", server).code == 0
