"""What attestation, replay, determinism and resuming cost, as ratios within one run.

Everything is measured with the same small Llama on the same text. Training with and without attestation alternates in
one process, and the fastest round of each counts. Processor time is compared: it includes hashing beside the training,
and excludes other programs. Replay and resuming run in separate processes, so their median steps are compared. They
alternate with training, too, and have as many rounds: the best of three is faster than a single one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import yaml

import bench
import llamafund_chain
import llamafund_trainer
from bench.harness import Reference, Row
from llamafund_chain.errors import LlamafundError
from llamafund_chain.samples.corpus import LICENSE, SOURCE, TITLE, write_corpus
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.process.messages import SegmentJob, StepEvent
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.record.environment import pinned_variables, quiet_variables
from llamafund_trainer.record.samples import samples_hash
from llamafund_trainer.replay.segments import Segment, fetch_start, run_segments, segments_of
from llamafund_trainer.runs.inputs import Inputs, fetch_inputs, prepare_inputs
from llamafund_trainer.runs.run import RunProgress, RunRecord, train_run

SEED = "6b" * 32
ROUNDS = 3
STEPS = 100
PACES = 6
"""Rounds of so many steps with and without attestation: the fastest of many short ones varies less."""

RECIPE: dict[str, Any] = {
    "schema": "llamafund/recipe/1",
    "title": "For measuring",
    "model": {"hidden_size": 128, "layers": 4, "heads": 4, "kv_heads": 2, "intermediate_size": 384},
    "tokenizer": {"vocab_size": 2048},
    "data": {"context_length": 128},
    "optimizer": {"learning_rate": 0.002},
    "schedule": {"kind": "cosine", "warmup_steps": 10},
    "training": {"steps": 80, "batch_size": 8, "checkpoint_every": 40, "log_every": 20},
    "determinism": {"threads": 1, "instruction_set": "avx2"},
}

TOKENS = 20 * 1024 * 1024
CONTEXT = 512
"""How many tokens a table has, and each of its rows."""

ATTESTED = 1.02
REPLAYED = 1.10
SAMPLES_HASHED = 2.0


def run() -> Iterator[Row]:
    """Measure everything once.

    Raises:
        LlamafundError: A process failed, or a resumed run gave different bytes than the uninterrupted one.
    """
    with tempfile.TemporaryDirectory(prefix="llamafund-bench-") as scratch:
        root = Path(scratch)
        yield from _samples()
        store = LocalStore(root / "store")
        write_corpus(root / "corpus")
        dataset = build_dataset(
            root / "corpus", title=TITLE, source=SOURCE, license=LICENSE, preparation="as in the demo", store=store
        )
        recipe = parse_recipe(yaml.safe_dump(RECIPE).encode())
        inputs = prepare_inputs(store, recipe, dataset.sha256, root / "inputs")
        yield from _attestation(inputs, root)
        # Where the finished run is published, the same run has nothing left to resume.
        other = LocalStore(shutil.copytree(root / "store", root / "other"))
        yield from _replay_and_resume(store, other, recipe, dataset.sha256, root)


def _samples() -> Iterator[Row]:
    """Hashing a table as tokenisers fill it: numbers of tokens, a mask and labels."""
    numbers = np.random.default_rng(0).integers(0, 50_000, TOKENS)
    ends = pa.array(np.arange(0, TOKENS + 1, CONTEXT), pa.int32())
    types = {"input_ids": np.int32, "attention_mask": np.int8, "labels": np.int64}
    columns = {name: pa.array(numbers.astype(kind)) for name, kind in types.items()}
    rows = {name: pa.ListArray.from_arrays(ends, values) for name, values in columns.items()}
    table = datasets.Dataset(pa.table(rows))
    samples_hash(table.select(range(1)))  # Imports what it needs.

    def plain() -> None:
        for values in columns.values():
            hashlib.sha256(values.buffers()[1]).digest()

    reference = Reference("SHA-256 of the same bytes", _nanoseconds(plain))
    value = _nanoseconds(lambda: samples_hash(table))
    yield Row("hash of all samples of a table", value, "ns/token", reference, SAMPLES_HASHED * reference.value)


def _nanoseconds(work: Callable[[], object]) -> float:
    """Processor time for one token, at best."""
    times = []
    for _ in range(ROUNDS):
        # Of this thread: Linux counts a process's time in ticks of 4 ms once that has been limited.
        begun = time.thread_time_ns()
        work()
        times.append(time.thread_time_ns() - begun)
    return min(times) / TOKENS


def _attestation(inputs: Inputs, root: Path) -> Iterator[Row]:
    pinned = pinned_variables(inputs.recipe)
    times = _paces(inputs, root / "pinned", pinned, {"modes": ["plain", "attested"], "rounds": PACES})
    plain = Reference("the same Trainer", min(times["plain"]) / STEPS)
    attested = min(times["attested"]) / STEPS
    yield Row("attested training, a checkpoint every 100 steps", attested, "CPU s/step", plain, ATTESTED * plain.value)
    # Unpinned, as usual, except for the number of threads, without which the times could not be compared.
    threads = {name: pinned[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    usual = _paces(inputs, root / "usual", threads, {"modes": ["default"], "rounds": ROUNDS})
    reference = Reference("default mode", min(usual["default"]) / STEPS)
    yield Row("deterministic mode", plain.value, "CPU s/step", reference)


def _replay_and_resume(
    store: LocalStore, other: LocalStore, recipe: RecipeFile, dataset: str, root: Path
) -> Iterator[Row]:
    steps = recipe.recipe.training.steps
    record = RunRecord(recipe=recipe.sha256, dataset=dataset, seed=SEED, parent=dataset, milestone_steps=(steps,))
    trained: list[float] = []
    replayed: list[float] = []
    resumed: list[float] = []
    uninterrupted: list[float] = []
    continued: list[float] = []
    begun = time.monotonic()
    with contextlib.suppress(_StoppedError):
        train_run(other, recipe, record, root / "stopped", progress=_stop_at(steps // 2))
    stopped = time.monotonic() - begun
    for number in range(ROUNDS):
        clock = _Clock()
        begun = time.monotonic()
        checkpoints = train_run(store, recipe, record, root / f"run-{number}", progress=clock)
        uninterrupted.append(time.monotonic() - begun)
        segment = segments_of(checkpoints)[-1]
        trained.append(clock.pace(segment))
        place = root / f"replay-{number}"
        place.mkdir()
        replayed.append(_replay_pace(store, fetch_inputs(store, checkpoints[-1], place), segment, place))
        after = _Clock()
        again = LocalStore(shutil.copytree(root / "other", root / f"other-{number}"))
        half = shutil.copytree(root / "stopped", root / f"resumed-{number}")
        begun = time.monotonic()
        last = train_run(again, recipe, record, half, progress=after)[-1]
        continued.append(time.monotonic() - begun)
        resumed.append(after.pace(segment))
        if last.sha256 != checkpoints[-1].sha256:
            raise LlamafundError("The resumed run gave different bytes than the uninterrupted one")
    training = Reference("training", min(trained))
    yield Row("replay", min(replayed), "s/step", training, REPLAYED * training.value)
    yield Row("training after resuming", min(resumed), "s/step", training, REPLAYED * training.value)
    whole = Reference("uninterrupted", min(uninterrupted))
    yield Row(f"a run of {steps} steps, stopped once and resumed", stopped + min(continued), "s", whole)


class _Clock:
    """Records when each step of a run was done."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    def __call__(self, done: RunProgress) -> None:
        if done.loss is None and done.checkpoint is None:
            self.at[done.step] = time.monotonic()

    def pace(self, segment: Segment) -> float:
        """Median seconds of a step in a segment, which leaves out the first step and the checkpoint."""
        first, last = segment.start.steps.last + 1, segment.end.steps.last
        return statistics.median(self.at[step + 1] - self.at[step] for step in range(first, last))


