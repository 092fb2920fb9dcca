"""States of an optimizer to which no run leads, whatever its data."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llamafund_trainer.tensors.optimizer_bounds import largest_mean, moments_problem
from llamafund_trainer.tensors.torch_save import optimizer_tensors

STEP = 20


def problem(lab: Any, data: bytes, scratch: Path, *, step: int = STEP, recipe: Any = None) -> str | None:
    path = scratch / "optimizer.pt"
    path.write_bytes(data)
    return moments_problem(recipe or lab.recipe.recipe, step, optimizer_tensors(path))


def changed(lab: Any, change: Callable[[dict[int, dict[str, torch.Tensor]]], object]) -> bytes:
    """The honest optimizer's file after step 20, written anew with something changed in its state."""
    state = torch.load(io.BytesIO(lab.file(lab.run[2], "optimizer.pt")), weights_only=True)
    change(state["state"])
    target = io.BytesIO()
    torch.save(state, target)
    return target.getvalue()


def test_honest_states_are_possible_at_every_checkpoint(lab: Any, tuned: Any, tmp_path: Path) -> None:
    for recipe, run in ((lab.recipe, lab.run), *((each.recipe, each.run) for each in tuned.values())):
        for link in run:
            data = lab.file(link, "optimizer.pt")
            assert problem(lab, data, tmp_path, step=link.steps.last, recipe=recipe.recipe) is None


def count_for_ever(state: Any) -> None:
    """Float32 has no room for the next step, so that the count never changes again."""
    for kept in state.values():
        kept["step"].fill_(2.0**24)


def never_learn(state: Any) -> None:
    state[0]["exp_avg_sq"].fill_(math.inf)


def steer(state: Any) -> None:
    """Towards weights that somebody else trained: far in one step."""
    state[0]["exp_avg"] += 1e4


def steer_a_little(state: Any) -> None:
    values = state[1]["exp_avg"].view(-1)
    values[0] = 1.3 * state[1]["exp_avg_sq"].view(-1)[0].sqrt()


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "a count that stands still": (count_for_ever, "another count of steps"),
    "a count of steps that were not run": (lambda state: state[3]["step"].add_(1), "another count of steps"),
    "a count that is no number": (lambda state: state[3]["step"].fill_(math.nan), "another count of steps"),
    "several counts": (lambda state: state[3].update(step=torch.full((2,), 20.0)), "another count of steps"),
    "no count": (lambda state: state[3].pop("step"), "does not count the steps"),
    "a parameter that begins anew": (lambda state: state.pop(3), "parameters; there are"),
    "nothing": (lambda state: state.clear(), "does not count the steps"),
    "something that AdamW does not keep": (
        lambda state: state[3].update(max_exp_avg_sq=torch.zeros(1)),
        "what AdamW keeps",
    ),
    "one mean without the other": (lambda state: state[3].pop("exp_avg"), "what AdamW keeps"),
    "means of other shapes": (lambda state: state[3].update(exp_avg=torch.zeros(1)), "no gradients lead"),
    "squares without end": (never_learn, "no gradients lead"),
    "squares below zero": (lambda state: state[0]["exp_avg_sq"].neg_(), "no gradients lead"),
    "a mean that is no number": (lambda state: state[0]["exp_avg"].fill_(math.nan), "no gradients lead"),
    "means that lead elsewhere": (steer, "no gradients lead"),
    "one mean that is a little too large": (steer_a_little, "no gradients lead"),
    "squares of nothing": (lambda state: state[0]["exp_avg_sq"].zero_(), "no gradients lead"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_state_to_which_no_run_leads_is_named(lab: Any, tmp_path: Path, what: str) -> None:
    change, words = CHANGES[what]
    assert words in str(problem(lab, changed(lab, change), tmp_path))


def test_gradients_before_the_first_step_are_named(lab: Any, tmp_path: Path) -> None:
    assert "remembers gradients" in str(problem(lab, lab.file(lab.run[2], "optimizer.pt"), tmp_path, step=0))


def test_parts_of_a_base_model_may_have_had_no_gradients_in_some_steps(lab: Any, tuned: Any, tmp_path: Path) -> None:
    recipe = tuned["full"].recipe.recipe
    fewer = changed(lab, lambda state: (state.pop(3), state[2]["step"].sub_(7)))
    assert problem(lab, fewer, tmp_path, recipe=recipe) is None
    for count in (0.0, 0.5, 21.0):
        odd = changed(lab, lambda state, count=count: state[2]["step"].fill_(count))
        assert "another count of steps" in str(problem(lab, odd, tmp_path, recipe=recipe))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.floats(0, 0.999),
    st.floats(0.001, 0.9999),
)
def test_no_gradients_lead_beyond_the_largest_mean(gradients: list[float], beta1: float, beta2: float) -> None:
    mean = squares = 0.0
    for gradient in gradients:
        mean = beta1 * mean + (1 - beta1) * gradient
        squares = beta2 * squares + (1 - beta2) * gradient * gradient
    assert abs(mean) <= largest_mean(beta1, beta2, len(gradients)) * math.sqrt(squares) * (1 + 1e-9) + 1e-150


