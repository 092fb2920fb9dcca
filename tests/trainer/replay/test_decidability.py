"""Whether a recipe can leave a choice of machines, said before a campaign is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode, UsageError
from llamafund_chain.store import LocalStore
from llamafund_trainer.recipe import parse_recipe
from llamafund_trainer.replay.decidability import Spread, measure_decidability

WAYS = ("generic", "avx2")


@pytest.mark.parametrize(
    ("apart", "decides", "words"),
    [
        (0.0, None, "cannot say"),
        (0.006, True, "even if the recipe leaves a choice"),
        (0.00626, False, "ONLY the bytes of an equal machine"),
        (0.9, False, "Fewer steps between checkpoints"),
        (float("nan"), False, "leave no choice of machines"),
    ],
)
def test_what_comes_apart_by_a_tenth_of_the_change_with_a_margin_decides_nothing(
    apart: float, decides: bool | None, words: str
) -> None:
    """The margin is that of a replay, 16 times what honest repetitions differ by."""
    found = Spread(0, 10, WAYS, apart, 1.0)
    assert found.decides is decides
    assert words in found.describe()


def test_a_recipe_is_tried_out_on_the_data_before_anything_is_published(
    lab: object,
    dataset_store: LocalStore,
    llamafund: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("llamafund_trainer.replay.decidability.SEGMENTS", 1)
    (tmp_path / "recipe.yaml").write_bytes(lab.recipe.data)
    known = set(Path(dataset_store.location).rglob("*"))
    options = ("--dry-run", "--decidable", "--dataset", lab.dataset.sha256, "--store", dataset_store.location)
    ran = llamafund("train", tmp_path / "recipe.yaml", *options, "--json")
    assert ran.code == ExitCode.OK, ran.stderr
    (segment,) = ran.json["decidable"]
    assert (segment["first_step"], segment["last_step"]) == (0, 10)
    assert float(segment["change"]) > 0
    assert segment["decides"] is (None if float(segment["apart"]) == 0 else True)
    assert set(Path(dataset_store.location).rglob("*")) == known


def test_what_it_needs_is_said(lab: object, llamafund: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(lab.recipe.data)
    llamafund("train", tmp_path / "recipe.yaml", "--dry-run", "--decidable").refused(ExitCode.USAGE, "needs --dataset")
    options = ("--dataset", lab.dataset.sha256, "--out", tmp_path / "out", "--decidable")
    llamafund("train", tmp_path / "recipe.yaml", *options).refused(ExitCode.USAGE, "is for --dry-run")
    on_gpu = parse_recipe(lab.recipe.data.replace(b"{threads: 1,", b"{device: cuda, threads: 1,"))
    with pytest.raises(UsageError, match="cannot be measured on a GPU"):
        measure_decidability(lab.store, on_gpu, lab.dataset.sha256, tmp_path)
