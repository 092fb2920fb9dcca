"""`trainer_state.json`, without what differs between two runs of the same training."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

STATE = "trainer_state.json"

_MEASURED = re.compile(r"runtime|per_second|_mem_|(^|[_/])time$")
"""Logged values that say how long something took, or how much memory."""


def clean_state(path: Path) -> None:
    """Leave times, and the place of the best checkpoint, out of the file. A checkpoint without it stays as it is."""
    if not path.exists():
        return
    state = json.loads(path.read_text(encoding="utf-8"))
    before = json.dumps(state)
    state["log_history"] = [
        {name: value for name, value in entry.items() if _MEASURED.search(name) is None}
        for entry in state.get("log_history") or []
    ]
    if state.get("best_model_checkpoint"):
        state["best_model_checkpoint"] = Path(state["best_model_checkpoint"]).name
    if json.dumps(state) != before:
        # As `transformers` writes it.
        path.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def place_best(state: Any, output: Path) -> None:
    """Let a Trainer that continues find its best checkpoint again.

    Args:
        state: The Trainer's state, as `clean_state` left it.
        output: The Trainer's output directory.
    """
    best = state.best_model_checkpoint
    if best is not None and Path(best).name == best:
        state.best_model_checkpoint = str(output / best)
