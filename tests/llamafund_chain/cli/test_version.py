"""`--version`, `--quiet`, colours, and the groups of `--help`."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from llamafund_chain.cli import main, output
from llamafund_chain.cli import version as told
from llamafund_chain.cli.plug_ins import plug_ins
from llamafund_chain.cli.table import COMMANDS, OTHERS, ROLES, by_role


def test_the_version_has_what_a_report_of_a_bug_needs_and_no_path(llamafund) -> None:
    ran = llamafund("--version")
    assert ran.code == 0
    first, second, third, *_ = ran.stdout.splitlines()
    assert re.fullmatch(r"llamafund \d+\.\d+\.\d+\S*( \(commit [0-9a-f]{7,40}(-dirty)?\))?", first)
    assert f"Python {sys.version.split()[0]} on " in second
    assert f"web3 {version('web3')}" in third
    assert f"eth-account {version('eth-account')}" in third
    assert "/" not in ran.stdout
    assert Path.home().name not in ran.stdout.split()


def test_a_commit_that_nobody_knows_is_left_out(llamafund, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert "commit" not in llamafund("--version").stdout


@pytest.mark.parametrize(
    ("noted", "commit"),
    [
        (json.dumps({"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}}), "ab" * 6),
        (json.dumps({"url": "file:///home/ada/llamafund", "dir_info": {}}), ""),
        ("[]", ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_the_commit_of_an_installation_is_what_pip_noted(monkeypatch, noted: str | None, commit: str) -> None:
    class Installed:
        def read_text(self, _: str) -> str | None:
            return noted

    monkeypatch.setattr(told, "distribution", lambda _: Installed())
    assert told._installed_from() == commit


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    """Standard error meanwhile."""
    found = Terminal()
    with contextlib.redirect_stderr(found):
        yield found


def test_progress_is_dim_on_a_terminal_unless_colours_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as shown:
        output.progress("working")
    assert shown.getvalue() == "\x1b[2mworking\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as shown:
        output.progress("working")
    assert shown.getvalue() == "working\n"


def test_quiet_shows_no_progress_but_every_remark() -> None:
    with terminal() as shown, main.cli.make_context("llamafund", ["-q", "wallet", "list"]):
        assert not output.shows_progress()
        output.progress("working")
        output.note("transaction 0xab")
    assert shown.getvalue() == "transaction 0xab\n"
    with terminal(), main.cli.make_context("llamafund", ["wallet", "list"]):
        assert output.shows_progress()


def test_every_command_of_ours_has_one_role_in_the_help() -> None:
    listed = [name for names in ROLES.values() for name in names]
    assert len(listed) == len(set(listed))
    ours = {name for name, found in plug_ins().items() if found.module.startswith("llamafund_")}
    assert {*COMMANDS, *ours} <= set(listed)


def test_help_shows_roles_in_order_and_commands_of_others_last(llamafund, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = llamafund("--help").stdout
    places = [shown.index(f"{role}:") for role in by_role(main.cli.list_commands(click.Context(main.cli)))]
    assert places == sorted(places)
    assert len(places) >= 8
    assert by_role(["zebra", "pledge"]) == {"For backers": ["pledge"], OTHERS: ["zebra"]}
