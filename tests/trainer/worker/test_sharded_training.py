"""Two processes share model and optimizer as well: checkpoints in shards are good for all that whole ones are."""

from __future__ import annotations

import json
import os
import pickle
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
from safetensors.numpy import load_file, save_file
from transformers import LlamaForCausalLM

from llamafund_chain.checks.check import CheckContext, CheckResult
from llamafund_chain.checks.run import run_checks
from llamafund_chain.errors import ExitCode, UsageError, VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest, ProposalManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_tree
from llamafund_trainer.checks import CHECKS
from llamafund_trainer.checks.weights import metric_re_evaluated
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import replay_segments
from llamafund_trainer.replay.segments import fetch_start, segments_of, state_files
from llamafund_trainer.replay.tolerance import optimizer_changes, optimizer_entries, optimizer_gap
from llamafund_trainer.runs.export import export_weights
from llamafund_trainer.runs.inputs import fetch_inputs, walk_run
from llamafund_trainer.runs.run import RunRecord, train_run
from llamafund_trainer.tensors.compare import read_metadata
from llamafund_trainer.tensors.shards import SHARDING_KEY, shard_files, whole_weights
from llamafund_trainer.tensors.write import encode_header

NewRecord = Callable[..., RunRecord]
MakeContext = Callable[..., CheckContext]
Run = tuple[CheckpointManifest, ...]
PATIENCE = 240


@pytest.fixture(scope="module")
def sharded_recipe(recipe: RecipeFile) -> RecipeFile:
    """The lab's recipe, with model and optimizer split among two processes."""
    raw = yaml.safe_load(recipe.data)
    raw["determinism"] |= {"processes": 2, "sharding": "full"}
    return parse_recipe(yaml.safe_dump(raw).encode())


