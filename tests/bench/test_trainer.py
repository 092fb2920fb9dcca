"""The benchmarks around training compare within one run; how fast this machine is now is no test."""

from __future__ import annotations

import resource
from itertools import permutations
from typing import Any

import pytest

from bench import tolerance, trainer
from llamafund_trainer.replay.tolerance import CALIBRATION_FACTOR

INSTRUCTION_SETS = ("generic", "avx2", "avx512")
SMALL: dict[str, Any] = {
    "model": {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate_size": 64},
    "tokenizer": {"vocab_size": 300},
    "data": {"context_length": 32},
    "schedule": {"kind": "cosine", "warmup_steps": 1},
}


def test_what_training_costs_is_a_ratio_to_the_same_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {"steps": 6, "batch_size": 4, "checkpoint_every": 3, "log_every": 3}
    monkeypatch.setattr(trainer, "RECIPE", {**trainer.RECIPE, **SMALL, "training": steps})
    monkeypatch.setattr(trainer, "ROUNDS", 1)
    monkeypatch.setattr(trainer, "STEPS", 2)
    monkeypatch.setattr(trainer, "PACES", 1)
    monkeypatch.setattr(trainer, "TOKENS", 1024)
    rows = {row.name: row for row in trainer.run()}
    assert list(rows) == [
        "hash of all samples of a table",
        "attested training, a checkpoint every 100 steps",
        "deterministic mode",
        "replay",
        "training after resuming",
        "a run of 6 steps, stopped once and resumed",
    ]
    for row in rows.values():
        assert row.value > 0, row
        assert row.reference is not None, row
        assert row.reference.value > 0, row
    bounds = {
        "hash of all samples of a table": 2.0,
        "attested training, a checkpoint every 100 steps": 1.02,
        "replay": 1.10,
        "training after resuming": 1.10,
    }
    for name, ratio in bounds.items():
        assert rows[name].bound == pytest.approx(ratio * rows[name].reference.value)
    assert {name for name, row in rows.items() if row.bound is not None} == bounds.keys()


def test_samples_are_timed_in_a_process_whose_time_was_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (1_000_000, before[1]))
    resource.setrlimit(resource.RLIMIT_CPU, before)
    monkeypatch.setattr(trainer, "TOKENS", 1024)
    (row,) = trainer._samples()
    assert row.reference is not None
    assert row.value > row.reference.value > 0


def test_a_tolerance_is_measured_for_weights_and_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {"steps": 4, "batch_size": 4, "checkpoint_every": 4, "log_every": 4}
    monkeypatch.setattr(tolerance, "RUNS", {"short": {**tolerance.BASE, **SMALL, "training": steps}})
    rows = {row.name.removeprefix("short: 0 to 4, "): row for row in tolerance.run()}
    ways = dict.fromkeys(name.split()[1].strip(",") for name in rows if name.startswith("recorded "))
    assert tuple(ways) == INSTRUCTION_SETS[: len(ways)]
    pairs = [f"recorded {one}, repeated {other}" for one, other in permutations(ways, 2)]
    assert list(rows) == [*pairs, *(f"the optimizer's, {pair}" for pair in pairs), "1 and 2 threads"]
    assert rows["1 and 2 threads"].value == rows["1 and 2 threads"].bound == 0
    for prefix in ("", "the optimizer's, "):
        found = {pair: rows[prefix + pair] for pair in pairs}
        assert any(row.value > 0 for row in found.values()), "they all gave the same, so that nothing was measured"
        bound = found["recorded generic, repeated avx2"].bound
        if len(ways) == 3:
            # What an auditor finds who has all sets but the recorded one.
            assert bound / CALIBRATION_FACTOR == pytest.approx(found["recorded avx2, repeated avx512"].value, rel=0.05)
        else:
            assert bound is None
