"""How far honest repetitions differ from each other, and what that explains."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_trainer.replay.tolerance import Gap, optimizer_changes, optimizer_gap, optimizer_spread
from llamafund_trainer.tensors.compare import TensorEntry
from llamafund_trainer.tensors.torch_save import optimizer_tensors


def test_honest_repetitions_that_agree_to_the_bit_tell_nothing_of_other_machines() -> None:
    """On a GPU no setting of the processor changes anything."""
    assert Gap("w", 1e-7, 1e-1).calibrated(0.0).nearness == "unclear"
    assert Gap("w", 5e-1, 1e-1).calibrated(0.0).nearness == "unclear", "honest runs came apart by 0.94 of the change"
    assert Gap("3.exp_avg", 5.0, 1.0, in_shares=True).calibrated(0.0).nearness == "unclear", "it may hardly have moved"
    assert Gap("0.step", float("inf"), 1.0, in_shares=True).calibrated(0.0).nearness == "different"
    assert Gap("w", 1e-7, 0.0).calibrated(0.0).nearness == "different", "nothing was changed, by anybody's arithmetic"


def optimizer_with(path: Path, moments: dict[int, float]) -> dict[str, TensorEntry]:
    """One after some steps, with the same moment in each element of a parameter, for those that had a gradient."""
    import torch

    state = {
        number: {"step": torch.tensor(3.0), "exp_avg": torch.full((4,), moment)} for number, moment in moments.items()
    }
    torch.save({"state": state, "param_groups": []}, path)
    return optimizer_tensors(path)


def test_a_parameter_that_got_its_first_gradient_in_the_segment_begins_with_zeros(tmp_path: Path) -> None:
    before = optimizer_with(tmp_path / "before.pt", {0: 1.0})
    repeated = optimizer_with(tmp_path / "repeated.pt", {0: 1.5, 1: 0.25})
    changes = optimizer_changes(before, repeated)
    assert changes == {"0.step": 0.0, "0.exp_avg": 0.5, "1.step": 3.0, "1.exp_avg": 0.25}
    near = optimizer_with(tmp_path / "near.pt", {0: 1.5, 1: 0.25 + 2**-20})
    gap = optimizer_gap(near, repeated, changes)
    assert (gap.largest, gap.amount) == ("1.exp_avg", 2**-18)
    assert gap.calibrated(optimizer_spread([near, repeated], changes)).nearness == "close"
    late = optimizer_with(tmp_path / "late.pt", {0: 1.5})
    assert optimizer_spread([late, repeated], changes) == 1.0, "honest repetitions that disagree show nothing"


@pytest.mark.parametrize("moments", [{0: 1.5}, {0: 1.5, 1: 0.25, 2: 0.25}])
def test_a_published_optimizer_with_other_parameters_than_the_repeated_one_is_different(
    tmp_path: Path, moments: dict[int, float]
) -> None:
    before = optimizer_with(tmp_path / "before.pt", {0: 1.0})
    repeated = optimizer_with(tmp_path / "repeated.pt", {0: 1.5, 1: 0.25})
    published = optimizer_with(tmp_path / "published.pt", moments)
    gap = optimizer_gap(published, repeated, optimizer_changes(before, repeated))
    assert gap.calibrated(1.0).nearness == "different"
