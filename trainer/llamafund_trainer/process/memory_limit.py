"""Giving up rather than taking all memory and time for a stranger's files, where the system can see to it."""

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
"""Seconds from the limit that can be told from other ends to the one that cannot be caught."""


def keep_within(bounds: Bounds) -> None:
    """Keep to the bounds until the process ends."""
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, bounds.memory, bounds.memory)
        _lower(resource.RLIMIT_CPU, bounds.seconds, bounds.seconds + _GRACE)


@contextmanager
def within(bounds: Bounds | None) -> Iterator[None]:
    """Keep to the bounds for a while, on top of what the process has taken before; the work after it has none."""
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
            # Only what stays below this one can be raised again.
            _lower(kind, wanted[kind], hard)
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


def _data() -> int:
    """Bytes that count for the limit already."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, but neither part above what the process may have: nobody but the system may raise that."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
