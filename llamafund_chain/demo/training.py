"""Acts 4 and 5: the training, and the open weights."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamafund_chain.demo import cast
from llamafund_chain.demo.facts import FraudFact, TrainingFact
from llamafund_chain.demo.milestones import claim_share, expect_checks_passed, pass_window, submit
from llamafund_chain.demo.processes import run_python
from llamafund_chain.demo.stage import StoryError
from llamafund_chain.errors import ExitCode
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
from llamafund_chain.store import open_store
from llamafund_chain.store.content import fetch_manifest, fetch_tree, publish_tree
from llamafund_chain.text import from_millionths

if TYPE_CHECKING:
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage

_PROMPT = "A class definition is"

_GENERATE = """
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

set_seed(0)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
begin = tokenizer(prompt, return_tensors="pt")
length = {"min_new_tokens": 24, "max_new_tokens": 40}
words = model.generate(**begin, **length, do_sample=True, top_k=20)
print(tokenizer.decode(words[0], skip_special_tokens=True))
"""


@dataclass(frozen=True)
class Fraud:
    """Evidence that an honest attestor must not sign.

    Attributes:
        variable: What the reader sees instead of its hash.
        name: The fraud, in words.
        must_name: The check that must catch it.
        skipped: Costly checks that Vera runs only if the others pass; one failure is enough to refuse.
        outcome: What that means for the money.
    """

    variable: str
    name: str
    must_name: str
    skipped: tuple[str, ...]
    outcome: str


_CHANGED_WEIGHTS = Fraud(
    variable="CHANGED",
    name="Changed weights with a matching manifest, handed to an honest attestor",
    must_name="weights-equal-checkpoint",
    skipped=("metric-re-evaluated", "loads-in-transformers"),
    outcome="Not signed, so nothing was paid for it",
)


def train(stage: Stage, plot: Plot) -> None:
    """Act 4: the funded run, its checkpoints attested after a replay, and the second tranche."""
    say = stage.narrator.say
    say(
        "Tara trains. Everything random follows from the seed on chain. Every checkpoint gets a manifest that names "
        "the one before it: a chain of hashes from the data to the weights. This is real training; it takes a minute "
        "or two."
    )
    begun = time.monotonic()
    stage.run(
        "train",
        plot.recipe,
        "--dataset",
        plot.dataset,
        "--out",
        stage.folder.training,
        "--campaign",
        plot.campaign,
        wallet=cast.TRAINER,
        own_process=True,
        draws_progress=True,
        waiting="" if stage.narrator.on_terminal else "training",
    )
    seconds = time.monotonic() - begun
    proposed = stage.folder.signatures / "checkpoint-tara.json"
    shutil.copyfile(stage.folder.training / "attestation-1.json", proposed)
    plot.checkpoint = json.loads(proposed.read_text("utf-8"))["attestation"]["evidence"]
    stage.name("CHECKPOINT", plot.checkpoint)
    links = _keep_checkpoints(stage, plot.checkpoint)
    last = links[-1]
    _show_losses(stage, links)
    stage.facts.training = TrainingFact(
        seed=last.seed,
        seconds=round(seconds, 1),
        steps=last.steps.last,
        checkpoints=len(links),
        parameters=0,
        heldout_bits_per_byte=last.metrics[cast.METRIC],
        promised_bits_per_byte=int(plot.bits_per_byte.scaleb(6)),
        unigram_bits_per_byte=0,
        replayed=[],
    )
    stage.expect_equal(
        "The run started from the campaign's seed", last.seed, stage.client(plot.campaign).state().training_seed
    )

    say(
        "Vera does not take Tara's word. She fetches everything and trains one segment of the run again, between two "
        "checkpoints that she picks at random. She signs only if every file has the same bytes."
    )
    out = stage.folder.signatures / "checkpoint-vera.json"
    waiting = "Vera fetches, checks and replays a part of the training"
    _expect_replay(stage, _co_sign(stage, plot, proposed, out, waiting=waiting))
    _release(stage, plot, [proposed, out])


def _co_sign(stage: Stage, plot: Plot, proposed: Path, out: Path, *, waiting: str) -> dict[str, Any]:
    """Let Vera check what Tara proposed and sign it. Returns what her command reports."""
    signed = stage.run(
        "attest",
        plot.campaign,
        "--attestation",
        proposed,
        "--out",
        out,
        wallet=cast.VERIFIER,
        own_process=True,
        waiting=waiting,
    )
    expect_checks_passed(stage, cast.VERIFIER, signed.result)
    return signed.result


def publish_weights(stage: Stage, plot: Plot) -> None:
    """Act 5: export, a drill with changed weights, the last attestation, the last tranche, and some generated text."""
    say = stage.narrator.say
    say(
        "The last checkpoint becomes a model that people can use: config, weights, tokenizer and a model card, in the "
        "layout that transformers reads."
    )
    stage.run(
        "export",
        plot.checkpoint,
        "--out",
        stage.folder.weights,
        "--campaign",
        plot.campaign,
        wallet=cast.TRAINER,
        own_process=True,
        waiting="Exporting and measuring on held-out text",
    )
    proposed = stage.folder.signatures / "weights-tara.json"
    shutil.copyfile(stage.folder.weights / "attestation-2.json", proposed)
    plot.weights = json.loads(proposed.read_text("utf-8"))["attestation"]["evidence"]
    stage.name("WEIGHTS", plot.weights)
    _show_result(stage, plot)

    say(
        "First a drill. Rosa hands Vera another model: the same files, but a few weights are changed, and the manifest "
        "fits them. Every hash in it is right. Vera begins with the cheap checks."
    )
    _drill(stage, plot)
    say("Now the real weights.")
    out = stage.folder.signatures / "weights-vera.json"
    waiting = "Vera compares every weight with the checkpoint and measures again"
    _co_sign(stage, plot, proposed, out, waiting=waiting)
    _release(stage, plot, [proposed, out])

    say("Anyone can have the model now. A stranger fetches it from the store and uses plain transformers:")
    _use_model(stage, plot)


def load_weights(stage: Stage, sha256: str) -> WeightsManifest:
    """A weights manifest from the story's store."""
    return fetch_manifest(open_store(stage.folder.store), sha256, WeightsManifest)


