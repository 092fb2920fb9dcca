"""Child processes of the demo never outlive it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from llamafund_chain.demo.processes import interruptible, run_python

_LEAVES_A_CHILD_BEHIND = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""

_STOPS_ITS_PARENT = """
import os, signal, sys, time
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(600)
"""


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def _interrupt_itself(request: signal.Signals, cleaned: list[bool]) -> None:
    """Be interrupted once at work and once more while cleaning up."""
    try:
        os.kill(os.getpid(), request)
    finally:
        os.kill(os.getpid(), request)
        cleaned.append(True)


def test_a_child_gets_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MY_KEY", "LLAMAFUND_KUBO_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "5ec2e7")
    finished = run_python(["-c", "import os; print(dict(os.environ))"], show_stderr=False, environment={"GIVEN": "yes"})
    assert finished.exit_code == 0
    assert "5ec2e7" not in finished.stdout
    assert "'GIVEN': 'yes'" in finished.stdout
    assert repr(os.environ["PATH"]) in finished.stdout


def test_output_and_exit_code_come_back() -> None:
    finished = run_python(
        ["-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"], show_stderr=False
    )

    assert (finished.exit_code, finished.stdout, finished.stderr) == (3, "out\n", "err\n")


def test_what_a_child_left_running_is_ended_with_it() -> None:
    finished = run_python(["-c", _LEAVES_A_CHILD_BEHIND], show_stderr=False)

    pid = int(finished.stdout)
    for _ in range(200):
        if not _runs(pid):
            break
        threading.Event().wait(0.02)
    assert not _runs(pid)


def test_an_interrupted_wait_ends_the_child_first(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    with pytest.raises(KeyboardInterrupt), interruptible():
        run_python(["-c", _STOPS_ITS_PARENT, str(note)], show_stderr=False)

    assert not _runs(int(note.read_text()))


def test_sigterm_unwinds_the_stack_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned: list[bool] = []

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), interruptible():
        _interrupt_itself(signal.SIGTERM, cleaned)

    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_impatient_second_signal_does_not_cut_the_clean_up_short() -> None:
    cleaned: list[bool] = []

    with pytest.raises(KeyboardInterrupt), interruptible():
        _interrupt_itself(signal.SIGINT, cleaned)

    assert cleaned == [True]


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    entered = []

    def enter() -> None:
        with interruptible():
            entered.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert entered == [before]
