"""Whether this machine has a sandbox."""

from __future__ import annotations

import pytest

from llamafund_trainer.process.sandbox import find_walls


def missing_sandbox() -> str:
    """Why no sandbox can be built here; empty if one can."""
    return find_walls()[1]


def require_sandbox() -> None:
    """Skip a test where no sandbox can be built."""
    if missing_sandbox():
        pytest.skip(f"there is no sandbox here: {missing_sandbox()}")
