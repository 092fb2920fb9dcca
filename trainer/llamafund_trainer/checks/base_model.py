"""How far a fine-tuning has gone from its base model: in its weights, and in the promised metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from llamafund_chain.checks.check import CheckContext, Finding, needs
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.text import from_millionths
from llamafund_trainer.checks.shared import checkpoint_of, own_recipe
from llamafund_trainer.metric import METRIC
from llamafund_trainer.runs.inputs import Inputs, fetch_inputs
from llamafund_trainer.runs.measure import measure_weights
from llamafund_trainer.runs.open_weights import fetch_weights
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.tensors.compare import TensorEntry, read_entries, read_numbers
from llamafund_trainer.tensors.lora import ADAPTER, merge_files
from llamafund_trainer.tensors.shards import WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path


@needs("weights")
def changed_from_base(context: CheckContext) -> Iterator[Finding]:
    """A fine-tuning has changed the base model, and is measured beside it."""
    evidence = context.evidence
    if not isinstance(evidence, (CheckpointManifest, WeightsManifest)):
        return
    checkpoint = evidence if isinstance(evidence, CheckpointManifest) else checkpoint_of(context, evidence)
    recipe = own_recipe(context, checkpoint)
    if recipe is None or recipe.base is None or checkpoint.steps.last == 0:
        return
    workdir = context.workdir
    inputs = fetch_inputs(context.store, checkpoint, workdir / "inputs")
    tuned = fetch_weights(context.store, evidence, inputs.recipe, inputs.base, workdir / "tuned")
    base = _base_weights(inputs, checkpoint.seed, workdir)
    distance = _distance(read_entries([base]), read_entries([tuned]))
    context.progress("Measuring the base model on the held-out text")
    before, now = measure_weights(inputs, base).value, evidence.metrics.get(METRIC)
    facts: dict[str, JsonValue] = {"base": recipe.base, "distance": f"{distance:.3g}", "base_value": before}
    if distance == 0:
        detail = (
            f"After {checkpoint.steps.last} steps every weight is the base model's, bit for bit: nothing was trained"
        )
        yield Finding("fail", detail, facts)
        return
    shown = "no finite value" if before is None else f"{from_millionths(before)} bits per byte"
    detail = f"The weights moved by {distance:.3g} of their size; the base model itself reaches {shown}"
    if before is None or now is None:
        yield Finding("pass", detail, facts)
    elif now < before:
        yield Finding("pass", f"{detail}, the fine-tuned one {from_millionths(now)}", facts)
    else:
        yield Finding("warn", f"{detail}, and the fine-tuned one no less: {from_millionths(now)}", facts)


def _base_weights(inputs: Inputs, seed: str, workdir: Path) -> Path:
    """The base model's weights as one file in float32, as training starts from them."""
    if inputs.base is None:
        raise TypeError("only a fine-tuning has a base model")
    start = make_start(inputs.recipe_file, inputs.base, seed, workdir)
    if inputs.recipe.lora is None:
        return start / WEIGHTS
    # The adapter adds nothing before the first step.
    whole = workdir / WEIGHTS
    merge_files(inputs.base.tensors, start / ADAPTER, inputs.recipe.lora, whole)
    return whole


def _distance(base: Mapping[str, TensorEntry], tuned: Mapping[str, TensorEntry]) -> float:
    """How far weights are from the base model's: the norm of the difference, relative to that of the base model.

    Raises:
        VerificationError: A file holds something else than floating point numbers.
    """
    import numpy as np

    moved = size = 0.0
    for name in sorted(base.keys() & tuned.keys()):
        if base[name].shape != tuned[name].shape:
            continue
        for one, other in zip(read_numbers(base[name]), read_numbers(tuned[name]), strict=True):
            before, after = one.astype(np.float64), other.astype(np.float64)
            moved += float(np.square(after - before).sum())
            size += float(np.square(before).sum())
    if moved == 0.0:
        return 0.0
    return float(np.sqrt(moved / size)) if size else float("inf")
