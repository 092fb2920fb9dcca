"""Runs that were really trained, but not as their evidence claims."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import llamafund_chain
import llamafund_trainer
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest, parse_as
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_chain.store.dataset import build_dataset
from llamafund_chain.store.publishing import list_directory, publish
from llamafund_trainer.process.messages import TrainJob
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.record.environment import pinned_variables, quiet_variables
from llamafund_trainer.runs import run
from llamafund_trainer.runs.run import RunRecord
from llamafund_trainer.worker.samples import SampleOrder

SCRIPT = Path(__file__).with_name("dishonest_worker.py")
Run = tuple[CheckpointManifest, ...]


@dataclass(frozen=True)
class DishonestRuns:
    """What the cheats trained, already published under the promised recipe, dataset and seed.

    Attributes:
        runs: By name of the fraud.
        segments: Segments of each run that an honest repetition cannot reproduce.
        tuned: The honest fine-tunings, `full` and `lora`.
        elsewhere: By the same names, what was fine-tuned from another base model, published under their recipes.
    """

    runs: Mapping[str, Run]
    segments: Mapping[str, tuple[int, ...]]
    tuned: Mapping[str, Any]
    elsewhere: Mapping[str, Run]


def train_dishonestly(lab: Any, tuned: Mapping[str, Any], root: Path) -> DishonestRuns:
    """Train all dishonest runs and publish them with manifests that fit together.

    Args:
        lab: The honest run, its store, recipe and data.
        tuned: The honest fine-tunings.
        root: Empty directory; kept, and read again when it is complete.
    """
    recipe, seed = lab.recipe.recipe, lab.run[0].seed
    order = SampleOrder(lab.run[0].data_order_seed, _block_count(lab, root))
    count = order._count
    seen = [order[place] for place in range(recipe.training.steps * recipe.samples_per_step)]
    per_segment = recipe.training.checkpoint_every * recipe.samples_per_step
    replaced = list(range(count // 2, count // 2 + max(1, round(count / 100))))
    token_block = seen[-1]

    def touched(blocks: Iterable[int]) -> tuple[int, ...]:
        chosen = set(blocks)
        return tuple(sorted({place // per_segment for place, block in enumerate(seen) if block in chosen}))

    parameters: dict[str, dict[str, Any]] = {
        "dataset_swapped": {},
        "other_learning_rate": {},
        "one_percent_of_the_samples_replaced": {"blocks": replaced},
        "one_token_changed": {"block": token_block, "place": 1},
        "steps_claimed_but_not_run": {"first": 24, "last": 30},
        "optimizer_state_reset": {"before": 10},
    }
    everywhere = tuple(range(len(lab.run) - 1))
    segments = {
        "dataset_swapped": everywhere,
        "other_learning_rate": everywhere,
        "one_percent_of_the_samples_replaced": touched(replaced),
        "one_token_changed": touched([token_block]),
        # The count of steps that the optimizer has gives away every segment after it.
        "steps_claimed_but_not_run": (2, 3),
        "optimizer_state_reset": (1,),
    }
    if not (root / "trained").exists():
        _train(lab, root, seed, parameters)
    runs: dict[str, Run] = {}
    for name in parameters:
        manifests = sorted((root / name / "manifests").glob("step-*.json"))
        links = [parse_as(CheckpointManifest, path.read_bytes()) for path in manifests]
        for link in links:
            publish_tree(lab.store, root / name / "checkpoints" / f"checkpoint-{link.steps.last}", link)
        runs[name] = claim(lab, links, root / name / "claimed")
    elsewhere = {name: _fine_tuned_elsewhere(lab, each, root / f"elsewhere-{name}") for name, each in tuned.items()}
    return DishonestRuns(runs, segments, tuned, elsewhere)


def _fine_tuned_elsewhere(lab: Any, honest: Any, root: Path) -> Run:
    """The honest program, on the weights of another run as its base model."""
    root.mkdir(exist_ok=True)
    paths = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    fetch_tree(lab.store, lab.other[-1], root / "base", paths)
    files = hash_tree(root / "base").files
    other = publish(root / "base", list_directory(files), files, [lab.store.location]).sha256
    recipe = parse_recipe(honest.recipe.data.replace(lab.weights.sha256.encode(), other.encode()))
    link = honest.run[-1]
    record = RunRecord(
        recipe=recipe.sha256,
        dataset=link.dataset,
        seed=link.seed,
        parent=lab.dataset.sha256,
        milestone_steps=(link.steps.last,),
    )
    links = run.train_run(lab.store, recipe, record, root / "run")
    return claim(lab, links, root / "claimed", recipe=link.recipe)


def claim(lab: Any, links: Iterable[CheckpointManifest], scratch: Path, **fields: object) -> Run:
    """Publish checkpoints as one run of the promised recipe, dataset and seed; every hash in it fits."""
    honest = lab.run[0]
    promised = {name: getattr(honest, name) for name in ("recipe", "dataset", "seed", "data_order_seed")}
    chain: list[CheckpointManifest] = []
    for link in links:
        parent = chain[-1].sha256 if chain else lab.dataset.sha256
        hashes = tuple(before.sha256 for before in chain)
        place = scratch / f"link-{len(chain)}"
        chain.append(lab.forge(link, place, **{**promised, "parent": parent, "chain": hashes, **fields}))
    return tuple(chain)


def _train(lab: Any, root: Path, seed: str, parameters: Mapping[str, Mapping[str, Any]]) -> None:
    jobs = []
    for name, given in parameters.items():
        recipe, dataset = lab.recipe, lab.dataset.sha256
        if name == "other_learning_rate":
            recipe = parse_recipe(recipe.data.replace(b"learning_rate: 0.02", b"learning_rate: 0.021"))
        if name == "dataset_swapped":
            dataset = _other_dataset(lab, root / "other-corpus")
        job = _planned_job(lab, recipe, dataset, seed, root / name)
        (root / name / "job.json").write_text(job.model_dump_json())
        jobs.append({"fraud": name, "job": str(root / name / "job.json"), "parameters": given})
    (root / "jobs.json").write_text(json.dumps(jobs))
    packages = (llamafund_chain, llamafund_trainer)
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), str(root / "jobs.json")],
        env={
            "PATH": os.environ["PATH"],
            **quiet_variables(str(root)),
            **pinned_variables(lab.recipe.recipe),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(str(Path(each.__path__[0]).parent) for each in packages)),
        },
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    failed = [line for line in done.stdout.splitlines() if '"event":"error"' in line]
    assert done.returncode == 0, done.stderr[-2000:]
    assert not failed, failed
    (root / "trained").touch()


class _PlannedError(Exception):
    """The run is planned, and goes no further."""


def _planned_job(lab: Any, recipe: RecipeFile, dataset: str, seed: str, folder: Path) -> TrainJob:
    """What an honest run would give to its training process, which is not started."""
    planned: list[TrainJob] = []

    def take(job: TrainJob, *_: object) -> None:
        planned.append(job)
        raise _PlannedError

    record = RunRecord(
        recipe=recipe.sha256,
        dataset=dataset,
        seed=seed,
        parent=lab.dataset.sha256,
        milestone_steps=(recipe.recipe.training.steps,),
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_PlannedError):
        patch.setattr(run, "run_job", take)
        run.train_run(lab.store, recipe, record, folder)
    return planned[0]


def _other_dataset(lab: Any, root: Path) -> str:
    fetch_tree(lab.store, lab.dataset, root)
    for path in (root / "train").iterdir():
        path.write_text(path.read_text().replace("sees", "finds"))
    dataset = build_dataset(
        root, title="Others", source="elsewhere", license="CC0-1.0", preparation="none", store=lab.store
    )
    return str(dataset.sha256)


def _block_count(lab: Any, root: Path) -> int:
    from llamafund_trainer.worker.corpus import load_corpus

    place = root / "count"
    fetch_tree(lab.store, lab.dataset, place)
    count = len(load_corpus(lab.recipe.recipe, place, lab.dataset).blocks)
    shutil.rmtree(place)
    return count
