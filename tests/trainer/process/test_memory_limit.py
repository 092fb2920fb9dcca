"""Limits for opening a stranger's files: they hold as long as they must, and no longer."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from llamafund_chain.files import machine_trouble

LIMITS = """\
import resource
from llamafund_trainer.process.messages import Bounds
from llamafund_trainer.process.memory_limit import keep_within, within
def limits(kind):
    print(*resource.getrlimit(kind))
"""


def limited(program: str) -> list[str]:
    """What a program prints that sets its own limits."""
    done = subprocess.run([sys.executable, "-c", LIMITS + program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process takes as this needs it")
def test_limits_of_the_system_that_are_lower_than_ours_stay() -> None:
    """A batch system sets them, and nobody may raise them again."""
    program = """\
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (600, 900))
keep_within(Bounds(memory=8 << 30, seconds=1800))
limits(resource.RLIMIT_DATA)
limits(resource.RLIMIT_CPU)
"""
    assert limited(program) == [f"{2 << 30} {2 << 30}", "900 900"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process takes as this needs it")
def test_limits_hold_while_a_strangers_files_are_opened_and_no_longer() -> None:
    program = """\
kinds = (resource.RLIMIT_DATA, resource.RLIMIT_CPU)
resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 8 << 30))
before = [resource.getrlimit(kind) for kind in kinds]
held = bytearray(1 << 28)
with within(Bounds(memory=1 << 28, seconds=60)):
    print(60 < resource.getrlimit(resource.RLIMIT_CPU)[0] < 120)
    print(len(bytearray(1 << 27)) == 1 << 27)
    try:
        bytearray(1 << 29)
    except MemoryError:
        print("too much")
print(len(bytearray(1 << 29)) == 1 << 29)
print([resource.getrlimit(kind) for kind in kinds] == before)
with within(None):
    print([resource.getrlimit(kind) for kind in kinds] == before)
"""
    assert limited(program) == ["True", "True", "too much", "True", "True", "True"]


def test_too_little_memory_is_told_from_a_file_that_only_speaks_of_it() -> None:
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(1 << 60, dtype=torch.uint8)
    wrapped = OSError("transformers cannot load it")
    wrapped.__cause__ = MemoryError()
    for error in (MemoryError(), SystemError("error return without exception set"), torchs.value, wrapped):
        assert machine_trouble(error, "Reading it") is not None
    named = RuntimeError('Error(s) in loading state_dict: unexpected key "DefaultCPUAllocator: out of memory"')
    for error in (named, ValueError("memory")):
        assert machine_trouble(error, "Reading it") is None
