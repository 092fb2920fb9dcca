"""Each check lets the honest run pass and catches the fraud that it is there for."""

from __future__ import annotations

from pathlib import Path

from findings import MakeContext

from llamafund_chain.checks.check import check_name
from llamafund_chain.checks.run import discover, run_checks
from llamafund_trainer.checks import CHECKS
from llamafund_trainer.checks.card import model_card_from_manifests
from llamafund_trainer.record.card import CLAIMS


def test_the_checks_are_found_by_the_attestor() -> None:
    assert set(CHECKS) <= set(discover())
    assert [check_name(check) for check in CHECKS] == [
        "initial-weights-from-seed",
        "initial-weights-from-base",
        "environment-recorded",
        "checkpoint-files-known",
        "histories-agree",
        "schedule-follows-recipe",
        "steps-follow-recipe",
        "replay",
        "metric-re-evaluated",
        "changed-from-base",
        "model-card-from-manifests",
        "weights-headers-plain",
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
        ("checkpoint-files-known", "pass"),
        ("histories-agree", "pass"),
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
        ("model-card-from-manifests", "pass"),
        ("weights-headers-plain", "pass"),
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
        assert {result.name for result in left_out if result.status == "unchecked"} >= found
        assert {result.name for result in left_out if result.status != "unchecked"} == set()


def test_a_model_card_may_name_its_campaign_in_any_case_and_end_in_claims(
    lab: object, context: MakeContext, tmp_path: Path
) -> None:
    made = context(lab.weights)
    rows = lab.file(lab.weights, "README.md").decode()
    card = rows.replace("| `model.safetensors` |", f"| campaign | `{made.campaign.lower()}` |\n| `model.safetensors` |")
    forged = lab.forge(lab.weights, tmp_path, {"README.md": f"{card}\n{CLAIMS}\n\n93.1 in MMLU.\n".encode()})
    (found,) = model_card_from_manifests(context(forged))
    assert found.status == "pass", found.detail
    assert found.data["claimed"] > 0
