"""Child processes that never outlive the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import IO

_GRACE = 5.0
"""Seconds that a process group gets to end after SIGTERM before it is killed."""

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "TZ",
        "TERM",
        "COLUMNS",
        "LINES",
        "NO_COLOR",
        "FORCE_COLOR",
        "TMPDIR",
        "VIRTUAL_ENV",
    }
)
_PREFIXES = ("LC_", "LD_", "DYLD_", "PYTHON", "XDG_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "COVERAGE_")

_CLEAN_UP = 15.0
"""Seconds that a clean-up may take before the next signal interrupts it."""


@dataclass(frozen=True)
class Finished:
    """How a child process ended."""

    exit_code: int
    stdout: str
    stderr: str


def run_python(
    arguments: Sequence[str], *, show_stderr: bool, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run this Python in a new session and wait for it.

    However the wait ends, the child and everything that it started in its session have stopped afterwards.

    Args:
        arguments: What follows the interpreter's name.
        show_stderr: Let the child write to this process's standard error, so that it can draw a progress bar.
            Otherwise its standard error is collected.
        environment: Variables in addition to those of this process that name places, languages and devices.
    """
    # Files, not pipes: a process that the child left running could hold a pipe open forever.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if show_stderr else stderr,
            env={**_passed_on(), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(environment or {})},
            start_new_session=True,
        )
        try:
            child.wait()
        finally:
            _end_group(child)
        return Finished(child.returncode, _text(stdout), _text(stderr))


def _passed_on() -> dict[str, str]:
    """This process's variables without those that may be secret: a child that needs one is given it by name."""
    return {name: value for name, value in os.environ.items() if name in _NAMES or name.startswith(_PREFIXES)}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End every process of the child's group: SIGTERM first, then SIGKILL."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, request)
        except ProcessLookupError:
            break
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            continue
    child.wait()


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that every clean-up runs.

    During the clean-up an impatient second signal is ignored: it would cut the clean-up short. Outside the main
    thread, where signals do not arrive, this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard_at = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        nonlocal heard_at
        if time.monotonic() - heard_at < _CLEAN_UP:
            return
        heard_at = time.monotonic()
        raise KeyboardInterrupt(signal.Signals(number).name)

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in watched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
