"""Checks of a run: where it started, how it went, and whether it repeats."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from findings import MakeContext, only

from llamafund_chain.campaign.terms import NO_MINIMUM, Milestone, MilestoneKind
from llamafund_chain.checks.run import run_checks
from llamafund_chain.evidence.manifests import StepRange
from llamafund_trainer.checks import CHECKS
from llamafund_trainer.checks.run import (
    environment_recorded,
    initial_weights_from_seed,
    pinned_record,
    recorded_settings,
    replay,
    steps_follow_recipe,
)
from llamafund_trainer.checks.weights import metric_re_evaluated
from llamafund_trainer.record.environment import recorded_environment


def test_no_replay_is_said_and_not_passed_over(lab: object, context: MakeContext) -> None:
    assert only(replay(context(lab.run[-1]))).status == "unchecked"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("moon", "full", "records no such setting"),
        ("gpu", "NVIDIA H100", "records no such setting"),
        ("peft", "0.1", "records no such setting"),
        ("samples", "00", "records no such setting"),
        ("device", "cuda", "the recipe pins 'cpu'"),
        ("attention", "sdpa", "the recipe pins 'eager'"),
    ],
)
def test_fraud_an_environment_that_the_trainer_cannot_record(
    lab: object, context: MakeContext, tmp_path: Path, key: str, value: str, words: str
) -> None:
    forged = lab.forge(lab.run[-1], tmp_path, environment={**lab.run[-1].environment, key: value})
    result = only(environment_recorded(context(forged)))
    assert result.status == "fail"
    assert f"{key!r} {value!r}" in result.detail or f"{key} {value!r}" in result.detail
    assert words in result.detail


def test_what_a_gpu_is_recorded_with_is_known(lab: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name, value in {"get_device_name": "a GPU", "get_device_capability": (9, 0), "device_count": 2}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    # The Trainer sets it in either case.
    monkeypatch.setenv("FLASH_ATTENTION_DETERMINISTIC", "1")
    on_cpu = lab.recipe.recipe
    on_gpu = on_cpu.model_copy(update={"determinism": on_cpu.determinism.model_copy(update={"device": "cuda"})})
    recorded = (recorded_environment(recipe).keys() for recipe in (on_gpu, on_cpu))
    known = (recorded_settings(recipe) for recipe in (on_gpu, on_cpu))
    assert frozenset.difference(*map(frozenset, recorded)) == frozenset.difference(*known)
    assert recorded_environment(on_gpu)["gpus"] == "2"
    assert (pinned_record(on_gpu)["gpus"], "gpus" in pinned_record(on_cpu)) == ("1", False)


def test_fraud_a_run_that_starts_from_trained_weights(lab: object, context: MakeContext, tmp_path: Path) -> None:
    head_start = lab.forge(lab.run[0], tmp_path, {"model.safetensors": lab.file(lab.other[-1], "model.safetensors")})
    chain = lab.relink([head_start, *lab.run[1:]], tmp_path)
    result = only(initial_weights_from_seed(context(chain[-1])))
    assert result.status == "fail"
    assert "did not start fresh" in result.detail


def test_fraud_a_recipe_for_a_model_without_end(
    lab: object, context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is drawn for it: the file shows that it holds another model."""
    recipe = lab.recipe.data.replace(b"hidden_size: 32, layers: 1,", b"hidden_size: 16777216, layers: 1024,")
    forged = lab.forge(lab.run[0], tmp_path, recipe=lab.store.put_bytes(recipe).sha256)
    monkeypatch.setattr("llamafund_trainer.tensors.initial_weights.drawn", lambda *_: pytest.fail("drawn"))
    result = only(initial_weights_from_seed(context(forged)))
    assert result.status == "fail"
    assert "model.embed_tokens.weight" in result.detail


