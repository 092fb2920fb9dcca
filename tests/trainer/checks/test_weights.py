"""Checks of open weights: their score, their bytes, and whether they load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from findings import MakeContext, only
from safetensors.numpy import load, save
from transformers import AutoModelForCausalLM

from llamafund_chain.checks.run import run_checks
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import WeightsManifest
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_trainer.checks.weights import loads_in_transformers, metric_re_evaluated, weights_equal_checkpoint
from llamafund_trainer.tensors.compare import count_elements


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
    ("bound", "value", "longer", "times", "status", "words"),
    [
        ("SPARE_SECONDS", 12, 2, 40, "fail", "takes too long"),
        # Nothing tells it from a machine that has too little.
        ("SPARE_MEMORY", 1 << 30, 1000, 4, "unchecked", "enough memory"),
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
    status: str,
    words: str,
) -> None:
    monkeypatch.setattr(f"llamafund_trainer.process.launch.{bound}", value)
    tokenizer = json.loads(lab.file(lab.weights, "tokenizer.json"))
    replacing = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * longer}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [replacing] * times}
    forged = lab.forge(lab.weights, tmp_path, {"tokenizer.json": json.dumps(tokenizer).encode()})
    result = only(run_checks(context(forged), (loads_in_transformers,)))
    assert result.status == status
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
