"""The record of the environment: what is in it, what a recipe fixes, and what it can explain."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llamafund_chain.errors import UsageError
from llamafund_trainer.recipe import Recipe, RecipeFile, parse_recipe
from llamafund_trainer.record.environment import (
    environment_here,
    explaining_settings,
    observed_environment,
    passed_on_variables,
    pinned_variables,
    record_problem,
    recorded_environment,
    require_environment,
    settings_outside,
)

ENVIRONMENT = b"""
environment:
  torch: "2.13.0"
  accelerate: "1.15.0"
  numpy: ["2.4.6", "2.4.7"]
  safetensors: "0.8.0"
  tokenizers: "0.23.3"
  transformers: "5.23.0"
  processor_class: GenuineIntel
"""
ON_GPUS = """
determinism: {{device: cuda, processes: 2{more}}}
environment:
  torch: "2.13.0"
  accelerate: "1.15.0"
  numpy: "2.4.6"
  safetensors: "0.8.0"
  tokenizers: "0.23.3"
  transformers: "5.23.0"
  gpu: NVIDIA H100
  cuda: "13.0"
  cudnn: "91900"
  nccl: "2.28.9"
  nccl_variables: {{NCCL_MAX_NCHANNELS: "4"}}
"""
RECORD = {
    "torch": "2.13.0+cpu",
    "accelerate": "1.15.0",
    "numpy": "2.4.7",
    "safetensors": "0.8.0",
    "tokenizers": "0.23.3",
    "transformers": "5.23.0",
    "processor_class": "GenuineIntel 6-143",
}


@pytest.fixture
def fixing(recipe: RecipeFile) -> Recipe:
    """A recipe that fixes an environment."""
    return parse_recipe(recipe.data + ENVIRONMENT).recipe


def test_a_setting_that_was_not_recorded_counts_as_different(recipe: RecipeFile) -> None:
    found = explaining_settings(recipe.recipe, {"torch": "2"}, {"torch": "2", "threads": "1"})
    assert found == {"threads": ("", "1")}
    assert explaining_settings(recipe.recipe, {"python": "3.11"}, {"python": "3.12"}) == {}


def test_a_setting_that_nobody_records_now_explains_nothing(recipe: RecipeFile) -> None:
    assert explaining_settings(recipe.recipe, {"torch": "2", "moon": "full"}, {"torch": "2"}) == {}


def test_threat_of_a_fixed_environment_only_the_choice_that_it_leaves_explains_anything(fixing: Recipe) -> None:
    then = {**RECORD, "processor": "something rare", "torch_build": "ab"}
    now = {**RECORD, "processor": "a Xeon", "torch_build": "cd", "numpy": "2.4.6"}
    assert explaining_settings(fixing, then, now) == {"numpy": ("2.4.7", "2.4.6")}


def test_a_value_also_fits_what_goes_on_after_a_space_or_a_plus_and_nothing_else(fixing: Recipe) -> None:
    assert settings_outside(fixing, RECORD) == {}
    for name, value in {
        "torch": "2.13.01",
        "numpy": "2.4.5",
        "processor_class": "GenuineIntelligence",
        "tokenizers": "",
    }.items():
        assert settings_outside(fixing, {**RECORD, name: value}).keys() == {name}
    assert settings_outside(fixing, {**RECORD, "numpy": "2.4.5"}) == {"numpy": ("2.4.6 or 2.4.7", "2.4.5")}
    without = {name: value for name, value in RECORD.items() if name != "processor_class"}
    assert settings_outside(fixing, without) == {"processor_class": ("GenuineIntel", "")}


def test_training_is_refused_where_the_recipe_says_that_it_does_not_happen(fixing: Recipe, recipe: RecipeFile) -> None:
    require_environment(fixing, RECORD)
    require_environment(recipe.recipe, {})
    with pytest.raises(UsageError, match=r"processor_class is 'AuthenticAMD 25-1' here.*says 'GenuineIntel'"):
        require_environment(fixing, {**RECORD, "processor_class": "AuthenticAMD 25-1"})


def test_a_record_says_what_the_recipe_pins_and_names(fixing: Recipe, lab: object) -> None:
    honest = {**lab.run[0].environment, **RECORD}
    assert record_problem(fixing, honest) is None
    assert record_problem(fixing, {**honest, "threads": "2"}) == (
        "records threads '2'; the recipe pins '1', and the trainer sets it"
    )
    assert "outside of the recipe's environment: it says 'GenuineIntel'" in str(
        record_problem(fixing, {**honest, "processor_class": "something rare"})
    )


@pytest.fixture
def on_gpus(recipe: RecipeFile) -> Callable[..., Recipe]:
    """Makes recipes for two GPUs that fix their environment."""
    plain = b"\n".join(line for line in recipe.data.splitlines() if not line.startswith(b"determinism"))

    def make(more: str = "") -> Recipe:
        return parse_recipe(plain + ON_GPUS.format(more=more).encode()).recipe

    return make


@pytest.fixture
def standing_in_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch says that there are two GPUs, and computes nothing on them."""
    import torch

    told = {
        "get_device_name": "NVIDIA H100 80GB HBM3",
        "get_device_capability": (9, 0),
        "device_count": 2,
        "is_available": True,
    }
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda.nccl, "version", lambda: (2, 28, 9))


