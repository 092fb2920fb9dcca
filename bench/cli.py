"""How long the command line takes to begin: help against an empty click program, node commands against web3.py.

Measured is the processor's time of whole processes, which is what a person waits for on an idle machine. Programs take
turns, and the best turn of each counts: whatever else runs on the machine only ever adds to it.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.harness import Reference, Row
from llamafund_chain.errors import LlamafundError

TURNS = 8
HELP_BOUND = 2.0
"""Times an empty click program."""
NODE_BOUND = 1.5
"""Times importing web3.py alone."""

_EMPTY = """import click
@click.group()
def cli(): pass
@cli.command()
def nothing(): pass
cli()
"""
_CAMPAIGN = "0x" + "11" * 20
_NODE_COMMANDS = {
    "campaign list": ("campaign", "list"),
    "campaign show": ("campaign", "show", _CAMPAIGN),
    "verify-deployment": ("verify-deployment", _CAMPAIGN),
    "refund": ("refund", _CAMPAIGN, "--signer", "print", "--from", _CAMPAIGN),
    "pledge": ("pledge", _CAMPAIGN, "1", "--signer", "print", "--from", _CAMPAIGN),
}
"""Each up to the moment at which its node does not answer."""


def run() -> Iterator[Row]:
    """Start each program in turn.

    Raises:
        LlamafundError: One of them did not end as it should.
    """
    llamafund = ("-m", "llamafund_chain")
    with tempfile.TemporaryDirectory(prefix="llamafund-bench-") as folder, socket.socket() as nobody:
        # Bound but not listening: every connection is refused at once.
        nobody.bind(("127.0.0.1", 0))
        node = ("--rpc", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        empty = Path(folder) / "empty.py"
        empty.write_text(_EMPTY)
        programs = {
            "an empty click program": ((str(empty), "--help"), 0),
            "importing web3 alone": (("-c", "import web3"), 0),
            "--help": ((*llamafund, "--help"), 0),
            "wallet list": ((*llamafund, "wallet", "list"), 0),
            **{name: ((*llamafund, *words, *node), 4) for name, words in _NODE_COMMANDS.items()},
        }
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        best = dict.fromkeys(programs, float("inf"))
        for _ in range(TURNS):
            for name, (arguments, code) in programs.items():
                best[name] = min(best[name], _seconds(arguments, code, environment))
    click, web3 = (Reference(name, best[name]) for name in ("an empty click program", "importing web3 alone"))
    yield Row("--help", best["--help"], "s", click, HELP_BOUND * click.value)
    yield Row("wallet list", best["wallet list"], "s", click)
    for name in _NODE_COMMANDS:
        yield Row(name, best[name], "s", web3, NODE_BOUND * web3.value)


def _seconds(arguments: tuple[str, ...], code: int, environment: Mapping[str, str]) -> float:
    """Seconds of the processor that a Python process takes."""
    silence = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    process = os.posix_spawn(sys.executable, [sys.executable, *arguments], environment, file_actions=silence)
    _, status, used = os.wait4(process, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != code:
        raise LlamafundError(f"python {' '.join(arguments)} ended with {ended} instead of {code}")
    return used.ru_utime + used.ru_stime
