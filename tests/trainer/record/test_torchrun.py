"""Somebody's own script under torchrun: every process has the callback or recorder; evidence is written once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest, parse_as
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, verify_content
from llamafund_trainer.runs.inputs import walk_run
from llamafund_trainer.runs.open_weights import open_weights
from llamafund_trainer.tensors.shards import fetch_joined

SCRIPT = """
import json, os, shutil, sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed
from torch.distributed.checkpoint import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from llamafund_chain.errors import LlamafundError
from llamafund_trainer import AttestationCallback, Recorder, library_seed
from llamafund_trainer.record import processes

OUT, SEED = Path(sys.argv[1]), "5a" * 32


def run(steps):
    torch.manual_seed(library_seed(SEED))
    config = LlamaConfig(
        vocab_size=50, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    attestation = AttestationCallback(OUT / "evidence", dataset="d5" * 32, seed=SEED, store=OUT / "store")
    blocks = torch.arange(512).reshape(64, 8) % 50
    trainer = Trainer(
        model=LlamaForCausalLM(config),
        args=TrainingArguments(
            output_dir=str(OUT / "checkpoints"),
            seed=library_seed(SEED),
            full_determinism=True,
            ddp_backend="gloo",
            max_steps=6,
            per_device_train_batch_size=2,
            save_steps=2,
            save_total_limit=steps,
            logging_steps=1,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=[{"input_ids": block, "labels": block} for block in blocks],
        callbacks=[attestation],
    )
    trainer.train(resume_from_checkpoint=attestation.resume_from(OUT / "checkpoints"))
    return attestation


whole = [link.sha256 for link in run(3).end()]
distributed.barrier()
if os.environ["RANK"] == "0":
    (OUT / "evidence" / "manifests" / "step-00000006.json").unlink()
    (OUT / "checkpoints" / "checkpoint-4" / "optimizer.pt").write_bytes(b"half of it")
distributed.barrier()
attestation = run(3)
again = [link.sha256 for link in attestation.end()]
weights = attestation.export(OUT / "model", license="Apache-2.0", score=0)
told = {"whole": whole, "again": again, "weights": weights.sha256}

# The processes share the model, as in torchtitan, and all of them have a recorder.
RANK = distributed.get_rank()
processes.PATIENCE = 0.0
mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(1)
full = {
    "layers.0.rows": torch.randn(5, 3),
    "layers.0.columns": torch.randn(3, 4, 2).to(torch.bfloat16),
    "norm.one": torch.randn(1, 3, dtype=torch.float64),
    "norm.scale": torch.randn(3).to(torch.float16),
    "steps": torch.tensor(7),
}
kinds = [Shard(0), Shard(1), Shard(0), Replicate(), None]
parts = {
    name: tensor if kind is None else distribute_tensor(tensor, mesh, [kind])
    for (name, tensor), kind in zip(full.items(), kinds)
}
moments = {"state": {name: {"exp_avg": tensor} for name, tensor in parts.items()}}
if RANK == 0:
    save_file(full, OUT / "full.safetensors", metadata={"format": "pt"})


def recorder(place="run", recipe=Path(__file__)):
    return Recorder(OUT / place, recipe=recipe, dataset="d5" * 32, seed=SEED, store=OUT / "store", every_process=True)


def write(place):
    save({"model": parts, "optimizer": moments, "step": 3}, checkpoint_id=place / "state")


def started(place):
    run = recorder(place)
    run.begin()
    return run


def zero(place):
    (place / "global_step2").mkdir(exist_ok=True)
    torch.save({}, place / "global_step2" / f"zero_pp_rank_{RANK}_mp_rank_00_optim_states.pt")


def fails(place):
    if RANK == 1:
        raise OSError(28, "No space left on device")


def problem(work):
    try:
        work()
    except LlamafundError as error:
        return str(error)
    return None


run = recorder()
run.begin()
run.checkpoint(2, write, {"train_loss": 5})
save({"model": parts, "optimizer": moments}, checkpoint_id=OUT / "theirs" / "dcp")
run.checkpoint(4, OUT / "theirs", keep=True)
shutil.rmtree(OUT / "theirs", ignore_errors=True)
later = OUT / "later"
for number in range(200 if RANK == 0 else 0):
    (later / "x").mkdir(parents=True, exist_ok=True)
    (later / "x" / "unfinished").write_bytes(b"")
    (later / "x" / "unfinished").rename(later / "x" / f"{number}")
told["later"] = problem(lambda: processes.Processes().require_same_files(later))
told["full disk"] = problem(lambda: run.checkpoint(6, fails))
apart = OUT / f"node-{RANK}"
(apart / "x").mkdir(parents=True)
(apart / "x" / f"part-{RANK}.safetensors").write_bytes(b"")
told["apart"] = problem(lambda: run.checkpoint(6, apart))
told["pickles"] = problem(lambda: started("zero").checkpoint(2, lambda place: zero(place)))
told["unlike"] = problem(lambda: processes.Processes().require_same(RANK, "The machines differ"))
told["run"] = [link.sha256 for link in run.end()]
told["latest"] = recorder().latest().step
told["exported"] = run.export(OUT / "joined", license="Apache-2.0", score=0).sha256
told["no folder"] = problem(recorder(apart.name).begin)
(OUT / f"told-{RANK}.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script leaves behind."""
    place = tmp_path_factory.mktemp("torchrun")
    script, out = place / "script.py", place / "out"
    script.write_text(SCRIPT)
    out.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, out],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-5000:]
    return out


@pytest.fixture(scope="module")
def told(out: Path) -> list[dict[str, Any]]:
    """What each process says at the end."""
    return [json.loads((out / f"told-{rank}.json").read_text()) for rank in (0, 1)]


def test_the_evidence_of_a_script_with_two_processes_is_written_once(out: Path, told: list[dict[str, Any]]) -> None:
    for name in ("whole", "again", "weights"):
        assert told[0][name] == told[1][name], "every process knows the same evidence"
    assert told[0]["again"] == told[0]["whole"], "it went on from step 2 to the same bytes"

    store = LocalStore(out / "store")
    head = fetch_manifest(store, told[0]["again"][-1], CheckpointManifest)
    chain = walk_run(store, head)
    assert [link.sha256 for link in chain] == told[0]["whole"]
    assert [link.steps.last for link in chain] == [0, 2, 4, 6]
    assert [link.parent for link in chain] == ["d5" * 32, *told[0]["whole"][:-1]]
    assert {link.environment["processes"] for link in chain} == {"2"}
    for link in chain:
        verify_content(store, link)
        (out / "evidence" / "manifests" / f"step-{link.steps.last:08}.json").read_bytes()
        if link.steps.last:
            states = {entry.path for entry in link.files if entry.path.startswith("rng_state")}
            assert states == {"rng_state_0.pth", "rng_state_1.pth"}, "what the second process wrote is there as well"
    assert len(list((out / "evidence" / "manifests").iterdir())) == len(chain)
    published = parse_as(WeightsManifest, (out / "model.json").read_bytes())
    assert (published.sha256, published.parent) == (told[0]["weights"], head.sha256)
    verify_content(store, published)


def test_a_recorder_in_every_process_writes_one_chain_that_names_the_files_of_all(
    out: Path, told: list[dict[str, Any]]
) -> None:
    for name in ("run", "latest", "exported"):
        assert told[0][name] == told[1][name]
    assert told[0]["later"] is told[1]["later"] is None, "one has waited until the other has written"
    store = LocalStore(out / "store")
    chain = [fetch_manifest(store, sha256, CheckpointManifest) for sha256 in told[0]["run"]]
    assert [(link.steps.last, link.parent) for link in chain] == [(2, "d5" * 32), (4, chain[0].sha256)]
    for link, folder in zip(chain, ("state", "dcp"), strict=True):
        verify_content(store, link)
        files = {f"{folder}/.metadata", f"{folder}/__0_0.distcp", f"{folder}/__1_0.distcp"}
        assert {entry.path for entry in link.files} == files
        assert link.environment["processes"] == "2"
    assert (chain[0].metrics, told[0]["latest"]) == ({"train_loss": 5}, 4)
    assert not (out / "run" / "checkpoints" / ".checkpoint-6.part").exists()


def test_split_weights_are_exported_bit_for_bit_and_traced_by_others(
    out: Path, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    whole = (out / "full.safetensors").read_bytes()
    published = parse_as(WeightsManifest, (out / "joined.json").read_bytes())
    assert (published.sha256, published.parent) == (told[0]["exported"], told[0]["run"][-1])
    assert [entry.path for entry in published.files] == ["README.md", "model.safetensors"]
    assert (out / "joined" / "model.safetensors").read_bytes() == whole
    assert published.parameters == 5 * 3 + 3 * 4 * 2 + 3 + 3 + 1
    store = LocalStore(out / "store")
    for sha256 in told[0]["run"]:
        checkpoint = fetch_manifest(store, sha256, CheckpointManifest)
        assert fetch_joined(store, checkpoint, tmp_path / sha256).read_bytes() == whole
    (kept,) = open_weights(str(out / "run" / "checkpoints" / "checkpoint-4"), store, tmp_path).files
    assert kept.read_bytes() == whole


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("full disk", "Writing the checkpoint .*checkpoint-6.* failed"),
        ("apart", "Process 1 on .*node-1' does not see in .*: 'x/part-0.safetensors'|does not see in .*node-1'"),
        ("no folder", "Process 1 on .* does not see in .*node-1/manifests.* file system that all machines share"),
        ("unlike", r"The machines differ\. Start all of them with the same options"),
        ("pickles", r"no \.safetensors file.*python zero_to_fp32\.py \. \. --safe_serialization"),
    ],
)
def test_every_process_hears_what_went_wrong(told: list[dict[str, Any]], what: str, message: str) -> None:
    for each in told:
        assert re.search(message, each[what]), each[what]
    assert told[0][what] == told[1][what]