class _StoppedError(Exception):
    """The run was stopped on purpose."""


def _stop_at(step: int) -> Any:
    def progress(done: RunProgress) -> None:
        if done.checkpoint is not None and done.checkpoint.steps.last == step:
            raise _StoppedError

    return progress


def _replay_pace(store: LocalStore, inputs: Inputs, segment: Segment, place: Path) -> float:
    job = SegmentJob(
        first=segment.start.steps.last,
        last=segment.end.steps.last,
        start=fetch_start(store, inputs.recipe, segment, place),
        output=place / "repeated",
    )
    clock = _Clock()
    for event in run_segments(inputs, segment.end.seed, [job]):
        if isinstance(event, StepEvent):
            clock(RunProgress(event.step, event.loss))
    return clock.pace(segment)


def _paces(inputs: Inputs, place: Path, variables: Mapping[str, str], asked: dict[str, Any]) -> dict[str, list[float]]:
    """Processor seconds of each round of each mode, measured in a separate process."""
    place.mkdir()
    asked |= {
        "recipe": str(inputs.recipe_path),
        "dataset": str(inputs.dataset_path),
        "data": str(inputs.data),
        "seed": SEED,
        "steps": STEPS,
        "place": str(place),
    }
    (place / "asked.json").write_text(json.dumps(asked))
    packages = (bench, llamafund_chain, llamafund_trainer)
    sources = (str(Path(package.__path__[0]).parent.absolute()) for package in packages)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench.training_pace", str(place / "asked.json")],
        env={
            "PATH": os.environ.get("PATH", ""),
            **quiet_variables(str(place)),
            **variables,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(sources)),
        },
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LlamafundError("Measuring the training failed", " / ".join(done.stderr.strip().splitlines()[-3:]))
    answer: dict[str, list[float]] = json.loads((place / "answer.json").read_text())
    return answer