def load_checkpoints(stage: Stage, sha256: str) -> list[CheckpointManifest]:
    """A checkpoint and those before it, back to the previous milestone, from the story's store; oldest first."""
    store = open_store(stage.folder.store)
    head = fetch_manifest(store, sha256, CheckpointManifest)
    return [*(fetch_manifest(store, link, CheckpointManifest) for link in head.chain), head]


def _release(stage: Stage, plot: Plot, files: list[Path]) -> None:
    submit(stage, plot.campaign, files)
    pass_window(stage, stage.client(plot.campaign))
    stage.narrator.say("Three days pass, and nobody objects.")
    claim_share(stage, plot.campaign, 0, cast.RESEARCHER, "rosa-savings")
    claim_share(stage, plot.campaign, 1, cast.TRAINER, "tara-savings")


def _keep_checkpoints(stage: Stage, head: str) -> list[CheckpointManifest]:
    links = load_checkpoints(stage, head)
    for link in links:
        name = f"checkpoint-{link.steps.last:06d}"
        stage.keep(stage.folder.manifests / f"{name}.json", link.to_bytes())
        stage.facts.manifests[name] = link.sha256
    return links


def _show_losses(stage: Stage, links: list[CheckpointManifest]) -> None:
    rows = []
    for link in links:
        trained = link.metrics.get("train_loss")
        heldout = link.metrics.get(cast.METRIC)
        rows.append(
            [
                str(link.steps.last),
                "" if trained is None else _six_digits(trained),
                "" if heldout is None else _six_digits(heldout),
                link.sha256[:16],
            ]
        )
    stage.narrator.table(["after step", "loss per token", "held-out bits/byte", "manifest"], rows, numbers_from=0)


def _show_result(stage: Stage, plot: Plot) -> None:
    weights = load_weights(stage, plot.weights)
    stage.keep(stage.folder.manifests / "weights.json", weights.to_bytes())
    stage.facts.manifests["weights"] = plot.weights
    training = _training(stage)
    reached = weights.metrics[cast.METRIC]
    unigram = min(value for name, value in weights.metrics.items() if name.startswith("unigram") and "bits" in name)
    training.heldout_bits_per_byte = reached
    training.unigram_bits_per_byte = unigram
    training.parameters = weights.parameters
    stage.narrator.table(
        ["bits per byte of held-out text (lower is better)", ""],
        [
            ["best model that only counts how often tokens occur", _six_digits(unigram)],
            ["promised in the proposal", _six_digits(training.promised_bits_per_byte)],
            ["this model", _six_digits(reached)],
        ],
    )
    stage.expect("The model meets the promise", reached <= training.promised_bits_per_byte, silent=True)
    stage.expect(
        "The model beats counting tokens",
        reached < unigram,
        f"{from_millionths(reached)} against {from_millionths(unigram)} bits per byte",
    )


