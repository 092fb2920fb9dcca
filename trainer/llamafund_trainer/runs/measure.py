"""Measuring weights, and loading published ones, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.files import read_limited
from llamafund_chain.strict_yaml import load_json, read_json
from llamafund_trainer.base_files import MAX_TEXT_BYTES, TOKENIZER
from llamafund_trainer.metric import (
    DIRECTION,
    DIVERGED,
    HELDOUT_BYTES,
    HELDOUT_TOKENS,
    METRIC,
    UNIGRAM_BYTES,
    UNIGRAM_TOKENS,
)
from llamafund_trainer.process.launch import bounds_for, run_job
from llamafund_trainer.process.messages import EvaluateJob, EvaluationEvent, LoadedEvent, LoadJob
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.runs.inputs import Inputs

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import ProposalManifest


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        metrics: Integers in millionths, or counts where the name says so.
        tokenizer: Text of the `tokenizer.json` that follows from the data, or the path of the base model's.
    """

    metrics: dict[str, int]
    tokenizer: str | Path

    @property
    def value(self) -> int | None:
        """The promised metric in millionths, or `None` if the model has diverged."""
        return self.metrics.get(METRIC)


def require_our_metric(proposal: ProposalManifest) -> None:
    """Refuse a proposal that promises a metric which this program does not measure.

    Raises:
        UsageError: It does.
    """
    outcome = proposal.outcome
    if (outcome.metric, outcome.direction) != (METRIC, DIRECTION):
        raise UsageError(
            f"The proposal promises {outcome.metric!r} ({outcome.direction} is better)",
            f"This program measures {METRIC!r} ({DIRECTION} is better)",
            "Use the program that the proposal names",
        )


def measure_weights(inputs: Inputs, weights: Path) -> Measurement:
    """Measure the weights in a file on the held-out part.

    The architecture comes from the recipe and the tokenizer from the training part, or both from the base model. No
    other file that was published with the weights has any influence.

    Raises:
        VerificationError: The file does not fit the recipe's model.
        LlamafundError: The process failed.
    """
    job = EvaluateJob(
        recipe=inputs.recipe_path,
        dataset=inputs.dataset_path,
        data=inputs.data,
        base=inputs.base_path,
        weights=weights.absolute(),
        bounds=inputs.bounds,
    )
    for event in run_job(job, inputs.recipe):
        if isinstance(event, EvaluationEvent):
            outcome = {DIVERGED: 1} if event.value is None else {METRIC: event.value}
            metrics = {
                **outcome,
                UNIGRAM_TOKENS: event.unigram_tokens,
                UNIGRAM_BYTES: event.unigram_bytes,
                HELDOUT_BYTES: event.heldout_bytes,
                HELDOUT_TOKENS: event.heldout_tokens,
            }
            return Measurement(metrics, event.tokenizer if inputs.base is None else inputs.base.directory / TOKENIZER)
    raise LlamafundError("The measurement ended without a result")


def load_published(directory: Path, recipe: Recipe, prompt: str, new_tokens: int = 24) -> LoadedEvent:
    """Load a directory with `AutoModelForCausalLM` and `AutoTokenizer`, and let the model continue a text.

    Raises:
        VerificationError: transformers cannot load it.
        LlamafundError: The process failed.
    """
    job = LoadJob(directory=directory.absolute(), prompt=prompt, new_tokens=new_tokens, bounds=bounds_for(directory))
    for event in run_job(job, recipe):
        if isinstance(event, LoadedEvent):
            return event
    raise LlamafundError("Loading the model ended without a result")


def same_tokenizer(path: Path, expected: str | Path) -> bool:
    """Whether a published `tokenizer.json` is the one that weights were measured with.

    A base model's file is compared byte for byte, because many libraries write the same tokenizer in other bytes.

    Args:
        path: The published file.
        expected: As in `Measurement`.

    Raises:
        VerificationError: It cannot be read.
    """
    if isinstance(expected, Path):
        return read_limited(path, MAX_TEXT_BYTES) == expected.read_bytes()
    return bool(read_json(path, MAX_TEXT_BYTES) == load_json(expected.encode()))
