"""How long requests may wait, all together, for servers that ask for time or break off."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

WAIT_SECONDS = 120.0
"""How long one command waits for servers in all, unless it says otherwise."""

_FIRST_SECONDS = 1.0
_MOST_ATTEMPTS = 5
"""Of one request to a server that does not say how long to wait: 15 seconds of waiting in all."""

pause = time.sleep
"""Waits the given number of seconds; replaced in tests."""


class Patience:
    """A budget of seconds to wait between attempts. Several servers and threads may share one.

    Args:
        seconds: The budget.
        report: Called before each wait, with what is waited for and what is left.
    """

    def __init__(self, seconds: float = WAIT_SECONDS, report: Callable[[str], None] | None = None) -> None:
        self._left = seconds
        self._report = report
        self._lock = threading.Lock()
        self._withheld = 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._left

    @contextlib.contextmanager
    def withheld(self) -> Iterator[None]:
        """Wait for nobody in this block, because somebody else may help at once."""
        with self._lock:
            self._withheld += 1
        try:
            yield
        finally:
            with self._lock:
                self._withheld -= 1

    def wait(self, reason: str, attempt: int, asked: float | None = None) -> bool:
        """Wait before another attempt.

        Args:
            reason: What happened, for the report.
            attempt: Number of attempts so far, from 1; each waits twice as long as the one before.
            asked: Seconds that the server asked for (`Retry-After`); `None` if it did not say.

        Returns:
            Whether to try again. Not if the budget has not so much left; then nothing was waited for.
        """
        seconds = _FIRST_SECONDS * 2 ** (attempt - 1) if asked is None else max(asked, _FIRST_SECONDS)
        with self._lock:
            if self._withheld or seconds > self._left or (asked is None and attempt >= _MOST_ATTEMPTS):
                return False
            self._left -= seconds
            left = self._left
        if self._report is not None:
            self._report(f"{reason}. Trying again in {seconds:.0f} s; this command waits {left:.0f} s more at most")
        pause(seconds)
        return True
