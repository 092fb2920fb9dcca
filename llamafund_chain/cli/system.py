"""What this system cannot do that Linux can, told where it matters."""

from __future__ import annotations

import platform
import sys

from llamafund_chain.cli.output import note

LINUX = sys.platform.startswith("linux")

UNBOUNDED = "nothing limits the memory and the processor time that a stranger's model takes when it is opened"
LEFT_RUNNING = "if this is killed, and not ended with Ctrl-C, the processes that it started may go on"


def missing() -> tuple[str, ...]:
    """What is not there, as parts of a sentence; nothing on Linux."""
    return () if LINUX else (UNBOUNDED, LEFT_RUNNING)


def warn(what: str) -> None:
    """Tell about one of these before a command for which it matters, if it is missing here."""
    if what in missing():
        note(f"Note: on {platform.system()} {what}.")
