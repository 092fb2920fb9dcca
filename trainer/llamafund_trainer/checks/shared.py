"""What the checks of runs and of weights share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamafund_chain.campaign.terms import MilestoneKind
from llamafund_chain.checks.check import CheckContext
from llamafund_chain.errors import UsageError, VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest, EvidenceManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_trainer.runs.inputs import OtherRecipeError, fetch_recipe, walk_run

if TYPE_CHECKING:
    from llamafund_trainer.recipe import Recipe


def run_of_milestone(context: CheckContext) -> tuple[CheckpointManifest, ...]:
    """The checkpoints that this milestone stands for, oldest first, with the one that it continues from.

    Empty for weights whose last checkpoint has an attestation of its own.
    """
    evidence = context.evidence
    before: EvidenceManifest | None = context.ancestry[-1] if context.ancestry else None
    if isinstance(evidence, WeightsManifest) and not isinstance(before, CheckpointManifest):
        evidence = checkpoint_of(context, evidence)
    if not isinstance(evidence, CheckpointManifest):
        return ()
    run = walk_run(context.store, evidence)
    if isinstance(before, CheckpointManifest):
        known = [link.sha256 for link in run]
        if before.sha256 in known:
            return run[known.index(before.sha256) :]
    return run


def promised_step(context: CheckContext, recipe: Recipe) -> int:
    """The step after which a milestone is due; the CHECKPOINT milestones divide the run evenly.

    Raises:
        VerificationError: The recipe has no checkpoint at one of them, so no run of it can keep the terms.
    """
    checkpoints = [
        index for index, milestone in enumerate(context.terms.milestones) if milestone.kind is MilestoneKind.CHECKPOINT
    ]
    if context.milestone not in checkpoints:
        return recipe.training.steps
    try:
        steps = recipe.milestone_steps(len(checkpoints))
    except UsageError as error:
        raise VerificationError(error.what, error.why, "The run cannot keep these terms") from error
    return steps[checkpoints.index(context.milestone)]


def checkpoint_of(context: CheckContext, weights: WeightsManifest) -> CheckpointManifest:
    """The checkpoint that weights come from."""
    return fetch_manifest(context.store, weights.parent, CheckpointManifest)


def own_recipe(context: CheckContext, evidence: CheckpointManifest | WeightsManifest) -> Recipe | None:
    """The trainer's recipe that evidence names; `None` if a program of the researcher's own made it.

    Raises:
        LlamafundError: The store lacks it.
        VerificationError: It should be one of the trainer's, and is not valid.
    """
    try:
        return fetch_recipe(context.store, evidence.recipe).recipe
    except OtherRecipeError:
        return None
