"""The four calls that record any run, and what they do when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    WeightsManifest,
    load_manifest,
    save_manifest,
)
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, verify_content
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import Recorder, SeededSampler
from llamafund_trainer.recipe import parse_recipe
from llamafund_trainer.record.recorder import millionths
from llamafund_trainer.runs.inputs import prepare_inputs
from llamafund_trainer.seeds import data_order_seed
from llamafund_trainer.worker import main
from llamafund_trainer.worker.samples import SampleOrder

SEED = "5a" * 32
RECIPE = b"""\
schema: llamafund/recipe/1
title: Of this test
model: {hidden_size: 32, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 64}
tokenizer: {vocab_size: 300}
data: {context_length: 32}
optimizer: {learning_rate: 0.02}
schedule: {kind: cosine, warmup_steps: 2}
training: {steps: 40, batch_size: 4, gradient_accumulation: 2, checkpoint_every: 10, log_every: 5}
determinism: {threads: 1, instruction_set: avx2}
"""
ENVIRONMENT = {"machine": "test"}

NewRecorder = Callable[..., Recorder]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def dataset(tmp_path: Path, store: LocalStore) -> DatasetManifest:
    for part in ("train", "heldout"):
        (tmp_path / "corpus" / part).mkdir(parents=True)
        (tmp_path / "corpus" / part / "a.txt").write_text(f"words of {part}")
    return build_dataset(tmp_path / "corpus", title="t", source="s", license="CC0-1.0", preparation="none", store=store)


@pytest.fixture
def new_recorder(tmp_path: Path, dataset: DatasetManifest) -> NewRecorder:
    """A recorder in `tmp_path/run`; its recipe is a file."""
    (tmp_path / "train.py").write_text("print('training')")

    def make(**changes: object) -> Recorder:
        values = {"recipe": tmp_path / "train.py", "dataset": dataset.sha256, "seed": SEED, **changes}
        return Recorder(tmp_path / "run", **values)  # type: ignore[arg-type]

    return make


def save_weights(number: int) -> Callable[[Path], None]:
    def save(directory: Path) -> None:
        save_file({"w": np.full((2, 3), number, dtype=np.float32)}, directory / "model.safetensors")
        (directory / "optimizer.pt").write_bytes(b"moments %d" % number)

    return save


def record(recorder: Recorder, steps: range) -> None:
    recorder.begin(steps[0] - steps.step if steps[0] else 0, ENVIRONMENT)
    for step in steps:
        recorder.checkpoint(step, save_weights(step), {"train_loss": step})


def test_a_run_is_a_chain_that_anyone_can_fetch(
    new_recorder: NewRecorder, store: LocalStore, dataset: DatasetManifest
) -> None:
    recorder = new_recorder(store=store)
    record(recorder, range(0, 30, 10))
    run = recorder.end()
    assert [(link.steps.first, link.steps.last) for link in run] == [(0, 0), (0, 10), (10, 20)]
    assert [link.parent for link in run] == [dataset.sha256, run[0].sha256, run[1].sha256]
    assert run[2].chain == (run[0].sha256, run[1].sha256)
    assert (run[1].metrics, run[1].environment) == ({"train_loss": 10}, ENVIRONMENT)
    for link in run:
        assert fetch_manifest(store, link.sha256, CheckpointManifest) == link
        verify_content(store, link)


def test_the_list_of_links_begins_anew_after_a_milestone(new_recorder: NewRecorder) -> None:
    recorder = new_recorder(milestone_steps=(10,))
    record(recorder, range(0, 40, 10))
    run = recorder.end()
    assert [len(link.chain) for link in run] == [0, 1, 0, 1]
    assert run[3].chain == (run[2].sha256,)


def test_a_run_that_goes_on_ends_like_one_that_was_never_interrupted(new_recorder: NewRecorder, tmp_path: Path) -> None:
    whole = new_recorder()
    record(whole, range(0, 40, 10))
    expected = whole.end()
    again = new_recorder()
    found = again.latest()
    assert found is not None
    assert (found.step, found.directory) == (30, tmp_path / "run" / "checkpoints" / "checkpoint-30")
    record(again, range(20, 40, 10))
    assert again.end() == expected


def test_a_save_that_breaks_off_leaves_nothing_under_a_final_name(new_recorder: NewRecorder, tmp_path: Path) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 20, 10))

    def half(directory: Path) -> None:
        (directory / "model.safetensors").write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    with pytest.raises(LlamafundError, match="disk is full"):
        recorder.checkpoint(20, half)
    recorder.end()
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "checkpoint-0",
        "checkpoint-10",
    ]
    found = new_recorder().latest()
    assert found is not None
    assert found.step == 10


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_a_checkpoint_that_is_not_what_its_manifest_says_is_never_resumed_from(
    new_recorder: NewRecorder, tmp_path: Path, damage: str
) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 20, 10))
    recorder.end()
    directory = tmp_path / "run" / "checkpoints" / "checkpoint-10"
    if damage == "changed":
        (directory / "optimizer.pt").write_bytes(b"moments 11")
    elif damage == "missing":
        (directory / "optimizer.pt").unlink()
    else:
        (directory / "scheduler.pt").write_bytes(b"")
    found = new_recorder().latest()
    assert found is not None
    assert found.step == 0


def test_going_on_from_a_step_without_a_manifest_is_refused(new_recorder: NewRecorder) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 20, 10))
    recorder.end()
    with pytest.raises(UsageError, match=r"after step 7.*There are manifests after steps: 0\."):
        new_recorder().begin(7, ENVIRONMENT)


def test_a_directory_of_another_run_is_refused(new_recorder: NewRecorder) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 10, 10))
    recorder.end()
    with pytest.raises(UsageError, match="another run"):
        new_recorder(seed="00" * 32).begin(10, ENVIRONMENT)


def test_starting_anew_forgets_the_manifests_of_the_attempt_before(new_recorder: NewRecorder, tmp_path: Path) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 30, 10))
    recorder.end()
    new_recorder().begin(0, ENVIRONMENT)
    assert list((tmp_path / "run" / "manifests").iterdir()) == []


def test_steps_go_forward(new_recorder: NewRecorder) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 20, 10))
    with pytest.raises(UsageError, match="step 10 follows one after step 10"):
        recorder.checkpoint(10, save_weights(10))
    recorder.end()


def test_other_data_than_the_promised_are_refused(new_recorder: NewRecorder, tmp_path: Path, store: LocalStore) -> None:
    assert new_recorder(data=tmp_path / "corpus", store=store).identity.seed == SEED
    (tmp_path / "corpus" / "train" / "a.txt").write_text("words of trial")
    with pytest.raises(VerificationError, match=r"'train/a.txt'.*The dataset manifest says"):
        new_recorder(data=tmp_path / "corpus", store=store)
    with pytest.raises(UsageError, match="Only the manifest's hash is given"):
        new_recorder(data=tmp_path / "corpus")


@pytest.mark.parametrize("change", [{"seed": "5A" * 32}, {"seed": "5a"}, {"parent": "x"}, {"recipe": "nowhere.py"}])
def test_what_is_no_hash_or_no_file_is_refused(new_recorder: NewRecorder, change: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        new_recorder(**change)


def test_an_error_beside_the_training_stops_the_run(new_recorder: NewRecorder) -> None:
    def refuse(*_: object) -> None:
        raise LlamafundError("The store is gone")

    recorder = new_recorder(written=refuse)
    recorder.begin(0, ENVIRONMENT)
    recorder.checkpoint(0, save_weights(0))
    with pytest.raises(LlamafundError, match="The store is gone"):
        recorder.checkpoint(10, save_weights(10))
    recorder.end()


def test_open_weights_hold_data_and_nothing_else(new_recorder: NewRecorder, store: LocalStore, tmp_path: Path) -> None:
    recorder = new_recorder(store=store)
    recorder.begin(0, ENVIRONMENT)

    def save(directory: Path) -> None:
        save_weights(3)(directory)
        for name in ("config.json", "trainer_state.json", "pytorch_model.bin", "modeling.py", "rng_state.pth"):
            (directory / name).write_text("{}")

    recorder.checkpoint(0, save)
    weights = recorder.export(tmp_path / "model", license="Apache-2.0", score=-5, metrics={"loss": 5})
    assert [entry.path for entry in weights.files] == ["README.md", "config.json", "model.safetensors"]
    assert (weights.parameters, weights.score, weights.parent) == (6, -5, recorder.end()[-1].sha256)
    assert WeightsManifest.model_validate_json((tmp_path / "model.json").read_bytes()) == weights
    verify_content(store, weights)


def test_weights_that_changed_since_the_checkpoint_are_not_exported(new_recorder: NewRecorder, tmp_path: Path) -> None:
    recorder = new_recorder()
    record(recorder, range(0, 10, 10))
    recorder.wait()
    save_weights(4)(tmp_path / "run" / "checkpoints" / "checkpoint-0")
    with pytest.raises(VerificationError, match="no longer matches its manifest"):
        recorder.export(tmp_path / "model", license="Apache-2.0", score=0)
    assert not (tmp_path / "model").exists()
    recorder.end()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("ckpt.pt", r"no \.safetensors file, so nothing could be exported.*with safetensors, too"),
        ("model/__0_0.distcp", r"no \.safetensors file.*HuggingFaceStorageWriter"),
        ("model.safetensors", r"calls a weight '_orig_mod\.w'.*model\._orig_mod"),
    ],
)
def test_what_could_not_be_exported_is_refused_at_the_first_checkpoint(
    new_recorder: NewRecorder, name: str, complaint: str
) -> None:
    recorder = new_recorder()
    recorder.begin(0, ENVIRONMENT)

    def save(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        save_file({"_orig_mod.w": np.ones(2, dtype=np.float32)}, directory / name)

    with pytest.raises(UsageError, match=complaint):
        recorder.checkpoint(0, save)
    recorder.end()


def test_a_metric_that_is_not_finite_still_makes_a_manifest() -> None:
    values = {"loss": 1.5, "nan": float("nan"), "infinite": float("inf"), "huge": 1e300}
    assert millionths(values) == {"loss": 1_500_000, "nan_diverged": 1, "infinite_diverged": 1, "huge_diverged": 1}


def test_a_seeded_sampler_needs_no_state_but_its_place() -> None:
    order = SampleOrder(data_order_seed(SEED), 7)
    whole = list(islice(SeededSampler(SEED, 7), 30))
    assert whole == [order[position] for position in range(30)]
    assert sorted(whole[:7]) == list(range(7))
    assert list(islice(SeededSampler(SEED, 7, first=11), 19)) == whole[11:]


@pytest.fixture
def small_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of at most 2 KiB, so that a few files need listings."""
    for module in ("base", "encoding", "listings", "models", "reading", "saved"):
        monkeypatch.setattr(f"llamafund_chain.evidence.manifests.{module}.MAX_MANIFEST_BYTES", 2048)


