"""Giving up rather than taking all memory and time for a stranger's files, where the system can see to it."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamafund_trainer.jobs import Bounds

_GRACE = 10
"""Seconds from the limit that can be told from other ends to the one that cannot be caught."""


def keep_within(bounds: Bounds) -> None:
    """Keep to the bounds until the process ends."""
    if sys.platform == "linux":
        _lower(resource.RLIMIT_DATA, bounds.memory, bounds.memory)
        _lower(resource.RLIMIT_CPU, bounds.seconds, bounds.seconds + _GRACE)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, but neither part above what the process may have: nobody but the system may raise that."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
