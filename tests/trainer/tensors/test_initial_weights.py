"""Initial weights: found by anyone with the training seed, a hash and integers."""

from __future__ import annotations

import hashlib

import numpy as np

from llamafund_trainer.recipe import RecipeFile
from llamafund_trainer.tensors.initial_weights import initial_tensors, parameter_count, parameter_shapes

SEED = "5a" * 32


def test_initial_weights_have_the_names_shapes_and_spread_of_the_recipe(recipe: RecipeFile) -> None:
    tensors = dict(initial_tensors(recipe.recipe, SEED))
    assert {name: values.shape for name, values in tensors.items()} == parameter_shapes(recipe.recipe)
    assert sum(values.size for values in tensors.values()) == parameter_count(recipe.recipe)
    drawn = np.concatenate([values.ravel() for values in tensors.values() if values.ndim == 2])
    assert abs(float(drawn.mean())) < 1e-3
    assert abs(float(drawn.std()) - recipe.recipe.model.initializer_range) < 1e-3
    assert all((values == 1).all() for values in tensors.values() if values.ndim == 1)


def test_initial_weights_never_change_between_versions(recipe: RecipeFile) -> None:
    digest = hashlib.sha256()
    for name, values in initial_tensors(recipe.recipe, SEED):
        digest.update(name.encode() + values.tobytes())
    assert digest.hexdigest() == "3f535d00efb60e232bf6608c1eed4bad3aa87009b62f9609fbcfc63aa7d78181"


def test_initial_weights_can_be_found_with_a_hash_and_integers_alone(recipe: RecipeFile) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    values = dict(initial_tensors(recipe.recipe, SEED))[name]
    key = hashlib.sha256(b"llamafund/initial-weights\x00" + bytes.fromhex(SEED)).digest()
    stream = hashlib.shake_256(key + f"{name}/0".encode()).digest(8)
    total = sum(int.from_bytes(stream[place : place + 2], "little") for place in range(0, 8, 2)) - 131_070
    scale = recipe.recipe.model.initializer_range / ((2**32 - 1) / 3) ** 0.5
    assert values.ravel()[0] == np.float32(total * scale)


def test_other_seeds_give_other_weights(recipe: RecipeFile) -> None:
    one, other = (dict(initial_tensors(recipe.recipe, seed)) for seed in (SEED, "5b" * 32))
    assert all((one[name] != other[name]).any() for name in one if one[name].ndim == 2)