def _drill(stage: Stage, plot: Plot) -> None:
    honest = load_weights(stage, plot.weights)
    changed = stage.folder.frauds / "changed-weights"
    for entry in honest.files:
        (changed / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage.folder.weights / entry.path, changed / entry.path)
    data = bytearray((changed / "model.safetensors").read_bytes())
    # Low bits of the mantissas of the last numbers in the file: the model still works as before.
    for place in range(len(data) - 64, len(data), 4):
        data[place] ^= 0x55
    (changed / "model.safetensors").write_bytes(bytes(data))
    digest = hash_tree(changed, [entry.path for entry in honest.files])
    forged = honest.model_copy(update={"files": digest.files, "content": digest.content})
    plot.changed_weights = publish_tree(open_store(stage.folder.store), changed, forged)
    refuse(stage, plot.campaign, 2, plot.changed_weights, _CHANGED_WEIGHTS)


def refuse(stage: Stage, campaign: str, milestone: int, evidence: str, fraud: Fraud) -> None:
    """Show Vera evidence that she must not sign, and expect her to say why.

    Args:
        stage: The story so far.
        campaign: Address.
        milestone: Index in the terms.
        evidence: SHA-256 of the manifest that the cheat wrote.
        fraud: What is wrong with it.
    """
    stage.names[evidence] = f"${fraud.variable}"
    out = stage.folder.frauds / f"never-signed-{fraud.variable.lower()}.json"
    refused = stage.run(
        "attest",
        campaign,
        "--milestone",
        str(milestone),
        "--evidence",
        evidence,
        *(word for check in ("replay", *fraud.skipped) for word in ("--skip-check", check)),
        "--out",
        out,
        wallet=cast.VERIFIER,
        expect=ExitCode.VERIFICATION_FAILED,
        own_process=True,
        waiting="Vera fetches and checks",
    )
    failed = {check["name"]: check["detail"] for check in refused.result["checks"] if check["status"] == "fail"}
    said = failed.get(fraud.must_name, "")
    stage.facts.frauds.append(FraudFact(name=fraud.name, caught_by=sorted(failed), said=said, outcome=fraud.outcome))
    stage.narrator.caught(f"Vera does not sign. {fraud.must_name}:")
    stage.narrator.quote(said)
    caught = bool(said) and not out.exists()
    stage.expect(f"{fraud.must_name} caught it", caught, ", ".join(sorted(failed)), silent=True)


def _six_digits(millionths: int) -> str:
    return f"{Decimal(millionths).scaleb(-6):.6f}"


def _training(stage: Stage) -> TrainingFact:
    if stage.facts.training is None:
        raise StoryError("Act 5 comes after act 4")
    return stage.facts.training


def _expect_replay(stage: Stage, result: dict[str, Any]) -> None:
    replayed = [check for check in result["checks"] if check["name"].startswith("replay")]
    held = bool(replayed) and all(check["status"] == "pass" for check in replayed)
    stage.expect("Vera replayed a part of the training", held, "; ".join(check["detail"] for check in replayed))
    _training(stage).replayed = [check["detail"] for check in replayed]


def _use_model(stage: Stage, plot: Plot) -> None:
    fetch_tree(open_store(stage.folder.store), load_weights(stage, plot.weights), stage.folder.downloaded)
    given = f"folder = {stage.shown(stage.folder.downloaded)!r}\nprompt = {_PROMPT!r}\n"
    stage.narrator.code(given + _GENERATE)
    home = stage.folder.root / "transformers-home"
    quiet = {
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    with stage.narrator.waiting("Loading transformers"):
        finished = run_python(["-P", "-c", given + _GENERATE], show_stderr=False, environment=quiet)
    shutil.rmtree(home, ignore_errors=True)
    words = finished.stdout.rstrip("\n")
    stage.expect(
        "The model loads in transformers and writes",
        finished.exit_code == 0 and words.startswith(_PROMPT) and len(words) > len(_PROMPT),
        "" if finished.exit_code == 0 else finished.stderr.strip()[-300:],
    )
    stage.narrator.quote(" ".join(words.split()))
    stage.narrator.say(
        f"{_training(stage).parameters:,} parameters and {_training(stage).steps} steps make no scholar. But everybody "
        "can check how it was made."
    )
    training = _training(stage)
    training.sample_prompt, training.sample = _PROMPT, words
