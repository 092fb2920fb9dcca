"""The journal keeps what was signed through crashes, other processes and years."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llamafund_chain.chain import journal as journals
from llamafund_chain.chain.journal import Entry, Journal, default_folder, entry_of, of_chain
from llamafund_chain.chain.transactions import Call, Fees, SignedTransaction
from llamafund_chain.errors import LlamafundError

ALICE = "0x" + "a1" * 20


def made(number: int, *, genesis: str = "", raw: bytes = b"raw") -> Entry:
    signed = SignedTransaction(
        f"{number:064x}", raw, ALICE, Call(ALICE, b"\x01\x02"), 5, number, 21_000, Fees(2 * 10**9, 10**9)
    )
    words = {"command": "pledge", "step": "pledgeCoin()", "intent": f"{number:064x}"}
    return entry_of(signed, chain_id=7, genesis=genesis, head=3, **words)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "transactions", 7)


def test_what_is_written_is_read_with_what_changed_about_it(journal: Journal) -> None:
    first, second = made(1), made(2)
    journal.add(first)
    journal.add(second)
    journal.change(first, state="included", block=9, block_hash="ab" * 32)
    assert journal.entries() == [replace(first, state="included", block=9, block_hash="ab" * 32), second]
    assert [entry.is_open for entry in journal.entries()] == [True, True]
    journal.change(second, state="void")
    assert [entry.is_open for entry in journal.entries()] == [True, False]
    assert journal.entries()[0].signed.raw == b"raw"


def test_chains_do_not_share_a_journal(journal: Journal, tmp_path: Path) -> None:
    journal.add(made(1))
    assert Journal(tmp_path / "transactions", 8).entries() == []
    assert journals.journals(tmp_path / "transactions") == [7]


def test_only_the_owner_can_read_it(journal: Journal, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal.add(made(1))
    finally:
        os.umask(before)
    folder = tmp_path / "transactions"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"transactions": 0o700, "7.jsonl": 0o600, "7.lock": 0o600}
    (folder / "7.jsonl").chmod(0o644)
    journal.add(made(2))
    assert stat.S_IMODE((folder / "7.jsonl").stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "7.jsonl"
    journal = Journal(tmp_path, 7)
    journal.add(made(1))
    whole = path.read_bytes()
    journal.add(made(2))
    both = path.read_bytes()
    for length in range(len(whole), len(both), 13):
        path.write_bytes(both[:length])
        assert [entry.nonce for entry in journal.entries()] == [1]
        journal.add(made(3))
        assert [entry.nonce for entry in journal.entries()] == [1, 3]


@pytest.mark.parametrize(
    "line",
    [b"", b"\x00" * 40, b"{", b"[]", b"null", b'{"id": 3}', b'{"id": "x", "state": "told"}', b"[" * 5_000, b"\xff\xfe"],
)
def test_lines_that_make_no_sense_are_skipped(journal: Journal, tmp_path: Path, line: bytes) -> None:
    journal.add(made(1))
    path = tmp_path / "transactions" / "7.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes() + line + b"\n")
    journal.add(made(2))
    assert [entry.nonce for entry in journal.entries()] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [{"nonce": "1"}, {"nonce": True}, {"tx_hash": "../x"}, {"raw": "zz"}, {"command": None}, {"more": 1}, {"to": 5}],
)
def test_an_entry_of_another_form_is_none(journal: Journal, tmp_path: Path, change: dict[str, object]) -> None:
    journal.add(made(1))
    path = tmp_path / "transactions" / "7.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}) + "\n")
    assert journal.entries() == []


def test_it_is_on_the_disk_before_it_returns(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            synced.append(os.pread(descriptor, 1 << 20, 0) if os.get_inheritable(descriptor) is False else b"")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    journal.add(made(1))
    assert made(1).tx_hash.encode() in synced[0]


def test_without_a_journal_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LlamafundError, match=r"Nothing is sent without it.*LLAMAFUND_STATE"):
        Journal(tmp_path / "file" / "transactions", 7).add(made(1))


def test_long_bytes_are_kept_as_their_hash_only() -> None:
    entry = made(1, raw=b"x" * (journals.MAX_RAW + 1))
    assert entry.raw == ""
    assert len(entry.raw_sha256) == 64


def test_its_size_has_a_bound_and_what_is_open_stays(journal: Journal, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journals, "MAX_FILE", 20_000)
    monkeypatch.setattr(journals, "_KEPT_CLOSED", 5)
    journal.add(made(0))
    for number in range(1, 60):
        entry = made(number)
        journal.add(entry)
        journal.change(entry, state="told")
    path = tmp_path / "transactions" / "7.jsonl"
    assert path.stat().st_size < 2 * 20_000
    numbers = [entry.nonce for entry in journal.entries()]
    assert numbers[0] == 0
    assert numbers[-1] == 59
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_chains_that_were_not_used_for_the_longest_time_are_forgotten(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journals, "MAX_CHAINS", 2)
    folder = tmp_path / "transactions"
    for chain, age in ((1, 300), (2, 100), (3, 200)):
        Journal(folder, chain).add(replace(made(1), chain_id=chain))
        if (folder / f"{chain}.jsonl").exists():
            os.utime(folder / f"{chain}.jsonl", (10**9 - age, 10**9 - age))
    Journal(folder, 4).add(replace(made(1), chain_id=4))
    assert journals.journals(folder) == [2, 4]


def test_a_development_chain_that_began_anew_is_another_one() -> None:
    old, new, unknown = made(1, genesis="aa" * 32), made(2, genesis="bb" * 32), made(3)
    assert of_chain([old, new, unknown], "bb" * 32) == [new, unknown]
    assert of_chain([old, new, unknown], "") == [old, new, unknown]


def test_processes_write_beside_one_another(journal: Journal, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom dataclasses import replace\n"
        "sys.path.insert(0, sys.argv[2])\nfrom test_journal import made, Journal\n"
        "for number in range(20): Journal(Path(sys.argv[1]), 7).add(made(int(sys.argv[3]) + number))\n"
    )
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "transactions"), here, str(first)], env=environment
        )
        for first in (0, 100, 200)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert sorted(entry.nonce for entry in journal.entries()) == sorted(
        first + number for first in (0, 100, 200) for number in range(20)
    )


def test_the_environment_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = default_folder()
    assert usual.name == "transactions"
    monkeypatch.setenv("LLAMAFUND_STATE", str(tmp_path))
    assert default_folder() == tmp_path / "transactions" != usual
