"""Whether open weights are a checkpoint's: the same tensors, configuration and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.store.content import fetch_tree
from llamafund_chain.strict_yaml import read_json
from llamafund_trainer import llama
from llamafund_trainer.base_files import (
    CONFIG,
    GENERATION_CONFIG,
    MAX_CONFIG_BYTES,
    MAX_TEXT_BYTES,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    Base,
    fetch_base,
)
from llamafund_trainer.runs.inputs import fetch_recipe
from llamafund_trainer.runs.open_weights import fetch_weights
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.tensors.compare import Difference, compare_files, count_elements
from llamafund_trainer.tensors.initial_weights import parameter_count
from llamafund_trainer.tensors.shards import WEIGHTS

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
    from llamafund_chain.store import Store
    from llamafund_trainer.recipe import RecipeFile

_BESIDE = frozenset({GENERATION_CONFIG, *TOKENIZER_FILES})
"""Files beside weights and configuration that the open weights must have if the checkpoint has them."""

_VERSION = "transformers_version"
_NOT_COMPARED = frozenset({_VERSION, "use_cache"})
"""Keys of a configuration that whoever saves a model sets, and that do not change what it computes."""


@dataclass(frozen=True)
class Pair:
    """Open weights and the checkpoint that they must equal, both fetched.

    Attributes:
        weights: Manifest of the open weights.
        checkpoint: Manifest of the checkpoint.
        recipe_file: The run's recipe.
        base: The base model, if the recipe names one.
        published: Directory with the files of the open weights.
        original: Directory with the files of the checkpoint.
    """

    weights: WeightsManifest
    checkpoint: CheckpointManifest
    recipe_file: RecipeFile
    base: Base | None
    published: Path
    original: Path


@dataclass(frozen=True)
class _Expected:
    """What the files of the open weights must say.

    Attributes:
        config: Of `config.json`, but for keys that are not compared.
        generation: Of `generation_config.json`.
        parameters: Number of parameters.
    """

    config: Mapping[str, object]
    generation: Mapping[str, object]
    parameters: int


def missing_file(weights: WeightsManifest, checkpoint: CheckpointManifest) -> str | None:
    """A file that the checkpoint has and the open weights lack; `None` if there is none."""
    named, there = ({entry.path for entry in manifest.files} for manifest in (weights, checkpoint))
    return next(iter(sorted({CONFIG, *_BESIDE & there} - named)), None)


def fetch_pair(store: Store, weights: WeightsManifest, checkpoint: CheckpointManifest, directory: Path) -> Pair:
    """Fetch everything but the weights themselves.

    Args:
        store: Where both are published.
        weights: Manifest of the open weights.
        checkpoint: Manifest of the checkpoint.
        directory: Existing directory for the files.

    Raises:
        LlamafundError: The store lacks something.
        VerificationError: A file does not match its hash, or the base model cannot be used.
    """
    published, original = directory / "published", directory / "checkpoint"
    recipe_file = fetch_recipe(store, checkpoint.recipe)
    named = recipe_file.recipe.base
    base = None if named is None else fetch_base(store, named, original / "base")
    fetch_tree(store, weights, published, sorted({entry.path for entry in weights.files} & {CONFIG, *_BESIDE}))
    fetch_tree(store, checkpoint, original, [CONFIG, TOKENIZER])
    return Pair(weights, checkpoint, recipe_file, base, published, original)


def other_tensors(store: Store, pair: Pair) -> Difference | None:
    """Fetch the weights of both and compare them bit by bit; `None` if they are equal."""
    recipe = pair.recipe_file.recipe
    return compare_files(
        fetch_weights(store, pair.weights, recipe, pair.base, pair.published),
        fetch_weights(store, pair.checkpoint, recipe, pair.base, pair.original),
    )


def other_files(pair: Pair) -> str | None:
    """What is wrong with the files beside the weights, once `other_tensors` has fetched those; `None` if nothing is."""
    return next(_problems(pair), None)


def _problems(pair: Pair) -> Iterator[str]:
    expected = _expected(pair)
    yield from _config_problems(pair, expected.config)
    yield from _generation_problems(pair, expected.generation)
    yield from _tokenizer_problems(pair)
    if pair.weights.parameters != expected.parameters:
        yield f"The manifest counts {pair.weights.parameters} parameters; the model has {expected.parameters}"


def _expected(pair: Pair) -> _Expected:
    recipe = pair.recipe_file.recipe
    if pair.base is None:
        return _Expected(llama.published_config(recipe), llama.GENERATION_VALUES, parameter_count(recipe))
    made = make_start(pair.recipe_file, pair.base, pair.checkpoint.seed, pair.original, weights=False)
    config = read_json(made / CONFIG, MAX_CONFIG_BYTES)
    return _Expected(
        config={key: value for key, value in config.items() if key not in _NOT_COMPARED},
        generation=read_json(made / GENERATION_CONFIG, MAX_CONFIG_BYTES),
        parameters=count_elements(pair.original / WEIGHTS),
    )


def _config_problems(pair: Pair, expected: Mapping[str, object]) -> Iterator[str]:
    config, before = (read_json(place / CONFIG, MAX_CONFIG_BYTES) for place in (pair.published, pair.original))
    if not isinstance(config, dict) or not isinstance(before, dict):
        yield f"The published {CONFIG} is not an object"
        return
    for key, value in expected.items():
        if config.get(key) != value:
            yield f"The published {CONFIG} says {key} {config.get(key)!r}; the recipe's model has {value!r}"
    known = {**llama.CONFIG_DEFAULTS, **expected}
    for key in sorted(set(config) - _NOT_COMPARED):
        if key not in known or config[key] != known[key]:
            yield f"The published {CONFIG} says {key} {str(config[key])[:80]!r}; the recipe's model does not"
    for key in sorted({*config, *before} - {_VERSION}):
        if config.get(key) != before.get(key):
            yield f"The published {CONFIG} differs from the last checkpoint's in {key}"


def _generation_problems(pair: Pair, expected: Mapping[str, object]) -> Iterator[str]:
    """Settings with which people will let the model write, other than the trainer's."""
    path = pair.published / GENERATION_CONFIG
    if not path.exists():
        return
    found = read_json(path, MAX_CONFIG_BYTES)
    if not isinstance(found, dict):
        yield f"The published {path.name} is not an object"
        return
    for key in sorted({*found, *expected} - {_VERSION}):
        if found.get(key) != expected.get(key):
            said, wanted = (str(values.get(key))[:80] for values in (found, expected))
            yield f"The published {path.name} says {key} {said!r}; the trainer writes {wanted!r}"


def _tokenizer_problems(pair: Pair) -> Iterator[str]:
    one, other = (read_json(place / TOKENIZER, MAX_TEXT_BYTES) for place in (pair.published, pair.original))
    if one != other:
        yield f"The published {TOKENIZER} is not the last checkpoint's"
    if pair.base is None:
        # Other settings could make a trained tokenizer split text differently.
        if read_json(pair.published / TOKENIZER_CONFIG, MAX_CONFIG_BYTES) != llama.tokenizer_config(
            pair.recipe_file.recipe
        ):
            yield f"The published {TOKENIZER_CONFIG} is not what the trainer writes"
        return
    for name in TOKENIZER_FILES:
        ours, theirs = pair.published / name, pair.base.directory / name
        if ours.exists() != theirs.exists() or (ours.exists() and ours.read_bytes() != theirs.read_bytes()):
            yield f"The published {name} is not the base model's"
