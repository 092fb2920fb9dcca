"""What checkpoint 0 of a fine-tuning run must hold, computed in a process of its own."""

from __future__ import annotations

from pathlib import Path

from llamafund_trainer.base_files import Base
from llamafund_trainer.process.launch import bounds_for, run_job
from llamafund_trainer.process.messages import InitialJob
from llamafund_trainer.recipe import RecipeFile


def make_start(recipe_file: RecipeFile, base: Base, seed: str, directory: Path, *, weights: bool = True) -> Path:
    """Write the configuration of every checkpoint, and the weights or the adapter that the run starts with.

    Args:
        recipe_file: The run's recipe.
        base: The base model that it names.
        seed: The training seed.
        directory: Existing directory for the files.
        weights: Whether to write weights or adapter, too. The configuration needs no weights of the base model.

    Returns:
        The directory with the files, named as in a checkpoint.

    Raises:
        VerificationError: The base model cannot be trained.
        LlamafundError: The process failed.
    """
    place = directory.absolute() / "start"
    place.mkdir()
    path = place / "recipe.yaml"
    path.write_bytes(recipe_file.data)
    job = InitialJob(
        recipe=path,
        base=base.directory,
        seed=seed,
        weights=weights,
        output=place / "checkpoint-0",
        bounds=bounds_for(base.directory),
    )
    for _ in run_job(job, recipe_file.recipe):
        pass
    return job.output
