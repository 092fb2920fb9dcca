"""What `llamafund train` and `llamafund export` do. With a campaign, its terms apply and the evidence can be signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.errors import VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_trainer.runs.export import export_weights
from llamafund_trainer.runs.funded_run import FundedRun, require_agreed, sign_checkpoints, sign_weights
from llamafund_trainer.runs.run import RunProgress, RunRecord, train_run

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.store import Store
    from llamafund_trainer.process.messages import Machines
    from llamafund_trainer.recipe import RecipeFile


@dataclass(frozen=True)
class TrainRequest:
    """What to train.

    Attributes:
        recipe: The recipe.
        dataset: SHA-256 of the dataset manifest.
        directory: For the run, as in `train_run`.
        seed: Without a campaign: the training seed, 64 hexadecimal digits.
        funded: The campaign that pays for the run; `None` without one.
        account: Key of an attestor; `None` to sign nothing.
        machines: Several machines that train together; the first one signs.
    """

    recipe: RecipeFile
    dataset: str
    directory: Path
    seed: str
    funded: FundedRun | None = None
    account: BaseAccount | None = None
    machines: Machines | None = None


@dataclass(frozen=True)
class Trained:
    """A trained run.

    Attributes:
        record: What the run was made of.
        checkpoints: All its checkpoints, oldest first.
        attestations: File of the signed attestation, by milestone.
    """

    record: RunRecord
    checkpoints: tuple[CheckpointManifest, ...]
    attestations: Mapping[int, Path]


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        checkpoint: SHA-256 of the checkpoint's manifest.
        directory: For the weights; empty or missing.
        license: Without a campaign: SPDX identifier.
        campaign: The campaign's address for the model card; empty without one.
        funded: The campaign; `None` without one.
        account: Key of an attestor; `None` to sign nothing.
    """

    checkpoint: str
    directory: Path
    license: str
    campaign: str = ""
    funded: FundedRun | None = None
    account: BaseAccount | None = None


@dataclass(frozen=True)
class Exported:
    """Exported weights.

    Attributes:
        manifest: Of the weights.
        milestone: Index of the WEIGHTS milestone; `None` if nothing was signed.
        attestation: File of the signed attestation; `None` if nothing was signed.
    """

    manifest: WeightsManifest
    milestone: int | None = None
    attestation: Path | None = None


def train_and_sign(store: Store, request: TrainRequest, progress: Callable[[RunProgress], None]) -> Trained:
    """Train, publish every checkpoint and sign the evidence of each CHECKPOINT milestone.

    Args:
        store: Holds the dataset; takes everything else.
        request: What to train.
        progress: Called after steps and checkpoints.

    Raises:
        UsageError: The recipe or dataset is not what was promised to backers, a milestone falls between two
            checkpoints, or the directory holds something else.
        StoppedError: The process got a SIGTERM and stopped after a step.
        LlamafundError: The store lacks something, or the training failed or diverged.
    """
    recipe, funded = request.recipe, request.funded
    seed, parent, milestones = request.seed, request.dataset, 1
    if funded is not None:
        require_agreed(funded, recipe=recipe.sha256, dataset=request.dataset)
        seed, parent, milestones = funded.seed, funded.parent, len(funded.checkpoint_milestones)
    steps = recipe.recipe.milestone_steps(milestones)
    record = RunRecord(recipe=recipe.sha256, dataset=request.dataset, seed=seed, parent=parent, milestone_steps=steps)
    checkpoints = train_run(store, recipe, record, request.directory, machines=request.machines, progress=progress)
    signed: Mapping[int, Path] = {}
    leads = request.machines is None or request.machines.number == 0
    if funded is not None and request.account is not None and leads:
        signed = sign_checkpoints(funded, request.account, checkpoints, steps, request.directory)
    return Trained(record, checkpoints, signed)


def export_and_sign(store: Store, request: ExportRequest, workdir: Path) -> Exported:
    """Write, measure and publish open weights, and sign the evidence of the WEIGHTS milestone.

    Args:
        store: Holds the checkpoint; takes the weights.
        request: What to export.
        workdir: Existing directory for fetched files.

    Raises:
        UsageError: The directory is not empty.
        VerificationError: The checkpoint is of another run than the campaign's, does not match its hash, or has no
            finite probabilities.
        LlamafundError: The store lacks something, or the measurement failed.
    """
    checkpoint = fetch_manifest(store, request.checkpoint, CheckpointManifest)
    funded = request.funded
    if funded is not None and checkpoint.seed != funded.seed:
        raise VerificationError(
            f"The checkpoint was trained with the seed {checkpoint.seed}",
            f"The campaign's seed is {funded.seed}",
            "Export a checkpoint of the funded run",
        )
    weights = export_weights(
        store,
        checkpoint,
        request.directory,
        license=request.license if funded is None else funded.proposal.license,
        workdir=workdir,
        campaign=request.campaign,
    )
    if funded is None or request.account is None:
        return Exported(weights)
    return Exported(weights, *sign_weights(funded, request.account, weights, request.directory))
