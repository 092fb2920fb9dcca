"""Each check lets the honest run pass and catches the fraud that it is there for."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save
from transformers import AutoModelForCausalLM

from llamafund_chain.campaign.terms import NO_MINIMUM, Milestone, MilestoneKind
from llamafund_chain.checks.check import CheckContext, CheckResult, Finding, check_name
from llamafund_chain.checks.run import discover, run_checks
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import StepRange, WeightsManifest
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.checks import CHECKS
from llamafund_trainer.checks.run import (
    environment_recorded,
    initial_weights_from_seed,
    pinned_record,
    recorded_settings,
    replay,
    steps_follow_recipe,
)
from llamafund_trainer.checks.weights import loads_in_transformers, metric_re_evaluated, weights_equal_checkpoint
from llamafund_trainer.record.environment import recorded_environment
from llamafund_trainer.tensors.compare import count_elements

MakeContext = Callable[..., CheckContext]


def only(results: Iterable[Finding | CheckResult]) -> Finding | CheckResult:
    found = list(results)
    assert len(found) == 1, found
    return found[0]


def test_the_checks_are_found_by_the_attestor() -> None:
    assert set(CHECKS) <= set(discover())
    assert [check_name(check) for check in CHECKS] == [
        "initial-weights-from-seed",
        "initial-weights-from-base",
        "environment-recorded",
        "schedule-follows-recipe",
        "steps-follow-recipe",
        "replay",
        "metric-re-evaluated",
        "weights-equal-checkpoint",
        "loads-in-transformers",
    ]


def test_a_dataset_milestone_is_none_of_their_business(lab: object, context: MakeContext) -> None:
    assert run_checks(context(lab.dataset, ancestry=()), CHECKS) == ()


def test_an_honest_checkpoint_passes_every_check(lab: object, context: MakeContext) -> None:
    results = run_checks(context(lab.run[-1], replay_segments=2), CHECKS)
    assert [(result.name, result.status) for result in results] == [
        ("initial-weights-from-seed", "pass"),
        ("environment-recorded", "pass"),
        ("schedule-follows-recipe", "pass"),
        ("steps-follow-recipe", "pass"),
        ("replay", "pass"),
        ("replay", "pass"),
        ("metric-re-evaluated", "pass"),
    ]


def test_honest_weights_pass_every_check(lab: object, context: MakeContext) -> None:
    results = run_checks(context(lab.weights), CHECKS)
    assert [(result.name, result.status) for result in results] == [
        ("steps-follow-recipe", "pass"),
        ("metric-re-evaluated", "pass"),
        ("weights-equal-checkpoint", "pass"),
        ("loads-in-transformers", "pass"),
    ]


def test_every_name_in_a_result_is_that_of_a_check_that_can_be_left_out(lab: object, context: MakeContext) -> None:
    names = [check_name(check) for check in discover()]
    assert len(names) == len(set(names))
    for evidence in (lab.dataset, lab.run[-1], lab.weights):
        made = context(evidence, **({"ancestry": (), "milestone": 0} if evidence is lab.dataset else {}))
        found = {result.name for result in run_checks(made)}
        assert found
        assert found <= set(names)
        left_out = run_checks(made, skip=found)
        assert {result.name for result in left_out if result.status == "skip"} >= found
        assert {result.name for result in left_out if result.status != "skip"} == set()


def test_no_replay_is_said_and_not_passed_over(lab: object, context: MakeContext) -> None:
    assert only(replay(context(lab.run[-1]))).status == "skip"


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
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
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


def test_fraud_an_architecture_that_other_programs_go_by(lab: object, context: MakeContext, tmp_path: Path) -> None:
    config = {**json.loads(lab.file(lab.run[-1], "config.json")), "architectures": ["GemmaForCausalLM"]}
    changed = {"config.json": json.dumps(config).encode()}
    checkpoint = lab.forge(lab.run[-1], tmp_path / "checkpoint", changed)
    forged = lab.forge(lab.weights, tmp_path / "weights", changed, parent=checkpoint.sha256)
    result = only(weights_equal_checkpoint(context(forged)))
    assert result.status == "fail"
    assert "architectures ['GemmaForCausalLM']" in result.detail


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_the_weights_lack_is_named(lab: object, context: MakeContext, tmp_path: Path, name: str) -> None:
    fetch_tree(lab.store, lab.weights, tmp_path / "lacking")
    (tmp_path / "lacking" / name).unlink()
    tree = hash_tree(tmp_path / "lacking")
    lacking = WeightsManifest.model_validate({**dict(lab.weights), "files": tree.files, "content": tree.content})
    publish_tree(lab.store, tmp_path / "lacking", lacking)
    result = only(run_checks(context(lacking), (weights_equal_checkpoint,)))
    assert result.status == "fail"
    assert f"The last checkpoint has {name}" in result.detail


def test_fraud_an_inflated_metric(lab: object, context: MakeContext, tmp_path: Path) -> None:
    metrics = {**lab.run[-1].metrics, "heldout_bits_per_byte": 1_000_000}
    forged = lab.forge(lab.run[-1], tmp_path, metrics=metrics, outcome_score=-1_000_000)
    result = only(metric_re_evaluated(context(forged)))
    assert result.status == "fail"
    assert "claims the score -1" in result.detail
    assert result.data["score"] == lab.run[-1].score


def test_fraud_a_tokenizer_that_makes_the_text_easy(lab: object, context: MakeContext, tmp_path: Path) -> None:
    tokenizer = json.loads(lab.file(lab.run[-1], "tokenizer.json"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": "a"}
    forged = lab.forge(lab.run[-1], tmp_path, {"tokenizer.json": json.dumps(tokenizer).encode()})
    result = only(metric_re_evaluated(context(forged)))
    assert result.status == "fail"
    assert "tokenizer" in result.detail


def test_fraud_other_weights_than_the_trained_ones(lab: object, context: MakeContext, tmp_path: Path) -> None:
    tensors = load(lab.file(lab.weights, "model.safetensors"))
    name = sorted(tensors)[3]
    tensors[name] = tensors[name].copy()
    tensors[name].flat[0] = np.nextafter(tensors[name].flat[0], np.float32(1))
    forged = lab.forge(lab.weights, tmp_path, {"model.safetensors": save(tensors, metadata={"format": "pt"})})
    result = only(weights_equal_checkpoint(context(forged)))
    assert result.status == "fail"
    assert name in result.detail


def test_fraud_a_configuration_that_makes_another_model_of_the_same_weights(
    lab: object, context: MakeContext, tmp_path: Path
) -> None:
    config = json.loads(lab.file(lab.weights, "config.json"))
    for index, change in enumerate(({"rms_norm_eps": 0.5}, {"auto_map": {"AutoModel": "evil.Model"}})):
        forged = lab.forge(
            lab.weights, tmp_path / str(index), {"config.json": json.dumps({**config, **change}).encode()}
        )
        result = only(weights_equal_checkpoint(context(forged)))
        assert result.status == "fail"
        assert next(iter(change)) in result.detail


def test_fraud_a_file_that_runs_code_when_loaded(lab: object, context: MakeContext, tmp_path: Path) -> None:
    forged = lab.forge(lab.weights, tmp_path, {"pytorch_model.bin": b"cos\nsystem\n(S'true'\ntR."})
    result = only(loads_in_transformers(context(forged)))
    assert result.status == "fail"
    assert "pytorch_model.bin" in result.detail


@pytest.mark.parametrize(
    "change",
    [{"transformers_weights": "other.safetensors"}, {"rope_scaling": {"factor": 2}}, {"model_type": "mistral"}],
)
def test_fraud_a_configuration_that_the_checkpoint_has_too(
    lab: object, context: MakeContext, tmp_path: Path, change: dict[str, object]
) -> None:
    config = json.dumps({**json.loads(lab.file(lab.weights, "config.json")), **change}).encode()
    checkpoint = lab.forge(lab.run[-1], tmp_path / "checkpoint", {"config.json": config})
    forged = lab.forge(lab.weights, tmp_path / "weights", {"config.json": config}, parent=checkpoint.sha256)
    result = only(weights_equal_checkpoint(context(forged)))
    assert result.status == "fail"
    assert next(iter(change)) in result.detail


def test_fraud_a_configuration_that_says_two_things(lab: object, context: MakeContext, tmp_path: Path) -> None:
    """The first value is what other programs may take, and what people read."""
    config = lab.file(lab.weights, "config.json").replace(b"{", b'{"hidden_act": "relu",', 1)
    checkpoint = lab.forge(lab.run[-1], tmp_path / "checkpoint", {"config.json": config})
    forged = lab.forge(lab.weights, tmp_path / "weights", {"config.json": config}, parent=checkpoint.sha256)
    result = only(run_checks(context(forged), (weights_equal_checkpoint,)))
    assert result.status == "fail"
    assert "occurs twice" in result.detail


def test_numbers_that_are_saved_and_are_no_parameters_count_as_the_files_hold_them(
    lab: object, context: MakeContext, experts: Path, tmp_path: Path
) -> None:
    """This architecture corrects which experts are chosen by numbers that no optimizer sees."""
    files = {name: (experts / name).read_bytes() for name in ("config.json", "model.safetensors")}
    model = AutoModelForCausalLM.from_pretrained(experts)
    held = count_elements(experts / "model.safetensors")
    trained = sum(parameter.numel() for parameter in model.parameters())
    assert held == trained + 4
    for count, status in ((held, "pass"), (trained, "fail")):
        forged = lab.forge(lab.weights, tmp_path / str(count), files, parameters=count)
        assert only(run_checks(context(forged), (loads_in_transformers,))).status == status


def test_fraud_a_configuration_that_asks_for_all_memory(lab: object, context: MakeContext, tmp_path: Path) -> None:
    config = {**json.loads(lab.file(lab.weights, "config.json")), "vocab_size": 2**24}
    forged = lab.forge(lab.weights, tmp_path, {"config.json": json.dumps(config).encode()})
    result = only(run_checks(context(forged), (loads_in_transformers,)))
    assert result.status == "fail"
    assert "asks for" in result.detail


@pytest.mark.parametrize(
    ("bound", "value", "longer", "times", "words"),
    [
        ("SPARE_SECONDS", 12, 2, 40, "takes too long"),
        ("SPARE_MEMORY", 1 << 30, 1000, 4, "enough memory"),
    ],
)
def test_fraud_a_tokenizer_that_makes_a_letter_longer_and_longer(
    lab: object,
    context: MakeContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    value: int,
    longer: int,
    times: int,
    words: str,
) -> None:
    monkeypatch.setattr(f"llamafund_trainer.process.launch.{bound}", value)
    tokenizer = json.loads(lab.file(lab.weights, "tokenizer.json"))
    replacing = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * longer}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [replacing] * times}
    forged = lab.forge(lab.weights, tmp_path, {"tokenizer.json": json.dumps(tokenizer).encode()})
    result = only(run_checks(context(forged), (loads_in_transformers,)))
    assert result.status == "fail"
    assert words in result.detail


def test_fraud_tokenizer_settings_that_cut_texts_otherwise(lab: object, context: MakeContext, tmp_path: Path) -> None:
    settings = json.loads(lab.file(lab.weights, "tokenizer_config.json"))
    settings["added_tokens_decoder"] = {"5": {"content": "the", "special": False}}
    changed = {"tokenizer_config.json": json.dumps(settings).encode()}
    checkpoint = lab.forge(lab.run[-1], tmp_path / "checkpoint", changed)
    forged = lab.forge(lab.weights, tmp_path / "weights", changed, parent=checkpoint.sha256)
    result = only(weights_equal_checkpoint(context(forged)))
    assert result.status == "fail"
    assert "tokenizer_config.json" in result.detail


@pytest.mark.parametrize("change", [{"suppress_tokens": [5]}, {"eos_token_id": 7}])
def test_fraud_settings_that_spoil_what_the_model_writes(
    lab: object, context: MakeContext, tmp_path: Path, change: dict[str, object]
) -> None:
    settings = {**json.loads(lab.file(lab.weights, "generation_config.json")), **change}
    changed = {"generation_config.json": json.dumps(settings).encode()}
    checkpoint = lab.forge(lab.run[-1], tmp_path / "checkpoint", changed)
    forged = lab.forge(lab.weights, tmp_path / "weights", changed, parent=checkpoint.sha256)
    result = only(weights_equal_checkpoint(context(forged)))
    assert result.status == "fail"
    assert f"generation_config.json says {next(iter(change))}" in result.detail


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.safetensors",
        "other.safetensors",
        "model.safetensors.index.json",
        "model/x",
        "chat_template.jinja",
    ],
)
def test_fraud_files_beside_the_weights_that_libraries_would_load(
    lab: object, context: MakeContext, tmp_path: Path, name: str
) -> None:
    # The folder is made first, since forging only writes files.
    (tmp_path / lab.weights.sha256[:12] / name).parent.mkdir(parents=True)
    forged = lab.forge(lab.weights, tmp_path, {name: b"{}"})
    result = only(loads_in_transformers(context(forged)))
    assert result.status == "fail"
    assert name in result.detail


def test_weights_that_transformers_cannot_load_are_said_to_be_so(
    lab: object, context: MakeContext, tmp_path: Path
) -> None:
    forged = lab.forge(lab.weights, tmp_path, {"model.safetensors": b"no tensors"})
    results = run_checks(context(forged), (loads_in_transformers, weights_equal_checkpoint))
    assert [result.status for result in results] == ["fail", "fail"]
    assert "safetensors" in results[1].detail
