"""Two processes share each batch: manifests are written once, and any part repeats bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from llamafund_chain.errors import UsageError
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_inputs, walk_run
from llamafund_trainer.runs.run import RunRecord, train_run

NewRecord = Callable[..., RunRecord]


@pytest.fixture(scope="module")
def shared_recipe(recipe: RecipeFile) -> RecipeFile:
    """The lab's recipe on two processes."""
    raw = yaml.safe_load(recipe.data)
    raw["determinism"]["processes"] = 2
    return parse_recipe(yaml.safe_dump(raw).encode())


def test_a_batch_that_does_not_divide_is_refused(recipe: RecipeFile) -> None:
    raw = yaml.safe_load(recipe.data)
    raw["determinism"]["processes"] = 3
    with pytest.raises(UsageError, match=r"batch_size 4 is not a multiple of determinism\.processes 3"):
        parse_recipe(yaml.safe_dump(raw).encode())


def test_two_processes_leave_one_chain_that_repeats_bit_for_bit(
    lab: object, shared_recipe: RecipeFile, new_record: NewRecord, tmp_path: Path
) -> None:
    record = new_record(recipe=shared_recipe.sha256)
    run = train_run(lab.store, shared_recipe, record, tmp_path / "run")
    assert [link.steps.last for link in run] == [0, 10, 20, 30, 40]
    assert walk_run(lab.store, run[-1]) == run
    assert {link.environment["processes"] for link in run} == {"2"}
    names = {entry.path for entry in run[-1].files}
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= names
    assert not any(name.startswith("rng_state_") for name in names), "one state stands for all processes"
    # The same samples as one process, summed in another order: near, and not the same bytes.
    alone = lab.run[1]
    assert run[1].entry("model.safetensors").sha256 != alone.entry("model.safetensors").sha256
    assert run[1].metrics["train_loss"] == pytest.approx(alone.metrics["train_loss"], rel=1e-3)

    (tmp_path / "work").mkdir()
    inputs = fetch_inputs(lab.store, run[-1], tmp_path / "work")
    results = replay_segments(
        lab.store, inputs, [Pick(each, "asked for") for each in segments_of(run)[:2]], tmp_path / "work"
    )
    assert [result.verdict for result in results] == ["same", "same"]
    assert [result.settings for result in results] == [{}, {}]
