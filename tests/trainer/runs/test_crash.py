"""Crashes: whatever ends a run, the next one goes on to the same evidence as one that was never interrupted."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from llamafund_chain.errors import ExitCode, LlamafundError
from llamafund_chain.evidence.manifests import DatasetManifest
from llamafund_chain.store import LocalStore
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.runs.run import RunProgress, RunRecord, train_run

NewRecord = Callable[..., RunRecord]


SEED = "5a" * 32


PATIENCE = 240


class Program:
    """`llamafund train` in a process of its own."""

    def __init__(self, store: LocalStore, dataset: DatasetManifest, folder: Path, recipe: RecipeFile) -> None:
        self.out = folder / "run"
        self._recipe = folder / "recipe.yaml"
        self._recipe.write_bytes(recipe.data)
        self._store = store
        self._dataset = dataset

    def start(self, *, largest_file: int | None = None) -> subprocess.Popen[str]:
        limits = (largest_file, resource.RLIM_INFINITY)
        return subprocess.Popen(
            [
                sys.executable, "-m", "llamafund_chain", "train", self._recipe, "--dataset", self._dataset.sha256,
                "--seed", SEED, "--out", self.out, "--store", self._store.location, "--json",
            ],
            env={**os.environ, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=None if largest_file is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
        )  # fmt: skip

    def finish(self) -> list[str]:
        """Run it to the end; the hashes of all checkpoints."""
        process = self.start()
        stdout, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == ExitCode.OK, stderr
        return [each["manifest"] for each in json.loads(stdout)["checkpoints"]]

    def wait_for(self, process: subprocess.Popen[str], path: str) -> None:
        until = time.monotonic() + PATIENCE
        while not (self.out / path).exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until, f"there is no {path}"
            select.select([], [], [], 0.001)


def longer(recipe: RecipeFile, steps: int = 600, **determinism: object) -> RecipeFile:
    """The recipe with so many steps that a test can act before the last, however busy the machine is."""
    raw = yaml.safe_load(recipe.data)
    raw["training"] |= {"steps": steps, "checkpoint_every": steps // 6}
    raw["determinism"] |= determinism
    return parse_recipe(yaml.safe_dump(raw).encode())


@pytest.fixture(scope="module")
def long_recipe(recipe: RecipeFile) -> RecipeFile:
    return longer(recipe)


@pytest.fixture(scope="module")
def uninterrupted(lab: object, long_recipe: RecipeFile, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The hashes of all checkpoints of the long recipe."""
    return Program(lab.store, lab.dataset, tmp_path_factory.mktemp("uninterrupted"), long_recipe).finish()


@pytest.fixture
def program(lab: object, dataset_store: LocalStore, long_recipe: RecipeFile, tmp_path: Path) -> Program:
    return Program(dataset_store, lab.dataset, tmp_path, long_recipe)


def test_ctrl_c_ends_it_in_one_line_and_the_same_command_goes_on(program: Program, uninterrupted: list[str]) -> None:
    process = program.start()
    program.wait_for(process, "manifests/step-00000100.json")
    # A terminal interrupts the training process, too.
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.INTERRUPTED, stderr
    assert json.loads(stdout)["error"]["kind"] == "interrupted"
    line = "Error: Interrupted; published checkpoints stay. The same command continues from the last one."
    assert stderr.splitlines() == [line]
    assert program.finish() == uninterrupted


