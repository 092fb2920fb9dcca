"""Any calls by anybody in any order under brownie, against the auditor's ledger: see `TEST`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

from assurance.harness import ROOT, Result
from assurance.tools import broken

TEST = "tests/contracts/test_state_machine.py"
PROPERTIES = (
    "Promise 1: the escrow holds what it owes",
    "Promise 2: every unit is accounted for",
    "Promise 3: nothing reaches a payee up front",
    "Any order of taking everything out pays the same, and leaves less than a unit a backer",
    "Every call is accepted, or refused with the error that the model names",
    "The events alone give the auditor the same ledger",
)
_TALLY = re.compile(r"(?P<examples>\d+) examples, (?P<steps>\d+) steps, (?P<calls>\d+) calls: ")
_SEED = re.compile(r"^LLAMAFUND_SEED=\d+$", re.MULTILINE)


def run(short: bool) -> Iterator[Result]:
    """Run the state machine: 50 examples of a fixed seed in about half a minute, or 500 of a fresh one in ten.

    Raises:
        BrokenToolError: The test ended without saying what it did.
    """
    environment = {name: value for name, value in os.environ.items() if name != "LLAMAFUND_ASSURE"}
    if not short:
        environment["LLAMAFUND_ASSURE"] = "1"
    # `make setup` gives brownie an environment of its own where it does not run on the project's Python.
    apart = ROOT / ".venv" / "contracts" / "bin" / "python"
    python = str(apart) if apart.exists() else sys.executable
    ended = subprocess.run(
        [python, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", TEST],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    tally, seed = _TALLY.search(ended.stdout), _SEED.search(ended.stdout)
    if tally is None or seed is None or ended.returncode not in (0, 1):
        raise broken("the state machine ended without a tally", ended)
    holds = ended.returncode == 0
    # One failure ends the run, and its text says which property it was.
    detail = "" if holds else f"{seed[0]}\n{ended.stdout[-4000:]}"
    for number, name in enumerate(PROPERTIES):
        yield Result(name, int(tally["calls"]), "calls", holds, detail if number == 0 else "")
