"""Somebody at a terminal."""

from __future__ import annotations

import sys

import pytest


class Keyboard:
    """A terminal on which somebody has typed ahead."""

    def __init__(self, typed: str) -> None:
        self._lines = typed.splitlines(keepends=True)

    def isatty(self) -> bool:
        return True

    def readline(self, *_: object) -> str:
        # What is typed shows on the terminal, the end of the line, too.
        line = self._lines.pop(0) if self._lines else ""
        sys.stderr.write(line)
        return line


@pytest.fixture
def answering(llamafund, stage, monkeypatch: pytest.MonkeyPatch):
    """Runs a command on the stage's chain for somebody who answers its question; `answering("y", "refund", …)`."""

    def run(answer: str, *words: object, wallet: str):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Keyboard(f"{answer}\n"))
            return llamafund(*words, "--rpc", stage.devnet.rpc_url, wallet=wallet)

    return run
