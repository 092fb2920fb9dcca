"""The README's campaign is lived through by its own lines: word for word, in order, with a person who says yes."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import snippets

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STORY = README[README.index(snippets.STORY[0]) : README.index(snippets.STORY[1])]
PATIENCE = 1800.0
"""Seconds after which something hangs. The lines take two minutes on two cores that have nothing else to do."""


BEFORE = {
    "backer": (
        "FIRST=$CAMPAIGN\n"
        "CAMPAIGN=$(llamafund campaign create campaign.yaml --wallet rosa | awk '/^campaign/ {print $2}')\n"
    ),
    "researcher": "llamafund pledge $CAMPAIGN 1 --wallet alice\nllamafund campaign activate $CAMPAIGN --wallet rosa\n",
    "attestor": "",
    "auditor": "CAMPAIGN=$FIRST\n",
}
"""What brings the campaign to where a page begins: open for pledges, active, the same, and over."""


def blocks() -> list[str]:
    """The console blocks of the README's campaign as a person would type them, without the prompts."""
    return ["".join(block.lines) for block in snippets.story() if block.language == "console"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A new user's: nothing set, nothing in the home directory, only our program on the path."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "llamafund"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m llamafund_chain "$@"\n')
    program.chmod(0o755)
    passed_on = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    path = os.pathsep.join((str(tmp_path / "bin"), os.environ["PATH"]))
    return {**passed_on, "PATH": path, "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}


@pytest.fixture
def exports(tmp_path: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """The lines that the README's first block prints for another terminal, while its chain runs."""
    (line,) = blocks()[0].splitlines()
    # Any port: that of the README may be taken on this machine.
    other = subprocess.Popen(
        ["bash", "-c", f"exec {line} --port 0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert other.stdout is not None
    try:
        printed: list[str] = []
        while len(printed) < 4:
            said = other.stdout.readline()
            assert said, "the chain did not start"
            printed += [said] if said.startswith("export ") else []
        yield printed
    finally:
        os.killpg(other.pid, signal.SIGINT)
        other.communicate(timeout=60)
    assert other.returncode == 0


def live(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run lines in one shell, for somebody at a terminal who answers each question with yes.

    Returns:
        The exit code, and everything that was shown.
    """
    keyboard, terminal = pty.openpty()
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    os.write(keyboard, b"y\n" * 200)
    shown = folder / "shown.txt"
    try:
        with shown.open("wb") as output:
            shell = subprocess.Popen(
                ["bash", "-c", script],
                cwd=folder,
                env=environment,
                stdin=terminal,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = shell.wait(PATIENCE)
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
                    shell.wait()
    finally:
        os.close(terminal)
        os.close(keyboard)
    return code, shown.read_text(encoding="utf-8")


def test_the_lines_of_the_readme_and_of_each_how_to_work_in_order_as_they_stand(
    tmp_path: Path, environment: dict[str, str], exports: list[str]
) -> None:
    # Whatever fails ends the story, also in front of a pipe; and each line is shown before its result.
    begin = "set -euo pipefail\nset -v\n"
    how_to = [BEFORE[page] + "".join(snippets.how_to(page)) for page in snippets.HOW_TO]
    started = time.monotonic()
    code, shown = live(begin + "".join((*exports, *blocks()[1:], *how_to)), tmp_path, environment)
    assert code == 0, f"after {time.monotonic() - started:.0f} s:\n{shown[-6000:]}"
    assert "Traceback" not in shown
    folder = tmp_path / "my-llama"
    assert (folder / "audit.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert (folder / "weights" / "model.safetensors").is_file()
    missing = [line.pattern for line in snippets.promised_output() if not line.search(shown)]
    assert missing == [], "docs/tutorial.md says that these lines are printed"
    report = json.loads((folder / "audit.json").read_text(encoding="utf-8"))["report"]
    reported = {re.sub(r"\d+", "N", check["name"]) for check in report["checks"]}
    reference = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
    rules = (ROOT / "docs" / "risk-rules.md").read_text(encoding="utf-8")
    unknown = {name for name in reported if f"| `{name}` |" not in reference and f"### `{name}`" not in rules}
    assert unknown == set(), "an audit reports checks that the reference does not list"


def test_the_story_has_every_part_and_every_person() -> None:
    told = "".join(blocks())
    for name in ("rosa", "alice", "tara", "vera"):
        assert f"--wallet {name}" in told
    assert "Audrey audits" in STORY
    # A Mac's shell takes a comment for arguments.
    assert "#" not in told
    # Both signatures of all three milestones, and the waits.
    assert told.count("llamafund submit $CAMPAIGN") == 3
    assert told.count("llamafund attest $CAMPAIGN") == 4
    assert told.count("llamafund devnet advance 3d") == 3
    for name in ("CAMPAIGN", "DATASET", "CHECKPOINT", "SECOND"):
        assert re.search(rf"^{name}=\$\(llamafund ", told, re.MULTILINE), name
        assert told.index(f"{name}=$(") < told.index(f"${name}")


def test_the_first_screen_opens_with_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert "$ make demo" in first_screen
    assert "$ make test" in first_screen
