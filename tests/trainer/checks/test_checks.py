"""Each check lets the honest run pass and catches the fraud that it is there for."""

from __future__ import annotations

from findings import MakeContext

from llamafund_chain.checks.check import check_name
from llamafund_chain.checks.run import discover, run_checks
from llamafund_trainer.checks import CHECKS


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
