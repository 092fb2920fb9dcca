"""What a replay will take, said before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode
from llamafund_trainer.replay.estimate import planned_effort, timed_effort
from llamafund_trainer.replay.segments import (
    STATE_FILES,
    segments_of,
)
from llamafund_trainer.runs.inputs import fetch_inputs
from llamafund_trainer.tensors.initial_weights import parameter_count


def test_a_dry_run_says_what_it_takes_and_trains_nothing(
    lab: object, llamafund: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("llamafund_trainer.replay.segments.run_job", refuse)
    ran = llamafund(
        "replay", lab.run[-1].sha256, "--segments", 2, "--entropy", "00", "--dry-run", "--store", lab.store.location,
        "--json",
    )  # fmt: skip
    assert ran.code == ExitCode.OK, ran.stderr
    assert "To repeat: 20 of 40 steps (50% of the compute): 5120 tokens" in ran.stderr
    assert (ran.json["verdict"], ran.json["segments"]) == (None, [])
    assert ran.json["detection_formula"] == "1 - (1 - f)^s"
    random = ran.json["random_segments"]
    assert ran.json["detection"]["0.1"] == pytest.approx(1 - 0.9**random, abs=1e-6)
    assert len(ran.json["picked"]) == 2


def test_larger_work_is_timed_on_this_machine_before_it_starts(
    lab: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamafund_trainer.replay.estimate.SMALL_WORK", 0)
    segments = segments_of(lab.run)
    inputs = fetch_inputs(lab.store, lab.run[-1], tmp_path)
    planned = planned_effort(inputs, segments, segments[1:3])
    assert planned.operations == 6 * parameter_count(inputs.recipe) * 20 * 8 * 32
    assert planned.fetched == sum(lab.run[index].entry(name).size for index in (1, 2) for name in STATE_FILES)
    assert planned.seconds is None
    timed = timed_effort(lab.store, inputs, segments[1], planned, tmp_path)
    assert timed.seconds is not None
    assert 0 < timed.seconds < 120
    assert "judging by a few of these steps" in timed.describe()
