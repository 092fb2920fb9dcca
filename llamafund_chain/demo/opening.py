"""Acts 1 to 3: a proposal with its data, the pledges, and the first milestone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from llamafund_chain.demo import cast
from llamafund_chain.demo.cast import Plan, write_campaign_file
from llamafund_chain.demo.milestones import attest, claim_share, pass_window, submit
from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.manifests import ProposalManifest
from llamafund_chain.samples.corpus import DATASET_SHA256, LICENSE, SOURCE, TITLE, write_corpus
from llamafund_chain.store import open_store
from llamafund_chain.store.content import fetch_manifest

if TYPE_CHECKING:
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage

_PURSE = 100 * 10**18
"""Wei that everybody starts with."""

_TOKEN_DECIMALS = 6
_TOKEN_PURSE = 5_000 * 10**_TOKEN_DECIMALS


def make_wallets(stage: Stage) -> None:
    """Create a key file for everybody, and give everybody coins of the demo's chain."""
    stage.narrator.say(
        "Everybody in this story has their own key file, created just now. The chain is an anvil on this machine: "
        "its coins are worth nothing, its contracts are the real ones. Four settings are the same for every command "
        "below, so we set them once:"
    )
    stage.narrator.code(
        f"export LLAMAFUND_RPC={stage.devnet.rpc_url}\n"
        f"export LLAMAFUND_STORE={stage.shown(stage.folder.store)}\n"
        f"export LLAMAFUND_KEYSTORE={stage.shown(stage.folder.keystore)}\n"
        f"export LLAMAFUND_PASSPHRASE_FILE={stage.shown(stage.folder.passphrase)}"
    )
    for name in (*cast.SENDERS, *cast.SAVINGS):
        made = stage.run("wallet", "new", name, "--light-kdf", show=name == cast.RESEARCHER)
        stage.addresses[name] = made.result["wallet"]["address"]
    for name in cast.SENDERS:
        stage.devnet.fund(stage.addresses[name], _PURSE)
    stage.narrator.item(f"... and {len(stage.addresses) - 1} more like it")


def honest_plan(plot: Plot) -> Plan:
    """What those agree on who will do the work."""
    return Plan(
        title="A small Llama that has read the Python reference",
        summary="A language model trained from scratch on the text that ships with Python, free for everybody.",
        researcher=cast.RESEARCHER,
        goal="12",
        cap="20",
        asset=None,
        attestors=(cast.TRAINER, cast.VERIFIER, cast.ARCHIVIST),
        payees=((cast.RESEARCHER, 7_000), (cast.TRAINER, 3_000)),
        milestone_bps=(1_500, 4_500, 4_000),
        recipe=plot.recipe_sha256,
        dataset=plot.dataset,
        bits_per_byte=plot.bits_per_byte,
    )


def propose(stage: Stage, plot: Plot) -> None:
    """Act 1: a researcher publishes her data and a proposal, and opens a campaign."""
    make_wallets(stage)
    deployment = stage.devnet.deployment
    stage.facts.factory, stage.facts.implementation = deployment.factory, deployment.implementation
    stage.narrator.held(f"The contracts are deployed. Their factory: {deployment.factory}")
    _build_dataset(stage, plot)
    stage.narrator.say(
        "Then she writes down what she promises, who checks it, and which share of the money each milestone releases. "
        "The hash of that file goes on chain, and so does the hash of the data. Nobody can change a word afterwards, "
        "and backers know the data before they pledge."
    )
    plan = honest_plan(plot)
    plot.campaign = open_campaign(stage, plan, "honest", "CAMPAIGN")
    shown = stage.run("campaign", "show", plot.campaign).result
    stage.expect_equal("The campaign is", shown["status"].title(), "Funding")
    stage.expect_equal("Its terms fix the data", stage.client(plot.campaign).terms.dataset, plot.dataset)
    stage.narrator.table(
        ["what", "agreed"],
        [
            ["goal / cap", f"{plan.goal} / {plan.cap} ETH"],
            ["data", f"{plot.dataset[:16]}..., fixed in the terms"],
            ["promise", f"at most {plot.bits_per_byte} bits per byte on held-out text"],
            ["milestones", "15 % the data, 45 % the training, 40 % the open weights"],
            ["attestors", "Tara (trains), Vera (replays), Otto (archives); two of three must sign"],
            ["payees", "Rosa 70 %, Tara 30 % (for compute)"],
            ["window", "3 days between an attestation and its payout"],
            ["way out", "backers of half the money can stop it and take back the rest"],
        ],
        numbers_from=2,
    )