@pytest.fixture(scope="module")
def run(lab: object, sharded_recipe: RecipeFile, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its run, never interrupted."""
    record = RunRecord(
        recipe=sharded_recipe.sha256,
        dataset=lab.dataset.sha256,
        seed=lab.run[0].seed,
        parent=lab.dataset.sha256,
        milestone_steps=(40,),
    )
    return train_run(lab.store, sharded_recipe, record, tmp_path_factory.mktemp("sharded") / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processes": 1}, r"determinism\.sharding full needs more than one process"),
        ({"processes": 3}, r"hidden_size 32 is not a multiple of determinism\.processes 3"),
        ({"sharding": "half"}, r"determinism\.sharding"),
    ],
)
def test_what_cannot_be_split_is_refused(sharded_recipe: RecipeFile, changes: dict[str, object], message: str) -> None:
    raw = yaml.safe_load(sharded_recipe.data)
    raw["determinism"] |= changes
    raw["training"]["batch_size"] = 12
    with pytest.raises(UsageError, match=message):
        parse_recipe(yaml.safe_dump(raw).encode())


def test_a_base_model_is_not_split(sharded_recipe: RecipeFile) -> None:
    raw = yaml.safe_load(sharded_recipe.data)
    raw["model"] = {"base": "0" * 64}
    del raw["tokenizer"]
    with pytest.raises(UsageError, match=r"sharding full only splits new models"):
        parse_recipe(yaml.safe_dump(raw).encode())


def test_every_process_writes_its_rows_and_one_chain_names_them(lab: object, run: Run) -> None:
    assert [link.steps.last for link in run] == [0, 10, 20, 30, 40]
    assert walk_run(lab.store, run[-1]) == run
    assert {(link.environment["processes"], link.environment["sharding"]) for link in run} == {("2", "full")}
    names = {entry.path for entry in run[-1].files}
    assert {*shard_files("model", 2), *shard_files("optimizer", 2), "optimizer.json"} <= names
    assert not names & {"model.safetensors", "optimizer.pt", "training_args.bin"}
    assert not any(".metadata" in name for name in names), "torch's pickle is not needed, so it is not there"
    assert run[-1].entry("config.json").sha256 == lab.run[-1].entry("config.json").sha256
    sizes = [run[-1].entry(name).size for name in (*shard_files("model", 2), *shard_files("optimizer", 2))]
    whole = lab.run[-1].entry("model.safetensors").size
    assert max(sizes) < 1.2 * whole, "an optimizer has two numbers for each of the model, and each process half of them"
    # The same samples as one process, summed in another order.
    for link, alone in zip(run[1:], lab.run[1:], strict=True):
        assert link.metrics["train_loss"] == pytest.approx(alone.metrics["train_loss"], rel=1e-2)


def test_segments_repeat_bit_for_bit_and_a_pickle_planted_among_the_shards_is_not_run(
    lab: object, run: Run, tmp_path: Path
) -> None:
    caught = tmp_path / "caught"
    bomb = pickle.dumps(_Bomb(caught))
    pickle.loads(bomb)
    assert caught.exists(), "it would work"
    caught.unlink()
    segments = segments_of(run)[:2]
    inputs = fetch_inputs(lab.store, run[-1], tmp_path)
    start = fetch_start(lab.store, inputs.recipe, segments[1], tmp_path)
    assert start is not None
    # Where torch, accelerate and transformers look for one.
    for name in ("model", "optimizer", "pytorch_model_fsdp_0", "optimizer_0"):
        (start / name).mkdir(exist_ok=True)
        (start / name / ".metadata").write_bytes(bomb)
    for name in ("training_args.bin", "optimizer.bin", "optimizer.pt", "pytorch_model.bin"):
        (start / name).write_bytes(bomb)
    results = replay_segments(lab.store, inputs, [Pick(each, "asked for") for each in segments], tmp_path)
    assert not caught.exists()
    assert (start / "trainer_state.json").exists(), "it went on from there"
    assert [(result.verdict, result.settings) for result in results] == [("same", {}), ("same", {})]
    steps = {step: {file.path for file in results[step > 10].compared if file.step == step} for step in (0, 10, 20)}
    assert steps == {step: set(state_files(inputs.recipe, step)) for step in steps}


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


def test_shards_and_settings_are_judged_before_they_are_trained_with(lab: object, run: Run, tmp_path: Path) -> None:
    one, two = (lab.file(run[1], name) for name in shard_files("optimizer", 2))
    inputs = fetch_inputs(lab.store, run[-1], tmp_path)

    def start_with(changed: dict[str, bytes], place: str) -> Pick:
        forged = lab.forge(run[1], tmp_path / place, changed)
        return Pick(segments_of([forged, run[2]])[0], "asked for")

    doubled = start_with({shard_files("optimizer", 2)[1]: one}, "doubled")
    with pytest.raises(VerificationError, match="do not fit together"):
        replay_segments(lab.store, inputs, [doubled], tmp_path)
    settings = json.loads(lab.file(run[1], "optimizer.json"))
    settings[0]["weight_decay"] = 0.0
    other = start_with({"optimizer.json": json.dumps(settings).encode()}, "other")
    (result,) = replay_segments(lab.store, inputs, [other], tmp_path)
    assert result.verdict == "different"
    assert "weight_decay" in result.problem

    # Whole tensors, but not those of an AdamW.
    (tmp_path / "shard").write_bytes(two)
    tensors, note = load_file(tmp_path / "shard"), read_metadata(tmp_path / "shard")
    name = next(each for each in sorted(tensors) if each.endswith(".step"))
    del tensors[name]
    save_file(tensors, tmp_path / "shard", metadata={SHARDING_KEY: note[SHARDING_KEY]})
    lacking = start_with({shard_files("optimizer", 2)[1]: (tmp_path / "shard").read_bytes()}, "lacking")
    (result,) = replay_segments(lab.store, inputs, [lacking], tmp_path)
    assert result.verdict == "different"
    assert "does not count the steps of every parameter" in result.problem

    # Those of an AdamW, but of another parameter: found out by the processes that load them.
    files = {
        path: data.replace(b"model.norm.weight.", b"model.norm.lesson.")
        for path, data in zip(shard_files("optimizer", 2), (one, two), strict=True)
    }
    assert files[shard_files("optimizer", 2)[0]] != one
    with pytest.raises(VerificationError, match=r"shards in optimizer/ are not the state of this model"):
        replay_segments(lab.store, inputs, [start_with(files, "foreign")], tmp_path)


def test_weights_in_shards_are_compared_exported_and_checked_as_whole_ones(
    lab: object, run: Run, sharded_recipe: RecipeFile, context: MakeContext, proposal: ProposalManifest, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    exported = tmp_path / "exported"
    weights = export_weights(lab.store, run[-1], exported, license="Apache-2.0", workdir=tmp_path / "export")
    assert weights.outcome_score == run[-1].outcome_score
    assert weights.entry("model.safetensors").sha256 in (exported / "README.md").read_text()
    LlamaForCausalLM.from_pretrained(exported).save_pretrained(tmp_path / "again")
    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert (exported / "model.safetensors").read_bytes() == again, "as transformers writes it"

    fetch_tree(lab.store, run[-1], tmp_path / "checkpoint")
    for name in (run[-1].sha256, str(tmp_path / "checkpoint")):
        ran = subprocess.run(
            [
                sys.executable, "-m", "llamafund_chain", "compare-weights", name, str(exported),
                "--store", lab.store.location, "--json",
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["verdict"] == "same"

    promised = proposal.model_copy(update={"recipe": sharded_recipe.sha256})
    results: list[CheckResult] = []
    for evidence in (run[-1], weights):
        ancestry = (lab.dataset, run[-1]) if evidence is weights else (lab.dataset,)
        made = context(evidence, proposal=promised, ancestry=ancestry, workdir=tmp_path / f"work-{evidence.sha256}")
        results += run_checks(made, CHECKS)
    assert [(result.name, result.status) for result in results] == [
        ("initial-weights-from-seed", "pass"),
        ("environment-recorded", "pass"),
        ("checkpoint-files-known", "pass"),
        ("histories-agree", "pass"),
        ("schedule-follows-recipe", "pass"),
        ("steps-follow-recipe", "pass"),
        ("replay", "unchecked"),
        ("metric-re-evaluated", "pass"),
        ("steps-follow-recipe", "pass"),
        ("metric-re-evaluated", "pass"),
        ("model-card-from-manifests", "pass"),
        ("weights-headers-plain", "pass"),
        ("weights-equal-checkpoint", "pass"),
        ("loads-in-transformers", "pass"),
    ]


def test_two_sets_of_weights_in_one_checkpoint_are_refused(
    lab: object, run: Run, context: MakeContext, tmp_path: Path
) -> None:
    good = lab.file(lab.run[-1], "model.safetensors")
    forged = lab.forge(run[-1], tmp_path / "forged", {"model.safetensors": good})
    with pytest.raises(VerificationError, match="both"):
        list(metric_re_evaluated(context(forged)))
    (tmp_path / "work").mkdir(exist_ok=True)
    with pytest.raises(VerificationError, match="both"):
        export_weights(lab.store, forged, tmp_path / "exported", license="Apache-2.0", workdir=tmp_path / "work")


def start_training(
    recipe: Path, record: RunRecord, store: LocalStore, out: Path, *, largest_file: int = resource.RLIM_INFINITY
) -> subprocess.Popen[str]:
    """`llamafund train` in a process group of its own."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "llamafund_chain", "train", recipe, "--dataset", record.dataset,
            "--seed", record.seed, "--out", out, "--store", store.location,
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY)),
    )  # fmt: skip


