"""What a plain installation, without the packages of the extra `trainer`, can still do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llamafund_trainer.checks import CHECKS
from llamafund_trainer.cli import SHORT_HELPS

PROGRAM = """
import sys
for name in ("accelerate", "lightning", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl"):
    sys.modules[name] = None  # Importing it fails.
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM + program], capture_output=True, text=True)


@pytest.mark.parametrize("command", sorted(SHORT_HELPS))
def test_the_help_of_a_command_needs_no_numeric_library(command: str) -> None:
    done = run(f"from llamafund_chain.cli.main import run; sys.exit(run(['{command}', '--help']))")
    assert done.returncode == 0, done.stderr
    assert f"llamafund {command}" in done.stdout
    assert "Not available" not in done.stdout


def test_the_checks_are_listed_without_any_numeric_library() -> None:
    done = run("from llamafund_trainer.checks import CHECKS; print(len(CHECKS))")
    assert done.stdout == f"{len(CHECKS)}\n", done.stderr


@pytest.mark.parametrize("command", ["compare-weights", "evaluate", "replay"])
def test_a_command_that_asks_no_chain_imports_none_of_its_libraries(command: str) -> None:
    done = run(
        f"from llamafund_chain.cli.main import run; run(['{command}', '--help']); "
        "print([name for name in ('eth_account', 'eth_utils', 'web3') if name in sys.modules])"
    )
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr
