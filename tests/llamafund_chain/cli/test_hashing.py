"""How far hashing is: shown on a terminal only, only after a while, and never on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from llamafund_chain.cli.hashing import HashingProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("llamafund_chain.cli.hashing.time.monotonic", lambda: now[0])
    return now


def show(clock: list[float], seconds: float) -> None:
    with HashingProgress("Hashing \x1b[31m[bold]data") as shown:
        shown.total(8 * 2**30)
        for _ in range(4):
            clock[0] += seconds / 4
            shown.advance(2**30)


def test_a_long_pass_shows_amount_throughput_and_time_left(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    show(clock, 8)
    shown = terminal.getvalue()
    assert "Hashing \\u{1b}[31m[bold]data" in shown
    assert "/8.0 GiB" in shown
    assert capsys.readouterr().out == ""


def test_a_short_pass_shows_nothing(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show(clock, 0.5)
    assert terminal.getvalue() == ""


def test_without_a_terminal_nothing_is_shown(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    show(clock, 8)
    assert stream.getvalue() == ""