def test_told_to_stop_it_saves_its_state_and_goes_on_from_that_step(
    dataset_store: LocalStore,
    long_recipe: RecipeFile,
    new_record: NewRecord,
    program: Program,
    uninterrupted: list[str],
) -> None:
    process = program.start()
    program.wait_for(process, "manifests/step-00000100.json")
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.INTERRUPTED, stderr
    assert json.loads(stdout)["error"]["kind"] == "interrupted"
    assert "The training stopped after step" in stderr
    assert "Traceback" not in stderr
    stopped = int(stderr.split("after step ")[1].split(".")[0])
    assert 100 < stopped < 600
    paused = list((program.out / "pause").glob("checkpoint-*"))
    assert [path.name for path in paused] == ([f"checkpoint-{stopped}"] if stopped % 100 else [])
    seen: list[RunProgress] = []
    record = new_record(recipe=long_recipe.sha256, milestone_steps=(600,))
    again = train_run(dataset_store, long_recipe, record, program.out, progress=seen.append)
    assert min(done.step for done in seen if done.checkpoint is None) == stopped + 1
    assert [link.sha256 for link in again] == uninterrupted
    assert not (program.out / "pause").exists()


def test_told_to_stop_two_processes_stop_after_the_same_step(
    lab: object, dataset_store: LocalStore, recipe: RecipeFile, tmp_path: Path
) -> None:
    # Two processes take much longer for a step than one.
    shared = longer(recipe, 180, processes=2)
    (tmp_path / "whole").mkdir()
    whole = Program(lab.store, lab.dataset, tmp_path / "whole", shared).finish()
    program = Program(dataset_store, lab.dataset, tmp_path, shared)
    process = program.start()
    program.wait_for(process, "manifests/step-00000030.json")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.INTERRUPTED, stderr
    assert program.finish() == whole


def test_killed_while_it_writes_a_checkpoint_it_goes_on_from_the_one_before(
    program: Program, uninterrupted: list[str]
) -> None:
    process = program.start()
    program.wait_for(process, "checkpoints/checkpoint-200")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert program.finish() == uninterrupted


def test_a_full_disk_is_one_clear_error_and_costs_no_evidence(
    lab: object, dataset_store: LocalStore, tmp_path: Path
) -> None:
    sizes = {entry.path: entry.size for link in lab.run[:2] for entry in link.files}
    largest = sizes.pop("optimizer.pt")
    assert largest > max(sizes.values()), "the limit below lets everything else pass"
    program = Program(dataset_store, lab.dataset, tmp_path, lab.recipe)
    process = program.start(largest_file=largest - 1)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.ERROR
    errors = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "Writing the checkpoint after step 10 failed" in errors[0]
    assert "continue from the checkpoint before" in errors[0]
    assert "Traceback" not in stderr
    assert sorted(path.name for path in (program.out / "manifests").iterdir()) == ["step-00000000.json"]
    assert program.finish() == [link.sha256 for link in lab.run]


def test_a_loss_that_is_not_a_number_stops_the_run_says_where_and_keeps_the_evidence(
    lab: object, new_record: NewRecord, tmp_path: Path
) -> None:
    raw = yaml.safe_load(lab.recipe.data)
    raw["optimizer"] |= {"learning_rate": 100.0, "weight_decay": 1.0, "max_gradient_norm": 1e9}
    raw["schedule"] = {"kind": "constant_with_warmup", "warmup_steps": 12}
    recipe = parse_recipe(yaml.safe_dump(raw).encode())
    record = new_record(recipe=recipe.sha256)
    published: list[int] = []

    def note(done: RunProgress) -> None:
        if done.checkpoint is not None:
            published.append(done.step)

    messages: list[str] = []
    for _ in range(2):
        with pytest.raises(
            LlamafundError, match=r"The loss is (nan|inf) at step \d+.*The step used the samples"
        ) as caught:
            train_run(lab.store, recipe, record, tmp_path / "run", progress=note)
        messages.append(str(caught.value))
    assert messages[0] == messages[1], "it diverges at the same step again"
    told = json.loads((tmp_path / "run" / "diverged.json").read_bytes())
    assert f"at step {told['step']}." in messages[0]
    assert len(told["samples"]) == recipe.recipe.samples_per_step
    assert published == sorted(set(published)), "what was published is not published again"
    assert told["last_checkpoint_step"] == published[-1] < told["step"]
