"""What a campaign fixes about its training run, and the attestations that an attestor signs for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.campaign.attestation import AttestationFile, propose
from llamafund_chain.campaign.client import CampaignClient, connect
from llamafund_chain.campaign.events import MilestoneAttested
from llamafund_chain.campaign.terms import NO_HASH, MilestoneKind
from llamafund_chain.chain.connection import Finality, require_final
from llamafund_chain.chain.reverted import ContractRefusedError
from llamafund_chain.errors import LlamafundError, UsageError
from llamafund_chain.evidence.manifests import CheckpointManifest, EvidenceManifest, ProposalManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest
from llamafund_trainer.runs.measure import require_our_metric

if TYPE_CHECKING:
    from eth_account.signers.base import BaseAccount

    from llamafund_chain.store import Store


@dataclass(frozen=True)
class FundedRun:
    """What a campaign fixes about the run that it pays for.

    Attributes:
        client: The campaign's contract.
        proposal: What backers were promised.
        seed: The training seed, 64 hexadecimal digits.
        parent: SHA-256 of the evidence before the run.
        checkpoint_milestones: Indices of the CHECKPOINT milestones.
    """

    client: CampaignClient
    proposal: ProposalManifest
    seed: str
    parent: str
    checkpoint_milestones: tuple[int, ...]


def open_funded_run(
    rpc: str, address: str, store: Store, finality: Finality, expected: tuple[int, str] | None = None
) -> FundedRun:
    """Read a campaign whose training can start.

    Args:
        rpc: JSON-RPC address of the chain's node.
        address: The campaign.
        store: Holds the proposal.
        finality: How settled a block must be before it is relied on.
        expected: Number and name of the chain that it must be; `None` for any.

    Raises:
        NodeUnreachableError: No node answers.
        VerificationError: The contract is a look-alike, or the proposal does not match its hash.
        NotFinalError: The activation, or the attestation of the dataset, is not final yet.
        LlamafundError: The campaign is not active, or its dataset is not attested yet.
        UsageError: The proposal promises a metric that this program does not measure, or it is another chain.
    """
    client = CampaignClient(connect(rpc, expected), address)
    client.verify_code()
    block = client.settled_block(finality)
    state, latest = client.state(block), client.state()
    require_final(state.training_seed, latest.training_seed, "The campaign's activation", finality)
    if not state.training_seed:
        raise LlamafundError(
            f"The campaign {address} has no training seed yet",
            "Activation publishes the seed, which fixes initial weights and data order",
            f"Wait until it is funded, then run: llamafund campaign activate {address}",
        )
    proposal = fetch_manifest(store, client.terms.proposal, ProposalManifest)
    require_our_metric(proposal)
    kinds = [milestone.kind for milestone in client.terms.milestones]
    first = next(index for index, kind in enumerate(kinds) if kind is not MilestoneKind.DATASET)
    parent = client.terms.proposal
    if first > 0:
        require_final(min(state.attested, first), min(latest.attested, first), "The dataset's attestation", finality)
        evidence = {
            event.milestone: event.evidence
            for event in client.each_event(last=block, only=[MilestoneAttested])
            if isinstance(event, MilestoneAttested)
        }
        if first - 1 not in evidence:
            raise LlamafundError(
                f"The campaign's dataset is not attested yet: milestone {first - 1}",
                "The run's first checkpoint names the attested dataset as its parent",
                "Attest the dataset first",
            )
        parent = evidence[first - 1]
    checkpoints = tuple(index for index, kind in enumerate(kinds) if kind is MilestoneKind.CHECKPOINT)
    return FundedRun(client, proposal, state.training_seed, parent, checkpoints)


def require_agreed(run: FundedRun, *, recipe: str, dataset: str) -> None:
    """Refuse to train with another recipe or dataset than backers were promised.

    Raises:
        UsageError: The terms or the proposal name another one.
    """
    agreed = {
        "recipe": (recipe, {run.proposal.recipe} - {None}),
        "dataset": (dataset, {run.proposal.dataset.manifest, run.client.terms.dataset} - {None, NO_HASH}),
    }
    for name, (given, fixed) in agreed.items():
        for expected in sorted(str(value) for value in fixed):
            if given != expected:
                raise UsageError(
                    f"The {name} is {given}", f"Backers were promised {expected}", f"Train with the promised {name}"
                )


def require_attestor(run: FundedRun, account: BaseAccount) -> None:
    """Refuse a key whose signature would not count.

    Raises:
        ContractRefusedError: It does not belong to one of the campaign's attestors.
    """
    attestors = run.client.terms.attestors
    if account.address not in attestors:
        raise ContractRefusedError(
            f"{account.address} is not an attestor of this campaign",
            f"Its attestors are {', '.join(attestors)}",
            "Use an attestor's wallet, or leave out --wallet to sign nothing",
        )


def sign_evidence(
    run: FundedRun, account: BaseAccount, milestone: int, manifest: EvidenceManifest, parent: str, directory: Path
) -> Path:
    """Write the signed attestation of a milestone's evidence.

    Args:
        run: The campaign.
        account: Key of an attestor.
        milestone: Index in the terms.
        manifest: The evidence.
        parent: SHA-256 of the evidence of the milestone before, which may not be on chain yet.
        directory: Where to write `attestation-<milestone>.json`.
    """
    client = run.client
    statement = propose(client, milestone, manifest)
    state = client.state()
    if milestone > state.attested:
        # It must wait for the milestones before it, so it stays valid for as long as it can be submitted.
        due = state.deadline(client.terms, milestone) + client.terms.slack - state.slack_used
        statement = replace(statement, expiry=max(due, statement.expiry))
    statement = replace(statement, parent=parent)
    chain_id = client.connection.chain_id
    signatures: dict[str, str] = {account.address: statement.sign(account, chain_id, client.address)}
    path = directory / f"attestation-{milestone}.json"
    AttestationFile.create(statement, chain_id, client.address, signatures).save(path)
    return path


def sign_checkpoints(
    run: FundedRun,
    account: BaseAccount,
    checkpoints: tuple[CheckpointManifest, ...],
    steps: tuple[int, ...],
    directory: Path,
) -> dict[int, Path]:
    """Sign the evidence of every CHECKPOINT milestone, each as `sign_evidence` does.

    Args:
        run: The campaign.
        account: Key of an attestor.
        checkpoints: All checkpoints of the run.
        steps: The steps after which the milestones are due.
        directory: Where to write.

    Returns:
        The file of each attestation, by milestone.
    """
    by_step = {checkpoint.steps.last: checkpoint for checkpoint in checkpoints}
    parent = run.parent
    written: dict[int, Path] = {}
    for milestone, step in zip(run.checkpoint_milestones, steps, strict=True):
        written[milestone] = sign_evidence(run, account, milestone, by_step[step], parent, directory)
        parent = by_step[step].sha256
    return written


def sign_weights(run: FundedRun, account: BaseAccount, weights: WeightsManifest, directory: Path) -> tuple[int, Path]:
    """Sign the evidence of the WEIGHTS milestone, the last one. Returns its index and the file."""
    milestone = len(run.client.terms.milestones) - 1
    parent = weights.parent if run.checkpoint_milestones else run.parent
    return milestone, sign_evidence(run, account, milestone, weights, parent, directory)
