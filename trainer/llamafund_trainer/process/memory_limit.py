"""Limits on memory and processor time for opening a stranger's files, on systems that can enforce them."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_trainer.process.messages import Bounds

_GRACE = 10
"""Seconds between the soft limit, whose signal we recognise, and the hard limit, which kills the process."""


def keep_within(bounds: Bounds) -> None:
    """Limit the process until it ends."""
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, bounds.memory, bounds.memory)
        _lower(resource.RLIMIT_CPU, bounds.seconds, bounds.seconds + _GRACE)


@contextmanager
def within(bounds: Bounds | None) -> Iterator[None]:
    """Limit the process for a while, beyond what it already uses. Afterwards it has no limits."""
    if bounds is None or sys.platform != "linux":
        yield
        return
    wanted = {
        resource.RLIMIT_DATA: _data() + bounds.memory,
        resource.RLIMIT_CPU: math.ceil(time.process_time()) + bounds.seconds,
    }
    before = {kind: resource.getrlimit(kind) for kind in wanted}
    try:
        for kind, (_, hard) in before.items():
            # The hard limit stays: once lowered, it cannot be raised again.
            _lower(kind, wanted[kind], hard)
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


def _data() -> int:
    """Bytes that already count for the limit."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, with both parts at most the current hard limit, which a process cannot raise."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
