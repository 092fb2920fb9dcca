"""A command that is killed at any moment neither loses nor doubles a log: with real processes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from llamafund_chain.chain.connection import Connection

ETHER = 10**18
KILLS = 100 if "LLAMAFUND_ASSURE" in os.environ else 10
PATIENCE = 120.0


def start(stage, file: Path) -> subprocess.Popen[str]:
    words = ("mine", "--backer", stage.backers[0].address, "--rpc", stage.devnet.rpc_url, "--facts", str(file))
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


def places(connection: Connection, address: str) -> list[tuple[int, int]]:
    return [(log.block, log.index) for log in connection.logs(address)]


def kept(file: Path, address: str) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        query = "SELECT block, log_index FROM logs WHERE address = ? ORDER BY block, log_index"
        return database.execute(query, (address.lower(),)).fetchall()


def test_a_command_that_is_killed_at_any_moment_neither_loses_nor_doubles_a_log(stage, tmp_path: Path) -> None:
    client = stage.open(goal=10**6 * ETHER, cap=10**7 * ETHER)
    chance, file = random.SystemRandom(), tmp_path / "facts.sqlite"
    began = time.monotonic()
    end(start(stage, tmp_path / "other.sqlite"))
    whole = time.monotonic() - began
    for number in range(KILLS):
        client.pledge(stage.backers[number % 3], 10**9)
        stage.devnet.connection.request("anvil_mine", hex(200 if number % 2 else 1))
        process = start(stage, file)
        threading.Timer(chance.uniform(whole / 3, whole), process.kill).start()
        end(process)
        if file.exists() and file.stat().st_size:
            known = places(stage.devnet.connection, client.address)
            assert set(kept(file, client.address) if tables(file) else []) <= set(known)
    end(start(stage, file))
    assert kept(file, client.address) == places(stage.devnet.connection, client.address)


def tables(file: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT name FROM sqlite_master WHERE name = 'logs'").fetchall()


def test_several_commands_may_fill_one_base_at_once(stage, tmp_path: Path) -> None:
    client, file = stage.open(), tmp_path / "facts.sqlite"
    for backer in stage.backers:
        client.pledge(backer, ETHER)
    running = [start(stage, file) for _ in range(3)]
    for process in running:
        end(process)
        assert process.returncode == 0
    assert kept(file, client.address) == places(stage.devnet.connection, client.address)
