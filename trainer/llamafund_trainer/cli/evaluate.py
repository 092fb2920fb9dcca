"""`llamafund evaluate`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from llamafund_chain.cli.interruption import if_interrupted
from llamafund_chain.cli.options import HASH, json_option, stores_option
from llamafund_chain.cli.output import emit, note, progress, rows
from llamafund_chain.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import ProposalManifest
    from llamafund_chain.store import Store
    from llamafund_trainer.runs.measure import Measurement
    from llamafund_trainer.runs.open_weights import OpenWeights

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Evaluation:
    """What measuring weights again showed.

    Attributes:
        measurement: The promised metric and the models that it has to beat.
        target: The promised value, millionths of a bit per byte; lower is better.
        claimed: What the weights' manifest says, millionths; `None` where there is no manifest, or it says nothing.
        tokenizer: Whether the published tokenizer is the one that the data gives; `None` where none is published.
    """

    measurement: Measurement
    target: int
    claimed: int | None
    tokenizer: bool | None

    @property
    def problem(self) -> tuple[str, str] | None:
        """Why these weights are not what was promised, and the values behind it; `None` when they are."""
        from llamafund_chain.text import from_millionths

        value = self.measurement.value
        if value is None:
            return "The model has diverged", "Its probabilities are not finite numbers"
        if self.tokenizer is False:
            return (
                f"The published {TOKENIZER} is not the one that training data or base model give",
                "The metric means nothing with another one",
            )
        if self.claimed is not None and self.claimed != value:
            return (
                f"The manifest claims {from_millionths(self.claimed)} bits per byte",
                f"Measured again it is {from_millionths(value)}",
            )
        if value > self.target:
            return (
                f"Measured are {from_millionths(value)} bits per byte",
                f"The proposal promises {from_millionths(self.target)} or less",
            )
        return None


def measure_again(proposal: ProposalManifest, weights: OpenWeights, store: Store, workdir: Path) -> Evaluation:
    """Measure the promised metric of open weights.

    Architecture and evaluation come from the recipe, tokenizer and held-out text from the dataset; both from the
    proposal, and from the weights' manifest only where the proposal leaves them open.

    Args:
        proposal: What was promised.
        weights: In one file.
        store: Holds recipe and dataset.
        workdir: Existing directory for fetched files.

    Raises:
        UsageError: The proposal promises another metric, nobody says which recipe or dataset, or the weights are in
            parts.
        LlamafundError: The store lacks something, or the measurement failed.
        VerificationError: Something is not what it claims to be, or the weights are not of the recipe's model.
    """
    from llamafund_chain.store.content import fetch_tree
    from llamafund_trainer.metric import DIRECTION, METRIC
    from llamafund_trainer.runs.inputs import fetch_recipe, prepare_inputs
    from llamafund_trainer.runs.measure import measure_weights, same_tokenizer

    outcome, manifest = proposal.outcome, weights.manifest
    if (outcome.metric, outcome.direction) != (METRIC, DIRECTION):
        raise UsageError(
            f"The proposal promises {outcome.metric!r} ({outcome.direction} is better)",
            f"This program measures {METRIC!r} ({DIRECTION} is better)",
            "Use the program that the proposal names",
        )
    if len(weights.files) != 1:
        raise UsageError(
            f"{weights.name!r} holds {len(weights.files)} files of weights", "Models in parts cannot be measured"
        )
    recipe = proposal.recipe or (manifest and manifest.recipe)
    dataset = proposal.dataset.manifest or (manifest and manifest.dataset)
    if not recipe or not dataset:
        missing = "recipe" if not recipe else "dataset"
        raise UsageError(
            f"Nobody says which {missing} the weights belong to",
            "The proposal leaves it open, and a file or directory says nothing about it",
            "Name the weights by the hash of their manifest",
        )
    if manifest is not None and TOKENIZER in {entry.path for entry in manifest.files}:
        fetch_tree(store, manifest, weights.directory, [TOKENIZER])
    inputs = prepare_inputs(store, fetch_recipe(store, recipe), dataset, workdir / "inputs")
    measurement = measure_weights(inputs, weights.files[0])
    tokenizer = weights.directory / TOKENIZER
    return Evaluation(
        measurement=measurement,
        target=outcome.target,
        claimed=None if manifest is None else manifest.metrics.get(METRIC),
        tokenizer=same_tokenizer(tokenizer, measurement.tokenizer) if tokenizer.exists() else None,
    )


@click.command()
@click.argument("weights", metavar="WEIGHTS")
@click.option("--proposal", type=HASH, required=True, metavar="SHA256", help="Hash of the proposal manifest.")
@stores_option
@json_option
def evaluate(weights: str, proposal: str, stores: tuple[str, ...], as_json: bool) -> None:
    """Measure the promised metric of open WEIGHTS again.

    WEIGHTS is a safetensors file, a directory with one, or the hash of a checkpoint's or weights' manifest. The
    held-out text, the architecture and the way to evaluate are those that the proposal names, computed in float64 in
    a fresh process, so that everybody gets the same integer. Ends with exit code 3 when the metric is worse than
    promised, or not what the manifest of the weights claims.

    \b
    Example:
      llamafund evaluate ./downloaded --proposal 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    """
    from llamafund_chain.evidence.manifests import ProposalManifest
    from llamafund_chain.store.content import fetch_manifest
    from llamafund_chain.store.several import open_stores
    from llamafund_chain.text import from_millionths
    from llamafund_trainer.metric import HELDOUT_BYTES, UNIGRAM_BYTES, UNIGRAM_TOKENS
    from llamafund_trainer.runs.open_weights import open_weights

    source = open_stores(stores)
    promised = fetch_manifest(source, proposal, ProposalManifest)
    with tempfile.TemporaryDirectory(prefix="llamafund-evaluate-") as workdir:
        opened = open_weights(weights, source, Path(workdir))
        if_interrupted("the measurement was not finished")
        progress("Measuring the model on the held-out text")
        found = measure_again(promised, opened, source, Path(workdir))
    metrics, value = found.measurement.metrics, found.measurement.value
    measured: dict[str, JsonValue] = {**metrics}
    facts: dict[str, JsonValue] = {
        "weights": weights,
        "proposal": proposal,
        "metric": promised.outcome.metric,
        "value": value,
        "target": found.target,
        "claimed": found.claimed,
        "score": None if value is None else promised.outcome.score(value),
        "published_tokenizer_is_the_datas": found.tokenizer,
        "kept": found.problem is None,
        "metrics": measured,
    }
    shown = "not a finite number" if value is None else from_millionths(value)
    lines = rows(
        (
            ("held-out bits/byte", shown),
            ("promised", f"{from_millionths(found.target)} or less"),
            ("claimed", "nothing" if found.claimed is None else from_millionths(found.claimed)),
            ("counting tokens", from_millionths(metrics[UNIGRAM_TOKENS])),
            ("counting bytes", from_millionths(metrics[UNIGRAM_BYTES])),
            ("held-out bytes", str(metrics[HELDOUT_BYTES])),
        )
    )
    emit("evaluate", facts, lines, as_json=as_json)
    if found.problem is not None:
        what, why = found.problem
        raise VerificationError(what, why, "These weights are not what was promised")
    if found.tokenizer is None:
        note(
            f"There is no {TOKENIZER} beside the weights, so it could not be compared with the one that the data gives."
        )
