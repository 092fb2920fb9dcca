"""Commands that move money or end something, each in a scene in which the campaign takes what it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamafund_chain.audit import audit
from llamafund_chain.campaign.arbiter import CourtClient
from llamafund_chain.campaign.attestation import AttestationFile, propose
from llamafund_chain.checks.run import BUILT_IN

ETHER = 10**18
DAY = 86_400


@dataclass(frozen=True)
class Place:
    """What a scene is made with.

    Attributes:
        stage: The chain and everybody on it.
        folder: For files.
        campaign_file: The fixture of that name.
    """

    stage: Any
    folder: Path
    campaign_file: Callable[..., Path]


@dataclass(frozen=True)
class Scene:
    """A command whose time has come.

    Attributes:
        command: Its words, without the options that say where and who.
        wallet: Who runs it.
        shown: What it must show before anything is sent.
    """

    command: tuple[object, ...]
    wallet: str
    shown: tuple[str, ...]


def creating(place: Place) -> Scene:
    store = ("--store", place.stage.run.store.location)
    words = ("Open this campaign?", "can never change")
    return Scene(("campaign", "create", place.campaign_file(), *store), "researcher", words)


def pledging(place: Place) -> Scene:
    stage = place.stage
    stage.open()
    return Scene(("pledge", stage.client.address, "2"), "backer0", (f"Pledge 2 ETH from {stage.backers[0].address}?",))


def _in_a_token(stage) -> None:
    token = stage.devnet.deploy_token("Demo Dollar", "DEMO", 6)
    stage.devnet.mint_token(token, stage.backers[0].address, 5_000_000)
    stage.open(asset=token, goal=10**6, cap=10**7)


def pledging_a_token_with_a_permit(place: Place) -> Scene:
    _in_a_token(place.stage)
    return Scene(("pledge", place.stage.client.address, "1.5"), "backer0", ("Pledge 1.5 DEMO from",))


def pledging_a_token_that_was_approved(place: Place) -> Scene:
    _in_a_token(place.stage)
    place.stage.client.approve(place.stage.backers[0], 1_500_000)
    return Scene(("pledge", place.stage.client.address, "1.5"), "backer0", ("Pledge 1.5 DEMO from",))


def pledging_for_another(place: Place) -> Scene:
    stage = place.stage
    stage.open()
    payer, backer = stage.backers[0].address, stage.backers[1].address
    words = (f"Pledge 2 ETH from {payer}, credited to {backer}?",)
    return Scene(("pledge", stage.client.address, "2", "--backer", backer), "backer0", words)


def unpledging(place: Place) -> Scene:
    stage = place.stage
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    words = (f"Take back 1 ETH of the 3 ETH that {stage.backers[0].address} pledged?",)
    return Scene(("unpledge", stage.client.address, "1"), "backer0", words)


def unpledging_all_to_another(place: Place) -> Scene:
    stage = place.stage
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    words = ("Take back 3 ETH of the 3 ETH", f"sent to {stage.compute.address}")
    return Scene(("unpledge", stage.client.address, "all", "--to", stage.compute.address), "backer0", words)


def activating(place: Place) -> Scene:
    stage = place.stage
    stage.open().pledge(stage.backers[0], 11 * ETHER)
    words = ("Close funding with 11 ETH", "no pledge can be taken back")
    return Scene(("campaign", "activate", stage.client.address), "researcher", words)


def extending(place: Place) -> Scene:
    stage = place.stage
    stage.open(slack=5 * DAY)
    stage.fund()
    words = ("Push 3 deadlines back by 2 days", "Milestone 0:", "Milestone 2:", "3 days of 5 days of slack are left")
    return Scene(("campaign", "extend", stage.client.address, "2d"), "researcher", words)


def updating(place: Place) -> Scene:
    stage = place.stage
    stage.open()
    (place.folder / "update.md").write_text("# The data is ready\n\nAll of it.\n", encoding="utf-8")
    store = ("--store", stage.run.store.location)
    words = ("Publish the update “The data is ready” (10 characters)", "never be taken back")
    return Scene(("campaign", "update", stage.client.address, place.folder / "update.md", *store), "researcher", words)


def voting(place: Place) -> Scene:
    stage = place.stage
    stage.open()
    stage.fund()
    stage.devnet.advance(DAY)
    return Scene(("vote-stop", stage.client.address), "backer1", ("Vote with the 3 ETH of", "it takes"))


def retracting(place: Place) -> Scene:
    scene = voting(place)
    place.stage.client.vote_stop(place.stage.backers[1])
    return Scene((*scene.command, "--retract"), scene.wallet, ("Retract the vote of", "3 ETH"))


def refunding(place: Place) -> Scene:
    stage = place.stage
    stage.open().pledge(stage.backers[0], 3 * ETHER)
    stage.devnet.advance(11 * DAY)
    words = (f"Collect the refund of 3 ETH for {stage.backers[0].address}?",)
    return Scene(("refund", stage.client.address), "backer0", words)


def refunding_to_another(place: Place) -> Scene:
    scene, elsewhere = refunding(place), place.stage.compute.address
    return Scene((*scene.command, "--to", elsewhere), scene.wallet, ("refund of 3 ETH", f"sent to {elsewhere}"))


def pushing_a_refund(place: Place) -> Scene:
    scene, owner = refunding(place), place.stage.backers[0].address
    words = (f"Collect the refund of 3 ETH for {owner}?",)
    return Scene((*scene.command, "--backer", owner), "backer1", words)


def claiming(place: Place) -> Scene:
    stage = place.stage
    stage.honest_until(1)
    words = ("Claim 0.44435556 ETH for payee 1?",)
    return Scene(("claim", stage.client.address), "compute", words)


def submitting(place: Place) -> Scene:
    stage = place.stage
    stage.open()
    stage.fund()
    statement, chain_id = propose(stage.client, 0, stage.run.dataset), stage.devnet.connection.chain_id
    signatures = {one.address: statement.sign(one, chain_id, stage.client.address) for one in stage.attestors[:2]}
    file = place.folder / "signed.json"
    AttestationFile.create(statement, chain_id, stage.client.address, signatures).save(file)
    words = ("Submit milestone 0 (DATASET) with 2 signatures", stage.run.dataset.sha256, "after 2 days")
    return Scene(("submit", stage.client.address, file), "backer0", words)


def challenging(place: Place) -> Scene:
    stage = place.stage
    stage.honest_until(0)
    stage.attest(0, stage.run.dataset)
    words = ("Challenge chunk 0 of milestone 0 for a bond of 0.1 ETH", "1 day")
    return Scene(("challenge", stage.client.address, "--chunk", "0", "--bond", "0.1"), "backer0", words)


def answering(place: Place) -> Scene:
    challenging(place)
    stage = place.stage
    stage.client.challenge(stage.backers[0], stage.client.latest_attestation(), 0, ETHER // 10)
    words = ("Answer 1 challenge as", "for a bond of 0.1 ETH?", "It may cost what the bonds bring.")
    return Scene(("answer", stage.client.address, "--store", stage.run.store.location), "backer1", words)


def returning_a_bond(place: Place) -> Scene:
    answering(place)
    stage = place.stage
    stage.devnet.advance(2 * DAY)
    words = ("Reclaim the bond of 0.1 ETH for chunk 0?",)
    return Scene(("return-bond", stage.client.address), "backer0", words)


def contesting(place: Place) -> Scene:
    stage = place.stage
    stage.lie_about_the_weights(arbiter=stage.judge.address, ruling_window=7 * DAY)
    words = (f"Contest the last attestation as the arbiter {stage.judge.address}?", "6.667200000000000005 ETH")
    return Scene(("contest", stage.client.address), "judge", (*words, "Without a ruling it is released"))


def upholding(place: Place) -> Scene:
    scene, stage = contesting(place), place.stage
    stage.client.contest(stage.judge)
    words = ("Uphold the last attestation?", "6.667200000000000005 ETH, is released at")
    return Scene(("rule", *scene.command[1:], "--uphold"), scene.wallet, words)


def refusing(place: Place) -> Scene:
    scene = upholding(place)
    words = ("fails at once", "its backers get back 6.667200000000000005 ETH", "cannot be undone")
    return Scene((*scene.command[:2], "--refuse"), scene.wallet, words)


def audited(place: Place) -> Path:
    """What `llamafund audit --json` prints about the stage's campaign."""
    stage, file = place.stage, place.folder / "audit.json"
    report = audit(
        stage.client,
        stage.run.store,
        replay_segments=0,
        workdir=place.folder,
        progress=lambda _: None,
        checks=BUILT_IN,
    )
    found = {"schema": "llamafund/cli/1", "command": "audit", "report": report.model_dump(mode="json")}
    file.write_text(json.dumps(found), encoding="utf-8")
    return file


