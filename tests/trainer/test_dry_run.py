"""What a recipe would take, counted without memory for it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from llamafund_chain.errors import ExitCode
from llamafund_trainer.dry_run import DEVICES, count_costs, dry_run
from llamafund_trainer.initial import parameter_count
from llamafund_trainer.recipe import RecipeFile, parse_recipe

RECIPES = files("llamafund_trainer").joinpath("recipes")
BUNDLED = sorted(path.name for path in RECIPES.iterdir())

Command = Callable[..., object]


def changed(recipe: RecipeFile, section: str, **values: object) -> RecipeFile:
    raw = yaml.safe_load(recipe.data)
    raw.setdefault(section, {}).update(values)
    return parse_recipe(yaml.safe_dump(raw).encode())


@pytest.mark.parametrize("name", BUNDLED)
def test_the_model_of_a_bundled_recipe_is_built_and_counted(name: str) -> None:
    recipe = parse_recipe(RECIPES.joinpath(name).read_bytes()).recipe
    counted = count_costs(recipe)
    assert counted.parameters == parameter_count(recipe)
    tokens = recipe.training.steps * recipe.samples_per_step * recipe.data.context_length
    # Kaplan et al. (arXiv 2001.08361): 6 operations for each parameter and token; embeddings take fewer,
    # attention and layers that are computed twice take more.
    assert 0.9 < counted.flops / (6 * counted.parameters * tokens) < 1.5
    assert counted.activation_bytes > 0


def test_layers_computed_twice_keep_less_and_compute_more(recipe: RecipeFile) -> None:
    larger = changed(recipe, "model", layers=8)
    kept, twice = (count_costs(changed(larger, "training", gradient_checkpointing=on).recipe) for on in (False, True))
    assert twice.activation_bytes < kept.activation_bytes / 2
    assert twice.flops > kept.flops * 1.1
    assert twice.parameters == kept.parameters


def test_processes_share_activations_and_not_the_state(recipe: RecipeFile) -> None:
    one, two = (count_costs(changed(recipe, "determinism", processes=count).recipe) for count in (1, 2))
    assert two.activation_bytes == pytest.approx(one.activation_bytes / 2, rel=0.05)
    assert two.model_bytes == one.model_bytes * 20 // 16, "gradients are exchanged through buffers"
    assert two.flops == one.flops


def test_processes_that_split_the_model_hold_a_part_of_the_state_and_the_layers_at_work(recipe: RecipeFile) -> None:
    deep = changed(recipe, "model", layers=8)
    whole, layer = (count_costs(each.recipe) for each in (deep, changed(recipe, "model", layers=1)))
    split = count_costs(changed(changed(deep, "determinism", processes=4), "determinism", sharding="full").recipe)
    inside = (whole.parameters - layer.parameters) // 7
    gathered = whole.parameters - 6 * inside
    assert split.model_bytes == whole.parameters * 16 // 4 + gathered * 8
    assert split.activation_bytes == pytest.approx(whole.activation_bytes / 4, rel=0.05)


def test_numbers_of_half_the_size_keep_less(recipe: RecipeFile) -> None:
    single, half = (count_costs(changed(recipe, "precision", dtype=dtype).recipe) for dtype in ("float32", "bfloat16"))
    assert half.activation_bytes < single.activation_bytes
    assert half.model_bytes == single.model_bytes


def test_time_and_money_follow_from_the_count() -> None:
    recipe = parse_recipe(RECIPES.joinpath("node-8b.yaml").read_bytes())
    found = dry_run(recipe, DEVICES["h100"], price=2.0)
    assert found.seconds == pytest.approx(found.counted.flops / (DEVICES["h100"].flops * 8))
    assert found.dollars == pytest.approx(found.seconds / 3600 * 8 * 2.0)
    assert not found.fits
    assert found.memory > 140 * 10**9


def test_the_command_needs_neither_data_nor_a_directory(llamafund: Command, recipe: RecipeFile, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(recipe.data)
    ran = llamafund("train", path, "--dry-run", "--price", "3", "--json")
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["parameters"] == parameter_count(recipe.recipe)
    assert ran.json["tokens"] == 40 * 8 * 32
    assert ran.json["fits"] is True
    llamafund("train", path).refused(ExitCode.USAGE, "--dataset and --out")
    hashes = ("--dataset", "ab" * 32, "--seed", "ab" * 32, "--out", tmp_path / "run")
    llamafund("train", path, *hashes, "--price", "3").refused(ExitCode.USAGE, "are for --dry-run")
    llamafund("train", path, *hashes, "--resume").refused(ExitCode.USAGE, "no run in", "never begun")
    assert list(tmp_path.iterdir()) == [path]
