"""A script in the style of nanoGPT, recorded by five lines and repeated by a stranger from the manifests alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sandboxes import require_sandbox

from llamafund_chain.evidence.manifests import CheckpointManifest, save_manifest
from llamafund_chain.evidence.programs import ProgramFile
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.program import repeat_program
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_any_recipe, walk_run

SCRIPT = Path(__file__).parent / "nano"


def test_a_script_like_nanogpt_is_repeated_bit_for_bit(tmp_path: Path) -> None:
    require_sandbox()
    project, out = tmp_path / "project", tmp_path / "out"
    shutil.copytree(SCRIPT, project, ignore=shutil.ignore_patterns("__pycache__"))
    data = project / "data" / "tiny"
    for part in ("train", "heldout"):
        (data / part).mkdir(parents=True)
        (data / part / "input.txt").write_text(f"The {part} part: a cat sat on a mat. " * 20, encoding="utf-8")
    dataset = build_dataset(
        data, title="x", source="x", license="CC0-1.0", preparation="none", store=LocalStore(out / "store")
    )
    save_manifest(out / "dataset.json", dataset)
    ran = subprocess.run(
        [
            sys.executable,
            "train.py",
            "config/tiny.py",
            f"--out_dir={out}",
            "--learning_rate=0.01",
            f"--seed={'6b' * 32}",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    store = LocalStore(out / "store")
    run = walk_run(store, fetch_manifest(store, ran.stdout.split()[-1], CheckpointManifest))
    recipe = fetch_any_recipe(store, run[-1].recipe)
    assert isinstance(recipe, ProgramFile)
    assert sorted(recipe.program.files) == ["config/tiny.py", "configurator.py", "model.py", "train.py"]
    assert recipe.program.arguments == ("config/tiny.py", "--out_dir={run}", "--learning_rate=0.01", "--seed={seed}")
    assert recipe.program.data == "data/tiny"
    assert str(tmp_path) not in recipe.data.decode()
    shutil.rmtree(project)
    result = repeat_program(store, recipe, [Pick(segments_of(run)[1], "random")], tmp_path)[0]
    assert (result.verdict, result.problem or result.trouble) == ("same", "")
