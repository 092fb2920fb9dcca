"""The three examples run, and running them again after an interruption leads to the same evidence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from findings import checked
from sandboxes import missing_sandbox

from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, verify_content
from llamafund_trainer.runs.inputs import walk_run

TRAINER = Path(__file__).parents[3] / "trainer"
EXAMPLES = ("hf_trainer", "plain_loop", "lightning_module")


def run_example(name: str, out: Path) -> tuple[str, str]:
    """Hashes of the last checkpoint and of the open weights."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", TRAINER / "examples" / f"{name}.py", out],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    checkpoint = re.search(r"last checkpoint +([0-9a-f]{64})", ran.stdout)
    weights = re.search(r"open weights +([0-9a-f]{64})", ran.stdout)
    assert checkpoint is not None
    assert weights is not None
    return checkpoint[1], weights[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_leaves_a_chain_that_others_repeat_and_goes_on_to_the_same_hashes(name: str, tmp_path: Path) -> None:
    if name == "lightning_module":
        pytest.importorskip("lightning", reason="Lightning is not installed")
    out = tmp_path / "out"
    checkpoint, weights = run_example(name, out)
    store = LocalStore(out / "store")
    run = walk_run(store, fetch_manifest(store, checkpoint, CheckpointManifest))
    assert [link.steps.last for link in run] == [0, 10, 20]
    assert [link.parent for link in run] == [run[0].dataset, run[0].sha256, run[1].sha256]
    for link in run:
        verify_content(store, link)
    published = fetch_manifest(store, weights, WeightsManifest)
    assert published.parent == checkpoint
    assert {Path(entry.path).suffix for entry in published.files} <= {".safetensors", ".json", ".md"}
    assert checked(store, published, tmp_path, 0) == {
        "initial-weights-from-seed": "unchecked",
        "environment-recorded": "pass",
        "checkpoint-files-known": "pass",
        **({"histories-agree": "pass"} if name == "hf_trainer" else {}),
        "steps-follow-recipe": "warn",
        "replay": "unchecked",
        "metric-re-evaluated": "unchecked",
        "model-card-from-manifests": "pass",
        "weights-headers-plain": "pass",
        "weights-equal-checkpoint": "pass",
        "loads-in-transformers": "unchecked",
    }
    if not missing_sandbox():
        found = checked(store, run[-1], tmp_path, 1)
        assert (found["initial-weights-from-seed"], found["replay"]) == ("pass", "pass")

    (out / "evidence" / "manifests" / "step-00000020.json").unlink()
    for path in (*(out / "model").iterdir(), out / "model.json"):
        path.unlink()
    assert run_example(name, out) == (checkpoint, weights)


@pytest.mark.parametrize("name", ["hf_trainer"])
def test_transformers_opens_what_an_example_exports(name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    run_example(name, tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model", local_files_only=True)
    assert model.generate(max_new_tokens=3, do_sample=False).shape[0] == 1


def test_the_readme_shows_lines_of_the_examples() -> None:
    shown = (TRAINER / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", shown, re.DOTALL)
    assert len(blocks) == len(EXAMPLES)
    for name, block in zip(EXAMPLES, blocks, strict=True):
        lines = set((TRAINER / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines())
        for line in block.splitlines():
            assert not line or line in lines, f"{line!r} is not in {name}.py"
