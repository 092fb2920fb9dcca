"""What a run starts from, fetched and verified, and the checkpoints that it produced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UncheckedError, UsageError, VerificationError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.evidence.manifests import MAX_MANIFEST_BYTES, CheckpointManifest, DatasetManifest, save_manifest
from llamafund_chain.evidence.programs import ProgramFile, parse_program
from llamafund_chain.evidence.recipes import NOT_REPLAYABLE, RecipeKind, recipe_kind
from llamafund_chain.files import write_file
from llamafund_chain.store.base import called
from llamafund_chain.store.content import fetch_manifest, fetch_tree
from llamafund_trainer.base_files import Base, fetch_base
from llamafund_trainer.process.launch import bounds_for
from llamafund_trainer.recipe import Recipe, RecipeFile, parse_recipe
from llamafund_trainer.tensors.initial_weights import parameter_count

if TYPE_CHECKING:
    from llamafund_chain.store import Store
    from llamafund_trainer.process.messages import Bounds


class OtherRecipeError(UncheckedError):
    """A run's recipe is not of the kind that was asked for, which accuses nobody."""


@dataclass(frozen=True)
class Inputs:
    """Recipe, data and base model of a run, on disk.

    Attributes:
        recipe_file: The recipe with its bytes.
        dataset: The dataset manifest.
        recipe_path: The recipe's file.
        dataset_path: The dataset manifest's file.
        data: Directory with the dataset's files.
        base: The base model, if the recipe names one.
    """

    recipe_file: RecipeFile
    dataset: DatasetManifest
    recipe_path: Path
    dataset_path: Path
    data: Path
    base: Base | None = None

    @property
    def base_path(self) -> Path | None:
        """Directory with the base model's files."""
        return None if self.base is None else self.base.directory

    @property
    def bounds(self) -> Bounds | None:
        """Limits for encoding the data and building the model if a stranger's files decide how; else `None`."""
        return None if self.base is None else bounds_for(self.base.directory, self.data)

    @property
    def parameters(self) -> int:
        """Number of parameters of the trained model; shared ones count once."""
        if self.base is None:
            return parameter_count(self.recipe)
        return sum(math.prod(entry.shape) for entry in self.base.tensors.values())

    @property
    def recipe(self) -> Recipe:
        """The recipe's values."""
        return self.recipe_file.recipe


def prepare_inputs(store: Store, recipe_file: RecipeFile, dataset: str, directory: Path) -> Inputs:
    """Fetch a dataset, and the base model where the recipe names one, and lay them out with the recipe.

    Args:
        store: Where the dataset was published.
        recipe_file: The recipe.
        dataset: SHA-256 of the dataset manifest.
        directory: Where to write; created when missing.

    Raises:
        LlamafundError: The store lacks something.
        VerificationError: Fetched files do not match their hashes, or the base model cannot be used.
    """
    manifest = fetch_manifest(store, dataset, DatasetManifest)
    data = directory / "data"
    fetch_tree(store, manifest, data)
    recipe_path, dataset_path = directory / "recipe.yaml", directory / "dataset.json"
    write_file(recipe_path, recipe_file.data)
    save_manifest(dataset_path, manifest)
    named = recipe_file.recipe.base
    base = None if named is None else fetch_base(store, named, directory / "base")
    # Absolute, because the training process runs in another directory.
    return Inputs(recipe_file, manifest, recipe_path.absolute(), dataset_path.absolute(), data.absolute(), base)


def input_paths(recipe: Recipe, directory: Path) -> dict[str, Path | None]:
    """Where `prepare_inputs` puts things in a directory, as a job names them."""
    place = directory.absolute()
    return {
        "recipe": place / "recipe.yaml",
        "dataset": place / "dataset.json",
        "data": place / "data",
        "base": None if recipe.base is None else place / "base",
    }


def fetch_recipe(store: Store, sha256: str) -> RecipeFile:
    """Fetch a recipe of the trainer's by its hash.

    Raises:
        LlamafundError: The store lacks it.
        OtherRecipeError: It is a recipe of another kind, such as a program or a script.
        VerificationError: The file in the store has another hash, or is not a valid recipe.
    """
    found = fetch_any_recipe(store, sha256)
    if isinstance(found, ProgramFile):
        raise OtherRecipeError(
            "The recipe is a program of the researcher's own",
            f"The recipe {sha256} runs, and says nothing that could be compared or measured",
            "llamafund replay repeats it; it exports its weights itself",
        )
    return found


def fetch_any_recipe(store: Store, sha256: str) -> RecipeFile | ProgramFile:
    """Fetch a recipe of any kind that can be repeated.

    Raises:
        LlamafundError: The store lacks it.
        OtherRecipeError: No program repeats it.
        VerificationError: The file in the store has another hash, or is not a valid recipe.
    """
    cid = raw_cid(sha256)
    with called({cid: f"recipe {sha256}"}):
        # As much as such an address can have, so that a recipe that is too long is not taken for a wrong answer.
        data = store.read(cid, limit=MAX_MANIFEST_BYTES)
    kind = recipe_kind(data)
    if kind is RecipeKind.OTHER:
        raise OtherRecipeError(
            NOT_REPLAYABLE, f"The recipe {sha256} is neither one of the trainer's nor a program with all that it takes"
        )
    recipe_file: RecipeFile | ProgramFile
    try:
        if kind is RecipeKind.PROGRAM:
            recipe_file = parse_program(data)
        else:
            recipe_file = parse_recipe(data, name=f"The recipe {sha256}")
    except UsageError as error:
        # Whoever named this hash published what it stands for.
        raise VerificationError(error.what, error.why, error.remedy) from error
    if recipe_file.sha256 != sha256:
        raise VerificationError(
            f"The recipe {sha256} hashes to {recipe_file.sha256}", "It was changed", "Do not use it"
        )
    return recipe_file


def fetch_inputs(store: Store, evidence: CheckpointManifest, directory: Path) -> Inputs:
    """Fetch the recipe and data that a checkpoint names into a directory; raises what `prepare_inputs` raises."""
    return prepare_inputs(store, fetch_recipe(store, evidence.recipe), evidence.dataset, directory)


def walk_run(store: Store, head: CheckpointManifest) -> tuple[CheckpointManifest, ...]:
    """All checkpoints of a run, from the initial weights to `head`.

    Raises:
        LlamafundError: The store lacks one of them.
        VerificationError: They are not one unbroken run with one recipe, dataset and seed.
    """
    links = [head]
    while links[-1].steps.last > 0:
        link = links[-1]
        before = fetch_manifest(store, link.parent, CheckpointManifest)
        problem = _problem(before, link)
        if problem:
            raise VerificationError(
                f"The checkpoint after step {link.steps.last} {problem}", "The checkpoints are not one run"
            )
        links.append(before)
    return tuple(reversed(links))


def _problem(before: CheckpointManifest, link: CheckpointManifest) -> str | None:
    if before.steps.last != link.steps.first or link.steps.last <= link.steps.first:
        return f"covers steps {link.steps.first} to {link.steps.last}, but its parent ends at {before.steps.last}"
    for name in ("recipe", "dataset", "seed", "data_order_seed"):
        if getattr(before, name) != getattr(link, name):
            return f"names another {name.replace('_', ' ')} than its parent"
    return None
