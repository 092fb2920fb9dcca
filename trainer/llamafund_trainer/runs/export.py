"""From a checkpoint to the open weights that people use: config, weights, tokenizer and a model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.hashing import hash_file, hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.files import write_file
from llamafund_chain.store.content import fetch_tree, publish_tree
from llamafund_chain.text import from_millionths
from llamafund_trainer.base_files import CONFIG, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG, TOKENIZER_FILES
from llamafund_trainer.metric import MEASUREMENT, METRIC
from llamafund_trainer.record.weights import MODEL_CARD
from llamafund_trainer.runs.card import CardFacts, model_card
from llamafund_trainer.runs.inputs import Inputs, fetch_inputs
from llamafund_trainer.runs.measure import Measurement, measure_weights
from llamafund_trainer.runs.open_weights import fetch_weights
from llamafund_trainer.tensors.compare import count_elements
from llamafund_trainer.tensors.shards import WEIGHTS

if TYPE_CHECKING:
    from llamafund_chain.store import Store

COPIED = (CONFIG, GENERATION_CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG)
"""Files copied from the checkpoint of a new model, byte for byte; shards of the weights are joined."""

EXPORTED = frozenset({*COPIED, MODEL_CARD})
"""All files of an exported new model."""


def export_weights(
    store: Store, checkpoint: CheckpointManifest, directory: Path, *, license: str, workdir: Path, campaign: str = ""
) -> WeightsManifest:
    """Write the open weights to a directory, measure them and publish them.

    Args:
        store: Holds the checkpoint; takes the weights.
        checkpoint: Where the weights come from.
        directory: Empty or missing.
        license: SPDX identifier.
        workdir: Existing directory for fetched files.
        campaign: Address for the model card, if there is one.

    Raises:
        UsageError: The directory is not empty.
        VerificationError: Fetched files do not match their hashes, or the model has diverged.
        LlamafundError: The store lacks something, or the measurement failed.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"{str(directory)!r} is not empty",
            "Only what was exported may be published",
            "Name an empty or new directory with --out",
        )
    inputs = fetch_inputs(store, checkpoint, workdir)
    _fetch_files(store, checkpoint, inputs, directory, workdir)
    parameters = count_elements(directory / WEIGHTS)
    measured = measure_weights(inputs, directory / WEIGHTS)
    value = _require_value(checkpoint, measured)
    facts = CardFacts(parameters, measured.metrics, hash_file(directory / WEIGHTS).sha256, license, campaign)
    card = model_card(inputs.recipe, inputs.dataset, checkpoint, facts)
    write_file(directory / MODEL_CARD, card.encode("utf-8"))
    tree = hash_tree(directory, sorted(path.name for path in directory.iterdir()))
    manifest = WeightsManifest(
        files=tree.files,
        content=tree.content,
        parent=checkpoint.sha256,
        recipe=checkpoint.recipe,
        dataset=checkpoint.dataset,
        license=license,
        model_card=MODEL_CARD,
        metrics=measured.metrics,
        measurement=MEASUREMENT,
        parameters=parameters,
        outcome_score=-value,
    )
    publish_tree(store, directory, manifest)
    return manifest


def _fetch_files(store: Store, checkpoint: CheckpointManifest, inputs: Inputs, directory: Path, workdir: Path) -> None:
    """Fetch the files of the open weights, with the whole weights in one of them."""
    if inputs.base is None:
        copied = {path for path in COPIED if path != WEIGHTS}
    else:
        named = {entry.path for entry in checkpoint.files}
        copied = named & {CONFIG, GENERATION_CONFIG, *TOKENIZER_FILES}
    fetch_tree(store, checkpoint, directory, sorted(copied))
    weights = fetch_weights(store, checkpoint, inputs.recipe, inputs.base, workdir / "weights")
    shutil.move(weights, directory / WEIGHTS)


def _require_value(checkpoint: CheckpointManifest, measured: Measurement) -> int:
    """The measured metric, which must be finite and what the checkpoint says."""
    value = measured.value
    if value is None:
        raise VerificationError(
            f"The checkpoint {checkpoint.sha256} has diverged",
            "Its probabilities are not finite numbers",
            "Lower the recipe's learning rate and train again; nobody can use this model",
        )
    if checkpoint.metrics.get(METRIC, value) != value:
        raise VerificationError(
            f"The checkpoint says {METRIC} {from_millionths(checkpoint.metrics[METRIC])}",
            f"The measured value is {from_millionths(value)}",
            "Do not publish these weights as that checkpoint's",
        )
    return value
