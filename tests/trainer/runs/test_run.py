"""Whole runs: the chain of evidence that they leave, and what happens when they are interrupted or mixed up."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.hashing import raw_cid
from llamafund_chain.files import unfinished_name
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import verify_content
from llamafund_trainer.process.launch import run_job
from llamafund_trainer.process.messages import TrainJob
from llamafund_trainer.recipe import parse_recipe
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_inputs, prepare_inputs
from llamafund_trainer.runs.run import RunProgress, RunRecord, train_run
from llamafund_trainer.seeds import data_order_seed

NewRecord = Callable[..., RunRecord]


def test_checkpoints_form_a_chain_from_the_dataset_to_the_last_step(lab: object) -> None:
    run, dataset = lab.run, lab.dataset
    assert [(link.steps.first, link.steps.last) for link in run] == [(0, 0), (0, 10), (10, 20), (20, 30), (30, 40)]
    assert [link.parent for link in run] == [dataset.sha256, *(link.sha256 for link in run[:-1])]
    for index, link in enumerate(run):
        assert link.chain == tuple(before.sha256 for before in run[:index])
        assert (link.recipe, link.dataset) == (lab.recipe.sha256, dataset.sha256)
        assert link.data_order_seed == data_order_seed(link.seed)
        assert link.outcome_score == -link.metrics["heldout_bits_per_byte"]


def test_everything_is_published(lab: object) -> None:
    for link in lab.run:
        verify_content(lab.store, link)
    assert lab.store.has(raw_cid(lab.recipe.sha256))


def test_no_published_file_can_run_code_when_loaded(lab: object, tmp_path: Path) -> None:
    for entry in lab.run[-1].files:
        assert entry.path != "training_args.bin"
        if entry.path.endswith((".pt", ".pth")):
            lab.store.fetch(entry.cid, tmp_path / entry.path)
    torch.load(tmp_path / "optimizer.pt", weights_only=True)
    torch.load(tmp_path / "scheduler.pt", weights_only=True)


def test_the_model_learns_and_beats_counting(lab: object) -> None:
    values = [link.metrics["heldout_bits_per_byte"] for link in lab.run]
    assert values[-1] < values[0]
    metrics = lab.weights.metrics
    assert values[-1] < metrics["unigram_tokens_bits_per_byte"] < metrics["unigram_bytes_bits_per_byte"]


def test_what_decides_the_bits_is_recorded(lab: object) -> None:
    environment = lab.run[-1].environment
    assert environment["threads"] == environment["OMP_NUM_THREADS"] == "1"
    assert environment["ATEN_CPU_CAPABILITY"] == "avx2"
    assert {"torch", "torch_build", "transformers", "cpu_capability", "MKL_CBWR", "dtype"} <= set(environment)


def test_only_the_latest_checkpoint_stays_on_disk_beside_the_store(lab: object) -> None:
    assert [path.name for path in (lab.folder / "checkpoints").iterdir()] == ["checkpoint-40"]


def test_an_interrupted_run_goes_on_and_ends_with_the_same_evidence(
    lab: object, dataset_store: LocalStore, new_record: NewRecord, tmp_path: Path
) -> None:
    class StopHereError(Exception):
        pass

    published: list[int] = []

    def interrupt(done: RunProgress) -> None:
        if done.checkpoint is not None:
            published.append(done.step)
        if published[-1:] == [20] and done.step > 20:
            raise StopHereError

    with pytest.raises(StopHereError):
        train_run(dataset_store, lab.recipe, new_record(), tmp_path / "run", progress=interrupt)
    seen: list[RunProgress] = []
    again = train_run(dataset_store, lab.recipe, new_record(), tmp_path / "run", progress=seen.append)
    assert min(done.step for done in seen) == 21
    assert [link.sha256 for link in again] == [link.sha256 for link in lab.run]


def test_a_training_process_may_be_several_checkpoints_ahead(
    lab: object, new_record: NewRecord, tmp_path: Path
) -> None:
    ahead = tmp_path / "run" / "manifests" / "step-00000040.json"

    def wait(done: RunProgress) -> None:
        until = time.monotonic() + 120
        while not ahead.exists():
            assert time.monotonic() < until, f"the training process waits for us after step {done.step}"
            select.select([], [], [], 0.05)

    run = train_run(lab.store, lab.recipe, new_record(), tmp_path / "run", progress=wait)
    assert [link.sha256 for link in run] == [link.sha256 for link in lab.run]


def test_a_finished_run_is_not_repeated(lab: object, new_record: NewRecord) -> None:
    seen: list[RunProgress] = []
    again = train_run(lab.store, lab.recipe, new_record(), lab.folder, progress=seen.append)
    assert (again, seen) == (lab.run, [])


def test_a_directory_of_another_run_is_refused(lab: object, new_record: NewRecord) -> None:
    with pytest.raises(UsageError, match=r"another training run.*differs in seed"):
        train_run(lab.store, lab.recipe, new_record(seed="00" * 32), lab.folder)


def test_a_directory_with_other_things_is_refused(lab: object, new_record: NewRecord, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds no training run"):
        train_run(lab.store, lab.recipe, new_record(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_directory_whose_run_ended_before_it_was_described_is_taken_up_again(
    lab: object, new_record: NewRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def full(path: Path, data: bytes) -> None:
        (path.parent / unfinished_name()).write_bytes(data[:5])
        raise LlamafundError("The disk is full")

    monkeypatch.setattr("llamafund_trainer.runs.run.write_file", full)
    with pytest.raises(LlamafundError, match="disk is full"):
        train_run(lab.store, lab.recipe, new_record(), out)
    assert not (out / "run.json").exists()
    monkeypatch.undo()
    with pytest.raises(LlamafundError, match=str(tmp_path / "empty")):
        train_run(LocalStore(tmp_path / "empty"), lab.recipe, new_record(), out)
    assert (out / "run.json").exists()


def test_a_dataset_that_the_store_lacks_is_one_clear_error(lab: object, new_record: NewRecord, tmp_path: Path) -> None:
    with pytest.raises(LlamafundError, match=str(tmp_path / "empty")):
        train_run(LocalStore(tmp_path / "empty"), lab.recipe, new_record(), tmp_path / "run")


def test_a_training_process_that_fails_says_why(lab: object, tmp_path: Path) -> None:
    inputs = prepare_inputs(lab.store, lab.recipe, lab.dataset.sha256, tmp_path)
    next((tmp_path / "data" / "train").iterdir()).unlink()
    job = TrainJob(
        recipe=inputs.recipe_path,
        dataset=inputs.dataset_path,
        data=inputs.data,
        seed="00" * 32,
        parent="00" * 32,
        milestone_steps=(40,),
        checkpoints=tmp_path / "checkpoints",
        manifests=tmp_path / "manifests",
        pause=tmp_path / "pause",
    )
    with pytest.raises(LlamafundError, match="There is no file 'train/"):
        list(run_job(job, lab.recipe.recipe))


def test_threat_training_on_a_machine_that_the_recipe_does_not_name_is_refused_before_the_first_step(
    lab: object, dataset_store: LocalStore, new_record: NewRecord, tmp_path: Path
) -> None:
    """Otherwise the funded run would be worth nothing: checks refuse its record."""
    elsewhere = lab.publish_fixed(processor_class="AuthenticAMD 999-1")
    recipe = parse_recipe(lab.store.read(raw_cid(elsewhere), limit=10_000))
    with pytest.raises(LlamafundError, match=r"another environment: processor_class is .* says 'AuthenticAMD 999-1'"):
        train_run(dataset_store, recipe, new_record(recipe=elsewhere), tmp_path / "run")
    assert not [*(tmp_path / "run" / "manifests").iterdir()]


def test_the_bookkeeping_of_a_run_names_no_place_on_disk(lab: object) -> None:
    state = lab.file(lab.run[-1], "trainer_state.json").decode()
    assert json.loads(state)["global_step"] == 40
    assert "/" not in state.replace("1e-", "")


def test_half_precision_and_layers_computed_twice_repeat_bit_for_bit(
    lab: object, new_record: NewRecord, tmp_path: Path
) -> None:
    raw = yaml.safe_load(lab.recipe.data)
    raw["precision"] = {"dtype": "bfloat16"}
    raw["training"] |= {"steps": 10, "gradient_checkpointing": True}
    recipe = parse_recipe(yaml.safe_dump(raw).encode())
    record = new_record(recipe=recipe.sha256, milestone_steps=(10,))
    run = train_run(lab.store, recipe, record, tmp_path / "run")
    assert run[-1].environment["dtype"] == "bfloat16"
    assert run[-1].entry("model.safetensors").size == lab.run[1].entry("model.safetensors").size, "float32 weights"
    (tmp_path / "work").mkdir()
    inputs = fetch_inputs(lab.store, run[-1], tmp_path / "work")
    results = replay_segments(lab.store, inputs, [Pick(segments_of(run)[0], "asked for")], tmp_path / "work")
    assert [(result.verdict, result.settings) for result in results] == [("same", {})]
