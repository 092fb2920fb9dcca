"""A run that a campaign pays for: seed and parents from the chain, attestations that the contract accepts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_account import Account

from llamafund_chain.campaign.attestation import AttestationFile, merge, propose
from llamafund_chain.campaign.client import CampaignClient
from llamafund_chain.campaign.factory import create_campaign
from llamafund_chain.campaign.terms import MIN_BOND, NO_MINIMUM, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.chain.devnet import Devnet
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.manifests import CheckpointManifest, MilestonePromise, ProposalManifest, WeightsManifest
from llamafund_chain.store.content import fetch_manifest, publish_manifest

ETHER = 10**18
DAY = 86_400
KINDS = (
    (MilestoneKind.DATASET, 2_000),
    (MilestoneKind.CHECKPOINT, 2_000),
    (MilestoneKind.CHECKPOINT, 2_000),
    (MilestoneKind.WEIGHTS, 4_000),
)

Command = Callable[..., object]


@pytest.fixture
def promised(lab: object, proposal: ProposalManifest) -> ProposalManifest:
    """The proposal, with two milestones for the training."""
    milestones = tuple(MilestonePromise(kind=kind.name, title=kind.name, description="") for kind, _ in KINDS)
    changed = proposal.model_copy(update={"milestones": milestones})
    publish_manifest(lab.store, changed)
    return changed


@pytest.fixture
def campaign(lab: object, devnet: Devnet, promised: ProposalManifest) -> CampaignClient:
    """Open, not yet funded; attestor0 of the key files is its only attestor."""
    researcher, attestor = Account.from_key((1).to_bytes(32, "big")), Account.from_key((11).to_bytes(32, "big"))
    for account in (researcher, attestor):
        devnet.fund(account.address, 100 * ETHER)
    now = devnet.connection.timestamp()
    terms = Terms(
        researcher=researcher.address,
        asset=NATIVE,
        goal=ETHER,
        cap=ETHER,
        funding_deadline=now + 10 * DAY,
        stop_bps=5_000,
        challenge_window=2 * DAY,
        answer_window=DAY,
        min_bond=MIN_BOND,
        slack=0,
        proposal=promised.sha256,
        dataset=lab.dataset.sha256,
        attestors=(attestor.address,),
        quorum=1,
        payees=(Payee(account=researcher.address, bps=10_000),),
        milestones=tuple(
            Milestone(kind=kind, bps=bps, deadline=now + (20 + 10 * index) * DAY, min_score=NO_MINIMUM)
            for index, (kind, bps) in enumerate(KINDS)
        ),
    )
    salt = hashlib.sha256(b"funded run").hexdigest()
    address, _ = create_campaign(devnet.connection, researcher, terms, salt)
    devnet.finalize()
    return CampaignClient(devnet.connection, address)


def activate(devnet: Devnet, campaign: CampaignClient) -> None:
    researcher = Account.from_key((1).to_bytes(32, "big"))
    campaign.pledge(researcher, ETHER)
    campaign.activate(researcher)
    devnet.finalize()


def attest_dataset(lab: object, devnet: Devnet, campaign: CampaignClient) -> None:
    attestor = Account.from_key((11).to_bytes(32, "big"))
    statement = propose(campaign, 0, lab.dataset)
    signature = statement.sign(attestor, devnet.connection.chain_id, campaign.address)
    campaign.attest(attestor, statement, 1, [bytes.fromhex(signature[2:])])
    devnet.advance(2 * DAY)


def submit(devnet: Devnet, campaign: CampaignClient, path: Path) -> None:
    statement, signers, signatures = merge([AttestationFile.load(path)], campaign.terms.attestors)
    campaign.attest(Account.from_key((11).to_bytes(32, "big")), statement, signers, list(signatures))
    devnet.advance(2 * DAY)


@pytest.fixture
def train(lab: object, devnet: Devnet, campaign: CampaignClient, llamafund: Command, tmp_path: Path) -> Command:
    """`llamafund train` for the campaign."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(lab.recipe.data)

    def run(out: Path, *, dataset: str = lab.dataset.sha256, wallet: str = "attestor0") -> object:
        return llamafund(
            "train", recipe, "--dataset", dataset, "--out", out, "--campaign", campaign.address,
            "--rpc", devnet.rpc_url, "--store", lab.store.location, "--json", wallet=wallet,
        )  # fmt: skip

    return run


def test_every_milestone_of_a_funded_run_is_accepted_by_the_contract(
    lab: object, devnet: Devnet, campaign: CampaignClient, train: Command, llamafund: Command, tmp_path: Path
) -> None:
    activate(devnet, campaign)
    attest_dataset(lab, devnet, campaign)
    out = tmp_path / "run"
    ran = train(out)
    assert ran.code == ExitCode.OK, ran.stderr
    last = fetch_manifest(lab.store, ran.json["checkpoint"], CheckpointManifest)
    assert last.seed == campaign.state().training_seed
    assert [each["milestone"] for each in ran.json["attestations"]] == [1, 2]
    first = AttestationFile.load(out / "attestation-1.json").statement
    second = AttestationFile.load(out / "attestation-2.json").statement
    assert (first.parent, second.parent, second.evidence) == (lab.dataset.sha256, first.evidence, last.sha256)
    assert len(last.chain) == 1
    submit(devnet, campaign, out / "attestation-1.json")
    submit(devnet, campaign, out / "attestation-2.json")
    model = tmp_path / "model"
    exported = llamafund(
        "export", last.sha256, "--out", model, "--campaign", campaign.address,
        "--rpc", devnet.rpc_url, "--store", lab.store.location, "--json", wallet="attestor0",
    )  # fmt: skip
    assert exported.code == ExitCode.OK, exported.stderr
    submit(devnet, campaign, model / "attestation-3.json")
    weights = fetch_manifest(lab.store, campaign.state().latest_evidence, WeightsManifest)
    assert weights.parent == last.sha256
    assert campaign.address in (model / "README.md").read_text()


def test_training_waits_for_activation_and_for_the_data(
    lab: object, devnet: Devnet, campaign: CampaignClient, train: Command, tmp_path: Path
) -> None:
    train(tmp_path / "run").refused(ExitCode.ERROR, "no training seed yet")
    activate(devnet, campaign)
    train(tmp_path / "run").refused(ExitCode.ERROR, "dataset is not attested yet")
    assert not (tmp_path / "run").exists()


def test_what_backers_were_not_promised_is_not_trained(
    lab: object, devnet: Devnet, campaign: CampaignClient, train: Command, tmp_path: Path
) -> None:
    activate(devnet, campaign)
    attest_dataset(lab, devnet, campaign)
    train(tmp_path / "run", dataset="ab" * 32).refused(ExitCode.USAGE, "dataset", lab.dataset.sha256)
    train(tmp_path / "run", wallet="stranger").refused(ExitCode.REVERTED, "not an attestor")
    (tmp_path / "recipe.yaml").write_bytes(lab.recipe.data + b"# other\n")
    train(tmp_path / "run").refused(ExitCode.USAGE, "recipe", lab.recipe.sha256)
    assert not (tmp_path / "run").exists()
