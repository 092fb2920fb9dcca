"""Whether open weights keep what the proposal promises, measured again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import TOKENIZER
from llamafund_trainer.metric import METRIC
from llamafund_trainer.runs.inputs import fetch_recipe, prepare_inputs
from llamafund_trainer.runs.measure import Measurement, measure_weights, require_our_metric, same_tokenizer

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import ProposalManifest
    from llamafund_chain.store import Store
    from llamafund_trainer.runs.open_weights import OpenWeights


@dataclass(frozen=True)
class Evaluation:
    """What measuring weights again showed.

    Attributes:
        measurement: The promised metric and the baselines.
        target: The promised value in millionths of a bit per byte; lower is better.
        claimed: What the weights' manifest says, in millionths; `None` if it says nothing or there is none.
        tokenizer: Whether the published tokenizer is the one that was measured with; `None` if none is published.
    """

    measurement: Measurement
    target: int
    claimed: int | None
    tokenizer: bool | None

    @property
    def problem(self) -> tuple[str, str] | None:
        """Why these weights are not what was promised, and the values behind it; `None` if they are."""
        value = self.measurement.value
        if value is None:
            return "The model has diverged", "Its probabilities are not finite numbers"
        if self.tokenizer is False:
            return (
                f"The published {TOKENIZER} is not the one that follows from the training data or the base model",
                "The metric means nothing with another tokenizer",
            )
        if self.claimed is not None and self.claimed != value:
            return (
                f"The manifest claims {from_millionths(self.claimed)} bits per byte",
                f"The measured value is {from_millionths(value)}",
            )
        if value > self.target:
            return (
                f"The weights reach {from_millionths(value)} bits per byte",
                f"The proposal promises {from_millionths(self.target)} or less",
            )
        return None


def evaluate_weights(proposal: ProposalManifest, weights: OpenWeights, store: Store, workdir: Path) -> Evaluation:
    """Measure the promised metric of open weights.

    The recipe decides the architecture and the way to measure; the dataset decides the tokenizer and the held-out
    text. The proposal names both. Only if it leaves one open does the weights' manifest name it.

    Args:
        proposal: What was promised.
        weights: The weights, in one file.
        store: Holds the recipe and the dataset.
        workdir: Existing directory for fetched files.

    Raises:
        UsageError: The proposal promises another metric, nothing names the recipe or the dataset, or the weights are
            split into several files.
        LlamafundError: The store lacks something, or the measurement failed.
        VerificationError: Fetched files do not match their hashes, or the weights do not fit the recipe's model.
    """
    require_our_metric(proposal)
    if len(weights.files) != 1:
        raise UsageError(
            f"{weights.name!r} has {len(weights.files)} files with weights",
            "Only weights in one file can be measured",
            "Save the model as one model.safetensors",
        )
    manifest = weights.manifest
    recipe = proposal.recipe or (manifest and manifest.recipe)
    dataset = proposal.dataset.manifest or (manifest and manifest.dataset)
    if not recipe or not dataset:
        missing = "recipe" if not recipe else "dataset"
        raise UsageError(
            f"It is not known which {missing} the weights belong to",
            f"The proposal names no {missing}, and neither does a file or directory",
            "Name the weights by the hash of their manifest",
        )
    if manifest is not None and TOKENIZER in {entry.path for entry in manifest.files}:
        fetch_tree(store, manifest, weights.directory, [TOKENIZER])
    inputs = prepare_inputs(store, fetch_recipe(store, recipe), dataset, workdir / "inputs")
    measurement = measure_weights(inputs, weights.files[0])
    tokenizer = weights.directory / TOKENIZER
    return Evaluation(
        measurement=measurement,
        target=proposal.outcome.target,
        claimed=None if manifest is None else manifest.metrics.get(METRIC),
        tokenizer=same_tokenizer(tokenizer, measurement.tokenizer) if tokenizer.exists() else None,
    )
