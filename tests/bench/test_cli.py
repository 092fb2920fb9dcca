"""The start of the command line is measured beside an empty program; how fast this machine is, is no test."""

from __future__ import annotations

import pytest

from bench import cli
from llamafund_chain.errors import LlamafundError


def test_help_and_node_commands_are_held_against_references_of_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "TURNS", 1)
    rows = {row.name: row for row in cli.run()}
    assert list(rows) == ["--help", "wallet list", *cli._NODE_COMMANDS]
    assert rows["--help"].bound == 2 * rows["--help"].reference.value
    for name in cli._NODE_COMMANDS:
        assert rows[name].bound == 1.5 * rows[name].reference.value
        assert rows[name].reference.name == "importing web3 alone"
    assert all(row.value > 0 for row in rows.values())


def test_a_program_that_does_not_end_as_it_should_is_not_measured() -> None:
    with pytest.raises(LlamafundError, match="ended with 3 instead of 0"):
        cli._seconds(("-c", "raise SystemExit(3)"), 0, {})
