"""Whether demo and `llamafund init` keep what they promise, whatever seed the chain gives: many seeds for each recipe.

The promise must have room, for nobody knows the seed before the campaign is active.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import llamafund_trainer
from bench.harness import Reference, Row
from llamafund_chain.demo.story import PROMISED_BITS_PER_BYTE
from llamafund_chain.errors import LlamafundError
from llamafund_chain.samples.corpus import LICENSE, SOURCE, TITLE, write_corpus
from llamafund_chain.samples.project import PROMISED_BITS_PER_BYTE as START_PROMISE
from llamafund_chain.samples.project import RECIPE
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.metric import METRIC
from llamafund_trainer.recipe import RecipeFile, load_recipe
from llamafund_trainer.runs.inputs import prepare_inputs
from llamafund_trainer.runs.run import RunRecord, train_run
from llamafund_trainer.worker.corpus import load_corpus

SEEDS = tuple(hashlib.sha256(f"seed {number}".encode()).hexdigest() for number in range(60))
"""The small recipe is trained with all of them, the other with a third: the rare unlucky seed must be among them."""

DEMO = Path(next(iter(llamafund_trainer.__path__))) / "recipes" / "demo.yaml"
START = RECIPE


def run() -> Iterator[Row]:
    """Train both recipes with many seeds.

    Raises:
        LlamafundError: A training failed or diverged.
    """
    for name, file, promised, seeds in (
        ("demo", DEMO, float(PROMISED_BITS_PER_BYTE), SEEDS[:20]),
        ("init", START, float(START_PROMISE), SEEDS),
    ):
        with tempfile.TemporaryDirectory(prefix="llamafund-bench-") as scratch:
            counting, reached = _measure(load_recipe(file), seeds, Path(scratch))
        reference = Reference("counting", counting)
        for what, value, limit in (
            ("best", min(reached), None),
            ("mean", statistics.mean(reached), None),
            ("worst", max(reached), promised),
        ):
            yield Row(f"{name}: {what} of {len(reached)} seeds", value, "bits per byte", reference, limit)


def _measure(recipe: RecipeFile, seeds: Sequence[str], root: Path) -> tuple[float, list[float]]:
    """Bits per byte of held-out text of the best model that only counts, and of the model of each seed."""
    store = LocalStore(root / "store")
    preparation = write_corpus(root / "corpus").preparation
    dataset = build_dataset(
        root / "corpus", title=TITLE, source=SOURCE, license=LICENSE, preparation=preparation, store=store
    )
    data = prepare_inputs(store, recipe, dataset.sha256, root / "inputs").data
    baselines = load_corpus(recipe.recipe, data, dataset).baselines()
    reached: list[float] = []
    for number, seed in enumerate(seeds):
        record = RunRecord(
            recipe=recipe.sha256,
            dataset=dataset.sha256,
            seed=seed,
            parent=dataset.sha256,
            milestone_steps=(recipe.recipe.training.steps,),
        )
        value = train_run(store, recipe, record, root / f"run-{number}")[-1].metrics.get(METRIC)
        if value is None:
            raise LlamafundError(f"The training with seed {seed} diverged")
        reached.append(value / 10**6)
    return min(baselines.unigram_bytes, baselines.unigram_tokens) / 10**6, reached