def test_how_several_gpus_add_up_is_pinned(on_gpus: Callable[..., Recipe], recipe: RecipeFile) -> None:
    """Without a GPU: the variables that NCCL reads, not what it does with them."""
    pinned = pinned_variables(on_gpus())
    assert {name: value for name, value in pinned.items() if name.startswith("NCCL_")} == {
        "NCCL_ALGO": "Ring",
        "NCCL_PROTO": "Simple",
        "NCCL_NVLS_ENABLE": "0",
        "NCCL_COLLNET_ENABLE": "0",
    }
    assert pinned["FLASH_ATTENTION_DETERMINISTIC"] == "1"
    other = pinned_variables(on_gpus(", nccl_algorithm: Tree, nccl_protocol: LL128"))
    assert (other["NCCL_ALGO"], other["NCCL_PROTO"]) == ("ring;allreduce:tree", "LL128")
    assert not [name for name in pinned_variables(recipe.recipe) if name.startswith("NCCL_")]
    with pytest.raises(UsageError, match="With sharding full, use Ring"):
        on_gpus(", sharding: full, nccl_algorithm: Tree")


def test_what_a_user_says_of_the_network_is_passed_on_and_what_decides_recorded(
    on_gpus: Callable[..., Recipe], recipe: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"NCCL_SOCKET_IFNAME": "eth0", "NCCL_MAX_NCHANNELS": "4", "HOME": "/home/tara"}
    assert passed_on_variables(on_gpus(), said).keys() == {"NCCL_SOCKET_IFNAME", "NCCL_MAX_NCHANNELS"}
    assert passed_on_variables(recipe.recipe, said) == {}
    for name, value in {**said, "TORCHINDUCTOR_FREEZING": "1", "TORCHINDUCTOR_CACHE_DIR": "/secret"}.items():
        monkeypatch.setenv(name, value)
    recorded = {name for name in observed_environment() if name.startswith(("NCCL_", "TORCHINDUCTOR_"))}
    assert recorded == {"NCCL_MAX_NCHANNELS", "TORCHINDUCTOR_FREEZING"}


@pytest.mark.usefixtures("standing_in_for_gpus")
def test_stand_ins_for_gpus_are_recorded_as_the_recipe_names_them(
    on_gpus: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is here: what torch says of one is made up."""
    recipe = on_gpus()
    for name, value in {**pinned_variables(recipe), "NCCL_MAX_NCHANNELS": "4"}.items():
        monkeypatch.setenv(name, value)
    record = recorded_environment(recipe)
    assert {"driver", "cublas", "cuda", "cudnn"} <= record.keys()
    assert (record["nccl"], record["NCCL_ALGO"], record["NCCL_MAX_NCHANNELS"]) == ("2.28.9", "Ring", "4")
    here = environment_here(recipe)
    assert (here["gpu"], here["nccl"], here["NCCL_MAX_NCHANNELS"]) == ("NVIDIA H100 80GB HBM3", "2.28.9", "4")
    assert not here.keys() & {"processor_class", "NCCL_ALGO"}
    honest = {**record, **{name: values[0] for name, values in recipe.environment.named.items()}}
    assert settings_outside(recipe, honest) == {}
    assert settings_outside(recipe, {**honest, "NCCL_MAX_NCHANNELS": "8"}).keys() == {"NCCL_MAX_NCHANNELS"}
    assert settings_outside(recipe, {**honest, "NCCL_NTHREADS": "64"}) == {"NCCL_NTHREADS": ("", "64")}
    assert "NCCL_ALGO 'Tree'; the recipe pins 'Ring'" in str(
        record_problem(recipe, {**honest, "processes": "2", "threads": "1", "NCCL_ALGO": "Tree"})
    )
