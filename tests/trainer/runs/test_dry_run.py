"""What a recipe would take, counted without memory for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from llamafund_chain.errors import ExitCode
from llamafund_chain.samples.machine import processor_class
from llamafund_trainer.cli.train import _environment_lines
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.record.environment import pinned_variables
from llamafund_trainer.runs.dry_run import DEVICES, dry_run
from llamafund_trainer.runs.inputs import fetch_inputs
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


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux says how much memory a process has used at most")
def test_the_memory_of_three_sizes_is_that_of_a_real_run(lab: object, recipe: RecipeFile, tmp_path: Path) -> None:
    """With and without layers that are computed twice, and with large logits."""
    inputs = fetch_inputs(lab.store, lab.run[-1], tmp_path)
    shapes = (
        ({"hidden_size": 256, "intermediate_size": 1024, "layers": 4}, {"batch_size": 16}, 300),
        ({"hidden_size": 512, "intermediate_size": 2048, "layers": 3}, {"batch_size": 4}, 8192),
        ({"hidden_size": 256, "intermediate_size": 4096, "layers": 6}, {"gradient_checkpointing": True}, 300),
    )
    paths: list[str] = []
    for number, (model, training, vocabulary) in enumerate(shapes):
        made = changed(recipe, "model", heads=4, kv_heads=4, **model)
        made = changed(changed(made, "tokenizer", vocab_size=vocabulary), "data", context_length=128)
        made = changed(made, "schedule", warmup_steps=1)
        steps = {"steps": 2, "checkpoint_every": 2, "log_every": 1, "batch_size": 16, "gradient_accumulation": 1}
        made = changed(made, "training", **{**steps, **training})
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(made.data)
        paths.append(str(path))
    script = Path(__file__).with_name("real_peak.py")
    subprocess.run(
        [sys.executable, str(script), str(inputs.data), str(inputs.dataset_path), str(tmp_path), *paths],
        # Else the C library holds back what is freed, and in another order of tensors another amount of it.
        env={**os.environ, **pinned_variables(recipe.recipe), "MALLOC_MMAP_THRESHOLD_": "65536"},
        check=True,
        capture_output=True,
    )
    for counted, used in json.loads((tmp_path / "found.json").read_text()):
        assert counted == pytest.approx(used, rel=0.15)


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
    assert found.memory > 190 * 10**9
    assert found.counted.host_bytes > 8 * found.counted.parameters, "measured there, as float64"
    # Forward only, each token once: 2 operations for each parameter, embeddings fewer.
    assert found.counted.measuring_flops == pytest.approx(2 * found.counted.parameters, rel=0.2)


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
    assert found["fits"] is name.endswith("lora"), "an update of all weights takes 30 GiB besides the state"
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


@pytest.mark.parametrize(
    ("fixes", "outside", "here", "words"),
    [
        (False, {}, {"processor_class": "Apple M2"}, ("fixes no environment", 'processor_class: "Apple M2"')),
        (True, {}, {"processor_class": "Apple M2"}, ("This machine is in the recipe's environment.",)),
        (True, {"torch": ("2.12", "2.13")}, {"processor_class": "Apple M2"}, ("NOT in", "torch is '2.13', not '2.12'")),
        (False, {}, {"torch": "2.13"}, ("its GPU, but it has none",)),
        (False, {}, {"gpu": "H100", "NCCL_NTHREADS": "64"}, ("  nccl_variables:", '    NCCL_NTHREADS: "64"')),
    ],
)
def test_what_a_recipe_can_say_of_the_machine_is_printed_as_it_belongs_there(
    fixes: bool, outside: dict[str, tuple[str, str]], here: dict[str, str], words: tuple[str, ...]
) -> None:
    counted = SimpleNamespace(environment=here)
    lines = _environment_lines(SimpleNamespace(counted=counted, fixes_environment=fixes, outside=outside))
    assert all(word in "\n".join(lines) for word in words), lines


def test_the_command_needs_neither_data_nor_a_directory(llamafund: Command, recipe: RecipeFile, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(recipe.data.replace(b"log_every: 5", b"log_every: 5, state_every: 20"))
    ran = llamafund("train", path, "--dry-run", "--price", "3", "--json")
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["parameters"] == parameter_count(recipe.recipe)
    assert ran.json["tokens"] == 40 * 8 * 32
    count = ran.json["parameters"]
    assert ran.json["checkpoints"] == 5
    assert ran.json["checkpoints_with_state"] == 2
    assert ran.json["store_bytes"] == 5 * count * 4 + 2 * count * 8
    assert ran.json["store_bytes"] + ran.json["store_bytes_saved"] == count * 4 + 4 * count * 12
    assert ran.json["replay_steps"] == 20
    assert ran.json["replay_seconds"] == pytest.approx(ran.json["seconds"] / 2, abs=1)
    assert ran.json["host_bytes"] > ran.json["model_bytes"] + ran.json["activation_bytes"], "and the libraries"
    assert ran.json["measuring_seconds_per_megabyte"] >= 0
    assert ran.json["fits"] is True
    assert ran.json["environment"]["processor_class"] == processor_class()
    assert (ran.json["outside"], ran.json["decidable"]) == ({}, [])
    section = f"environment: {json.dumps(ran.json['environment'])}\n"
    assert parse_recipe(recipe.data + section.encode()).recipe.environment is not None, "as it is printed"
    llamafund("train", path).refused(ExitCode.USAGE, "--dataset and --out")
    hashes = ("--dataset", "ab" * 32, "--seed", "ab" * 32, "--out", tmp_path / "run")
    llamafund("train", path, *hashes, "--price", "3").refused(ExitCode.USAGE, "are for --dry-run")
    llamafund("train", path, *hashes, "--resume").refused(ExitCode.USAGE, "no run to continue", "run.json")
    assert list(tmp_path.iterdir()) == [path]