def disputing(place: Place) -> Scene:
    stage = place.stage
    stage.lie_about_the_weights(**stage.arbiter_at_court())
    store = ("--store", stage.run.store.location)
    words = (
        f"ask the court {stage.court} for a ruling, for its fee of 0.1 ETH?",
        "“audit” says: Fraud or negligence",
        "6.667200000000000005 ETH, waits for the ruling until",
        "The fee does not come back",
    )
    return Scene(("dispute", stage.client.address, "--report", audited(place), *store), "backer1", words)


def adding_evidence(place: Place) -> Scene:
    scene, stage = disputing(place), place.stage
    CourtClient.of(stage.client).dispute(stage.backers[0], "ab" * 32, ETHER // 10)
    words = (f"Add evidence to dispute 0 at the court {stage.court}?", "never be taken back")
    return Scene((*scene.command, "--add"), "researcher", words)


def appealing(place: Place) -> Scene:
    scene, stage = adding_evidence(place), place.stage
    words = (f"Appeal dispute 0 at the court {stage.court}, for its fee of 0.2 ETH?",)
    return Scene((*scene.command[:2], "--appeal"), "compute", words)


SCENES: tuple[Callable[[Place], Scene], ...] = (
    creating,
    pledging,
    pledging_a_token_with_a_permit,
    pledging_a_token_that_was_approved,
    pledging_for_another,
    unpledging,
    unpledging_all_to_another,
    activating,
    extending,
    updating,
    voting,
    retracting,
    refunding,
    refunding_to_another,
    pushing_a_refund,
    claiming,
    submitting,
    challenging,
    answering,
    returning_a_bond,
    contesting,
    upholding,
    refusing,
    disputing,
    adding_evidence,
    appealing,
)