@pytest.mark.parametrize(("beta1", "beta2", "steps"), [(0.9, 0.95, 1), (0.9, 0.95, 30), (0.9, 0.5, 12), (0.9, 0.81, 5)])
def test_some_gradients_lead_to_the_largest_mean(beta1: float, beta2: float, steps: int) -> None:
    gradients = [(beta1 / beta2) ** age for age in reversed(range(steps))]
    mean = sum((1 - beta1) * beta1**age * gradient for age, gradient in enumerate(reversed(gradients)))
    squares = sum((1 - beta2) * beta2**age * gradient**2 for age, gradient in enumerate(reversed(gradients)))
    assert mean == pytest.approx(largest_mean(beta1, beta2, steps) * math.sqrt(squares), rel=1e-9)


def test_what_is_rounded_in_very_many_steps_is_possible(lab: Any, tmp_path: Path) -> None:
    """With betas next to one: both means of gradients that are all 1 should be alike, and drift apart."""
    beta, steps = 1 - 1e-7, 2_000_000
    keeps, takes = np.float32(beta), np.float32(1 - beta)
    mean = squares = np.float32(0)
    for _ in range(steps):
        mean += takes * (np.float32(1) - mean)
        squares = squares * keeps + takes
    assert mean > 1.01 * largest_mean(beta, beta, steps) * math.sqrt(squares), "further than the slack alone allows"

    def put(state: Any) -> None:
        for kept in state.values():
            for name, value in (("step", steps), ("exp_avg", mean), ("exp_avg_sq", squares)):
                kept[name].fill_(float(value))

    near_one = lab.recipe.recipe.optimizer.model_copy(update={"beta1": beta, "beta2": beta})
    recipe = lab.recipe.recipe.model_copy(update={"optimizer": near_one})
    assert problem(lab, changed(lab, put), tmp_path, step=steps, recipe=recipe) is None


def test_a_count_is_judged_at_once_however_many_steps_there_were(lab: Any, tuned: Any, tmp_path: Path) -> None:
    """Torch counts in float32, which ends at 2^24."""
    steps = 2**31 - 1
    full = changed(lab, lambda state: [kept["step"].fill_(2.0**24) for kept in state.values()])
    assert problem(lab, full, tmp_path, step=steps) is None
    odd = changed(lab, lambda state: state[2]["step"].fill_(0.5))
    recipe = tuned["full"].recipe.recipe
    assert "another count of steps" in str(problem(lab, odd, tmp_path, step=steps, recipe=recipe))


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.0), (0.9, 1.0), (0.999, 0.001)])
def test_betas_that_bind_nothing_refuse_nothing(beta1: float, beta2: float) -> None:
    assert largest_mean(beta1, beta2, 10**6) == math.inf


def test_gradients_so_small_that_their_squares_vanish_are_possible(lab: Any, tmp_path: Path) -> None:
    def vanish(state: Any) -> None:
        state[0]["exp_avg"].fill_(1e-20)
        state[0]["exp_avg_sq"].zero_()

    assert np.float32(1e-20) ** 2 < np.finfo(np.float32).tiny
    assert problem(lab, changed(lab, vanish), tmp_path) is None