def test_fraud_a_recipe_with_more_checkpoints_than_fit_into_memory(
    lab: object, context: MakeContext, tmp_path: Path
) -> None:
    steps = 1_000_000
    recipe = lab.recipe.data.replace(
        b"steps: 40, batch_size: 4, gradient_accumulation: 2, checkpoint_every: 10, log_every: 5",
        f"steps: {steps}, batch_size: 4, checkpoint_every: 1, log_every: 1".encode(),
    )
    named = {"recipe": lab.store.put_bytes(recipe).sha256}
    first = lab.forge(lab.run[0], tmp_path / "first", **named)
    end = StepRange(first=0, last=steps)
    last = lab.forge(lab.run[1], tmp_path / "last", parent=first.sha256, chain=(first.sha256,), steps=end, **named)
    tracemalloc.start()
    result = only(steps_follow_recipe(context(last)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.status == "fail"
    assert "There is no checkpoint after step 1; the recipe has one every 1 steps" in result.detail
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    "recipe",
    [
        b"schema: llamafund/recipe/1\ntitle: nothing else\n",
        b"schema: llamafund/recipe/1\ntitle: [\n",
        b"schema: llamafund/recipe/1\n" + b"# much\n" * 20_000,
    ],
    ids=["incomplete", "no YAML", "too long"],
)
def test_fraud_a_recipe_that_is_none(lab: object, context: MakeContext, tmp_path: Path, recipe: bytes) -> None:
    forged = lab.forge(lab.run[0], tmp_path, recipe=lab.store.put_bytes(recipe).sha256)
    results = run_checks(context(forged), (initial_weights_from_seed, steps_follow_recipe))
    assert [result.status for result in results] == ["fail", "fail"]
    assert forged.recipe in results[0].detail


@pytest.mark.parametrize("recipe", [b"import torch\n", b"rate: 3\n", b"", b"\xff", b"# much\n" * 20_000])
def test_a_recipe_of_another_kind_is_recorded_and_accuses_nobody(
    lab: object, context: MakeContext, tmp_path: Path, recipe: bytes
) -> None:
    forged = lab.forge(lab.run[0], tmp_path, recipe=lab.store.put_bytes(recipe).sha256)
    results = run_checks(context(forged, replay_segments=1), CHECKS)
    assert {result.status for result in results} <= {"pass", "warn", "unchecked"}
    told = {result.name for result in results if result.detail.startswith("Recorded, not replayable")}
    assert {"initial-weights-from-seed", "environment-recorded", "steps-follow-recipe", "replay"} <= told


def test_fraud_a_recipe_without_a_checkpoint_at_a_milestone(lab: object, context: MakeContext) -> None:
    milestone = Milestone(kind=MilestoneKind.CHECKPOINT, bps=2_500, deadline=20, min_score=NO_MINIMUM)
    terms = replace(context(lab.run[1]).terms, milestones=(milestone,) * 3)
    result = run_checks(context(lab.run[1], terms=terms, milestone=0, ancestry=()), (steps_follow_recipe,))[0]
    assert result.status == "fail"
    assert "With 3 CHECKPOINT milestones, one of them is after step 13" in result.detail


def test_fraud_a_recipe_for_longer_samples_than_the_data_has(lab: object, context: MakeContext, tmp_path: Path) -> None:
    recipe = lab.recipe.data.replace(b"context_length: 32", b"context_length: 131072")
    named = {"recipe": lab.store.put_bytes(recipe).sha256}
    first = lab.forge(lab.run[0], tmp_path / "first", **named)
    last = lab.forge(lab.run[1], tmp_path / "last", parent=first.sha256, chain=(first.sha256,), **named)
    results = run_checks(context(last, replay_segments=1), (replay, metric_re_evaluated))
    assert [result.status for result in results] == ["fail", "fail"]
    assert "One sample takes 131072" in results[0].detail


@pytest.mark.parametrize("what", ["text", "empty", "odd"])
def test_fraud_a_state_that_no_training_goes_on_from(
    lab: object, context: MakeContext, tmp_path: Path, what: str
) -> None:
    """Were it only unchecked, one such file would hide a forged segment from everybody."""
    import torch

    path = tmp_path / "rng_state.pth"
    if what == "text":
        path.write_bytes(b"text")
    else:
        torch.save({} if what == "empty" else {"python": "x", "numpy": [1], "cpu": torch.zeros(3)}, path)
    forged = lab.forge(lab.run[1], tmp_path / "forged", {"rng_state.pth": path.read_bytes()})
    chain = lab.relink([lab.run[0], forged, lab.run[2]], tmp_path)
    results = run_checks(context(chain[-1], replay_segments=2), (replay,))
    assert [result.status for result in results] == ["fail"]
    assert "Training cannot go on from the checkpoint's rng_state.pth" in results[0].detail


def test_fraud_an_old_run_with_the_campaigns_seed_written_over_its_own(
    lab: object, context: MakeContext, tmp_path: Path
) -> None:
    forged = [lab.forge(link, tmp_path / link.sha256, seed=lab.run[0].seed) for link in lab.other]
    chain = lab.relink(forged, tmp_path)
    made = context(chain[-1], replay_segments=1)
    assert only(initial_weights_from_seed(made)).status == "fail"
    order = only(replay(made))
    assert order.status == "fail"
    assert "data order seed" in order.detail


def test_fraud_a_segment_of_another_run(lab: object, context: MakeContext, tmp_path: Path) -> None:
    stranger = lab.forge(lab.other[2], tmp_path / "s", seed=lab.run[0].seed, data_order_seed=lab.run[0].data_order_seed)
    chain = lab.relink([*lab.run[:2], stranger, *lab.run[3:]], tmp_path)
    results = list(replay(context(chain[-1], replay_segments=4)))
    assert [result.status for result in results] == ["pass", "fail", "fail", "pass"]
    assert "model.safetensors after step 20" in results[1].detail


def test_the_processes_that_share_the_segments_are_as_many_as_asked_for(
    lab: object, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def repeat(*_: object, jobs: int) -> tuple[object, ...]:
        seen.append(jobs)
        return ()

    monkeypatch.setattr("llamafund_trainer.checks.run.repeat", repeat)
    assert list(replay(context(lab.run[-1], replay_segments=2, jobs=3))) == []
    assert seen == [3]


def test_each_milestone_is_due_after_its_own_step(lab: object, context: MakeContext) -> None:
    kinds = (MilestoneKind.DATASET, MilestoneKind.CHECKPOINT, MilestoneKind.CHECKPOINT, MilestoneKind.WEIGHTS)
    terms = replace(
        context(lab.run[-1]).terms,
        milestones=tuple(Milestone(kind=kind, bps=2_500, deadline=20, min_score=NO_MINIMUM) for kind in kinds),
    )
    found = {
        (link.steps.last, milestone): only(
            steps_follow_recipe(context(link, terms=terms, milestone=milestone, ancestry=()))
        ).status
        for link in lab.run[1:]
        for milestone in (1, 2)
    }
    assert {place for place, status in found.items() if status == "pass"} == {(20, 1), (40, 2)}
    assert only(steps_follow_recipe(context(lab.weights, terms=terms, milestone=3))).status == "pass"


def test_fraud_open_weights_of_half_a_run(lab: object, context: MakeContext, tmp_path: Path) -> None:
    half = lab.forge(lab.weights, tmp_path, parent=lab.run[2].sha256)
    result = only(steps_follow_recipe(context(half, ancestry=(lab.dataset, lab.run[2]))))
    assert result.status == "fail"
    assert "is at step 20; by the recipe this milestone is after step 40" in result.detail