def _build_dataset(stage: Stage, plot: Plot) -> None:
    """Publish the dataset, whose hash the proposals name."""
    stage.narrator.say(
        "Rosa wants to train a small language model and give it away. First she publishes the data: the English text "
        "of the Python reference. About a tenth is held out: the model never sees it and is measured on it."
    )
    corpus = write_corpus(stage.folder.corpus)
    manifest_file = stage.folder.manifests / "dataset.json"
    words = ["--title", TITLE, "--license", LICENSE, "--source", SOURCE, "--preparation", corpus.preparation]
    built = stage.run("dataset", "build", stage.folder.corpus, *words, "--out", manifest_file, show=False).result
    stage.narrator.command(
        f"llamafund dataset build {stage.shown(stage.folder.corpus)} --title ... --license {LICENSE} --source ..."
    )
    plot.dataset = built["dataset"]
    stage.facts.manifests["dataset"] = plot.dataset
    stage.name("DATASET", plot.dataset)
    stage.narrator.item(
        f"{corpus.train_documents} documents to train on ({corpus.train_bytes:,} bytes), "
        f"{corpus.heldout_documents} held out ({corpus.heldout_bytes:,} bytes)"
    )
    stage.expect("The hash is the same on every machine", plot.dataset == DATASET_SHA256, plot.dataset, silent=True)
    _expect_sha256sum(stage, manifest_file, plot.dataset)


def open_campaign(stage: Stage, plan: Plan, name: str, variable: str, *, show: bool = True) -> str:
    """Write a campaign file, open the campaign, and keep its proposal.

    Returns:
        The campaign's address.
    """
    file = stage.folder.campaigns / f"{name}.yaml"
    write_campaign_file(file, plan, stage.addresses)
    words = (file, "--recipe", stage.folder.recipe)
    opened = stage.run("campaign", "create", *words, wallet=plan.researcher, show=show).result
    address: str = opened["campaign"]
    if show:
        stage.name(variable, address)
    else:
        stage.names[address] = f"${variable}"
    stage.settle()
    proposal = fetch_manifest(open_store(stage.folder.store), opened["proposal"], ProposalManifest)
    stage.keep(stage.folder.manifests / f"{name}-proposal.json", proposal.to_bytes())
    stage.facts.manifests[f"{name}-proposal"] = proposal.sha256
    return address


