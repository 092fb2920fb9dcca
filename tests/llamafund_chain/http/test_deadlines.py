"""One thread ends every request whose time is up, and touches no other."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from llamafund_chain.http.deadline import Deadline

PATIENCE = 120.0
"""Seconds until a connection that should have been shut down is taken for one that never will be."""


@contextlib.contextmanager
def _line(deadline: Deadline) -> Iterator[socket.socket]:
    """A connection to a server that says nothing. Reading ends with `b""` when it is shut down."""
    line, server = socket.socketpair()
    with line, server, deadline:
        line.settimeout(PATIENCE)
        deadline.watch(line)
        yield line


def _end(deadline: Deadline) -> float:
    """The seconds that are left when the connection is shut down."""
    with _line(deadline) as line:
        assert line.recv(1) == b""
        return deadline.left


def test_thousands_of_deadlines_leave_one_thread_and_nothing_else() -> None:
    kept: list[weakref.ref[Deadline]] = []
    for _ in range(5000):
        with Deadline(3600) as deadline:
            kept.append(weakref.ref(deadline))
    del deadline
    assert not any(each() for each in kept)
    assert [thread.name for thread in threading.enumerate()].count("deadlines") == 1


def test_each_of_two_is_cut_at_its_own_time_whichever_was_first() -> None:
    late, soon = Deadline(3), Deadline(0.1)
    with _line(late) as line:
        assert _end(soon) <= 0
        assert late.left > 0
        assert line.recv(1) == b""
        assert late.left <= 0


def test_one_that_was_renewed_is_cut_at_its_new_time() -> None:
    deadline = Deadline(0.2)
    with _line(deadline) as line:
        deadline.renew(1)
        assert line.recv(1) == b""
        assert deadline.left <= 0


def test_many_at_once_are_all_cut_and_none_too_early() -> None:
    chance = random.Random(1)
    deadlines = [Deadline(chance.uniform(0, 0.5)) for _ in range(64)]
    with ThreadPoolExecutor(len(deadlines)) as threads:
        assert max(threads.map(_end, deadlines)) <= 0


def test_the_connection_of_a_finished_request_is_left_alone() -> None:
    line, server = socket.socketpair()
    with line, server:
        with Deadline(0.2) as finished:
            finished.watch(line)
        assert _end(Deadline(0.3)) <= 0
        assert finished.left <= 0
        server.sendall(b"more")
        assert line.recv(4) == b"more"


def test_one_that_nobody_ends_is_forgotten_after_its_time() -> None:
    forgotten = threading.Event()
    deadline = Deadline(0.1)
    weakref.finalize(deadline, forgotten.set)
    deadline.__enter__()
    del deadline
    assert forgotten.wait(PATIENCE)


def test_what_goes_wrong_with_one_keeps_no_other_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError

    broken = Deadline(0.1)
    monkeypatch.setattr(broken, "_cut", fail)
    with broken:
        assert failed.wait(PATIENCE)
        assert _end(Deadline(0.1)) <= 0


def test_a_forked_child_watches_its_own() -> None:
    with Deadline(3600):
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = 0 if _end(Deadline(0.1)) <= 0 else 1
            os._exit(code)
        _, status = os.waitpid(child, 0)
    assert status == 0


def test_a_program_ends_in_silence_with_a_request_under_way() -> None:
    program = "from llamafund_chain.http.deadline import Deadline; Deadline(3600).__enter__()"
    argv = [sys.executable, "-c", program]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