def save_in_pieces(directory: Path) -> None:
    for number in range(30):
        save_file({"w": np.full(2, number, dtype=np.float32)}, directory / f"model-{number:02}.safetensors")


@pytest.mark.usefixtures("small_manifests")
def test_checkpoints_of_many_files_are_gone_on_from_and_exported(new_recorder: NewRecorder, tmp_path: Path) -> None:
    recorder = new_recorder()
    recorder.begin()
    recorder.checkpoint(5, save_in_pieces)
    (first,) = recorder.end()
    assert first.listings
    again = new_recorder()
    found = again.latest()
    assert found is not None
    assert found.step == 5
    again.begin(5)
    assert again.manifests == (first,)
    again.checkpoint(10, save_in_pieces)
    weights = again.export(tmp_path / "weights", license="CC0-1.0", score=-1)
    assert weights.listings
    assert load_manifest(WeightsManifest, tmp_path / "weights.json") == weights
    again.end()


@pytest.fixture
def many_files(small_manifests: None, tmp_path: Path) -> tuple[DatasetManifest, LocalStore]:
    """A dataset whose manifest needs listings, in `tmp_path/many`, published to a store of its own."""
    corpus, store = tmp_path / "many", LocalStore(tmp_path / "other")
    for part, count in (("train", 30), ("heldout", 1)):
        (corpus / part).mkdir(parents=True)
        for number in range(count):
            (corpus / part / f"{number}.txt").write_text(f"words {number} of {part}")
    manifest = build_dataset(corpus, title="t", source="s", license="CC0-1.0", preparation="none", store=store)
    assert manifest.listings
    return manifest, store


def test_a_dataset_of_many_files_is_read_from_a_file(
    many_files: tuple[DatasetManifest, LocalStore], new_recorder: NewRecorder, tmp_path: Path
) -> None:
    (manifest, store), corpus = many_files, tmp_path / "many"
    file = tmp_path / "inputs" / "dataset.json"
    file.parent.mkdir()
    file.write_bytes(manifest.to_bytes())
    with pytest.raises(LlamafundError, match="There is no listing"):
        new_recorder(dataset=file, data=corpus)
    assert new_recorder(dataset=file, data=corpus, store=store).identity.dataset == manifest.sha256
    save_manifest(file, manifest)
    assert new_recorder(dataset=file, data=corpus).identity.dataset == manifest.sha256


def test_the_training_process_reads_a_dataset_of_many_files(
    many_files: tuple[DatasetManifest, LocalStore], tmp_path: Path
) -> None:
    manifest, store = many_files
    recipe = parse_recipe(RECIPE)
    inputs = prepare_inputs(store, recipe, manifest.sha256, tmp_path / "inputs")
    read, dataset = main._inputs(inputs.recipe_path, inputs.dataset_path)
    assert read.sha256 == recipe.sha256
    assert dataset == manifest
    assert len(dataset.files) == 31
