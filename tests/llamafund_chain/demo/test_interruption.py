"""Whoever stops the demo is left with no process and with word of where the files are."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from llamafund_chain.demo import story
from llamafund_chain.demo.narrator import Narrator
from llamafund_chain.samples.project import PROMISED_BITS_PER_BYTE, RECIPE

_PATIENCE = 120.0


@contextmanager
def _demo(out: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "llamafund_chain",
            "demo",
            "--out",
            str(out),
            "--recipe",
            str(RECIPE),
            "--promise",
            PROMISED_BITS_PER_BYTE,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
        start_new_session=True,
        bufsize=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_until(process: subprocess.Popen[bytes], words: str) -> str:
    """What the demo says, up to some words."""
    assert process.stdout is not None
    said, until = b"", time.monotonic() + _PATIENCE
    while words.encode() not in said:
        ready, _, _ = select.select([process.stdout], [], [], max(until - time.monotonic(), 0))
        piece = os.read(process.stdout.fileno(), 65536) if ready else b""
        assert piece, f"The demo did not say {words!r}, but:\n{said.decode()}"
        said += piece
    return said.decode()


def _descendants(pid: int) -> set[int]:
    """Every process below one, whatever its session."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    grew = True
    while grew:
        below = {child for child, parent in parents.items() if parent == pid or parent in found}
        grew = below != found
        found = below
    return found


def _running(pids: set[int]) -> set[int]:
    alive = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in ("Z", "X"):
            alive.add(pid)
    return alive


def _gone(pids: set[int]) -> bool:
    """Whether they end; the kernel may need a moment after their signal."""
    until = time.monotonic() + 120
    while _running(pids) and time.monotonic() < until:
        select.select([], [], [], 0.02)
    return not _running(pids)


@pytest.mark.parametrize(
    ("request_", "moment"),
    [
        (signal.SIGINT, "Act 2"),
        (signal.SIGTERM, "Act 3"),
        (signal.SIGHUP, "takes a minute or two"),
        (signal.SIGINT, "every file has the same bytes"),
    ],
)
def test_an_interrupted_demo_leaves_no_process_and_says_where_things_are(
    tmp_path: Path, request_: signal.Signals, moment: str
) -> None:
    out = tmp_path / "out"
    with _demo(out) as process:
        _read_until(process, moment)
        started = _descendants(process.pid)

        process.send_signal(request_)
        assert process.stdout is not None
        rest = process.stdout.read().decode()

        assert process.wait(_PATIENCE) == 130, rest
        assert started, "the chain ran as a process of its own"
        assert _gone(started)
        assert "Interrupted" in rest
        assert str(out) in "".join(rest.split("\n")).replace(" ", "")
        assert "Traceback" not in rest
        assert (out / "facts.json").is_file()


def test_the_last_words_come_through_whatever_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted_while_it_prints(_: object, narrator: Narrator, *__: object, keep: bool) -> None:
        narrator._console.begin_capture()
        raise KeyboardInterrupt

    monkeypatch.setattr(story, "_play", interrupted_while_it_prints)
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        story.tell(tmp_path / "out", RECIPE, Decimal(8), stream)
    assert "Interrupted. The chain" in stream.getvalue()
