"""Somebody's own script under torchrun: every process has the callback, and the evidence is written once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest, parse_as
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, verify_content
from llamafund_trainer.runs.inputs import walk_run

SCRIPT = """
import json, os, shutil, sys
from pathlib import Path

import torch
from torch import distributed
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from llamafund_trainer import AttestationCallback, library_seed

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
(OUT / f"told-{os.environ['RANK']}.json").write_text(json.dumps(told))
"""


def test_the_evidence_of_a_script_with_two_processes_is_written_once(tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    out.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, out],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-5000:]
    told = [json.loads((out / f"told-{rank}.json").read_text()) for rank in (0, 1)]
    assert told[0] == told[1], "every process knows the same evidence"
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
