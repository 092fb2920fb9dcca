"""How far honest repetitions differ with different arithmetic, which is what replay's tolerance is based on.

Each segment of several runs is repeated honestly with every instruction set, and with two threads. Every repetition
starts from the published state, like a replay.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import yaml

from bench.harness import Row
from llamafund_chain.samples.corpus import LICENSE, SOURCE, TITLE, write_corpus
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.replay.segments import (
    Segment,
    fetch_start,
    fetch_trained_weights,
    repeat_everywhere,
    repeat_once,
    segments_of,
    trained_weights,
    with_recipe,
)
from llamafund_trainer.replay.tolerance import (
    CALIBRATION_FACTOR,
    UNDECIDABLE,
    optimizer_changes,
    optimizer_entries,
    optimizer_gap,
    optimizer_spread,
)
from llamafund_trainer.runs.inputs import fetch_inputs
from llamafund_trainer.runs.run import RunRecord, train_run
from llamafund_trainer.tensors.compare import largest_change
from llamafund_trainer.tensors.shards import WEIGHTS

SEED = "7e" * 32
UNIT = "millionths of the change"
BASE: dict[str, Any] = {
    "schema": "llamafund/recipe/1",
    "title": "For calibration",
    "model": {"hidden_size": 64, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate_size": 192},
    "tokenizer": {"vocab_size": 1024},
    "data": {"context_length": 64},
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"kind": "cosine", "warmup_steps": 10},
    "training": {"steps": 200, "batch_size": 16, "checkpoint_every": 50, "log_every": 10},
    "determinism": {"threads": 1, "instruction_set": "avx2"},
}
RUNS: dict[str, dict[str, Any]] = {
    "rate 0.01, 50 steps": BASE,
    "rate 0.001, 10 steps": {
        **BASE,
        "optimizer": {"learning_rate": 0.001},
        "training": {"steps": 40, "batch_size": 16, "checkpoint_every": 10, "log_every": 10},
    },
}
"""Segments in which rounding errors grow a lot and a little."""


def run() -> Iterator[Row]:
    """Repeat every segment of every run in every way.

    Yields:
        For each pair of instruction sets, the largest difference of a weight, in millionths of the largest change of a
        weight over the segment. Then the largest difference in an optimizer, in millionths of its tensor's change. The
        bound is the tolerance of an auditor who has all sets but the recorded one; there is none where the processor
        has only two.
        For two threads the bound is 0: with a pinned instruction set, threads do not change the bits.

    Raises:
        LlamafundError: Training or replay failed.
    """
    with tempfile.TemporaryDirectory(prefix="llamafund-tolerance-") as scratch:
        root = Path(scratch)
        store = LocalStore(root / "store")
        write_corpus(root / "corpus")
        dataset = build_dataset(
            root / "corpus", title=TITLE, source=SOURCE, license=LICENSE, preparation="as in the demo", store=store
        )
        for index, (name, values) in enumerate(RUNS.items()):
            place = root / str(index)
            place.mkdir()
            for segment, row in _rows(store, dataset.sha256, values, place):
                label = f"{name}: {segment.start.steps.last} to {segment.end.steps.last}, {row.name}"
                yield replace(row, name=label)


def _rows(store: LocalStore, dataset: str, values: dict[str, Any], place: Path) -> Iterator[tuple[Segment, Row]]:
    recipe = _recipe(values)
    steps = recipe.recipe.training.steps
    record = RunRecord(recipe=recipe.sha256, dataset=dataset, seed=SEED, parent=dataset, milestone_steps=(steps,))
    checkpoints = train_run(store, recipe, record, place / "run")
    inputs = fetch_inputs(store, checkpoints[-1], place)
    for segment in segments_of(checkpoints):
        first, last = segment.start.steps.last, segment.end.steps.last
        ends = (segment.start, segment.end)
        before, after = (fetch_trained_weights(store, recipe.recipe, end, place) for end in ends)
        unit = 1e6 / largest_change(before, after)
        ways = repeat_everywhere(store, inputs, segment, place)
        weights = {name: trained_weights(recipe.recipe, outcome) for name, outcome in ways.items()}
        spread = {frozenset(pair): largest_change(*(weights[each] for each in pair)) for pair in combinations(ways, 2)}
        for recorded, here in permutations(ways, 2):
            found = spread[frozenset((recorded, here))] * unit
            # With two sets here, an auditor who lacks the recorded one has nothing to compare.
            others = spread.get(frozenset(ways) - {recorded})
            bound = None if others is None else CALIBRATION_FACTOR * others * unit
            yield segment, Row(f"recorded {recorded}, repeated {here}", found, UNIT, bound=bound)
        start = fetch_start(store, recipe.recipe, segment, place)
        begun = {} if start is None else optimizer_entries(recipe.recipe, first, start)
        optimizers = {name: optimizer_entries(recipe.recipe, last, outcome) for name, outcome in ways.items()}
        for recorded, here in permutations(ways, 2):
            changes = optimizer_changes(begun, optimizers[here])
            gap = optimizer_gap(optimizers[recorded], optimizers[here], changes)
            rest = [optimizers[name] for name in ways if name != recorded]
            found = 0.0 if gap is None else gap.amount * 1e6
            tolerance = CALIBRATION_FACTOR * optimizer_spread(rest, changes)
            # Above it a comparison shows nothing, so there is no bound.
            most = tolerance * 1e6 if len(rest) > 1 and tolerance < UNDECIDABLE else None
            yield segment, Row(f"the optimizer's, recorded {recorded}, repeated {here}", found, UNIT, bound=most)
        threads = place / f"threads-{first}"
        threads.mkdir()
        changed = with_recipe(inputs, threads, determinism={"threads": 2})
        outcome = repeat_once(changed, SEED, first, last, start, threads / "repeated") / WEIGHTS
        yield segment, Row("1 and 2 threads", largest_change(after, outcome) * unit, UNIT, bound=0.0)


def _recipe(values: dict[str, Any]) -> RecipeFile:
    return parse_recipe(yaml.safe_dump(values).encode())
