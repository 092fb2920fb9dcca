"""`llamafund evaluate`: the promised metric, measured again from open weights alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.store.content import publish_manifest

METRIC = "heldout_bits_per_byte"
Evaluate = Callable[..., object]


@pytest.fixture
def evaluate(lab: object, proposal: ProposalManifest, llamafund: Callable[..., object]) -> Evaluate:
    """Runs the command on weights, against the proposal with these changes."""

    def run(weights: object, *options: str, **changes: object) -> object:
        promised = proposal.model_copy(update=changes)
        publish_manifest(lab.store, promised)
        return llamafund(
            "evaluate", weights, "--proposal", promised.sha256, "--store", lab.store.location, "--json", *options
        )

    return run


def promise(proposal: ProposalManifest, **changes: object) -> dict[str, object]:
    return {"outcome": proposal.outcome.model_copy(update=changes)}


def test_downloaded_weights_give_the_attested_metric_to_the_last_digit(lab: object, evaluate: Evaluate) -> None:
    ran = evaluate(lab.exported)
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["value"] == lab.weights.metrics[METRIC]
    assert ran.json["score"] == lab.weights.score
    assert (ran.json["kept"], ran.json["claimed"], ran.json["published_tokenizer_is_the_datas"]) == (True, None, True)


def test_a_promise_is_kept_to_the_millionth_or_not_at_all(
    lab: object, evaluate: Evaluate, proposal: ProposalManifest
) -> None:
    value = lab.weights.metrics[METRIC]
    kept = evaluate(lab.weights.sha256, **promise(proposal, target=value))
    assert kept.code == ExitCode.OK, kept.stderr
    assert kept.json["claimed"] == value
    broken = evaluate(lab.weights.sha256, **promise(proposal, target=value - 1))
    broken.refused(ExitCode.VERIFICATION_FAILED, "promises")
    assert broken.json["kept"] is False


def test_a_claim_that_the_weights_do_not_keep_is_refused_though_the_promise_is_kept(
    lab: object, evaluate: Evaluate, tmp_path: Path
) -> None:
    claimed = lab.weights.metrics[METRIC] - 5
    metrics = {**lab.weights.metrics, METRIC: claimed}
    forged = lab.forge(lab.weights, tmp_path, metrics=metrics, outcome_score=-claimed)
    evaluate(forged.sha256).refused(ExitCode.VERIFICATION_FAILED, "claims")


def test_weights_of_a_diverged_model_have_no_metric(lab: object, evaluate: Evaluate, tmp_path: Path) -> None:
    values = {name: each.copy() for name, each in load(lab.file(lab.weights, "model.safetensors")).items()}
    values["model.norm.weight"][0] = np.nan
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(values, metadata={"format": "pt"}))
    ran = evaluate(path)
    ran.refused(ExitCode.VERIFICATION_FAILED, "diverged")
    assert ran.json["value"] is None


def test_a_tokenizer_that_flatters_the_metric_is_refused(lab: object, evaluate: Evaluate, tmp_path: Path) -> None:
    shutil.copytree(lab.exported, tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(tokenizer))
    evaluate(tmp_path / "model").refused(ExitCode.VERIFICATION_FAILED, "tokenizer.json")


def test_weights_of_another_architecture_are_refused(lab: object, evaluate: Evaluate, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"weight": np.zeros(3, np.float32)}))
    evaluate(path).refused(ExitCode.VERIFICATION_FAILED, "other tensors")


def test_another_metric_than_this_program_s_is_refused(
    lab: object, evaluate: Evaluate, proposal: ProposalManifest
) -> None:
    evaluate(lab.exported, **promise(proposal, metric="mmlu", direction="higher")).refused(ExitCode.USAGE, "mmlu")


def test_where_the_proposal_leaves_the_recipe_open_the_manifest_decides(
    lab: object, evaluate: Evaluate, proposal: ProposalManifest
) -> None:
    ran = evaluate(lab.weights.sha256, recipe=None, dataset=proposal.dataset.model_copy(update={"manifest": None}))
    assert ran.code == ExitCode.OK, ran.stderr
    evaluate(lab.exported, recipe=None).refused(ExitCode.USAGE, "which recipe")


def test_a_proposal_is_needed(lab: object, llamafund: Callable[..., object]) -> None:
    llamafund("evaluate", lab.exported).refused(ExitCode.USAGE, "--proposal")
    ran = llamafund("evaluate", lab.exported, "--proposal", lab.weights.sha256, "--store", lab.store.location)
    ran.refused(ExitCode.VERIFICATION_FAILED, "llamafund/proposal/1")