def test_a_shard_that_cannot_be_written_is_one_clear_error(
    dataset_store: LocalStore, sharded_recipe: RecipeFile, run: Run, new_record: NewRecord, tmp_path: Path
) -> None:
    sizes = {entry.path: entry.size for link in run[:2] for entry in link.files}
    largest = sizes.pop(shard_files("optimizer", 2)[1])
    assert largest > max(sizes.values()), "only what the second process writes meets the limit"
    (tmp_path / "recipe.yaml").write_bytes(sharded_recipe.data)
    process = start_training(
        tmp_path / "recipe.yaml",
        new_record(recipe=sharded_recipe.sha256),
        dataset_store,
        tmp_path / "run",
        largest_file=largest - 1,
    )
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.ERROR
    errors = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, stderr
    assert "Writing the checkpoint after step 10 failed" in errors[0]
    assert "Traceback" not in stderr
    assert [path.name for path in (tmp_path / "run" / "manifests").iterdir()] == ["step-00000000.json"]


def test_killed_while_shards_are_written_it_goes_on_from_the_checkpoint_before(
    lab: object, dataset_store: LocalStore, sharded_recipe: RecipeFile, run: Run, new_record: NewRecord, tmp_path: Path
) -> None:
    record = new_record(recipe=sharded_recipe.sha256)
    recipe, out, disk = tmp_path / "recipe.yaml", tmp_path / "run", tmp_path / "disk"
    recipe.write_bytes(sharded_recipe.data)
    out.mkdir()
    (out / "run.json").write_text(record.model_dump_json())
    # The second process comes to a pipe that nobody reads where its last shard belongs, and waits there.
    first, second = (disk / "checkpoint-20" / name for name in shard_files("optimizer", 2))
    second.parent.mkdir(parents=True)
    os.mkfifo(second)
    (out / "checkpoints").symlink_to(disk)
    process = start_training(recipe, record, dataset_store, out)
    until = time.monotonic() + PATIENCE
    while not (first.exists() and (out / "manifests" / "step-00000010.json").exists()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        select.select([], [], [], 0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (out / "manifests").iterdir()) == ["step-00000000.json", "step-00000010.json"]
    second.unlink()
    assert train_run(dataset_store, sharded_recipe, record, out) == run
    assert whole_weights(disk / "checkpoint-40", tmp_path).is_file()


def test_optimizers_in_shards_that_differ_are_measured(
    lab: object, run: Run, sharded_recipe: RecipeFile, tmp_path: Path
) -> None:
    """As those of an honest run on another machine do."""
    entries = []
    for link in run[1:3]:
        fetch_tree(lab.store, link, tmp_path / str(link.steps.last))
        entries.append(optimizer_entries(sharded_recipe.recipe, link.steps.last, tmp_path / str(link.steps.last)))
    gap = optimizer_gap(*entries, optimizer_changes(*entries))
    assert gap is not None
    assert gap.largest.endswith(".step")
    assert gap.amount == float("inf")


def test_rows_of_an_optimizer_that_changed_places_are_found_behind_an_excuse(
    lab: object, run: Run, tmp_path: Path
) -> None:
    """The same bytes in the same files; only where each process's rows belong is another place."""
    names = shard_files("optimizer", 2)
    headers, bodies = [], []
    for name in names:
        data = lab.file(run[2], name)
        length = int.from_bytes(data[:8], "little")
        headers.append(json.loads(data[8 : 8 + length]))
        bodies.append(data[8 + length :])
    one, two = (json.loads(header["__metadata__"][SHARDING_KEY]) for header in headers)
    for name in {*one} & {*two}:
        if name.endswith("exp_avg") and headers[0][name]["shape"] == headers[1][name]["shape"]:
            one[name], two[name] = two[name], one[name]
    files = {}
    for name, header, body, places in zip(names, headers, bodies, (one, two), strict=True):
        header["__metadata__"][SHARDING_KEY] = json.dumps(places)
        encoded = encode_header(header)
        files[name] = len(encoded).to_bytes(8, "little") + encoded + body
    environment = {**run[2].environment, "processor": "another one"}
    forged = lab.forge(run[2], tmp_path / "forged", files, environment=environment)
    chain = lab.relink([*run[:2], forged, *run[3:]], tmp_path)
    inputs = fetch_inputs(lab.store, chain[-1], tmp_path)
    (found,) = replay_segments(lab.store, inputs, [Pick(segments_of(chain)[1], "random")], tmp_path)
    assert {file.path for file in found.differing} == set(names)
    assert found.verdict == "different"
