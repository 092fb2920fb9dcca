"""CUDA devices: one for each process, and none besides."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamafund_chain.errors import UsageError
from llamafund_trainer.process.launch import run_job
from llamafund_trainer.process.messages import ReplayJob
from llamafund_trainer.recipe import Recipe, RecipeFile
from llamafund_trainer.record import environment
from llamafund_trainer.record.environment import visible_devices


def on_cuda(recipe: Recipe, processes: int = 1) -> Recipe:
    changed = recipe.determinism.model_copy(update={"device": "cuda", "processes": processes})
    return recipe.model_copy(update={"determinism": changed})


@pytest.mark.parametrize(
    ("named", "processes", "visible"),
    [
        (None, 1, "0"),
        (None, 3, "0,1,2"),
        ("2", 1, "2"),
        ("3, GPU-1f, 0", 2, "3,GPU-1f"),
        ("1,-1,0", 1, "1"),
    ],
)
def test_a_training_sees_one_gpu_for_each_process(
    recipe: RecipeFile, named: str | None, processes: int, visible: str
) -> None:
    """With more in sight batch and random state would be others, and the bytes those of no other machine."""
    surroundings = {"PATH": "/bin"} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    found = visible_devices(on_cuda(recipe.recipe, processes), surroundings)
    assert found == {"CUDA_VISIBLE_DEVICES": visible}
    assert visible_devices(recipe.recipe, surroundings) == {}, "on the CPU none, whatever is named"


def test_machines_that_train_together_show_their_share_and_record_all_gpus(
    recipe: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visible_devices(on_cuda(recipe.recipe, 4), {}, processes=2) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    monkeypatch.setattr(environment, "_about_gpu", lambda: {"gpus": "2", "gpu": "one"})
    assert environment._about_gpus() == {"gpus": "2", "gpu": "one"}
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert environment._about_gpus() == {"gpus": "4", "gpu": "one"}


@pytest.mark.parametrize(("named", "count"), [("", "none"), ("-1", "none"), ("0", "1"), ("0,-1,1", "1")])
def test_fewer_gpus_than_processes_are_refused_before_anything_starts(
    lab: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, count: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    job = ReplayJob(recipe=tmp_path, dataset=tmp_path, data=tmp_path, bounds=None, seed="00" * 32, segments=())
    with pytest.raises(UsageError, match=f"takes 2 CUDA devices, but CUDA_VISIBLE_DEVICES names {count}"):
        list(run_job(job, on_cuda(lab.recipe.recipe, 2)))
