"""What a repeated segment shows: which differences are never called the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from empty_run import empty_run

from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.result import FileComparison, SegmentResult
from llamafund_trainer.replay.tolerance import Gap


def result(
    settings: dict[str, tuple[str, str]],
    amount: float,
    repeated: str = "bb",
    tolerance: float | None = 1e-6,
    **more: object,
) -> SegmentResult:
    return SegmentResult(
        pick=Pick(empty_run(1)[0], "random"),
        compared=(FileComparison(10, "model.safetensors", "aa", repeated),),
        settings=settings,
        seconds=1.0,
        weights=Gap("w", amount, 1e-3, tolerance),
        **more,  # type: ignore[arg-type]
    )


ELSEWHERE = {"threads": ("1", "2")}


def test_other_bytes_are_never_called_the_same() -> None:
    assert result({}, 1e-9).verdict == "different"
    assert result(ELSEWHERE, 1e-6).verdict == "close"
    assert result(ELSEWHERE, 1.1e-6).verdict == "different"
    assert result(ELSEWHERE, 1e-9, tolerance=None).verdict == "different"
    assert result(ELSEWHERE, float("nan")).verdict == "different"
    assert result(ELSEWHERE, 0.0, repeated="aa").verdict == "same"
    said = result(ELSEWHERE, 1e-9).describe()
    assert "different bytes" in said
    assert "threads ('1' then, '2' now)" in said
    assert "honest repetitions explain differences up to 1e-06" in said
    assert "equal" not in said
    assert "the same" not in said.replace("not the same environment", "")


def test_no_environment_explains_other_initial_weights() -> None:
    found = result(ELSEWHERE, 1e-9)
    start = FileComparison(0, "model.safetensors", "cc", "dd")
    assert replace(found, compared=(start, *found.compared)).verdict == "different"


def test_a_tolerance_as_large_as_the_training_itself_shows_nothing() -> None:
    assert result(ELSEWHERE, 1e-6, tolerance=0.99e-4).verdict == "close"
    assert result(ELSEWHERE, 1e-6, tolerance=1e-4).verdict == "unclear"
    assert "shows nothing" in result(ELSEWHERE, 1e-6, tolerance=1e-4).describe()


@pytest.mark.parametrize(
    ("amount", "tolerance", "verdict"),
    [
        (1e-4, 1e-4, "close"),
        (1.1e-4, 1e-4, "different"),
        (1e-4, 0.1, "unclear"),
        (5.0, 0.1, "unclear"),
        (5.0, 0.09, "different"),
        (float("inf"), 0.1, "different"),
        (float("inf"), float("inf"), "different"),
        (float("nan"), 1e-4, "different"),
        (float("inf"), 1e-4, "different"),
        (1e-4, float("nan"), "different"),
        (1e-4, None, "different"),
    ],
)
def test_close_weights_vouch_for_no_optimizer(amount: float, tolerance: float | None, verdict: str) -> None:
    found = result(ELSEWHERE, 1e-9, optimizer=Gap("3.exp_avg", amount, 1.0, tolerance, in_shares=True))
    assert found.verdict == verdict
    assert "the optimizer's 3.exp_avg differs by" in found.describe()
    assert found.gap_facts()["optimizer_difference"] == str(amount)


def test_other_random_numbers_are_explained_by_other_libraries_at_most_and_never_close() -> None:
    assert result(ELSEWHERE, 1e-9, random_differs=True).verdict == "different"
    found = result({**ELSEWHERE, "torch": ("2.12", "2.13")}, 1e-9, random_differs=True)
    assert found.verdict == "unclear"
    assert "random state holds different numbers" in found.describe()


def test_the_worst_of_weights_and_optimizer_counts() -> None:
    unclear, wrong = Gap("0.exp_avg", 1e-4, 1.0, 0.1), Gap("0.exp_avg", 1e-4, 1.0, 1e-5)
    assert result(ELSEWHERE, 1e-9, optimizer=unclear).verdict == "unclear"
    assert result(ELSEWHERE, 1e-9, tolerance=1e-4, optimizer=wrong).verdict == "different"
    assert result(ELSEWHERE, 1.0, optimizer=unclear).verdict == "different"


ABSENT = {"processor_class": ("AuthenticAMD 25-1", "GenuineIntel 6-143")}


def test_a_machine_outside_of_the_recipe_s_environment_accuses_nobody_but_says_what_it_takes() -> None:
    found = result({}, 5.0, tolerance=None, outside=ABSENT)
    assert found.verdict == "unclear"
    assert "processor_class ('GenuineIntel 6-143', it says 'AuthenticAMD 25-1')" in found.describe()
    assert "shows nothing either way: repeat it in the recipe's environment" in found.describe()
    assert result({}, 1e-9, tolerance=None, outside=ABSENT, random_differs=True).verdict == "unclear"
    assert result({}, 0.0, repeated="aa", outside=ABSENT).verdict == "same"


def test_no_machine_explains_other_tensors_or_other_initial_weights() -> None:
    assert result({}, float("inf"), tolerance=None, outside=ABSENT).verdict == "different"
    unused = Gap("3.exp_avg", float("inf"), 1.0, in_shares=True)
    assert result({}, 1e-9, tolerance=None, outside=ABSENT, optimizer=unused).verdict == "unclear"
    start = FileComparison(0, "model.safetensors", "cc", "dd")
    found = result({}, 1e-9, tolerance=None, outside=ABSENT)
    assert replace(found, compared=(start, *found.compared)).verdict == "different"
