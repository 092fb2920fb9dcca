"""Act 7: four rug pulls, and what becomes of the money each time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamafund_chain.audit import audit
from llamafund_chain.demo import cast
from llamafund_chain.demo.auditing import expect_ledgers_agree, run_audit
from llamafund_chain.demo.cast import Plan
from llamafund_chain.demo.court import lie_at_the_end
from llamafund_chain.demo.facts import FraudFact
from llamafund_chain.demo.ledger import close_ledger
from llamafund_chain.demo.milestones import attest, claim_share, collude, pass_window, refund_backers, submit
from llamafund_chain.demo.opening import open_campaign
from llamafund_chain.demo.training import Fraud, load_checkpoints, refuse
from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.manifests import CheckpointManifest, DatasetManifest
from llamafund_chain.store import LocalStore, open_store
from llamafund_chain.store.content import fetch_manifest, publish_manifest

if TYPE_CHECKING:
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage

_FORGED_TITLE = "Mallory's even better Llama"


def try_rug_pulls(stage: Stage, plot: Plot) -> None:
    """Act 7: a replaced file, a forged run with a bribed quorum, a researcher who disappears, a lie at the end."""
    _open_forged_campaign(stage, plot)
    _replace_a_file(stage, plot)
    _forge_a_run(stage, plot)
    _disappear(stage, plot)
    lie_at_the_end(stage, plot)
    _audit_the_ends(stage, plot)


def _open_forged_campaign(stage: Stage, plot: Plot) -> None:
    stage.narrator.say(
        "Mallory copies Rosa's proposal and opens a campaign with it. One of the three attestors is Vera. The other "
        "two, Igor and Ivan, are Mallory's friends, and two make a quorum. Alice and Bob pledge."
    )
    plan = Plan(
        title=_FORGED_TITLE,
        summary="Like Rosa's, but better, says Mallory.",
        researcher=cast.FORGER,
        goal="5",
        cap="10",
        asset=None,
        attestors=(cast.VERIFIER, *cast.ACCOMPLICES),
        payees=((cast.FORGER, 10_000),),
        milestone_bps=(1_000, 4_000, 5_000),
        recipe=plot.recipe_sha256,
        dataset=plot.dataset,
        bits_per_byte=plot.bits_per_byte,
    )
    plot.forged_campaign = open_campaign(stage, plan, "forged", "MALLORYS")
    stage.run("pledge", plot.forged_campaign, "4.00000000000000001", wallet="alice", show=False)
    stage.run("pledge", plot.forged_campaign, "3.1", wallet="bob", show=False)
    stage.run("campaign", "activate", plot.forged_campaign, wallet=cast.FORGER, show=False)
    stage.settle()


def _replace_a_file(stage: Stage, plot: Plot) -> None:
    stage.narrator.scene("Rug pull 1: a file is replaced under its address")
    stage.narrator.say(
        "Somebody with access to the store replaces one training text with another of the same length. The address "
        "stays, but the words are different. Vera is about to sign the data of Mallory's campaign."
    )
    store = LocalStore(stage.folder.store)
    dataset = fetch_manifest(store, plot.dataset, DatasetManifest)
    victim = dataset.part("train")[0]
    path = store.path_of(victim.cid)
    original = path.read_bytes()
    # Whoever owns the disk can change the store's read-only files.
    path.chmod(0o600)
    path.write_bytes(original.swapcase())
    try:
        out = stage.folder.frauds / "never-signed-data.json"
        refused = stage.run(
            "attest",
            plot.forged_campaign,
            "--milestone",
            "0",
            "--evidence",
            plot.dataset,
            "--out",
            out,
            wallet=cast.VERIFIER,
            expect=ExitCode.UNCHECKED,
        )
    finally:
        path.write_bytes(original)
    # That a store has other bytes accuses nobody of writing them: no check fails, and none calls the data fine.
    unread = {check["name"]: check["detail"] for check in refused.result["checks"] if check["status"] == "unchecked"}
    said = unread.get("content-published", "")
    stage.narrator.caught("Vera does not sign. content-published:")
    stage.narrator.quote(said)
    stage.expect(
        "The replaced file was refused by name", victim.path in said and not out.exists(), victim.path, silent=True
    )
    stage.facts.frauds.append(
        FraudFact(
            name="A stored file replaced under its address",
            caught_by=sorted(unread),
            said=said,
            outcome="Refused on fetch, before anybody signed; the file was put back",
        )
    )
    stage.narrator.say(
        "The file is put back. Now the data is what it claims to be, so Vera signs, Igor co-signs, and Mallory gets "
        "the first tenth. So far that is fair: the data is there."
    )
    files = attest(stage, plot.forged_campaign, 0, plot.dataset, (cast.VERIFIER, "igor"), "mallory-dataset", show=False)
    submit(stage, plot.forged_campaign, files, show=False)
    pass_window(stage, stage.client(plot.forged_campaign))
    claim_share(stage, plot.forged_campaign, 0, cast.FORGER, "mallory-savings", show=False)


def _forge_a_run(stage: Stage, plot: Plot) -> None:
    stage.narrator.scene("Rug pull 2: weights other than the trained ones, and a bribed quorum")
    evidence = ""
    for forgery in _FORGERIES:
        stage.narrator.say(forgery.told)
        evidence = forgery.evidence(stage, plot)
        refuse(stage, plot.forged_campaign, 1, evidence, forgery.fraud)
    stage.narrator.say(
        "Vera is one of three. Igor and Ivan run their own program, which checks nothing, and two signatures are a "
        "quorum. The contract cannot know better: the forged run is attested."
    )
    manifest = fetch_manifest(open_store(stage.folder.store), evidence, CheckpointManifest)
    submit(stage, plot.forged_campaign, collude(stage, plot.forged_campaign, 1, manifest, "mallory-checkpoint"))
    _audit_in_time(stage, plot)
    _stop_in_time(stage, plot)


def _audit_in_time(stage: Stage, plot: Plot) -> None:
    stage.narrator.say("But nothing is paid for three days, and everything is public. Audrey looks the same day:")
    report = run_audit(
        stage,
        plot.forged_campaign,
        "Mallory's campaign",
        stage.folder.frauds / "audit-mallory.json",
        html=stage.folder.frauds / "audit-mallory.html",
        depth="weights",
        expect=ExitCode.VERIFICATION_FAILED,
        waiting="Auditing Mallory's campaign",
    )
    alarms = report.verdict.alarms
    failed = [check for check in report.checks if check.status == "fail"]
    stage.narrator.caught(report.verdict.headline)
    for check in failed:
        stage.narrator.quote(f"{check.name}: {check.detail}")
    signers = [
        signer.person.name
        for milestone in report.milestones
        if milestone.index == 1 and milestone.attested
        for signer in milestone.attested.signers
    ]
    stage.expect(
        "The audit warns before the window is over",
        len(alarms) == 1 and alarms[0].in_time,
        f"the tranche is locked until {alarms[0].until:%Y-%m-%d %H:%M} UTC" if alarms else "no alarm",
    )
    stage.expect_equal("The audit names who signed the lie", " and ".join(signers), "Igor and Ivan")
    stage.facts.frauds.append(
        FraudFact(
            name="The same forgery with a colluding quorum",
            caught_by=sorted({check.name for check in failed}),
            said=report.verdict.headline,
            outcome="Stopped by the backers inside the window; everything not yet released went back to them",
        )
    )


def _stop_in_time(stage: Stage, plot: Plot) -> None:
    client = stage.client(plot.forged_campaign)
    stage.narrator.say(
        "Alice reads the audit and votes to stop. She pledged more than half of the money, so the campaign ends at "
        "once, inside the window, and that tranche is withheld for good."
    )
    stage.run("vote-stop", plot.forged_campaign, wallet="alice")
    stage.settle()
    stage.expect_equal("The campaign is", client.state().status.label, "Failed")
    refund_backers(stage, plot.forged_campaign, cast.BACKERS)
    close_ledger(
        stage,
        client,
        "forged",
        _FORGED_TITLE,
        "Stopped by its backers after the audit; only the data was paid for",
    )
    stage.narrator.say(
        "Had the same two lied only about the last milestone, voting would be closed. Mallory's terms name no arbiter, "
        "so nobody could stop the last tranche. It matters whom you accept as a quorum. Rug pull 4 tries just that."
    )


def _forge_papers(stage: Stage, plot: Plot) -> str:
    """Rewrite the honest run's manifests so that they fit the forged campaign.

    Returns:
        SHA-256 of the forged last checkpoint.
    """
    store = open_store(stage.folder.store)
    seed = stage.client(plot.forged_campaign).state().training_seed
    # The forger knows that the order of the data follows from the seed, so that number is forged too.
    order = int.from_bytes(hashlib.sha256(b"llamafund/data-order\x00" + bytes.fromhex(seed)).digest(), "big") >> 203
    chain: list[str] = []
    for link in load_checkpoints(stage, plot.checkpoint):
        parent = chain[-1] if chain else plot.dataset
        forged = link.model_copy(
            update={"seed": seed, "data_order_seed": order, "parent": parent, "chain": tuple(chain)}
        )
        chain.append(publish_manifest(store, forged))
        stage.keep(stage.folder.frauds / f"forged-checkpoint-{link.steps.last:06d}.json", forged.to_bytes())
    return chain[-1]


@dataclass(frozen=True)
class _Forgery:
    """Something that Mallory hands in.

    Attributes:
        told: What the story says first.
        evidence: Makes it; its SHA-256.
        fraud: What is wrong with it.
    """

    told: str
    evidence: Callable[[Stage, Plot], str]
    fraud: Fraud


_FORGERIES = (
    _Forgery(
        told="Mallory trains nothing. The cheapest trick is to hand in Rosa's finished run: it is public, the model is "
        "good, and every hash is right.",
        evidence=lambda _, plot: plot.checkpoint,
        fraud=Fraud(
            variable="CHECKPOINT",
            name="Another campaign's run passed off as the funded one",
            must_name="seed-fresh",
            skipped=("metric-re-evaluated",),
            outcome="Not signed, so nothing was paid for it",
        ),
    ),
    _Forgery(
        told="So Mallory forges the papers, rewriting every manifest of the run with the right seed and linking them "
        "into a new chain that fits the campaign. Each hash is right again. But these are not the weights that follow "
        "from this seed.",
        evidence=_forge_papers,
        fraud=Fraud(
            variable="FORGED",
            name="Weights other than the trained ones, with a forged chain of checkpoints",
            must_name="initial-weights-from-seed",
            skipped=("metric-re-evaluated",),
            outcome="Not signed by the honest attestor",
        ),
    ),
)
"""Each is handed in after the one before it was refused."""


def _disappear(stage: Stage, plot: Plot) -> None:
    stage.narrator.scene("Rug pull 3: the researcher disappears")
    client = stage.client(plot.token_campaign)
    state = client.state()
    left = client.asset.format(state.pledged - state.released)
    stage.narrator.say(
        f"Nobody has heard from Dan since he got paid for the data. {left} are still in his campaign. The deadline of "
        "the training passes, and so the campaign has failed. It takes no vote, no court, and nobody's action."
    )
    deadline = state.deadline(client.terms, state.attested)
    now = stage.connection.timestamp()
    stage.run(
        "refund",
        plot.token_campaign,
        "--backer",
        stage.addresses[cast.PERMIT_BACKER],
        wallet=cast.PASSER_BY,
        expect=ExitCode.REVERTED,
        show=False,
    )
    stage.advance(deadline - now + 1)
    stage.expect_equal("Dan's campaign is", client.state().status.label, "Failed")
    refund_backers(stage, plot.token_campaign, (cast.PERMIT_BACKER,))
    close_ledger(
        stage,
        client,
        "token",
        "A llama for the standard library",
        "The researcher disappeared after the data; the rest went back to the backer",
    )
    stage.facts.frauds.append(
        FraudFact(
            name="The researcher disappears",
            caught_by=["deadline"],
            said="The second milestone was not attested before its deadline",
            outcome="Everything not yet released went back to the backer",
        )
    )


def _audit_the_ends(stage: Stage, plot: Plot) -> None:
    stage.narrator.scene("The ledgers of the three failed campaigns")
    stage.narrator.say(
        "Now that everything is paid back, Audrey adds up all three campaigns once more: from the events, and from the "
        "contract's state."
    )
    for campaign in (plot.forged_campaign, plot.token_campaign, plot.lied_campaign):
        # The evidence was judged above; without its checks this is fast.
        report = audit(
            stage.client(campaign),
            open_store(stage.folder.store),
            workdir=stage.folder.frauds,
            depth="books",
            progress=lambda _: None,
        )
        expect_ledgers_agree(stage, report)
