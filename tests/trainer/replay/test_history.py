"""Histories of losses: numbers from strangers end in a finding, never in an error of ours."""

from __future__ import annotations

import pytest

from llamafund_trainer.metric import TRAIN_LOSS
from llamafund_trainer.replay.history import loss_problem


@pytest.mark.parametrize("losses", [(1e308, 1e308), (10**400,), (1e304,)])
def test_losses_beyond_any_float_are_a_contradiction(losses: tuple[float, ...]) -> None:
    history = {step: {"loss": loss} for step, loss in enumerate(losses, 1)}
    assert "add up to more" in (loss_problem(history, {TRAIN_LOSS: 1}, 0) or "")


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), "2.5", None])
def test_what_is_no_number_is_compared_with_nothing(loss: object) -> None:
    assert loss_problem({1: {"loss": loss}}, {TRAIN_LOSS: 1}, 0) is None


def test_the_mean_of_the_losses_is_compared() -> None:
    history = {1: {"loss": 2.0}, 2: {"loss": 3.0}, 3: {"learning_rate": 1.0}}
    assert loss_problem(history, {TRAIN_LOSS: 2_500_000}, 0) is None
    assert "by the history it is 3000000" in (loss_problem(history, {TRAIN_LOSS: 2_500_000}, 1) or "")
