"""What a recipe would take, counted without memory for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from llamafund_chain.errors import ExitCode
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.runs.dry_run import DEVICES, dry_run
from llamafund_trainer.tensors.initial_weights import parameter_count
from llamafund_trainer.worker.costs import count_costs

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


LLAMA_3_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-05,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
"""The public configuration of that model; its dry run needs nothing else of it."""

# Embeddings and output, and in each layer attention, feed-forward and two norms; then the last norm.
PARAMETERS_8B = 2 * 128256 * 4096 + 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096) + 4096
ADAPTER_8B = 32 * 16 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))


def example(name: str, llamafund: Command, folder: Path) -> Path:
    """A recipe of the examples that names a published directory with a configuration only."""
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text(json.dumps(LLAMA_3_8B))
    ran = llamafund("publish", folder / "base", "--to", folder / "store", "--json")
    text = (Path(__file__).parents[3] / "trainer" / "examples" / f"{name}.yaml").read_text()
    path = folder / "recipe.yaml"
    path.write_text(text.replace("0" * 64, ran.json["manifest"]))
    return path


@pytest.mark.parametrize(("name", "trained"), [("fine_tune_8b", PARAMETERS_8B), ("fine_tune_8b_lora", ADAPTER_8B)])
def test_the_examples_of_fine_tuning_are_counted_from_the_base_models_configuration(
    name: str, trained: int, llamafund: Command, tmp_path: Path
) -> None:
    path = example(name, llamafund, tmp_path)
    ran = llamafund("train", path, "--dry-run", "--device", "b200", "--store", tmp_path / "store", "--json")
    assert ran.code == ExitCode.OK, ran.stderr
    found = ran.json
    assert (found["parameters"], found["trained_parameters"]) == (PARAMETERS_8B, trained)
    assert found["fits"] is True
    exchanged = 4 if found["devices"] > 1 else 0
    held = PARAMETERS_8B + (trained if name.endswith("lora") else 0)
    assert found["model_bytes"] == 4 * held + (12 + exchanged) * trained
    # Layers are computed twice; with frozen weights, of which no gradients are taken, that makes as many as usual.
    assert 5.5 < found["flops"] / (PARAMETERS_8B * found["tokens"]) < (7 if name.endswith("lora") else 9)
    llamafund("train", path, "--dry-run", "--store", tmp_path / "elsewhere").refused(
        ExitCode.ERROR, "size of the base model", "config.json", "--store"
    )


def test_a_base_model_that_takes_too_long_is_given_up(
    llamafund: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = example("fine_tune_8b", llamafund, tmp_path)
    monkeypatch.setattr("llamafund_trainer.process.launch.SPARE_SECONDS", 1)
    llamafund("train", path, "--dry-run", "--store", tmp_path / "store").refused(
        ExitCode.VERIFICATION_FAILED, "takes too long"
    )


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
    llamafund("train", path, *hashes, "--resume").refused(ExitCode.USAGE, "no run to continue", "run.json")
    assert list(tmp_path.iterdir()) == [path]