def collect_pledges(stage: Stage, plot: Plot) -> None:
    """Act 2: pledges, one of them taken back, and a second campaign in a token."""
    say, run = stage.narrator.say, stage.run
    say("Alice and Bob pledge. The money goes into the campaign's contract, not to Rosa.")
    run("pledge", plot.campaign, "7.000000000000000001", wallet="alice")
    run("pledge", plot.campaign, "3", wallet="bob")
    say("Bob has second thoughts. The goal of 12 is not reached yet, so he may take back as much as he likes.")
    run("unpledge", plot.campaign, "1.5", wallet="bob")
    run("pledge", plot.campaign, "5.25", wallet="bob")
    client = stage.client(plot.campaign)
    state = client.state()
    stage.expect_equal("Pledged now", client.asset.format(state.pledged), "13.750000000000000001 ETH")
    stage.expect_equal("The contract holds exactly that", state.balance, state.pledged, silent=True)
    say("Now the goal is reached, and others can count on it: Bob can no longer pull the campaign below it.")
    refused = run("unpledge", plot.campaign, "5", wallet="bob", expect=ExitCode.REVERTED)
    stage.narrator.quote(refused.message)
    stage.expect(
        "A withdrawal below the goal is refused",
        client.state().pledged == state.pledged,
        "nothing moved",
    )

    stage.narrator.scene("A second campaign, in a token")
    say(
        "Dan opens another campaign, in an ERC-20 with six decimals. Carol pledges to it with a permit: one signature "
        "and one transaction, without an approval first."
    )
    plot.token = stage.devnet.deploy_token("Demo Dollar", "DEMO", _TOKEN_DECIMALS)
    stage.devnet.mint_token(plot.token, stage.addresses[cast.PERMIT_BACKER], _TOKEN_PURSE)
    plan = Plan(
        title="A llama for the standard library",
        summary="Another model on the same text, says Dan.",
        researcher=cast.RUNAWAY,
        goal="1000",
        cap="9000",
        asset=plot.token,
        attestors=(cast.TRAINER, cast.VERIFIER, cast.ARCHIVIST),
        payees=((cast.RUNAWAY, 8_000), (cast.TRAINER, 2_000)),
        milestone_bps=(1_000, 4_000, 5_000),
        recipe=plot.recipe_sha256,
        dataset=plot.dataset,
        bits_per_byte=plot.bits_per_byte,
    )
    plot.token_campaign = open_campaign(stage, plan, "token", "DANS")
    run("pledge", plot.token_campaign, "1500.000001", wallet="carol")
    tokens = stage.client(plot.token_campaign)
    stage.expect_equal("Pledged by Carol", tokens.asset.format(tokens.state().pledged), "1500.000001 DEMO")
    stage.expect_equal(
        "Carol never gave a lasting approval; allowance left",
        tokens.token.allowance(stage.addresses["carol"], plot.token_campaign),
        0,
        silent=True,
    )


def attest_data(stage: Stage, plot: Plot) -> None:
    """Act 3: activation, the dataset, two signatures, the first tranche."""
    say, run = stage.narrator.say, stage.run
    say(
        "The goal is met, so Rosa activates the campaign. That transaction publishes a random seed, which fixes the "
        "initial weights and the order of the data. Nobody could know it before, so no model trained earlier can be "
        "passed off as this one."
    )
    run("campaign", "activate", plot.campaign, wallet=cast.RESEARCHER)
    client = stage.client(plot.campaign)
    seed = client.state().training_seed
    stage.expect("The training seed is on chain", len(seed) == 64, seed)
    run("campaign", "activate", plot.token_campaign, wallet=cast.RUNAWAY, show=False)
    stage.settle()

    say(
        "The first milestone is the data. Two attestors look at it. Each fetches every byte from the store and hashes "
        "it. They sign only if all bytes match the manifest, and the manifest is the one in the terms. Otto signs the "
        "same statement as Vera."
    )
    files = attest(stage, plot.campaign, 0, plot.dataset, (cast.VERIFIER, cast.ARCHIVIST), "dataset")
    submit(stage, plot.campaign, files)
    say("Signed is not paid. For three days anyone can object, and nobody gets anything:")
    early = run("claim", plot.campaign, wallet=cast.RESEARCHER, expect=ExitCode.REVERTED)
    stage.narrator.quote(early.message)
    stage.expect("Nothing was paid before the window was over", sum(client.state().claimed) == 0, silent=True)
    pass_window(stage, client)
    say("Three days later Rosa collects, to a savings account that is not the key she works with.")
    claim_share(stage, plot.campaign, 0, cast.RESEARCHER, "rosa-savings")
    claim_share(stage, plot.campaign, 1, cast.TRAINER, "tara-savings", show=False)

    say("Dan's campaign gets as far: the same data, the same two signatures, and his first tranche.")
    copies = attest(
        stage, plot.token_campaign, 0, plot.dataset, (cast.VERIFIER, cast.ARCHIVIST), "dan-dataset", show=False
    )
    submit(stage, plot.token_campaign, copies, show=False)
    tokens = stage.client(plot.token_campaign)
    pass_window(stage, tokens)
    claim_share(stage, plot.token_campaign, 0, cast.RUNAWAY, None, show=False)
    claim_share(stage, plot.token_campaign, 1, cast.TRAINER, None, show=False)


def _expect_sha256sum(stage: Stage, file: Path, sha256: str) -> None:
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    stage.expect(f"sha256sum {stage.shown(file)} prints the same hash", actual == sha256)
