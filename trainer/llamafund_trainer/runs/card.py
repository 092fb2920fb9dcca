"""The model card of the trainer's open weights, in which every number comes from a manifest or the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from llamafund_chain.errors import LlamafundError
from llamafund_chain.name import PROJECT
from llamafund_chain.text import from_millionths
from llamafund_trainer.metric import HELDOUT_BYTES, HELDOUT_TOKENS, MEASUREMENT, METRIC, UNIGRAM_BYTES, UNIGRAM_TOKENS

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetManifest
    from llamafund_trainer.recipe import Recipe

CARD_METRICS = (METRIC, UNIGRAM_TOKENS, UNIGRAM_BYTES, HELDOUT_BYTES, HELDOUT_TOKENS)
"""Metrics that the card tells."""


@dataclass(frozen=True)
class CardFacts:
    """What the card says about the weights.

    Attributes:
        parameters: Number of parameters.
        metrics: `CARD_METRICS`, in millionths or counts.
        weights: SHA-256 of the file with the weights.
        license: SPDX identifier.
        campaign: Address, or empty.
    """

    parameters: int
    metrics: Mapping[str, int]
    weights: str
    license: str
    campaign: str


def model_card(recipe: Recipe, dataset: DatasetManifest, checkpoint: CheckpointManifest, facts: CardFacts) -> str:
    """The model card as Markdown.

    Args:
        recipe: The run's.
        dataset: That it was trained on.
        checkpoint: Where the weights come from.
        facts: About the weights.

    Raises:
        LlamafundError: It cannot be written.
    """
    # The card is Markdown, where HTML's escapes would only garble the text.
    environment = Environment(
        loader=PackageLoader("llamafund_trainer"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    metrics = facts.metrics
    try:
        return environment.get_template("model_card.md.j2").render(
            project=PROJECT,
            title=recipe.title,
            license=facts.license,
            parameters=facts.parameters,
            base=recipe.base,
            lora=recipe.lora,
            value=from_millionths(metrics[METRIC]),
            unigram_tokens=from_millionths(metrics[UNIGRAM_TOKENS]),
            unigram_bytes=from_millionths(metrics[UNIGRAM_BYTES]),
            heldout_bytes=metrics[HELDOUT_BYTES],
            heldout_tokens=metrics[HELDOUT_TOKENS],
            measurement=MEASUREMENT,
            dataset_title=dataset.title,
            parts=dataset.parts,
            preparation=dataset.preparation,
            checkpoint=checkpoint.sha256,
            recipe_hash=checkpoint.recipe,
            dataset=checkpoint.dataset,
            seed=checkpoint.seed,
            campaign=facts.campaign,
            weights=facts.weights,
            steps=checkpoint.steps.last,
            samples=recipe.samples_per_step,
            context=recipe.data.context_length,
        )
    except TemplateError as error:
        raise LlamafundError("The model card cannot be written", str(error)) from error
