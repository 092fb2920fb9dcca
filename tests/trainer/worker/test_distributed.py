"""Processes on one machine or two share each batch: manifests are written once, any part repeats bit for bit."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.store import LocalStore
from llamafund_trainer.process.messages import Machines, TrainJob
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_inputs, walk_run
from llamafund_trainer.runs.run import RunRecord, train_run
from llamafund_trainer.worker import main

Run = tuple[CheckpointManifest, ...]
PATIENCE = 240


@pytest.fixture(scope="module")
def shared_recipe(recipe: RecipeFile) -> RecipeFile:
    """The lab's recipe on two processes, with the other way to compute attention."""
    raw = yaml.safe_load(recipe.data)
    raw["determinism"] |= {"processes": 2, "attention": "sdpa"}
    return parse_recipe(yaml.safe_dump(raw).encode())


def test_a_batch_that_does_not_divide_is_refused(recipe: RecipeFile) -> None:
    raw = yaml.safe_load(recipe.data)
    raw["determinism"]["processes"] = 3
    with pytest.raises(UsageError, match=r"batch_size 4 is not a multiple of determinism\.processes 3"):
        parse_recipe(yaml.safe_dump(raw).encode())


@pytest.fixture(scope="module")
def run(lab: object, shared_recipe: RecipeFile, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its run on one machine."""
    record = RunRecord(
        recipe=shared_recipe.sha256,
        dataset=lab.dataset.sha256,
        seed=lab.run[0].seed,
        parent=lab.dataset.sha256,
        milestone_steps=(40,),
    )
    return train_run(lab.store, shared_recipe, record, tmp_path_factory.mktemp("two") / "run")


def test_two_processes_leave_one_chain_that_repeats_bit_for_bit(lab: object, run: Run, tmp_path: Path) -> None:
    assert [link.steps.last for link in run] == [0, 10, 20, 30, 40]
    assert walk_run(lab.store, run[-1]) == run
    assert {(link.environment["processes"], link.environment["attention"]) for link in run} == {("2", "sdpa")}
    names = {entry.path for entry in run[-1].files}
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= names
    assert not any(name.startswith("rng_state_") for name in names), "one state stands for all processes"
    # The same samples as one process, summed in another order: near, and not the same bytes.
    alone = lab.run[1]
    assert run[1].entry("model.safetensors").sha256 != alone.entry("model.safetensors").sha256
    assert run[1].metrics["train_loss"] == pytest.approx(alone.metrics["train_loss"], rel=1e-3)

    (tmp_path / "work").mkdir()
    inputs = fetch_inputs(lab.store, run[-1], tmp_path / "work")
    results = replay_segments(
        lab.store, inputs, [Pick(each, "asked for") for each in segments_of(run)[:2]], tmp_path / "work"
    )
    assert [result.verdict for result in results] == ["same", "same"]
    assert [result.settings for result in results] == [{}, {}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_machines_leave_the_evidence_that_one_does(
    dataset_store: LocalStore, shared_recipe: RecipeFile, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_bytes(shared_recipe.data)
    place = f"127.0.0.1:{free_port()}"
    machines = [
        subprocess.Popen(
            [
                sys.executable, "-m", "llamafund_chain", "train", tmp_path / "recipe.yaml",
                "--dataset", run[0].dataset, "--seed", run[0].seed,
                "--out", tmp_path / "run", "--store", dataset_store.location, "--json",
                "--machines", "2", "--machine", str(number), "--rendezvous", place,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (0, 1)
    ]  # fmt: skip
    chains = []
    for machine in machines:
        printed, said = machine.communicate(timeout=PATIENCE)
        assert machine.returncode == 0, said
        chains.append([each["manifest"] for each in json.loads(printed)["checkpoints"]])
    assert chains[0] == chains[1] == [link.sha256 for link in run], "the same bytes, so any part of it repeats as well"
    assert walk_run(dataset_store, run[-1]) == run, "everything is published"


def test_a_machine_without_the_file_system_of_the_others_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(main, "_listen_for_stop", threading.Event)
    elsewhere = {name: tmp_path / name for name in ("recipe", "dataset", "data", "checkpoints", "manifests", "pause")}
    machines = Machines(count=2, number=1, rendezvous="node0:29500", processes=1, patience=60)
    job = TrainJob(**elsewhere, machines=machines, seed="ab" * 32, parent="cd" * 32, milestone_steps=())
    with pytest.raises(UsageError, match=r"Machine 1 does not see .*recipe.* the same --out"):
        main._train(job, print)
