"""The demo's promise is measured with the shipped text; how good a model of six steps is, is no test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import promise
from llamafund_chain.demo.story import PROMISED_BITS_PER_BYTE
from llamafund_chain.samples.project import PROMISED_BITS_PER_BYTE as START_PROMISE

RECIPE: dict[str, Any] = {
    "schema": "llamafund/recipe/1",
    "title": "For six steps",
    "model": {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 1, "intermediate_size": 64},
    "tokenizer": {"vocab_size": 300},
    "data": {"context_length": 64},
    "optimizer": {"learning_rate": 0.02},
    "schedule": {"kind": "cosine", "warmup_steps": 1},
    "training": {"steps": 6, "batch_size": 4, "checkpoint_every": 6, "log_every": 3},
    "determinism": {"threads": 1, "instruction_set": "avx2"},
}


def test_the_worst_of_many_seeds_is_held_against_the_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(set(promise.SEEDS)) == 60
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    for recipe in ("DEMO", "START"):
        assert getattr(promise, recipe).is_file()
        monkeypatch.setattr(promise, recipe, tmp_path / "recipe.yaml")
    monkeypatch.setattr(promise, "SEEDS", promise.SEEDS[:2])

    rows = {row.name: row for row in promise.run()}

    assert list(rows) == [
        f"{name}: {what} of 2 seeds" for name in ("demo", "init") for what in ("best", "mean", "worst")
    ]
    best, mean, worst = (rows[f"demo: {what} of 2 seeds"] for what in ("best", "mean", "worst"))
    assert 0 < best.value < mean.value < worst.value
    assert mean.value == pytest.approx((best.value + worst.value) / 2)
    assert worst.bound == float(PROMISED_BITS_PER_BYTE)
    start = rows["init: worst of 2 seeds"]
    assert start.reference is not None
    # A promise that counting letters keeps would bind nobody.
    assert start.bound == float(START_PROMISE) < start.reference.value
    assert 4 < start.reference.value < 5
