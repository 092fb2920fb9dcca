"""Every fraud with what it looks like from outside, and the check that catches it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from frauds.dishonest_runs import DishonestRuns, claim
from llamafund_chain.evidence.manifests import CheckpointManifest, EvidenceManifest, StepRange
from llamafund_chain.store.content import fetch_tree
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.runs.inputs import fetch_inputs
from llamafund_trainer.runs.measure import measure_weights
from llamafund_trainer.runs.step_zero import make_start
from llamafund_trainer.tensors.lora import merge_files

METRIC = "heldout_bits_per_byte"


@dataclass(frozen=True)
class Planted:
    """Forged evidence.

    Attributes:
        evidence: What the cheat asks attestors to sign.
        context: What else the check is given, where it is not as in an honest case.
        segments: For a replay, the segments that must not repeat; null where the check has no segments.
    """

    evidence: EvidenceManifest
    context: Mapping[str, object] = field(default_factory=dict)
    segments: tuple[int, ...] | None = None


Commit = Callable[[Any, DishonestRuns, Path], Planted]


@dataclass(frozen=True)
class Fraud:
    """A fraud.

    Attributes:
        name: As docs/verification.md calls it.
        check: Name of the check that catches it.
        words: In the check's finding.
        commit: Plants it.
    """

    name: str
    check: str
    words: str
    commit: Commit


CATALOGUE: list[Fraud] = []


def fraud(name: str, *, check: str, words: str) -> Callable[[Commit], Commit]:
    """Enter a fraud into the catalogue."""

    def enter(commit: Commit) -> Commit:
        CATALOGUE.append(Fraud(name, check, words, commit))
        return commit

    return enter


# Data.


@fraud("dataset swapped before training", check="dataset-fixed", words="but the attested one is")
def dataset_swapped_openly(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    other = build_dataset(
        _text(scratch / "corpus"),
        title="Others",
        source="elsewhere",
        license="CC0-1.0",
        preparation="none",
        store=lab.store,
    )
    return Planted(claim(lab, lab.run, scratch, dataset=other.sha256)[-1])


def _trained(name: str) -> Commit:
    def commit(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
        return Planted(runs.runs[name][-1], {"replay_segments": 4}, runs.segments[name])

    return commit


fraud("dataset swapped before training, the promised one named", check="replay", words="gave different bytes")(
    _trained("dataset_swapped")
)
fraud("1 % of the samples replaced", check="replay", words="gave different bytes")(
    _trained("one_percent_of_the_samples_replaced")
)
fraud("one token changed", check="replay", words="gave different bytes")(_trained("one_token_changed"))


# Training.

fraud("steps claimed but not run", check="replay", words="gave different bytes|another count of steps")(
    _trained("steps_claimed_but_not_run")
)
fraud("another learning rate than the recipe's", check="replay", words="learning rate|base_lrs|different bytes")(
    _trained("other_learning_rate")
)
fraud("optimizer state reset", check="replay", words="gave different bytes")(_trained("optimizer_state_reset"))


@fraud("training ended before its last step", check="steps-follow-recipe", words="is at step 20")
def ended_early(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(lab.run[2])


@fraud("checkpoints left out", check="steps-follow-recipe", words="no checkpoint after step 20")
def left_out(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    """Every segment that is left takes longer to repeat, and more can be forged in it."""
    longer = lab.forge(lab.run[3], scratch / "longer", steps=StepRange(first=10, last=30))
    return Planted(claim(lab, [*lab.run[:2], longer, lab.run[4]], scratch)[-1])


@fraud("another learning rate, left in the scheduler", check="schedule-follows-recipe", words="base_lrs")
def another_learning_rate_left_in_the_scheduler(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(runs.runs["other_learning_rate"][-1])


@fraud("a segment skipped, a checkpoint from elsewhere spliced in", check="replay", words="gave different bytes")
def spliced(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links = [*lab.run[:2], lab.other[2], *lab.run[3:]]
    return Planted(claim(lab, links, scratch)[-1], {"replay_segments": 4}, (1, 2))


@fraud("checkpoints back-dated from an old run with another seed", check="initial-weights-from-seed", words="fresh")
def back_dated(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(claim(lab, lab.other, scratch)[-1])


@fraud("an old run under its own seed", check="seed-fresh", words="older run")
def old_run(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(lab.other[-1])


@fraud("environment record falsified", check="environment-recorded", words="threads '64'")
def environment_falsified(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    environment = {**lab.run[-1].environment, "threads": "64"}
    return Planted(claim(lab, lab.run, scratch, environment=environment)[-1])


@fraud("setting invented in the environment record", check="environment-recorded", words="'moon' 'full'")
def setting_invented(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    environment = {**lab.run[-1].environment, "moon": "full"}
    return Planted(claim(lab, lab.run, scratch, environment=environment)[-1])


@fraud("setting invented to excuse one changed bit", check="replay", words="gave different bytes")
def setting_invented_as_an_excuse(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    tensors = {name: each.copy() for name, each in load(lab.file(lab.run[-1], "model.safetensors")).items()}
    tensors["model.norm.weight"].view(np.uint32)[0] ^= 1
    data = save(tensors, metadata={"format": "pt"})
    last = lab.forge(lab.run[-1], scratch / "last", {"model.safetensors": data})
    environment = {**lab.run[-1].environment, "moon": "full"}
    links = [*lab.run[:-1], last]
    return Planted(claim(lab, links, scratch, environment=environment)[-1], {"replay_segments": 4}, (3,))


@fraud("environment record falsified to excuse a spliced checkpoint", check="replay", words="gave different bytes")
def environment_as_an_excuse(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links = [*lab.run[:-1], lab.other[-1]]
    environment = {**lab.run[-1].environment, "torch": "2.0.1+cu117", "processor": "something rare"}
    return Planted(claim(lab, links, scratch, environment=environment)[-1], {"replay_segments": 4}, (3,))


def _excused(name: str) -> Commit:
    """The last checkpoint with one file of another run, said to come from a machine that nobody has."""

    def commit(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
        environment = {**lab.run[-1].environment, "processor": "something rare"}
        last = lab.forge(lab.run[-1], scratch / "last", {name: lab.file(lab.other[-1], name)})
        links = [*lab.run[:-1], last]
        return Planted(claim(lab, links, scratch, environment=environment)[-1], {"replay_segments": 4}, (3,))

    return commit


fraud("environment record falsified to excuse a forged optimizer", check="replay", words="the optimizer's")(
    _excused("optimizer.pt")
)
fraud("environment record falsified to excuse other random numbers", check="replay", words="different numbers")(
    _excused("rng_state.pth")
)


def _in_chaos(lab: Any, scratch: Path) -> CheckpointManifest:
    """The last checkpoint is of another run. At this rate honest runs come apart, so another processor explains it."""
    links = [*lab.run[:-1], lab.other[-1]]
    environment = {**lab.run[-1].environment, "processor_class": "something rare"}
    return claim(lab, links, scratch, environment=environment, recipe=lab.publish_fixed(learning_rate=1.0))[-1]


@fraud(
    "huge learning rate and a processor that nobody has",
    check="replay",
    words="'something rare', which is outside of the recipe's environment",
)
def chaos_as_an_excuse(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(_in_chaos(lab, scratch), {"replay_segments": 4}, (0, 1, 2, 3))


@fraud(
    "environment outside of the recipe's recorded",
    check="environment-recorded",
    words="'something rare', which is outside of the recipe's environment",
)
def outside_of_the_environment(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(_in_chaos(lab, scratch))


@fraud("setting that the recipe's environment leaves out named as an excuse", check="replay", words="different bytes")
def left_out_as_an_excuse(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links = [*lab.run[:-1], lab.other[-1]]
    environment = {**lab.run[-1].environment, "processor": "something rare", "machine": "a quantum computer"}
    recipe = lab.publish_fixed()
    return Planted(claim(lab, links, scratch, environment=environment, recipe=recipe)[-1], {"replay_segments": 4}, (3,))


# Weights.


def _changed_weights(lab: Any, scratch: Path, change: Callable[[dict[str, Any]], None]) -> Planted:
    tensors = {name: values.copy() for name, values in load(lab.file(lab.weights, "model.safetensors")).items()}
    change(tensors)
    data = save(tensors, metadata={"format": "pt"})
    return Planted(lab.forge(lab.weights, scratch, {"model.safetensors": data}))


@fraud("weights exported from another run", check="weights-equal-checkpoint", words="not those of the last checkpoint")
def weights_of_another_run(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return _changed_weights(
        lab, scratch, lambda tensors: tensors.update(load(lab.file(lab.other[-1], "model.safetensors")))
    )


@fraud("weights with noise added", check="weights-equal-checkpoint", words="not those of the last checkpoint")
def weights_with_noise(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    noise = np.random.default_rng(5)

    def add(tensors: dict[str, Any]) -> None:
        for name in tensors:
            tensors[name] += noise.normal(0, 1e-6, tensors[name].shape).astype(np.float32)

    return _changed_weights(lab, scratch, add)


# Fine-tuning.


def _tuned_again(lab: Any, links: Sequence[CheckpointManifest], scratch: Path) -> CheckpointManifest:
    return claim(lab, links, scratch, recipe=links[-1].recipe)[-1]


@fraud(
    "fine-tuned from another base model than named", check="initial-weights-from-base", words="is not the base model"
)
def another_base(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(runs.elsewhere["full"][-1])


@fraud("adapter trained on another base model than named", check="replay", words="gave different bytes")
def adapter_of_another_base(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(runs.elsewhere["lora"][-1], {"replay_segments": 2}, (0, 1))


@fraud("noise added to the base model before training", check="initial-weights-from-base", words="is not the base")
def base_with_noise(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links, noise = runs.tuned["full"].run, np.random.default_rng(7)
    tensors = load(lab.file(links[0], "model.safetensors"))
    changed = {name: each + noise.normal(0, 1e-6, each.shape).astype(np.float32) for name, each in tensors.items()}
    first = lab.forge(links[0], scratch / "first", {"model.safetensors": save(changed, metadata={"format": "pt"})})
    return Planted(_tuned_again(lab, [first, *links[1:]], scratch))


@fraud("adapter that was trained before", check="initial-weights-from-base", words="started from another model")
def head_start(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links, name = runs.tuned["lora"].run, "adapter_model.safetensors"
    first = lab.forge(links[0], scratch / "first", {name: lab.file(links[-1], name)})
    return Planted(_tuned_again(lab, [first, *links[1:]], scratch))


@fraud("adapter from a run with another seed", check="initial-weights-from-seed", words="did not start fresh")
def adapter_of_another_seed(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links, name = runs.tuned["lora"].run, "adapter_model.safetensors"
    inputs = fetch_inputs(lab.store, links[0], scratch / "inputs")
    made = make_start(inputs.recipe_file, inputs.base, lab.other[0].seed, scratch)
    first = lab.forge(links[0], scratch / "first", {name: (made / name).read_bytes()})
    return Planted(_tuned_again(lab, [first, *links[1:]], scratch))


@fraud("adapter spliced in from another run", check="replay", words="gave different bytes")
def adapter_spliced(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    links = [*runs.tuned["lora"].run[:-1], runs.elsewhere["lora"][-1]]
    return Planted(_tuned_again(lab, links, scratch), {"replay_segments": 2}, (1,))


@fraud("another adapter merged into the open weights", check="weights-equal-checkpoint", words="not those of the last")
def another_adapter_merged(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    honest, name = runs.tuned["lora"], "adapter_model.safetensors"
    inputs = fetch_inputs(lab.store, honest.run[-1], scratch / "inputs")
    (scratch / name).write_bytes(lab.file(runs.elsewhere["lora"][-1], name))
    merge_files(inputs.base.tensors, scratch / name, inputs.recipe.lora, scratch / "merged")
    return Planted(lab.forge(honest.weights, scratch, {"model.safetensors": (scratch / "merged").read_bytes()}))


# Metric.


@fraud("metric inflated in the manifest", check="metric-re-evaluated", words="measured again")
def metric_inflated(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    value = lab.run[-1].metrics[METRIC] - 100_000
    metrics = {**lab.run[-1].metrics, METRIC: value}
    return Planted(lab.forge(lab.run[-1], scratch, metrics=metrics, outcome_score=-value))


@fraud("metric measured on training data", check="metric-re-evaluated", words="measured again")
def metric_of_training_data(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    """The cheat measures with the honest program, on a dataset whose held-out part is taken from the training part."""
    heldout = [entry.path for entry in lab.dataset.part("heldout")]
    seen = {path: lab.file(lab.dataset, path.replace("heldout", "train")) for path in heldout}
    flattering = lab.forge(lab.dataset, scratch, seen)
    forged = lab.forge(lab.run[-1], scratch / "measured", dataset=flattering.sha256)
    fetch_tree(lab.store, forged, scratch / "weights", ["model.safetensors"])
    inputs = fetch_inputs(lab.store, forged, scratch / "inputs")
    measured = measure_weights(inputs, scratch / "weights" / "model.safetensors")
    value = measured.value
    assert value is not None
    assert value < lab.run[-1].metrics[METRIC], "the fraud would not pay"
    metrics = {**lab.run[-1].metrics, METRIC: value}
    return Planted(lab.forge(lab.run[-1], scratch / "claimed", metrics=metrics, outcome_score=-value))


@fraud("held-out text put into the training data", check="heldout-separate", words="held out and trained on")
def heldout_trained_on(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    leaked = lab.file(lab.dataset, "heldout/000.txt").replace(b"\n", b" \n")
    dataset = lab.forge(lab.dataset, scratch, {"train/000.txt": b"  " + leaked})
    return Planted(dataset, {"milestone": 0, "ancestry": ()})


# The chain of checkpoints.


def _chain(lab: Any, hashes: list[str], scratch: Path) -> Planted:
    """The last checkpoint with another list of those before it."""
    return Planted(lab.forge(lab.run[-1], scratch, chain=tuple(hashes), parent=hashes[-1]))


@fraud("chain link removed", check="checkpoint-chain", words="but the one before it is")
def link_removed(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    hashes = list(lab.run[-1].chain)
    return _chain(lab, [*hashes[:1], *hashes[2:]], scratch)


@fraud("chain link removed, the rest linked anew", check="checkpoint-chain", words="but the one before it ends at step")
def link_removed_and_mended(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(claim(lab, [*lab.run[:2], *lab.run[3:]], scratch)[-1])


@fraud("chain links reordered", check="checkpoint-chain", words="but the one before it is")
def links_reordered(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    first, second, third, last = lab.run[-1].chain
    return _chain(lab, [first, third, second, last], scratch)


@fraud("chain link duplicated", check="checkpoint-chain", words="more than once")
def link_duplicated(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    first, second, third, last = lab.run[-1].chain
    return _chain(lab, [first, second, second, third, last], scratch)


# What is published beside the weights.


@fraud("tokenizer that makes the text easy", check="metric-re-evaluated", words="tokenizer")
def easy_tokenizer(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    tokenizer = json.loads(lab.file(lab.run[-1], "tokenizer.json"))
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": "a"}
    return Planted(lab.forge(lab.run[-1], scratch, {"tokenizer.json": json.dumps(tokenizer).encode()}))


@fraud("file that runs code when loaded", check="loads-in-transformers", words="can run code of its author")
def code_beside_the_weights(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(lab.forge(lab.weights, scratch, {"pytorch_model.bin": b"cos\nsystem\n(S'true'\ntR."}))


@fraud("configuration that makes another model of the same weights", check="weights-equal-checkpoint", words="rms_norm")
def other_configuration(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    config = {**json.loads(lab.file(lab.weights, "config.json")), "rms_norm_eps": 0.5}
    return Planted(lab.forge(lab.weights, scratch, {"config.json": json.dumps(config).encode()}))


@fraud("program in a checkpoint", check="checkpoint-files-known", words="'run.py' lies in the checkpoint")
def program_in_a_checkpoint(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    last = lab.forge(lab.run[-1], scratch / "last", {"run.py": b"import os"})
    return Planted(claim(lab, [*lab.run[:-1], last], scratch)[-1])


@fraud("pickle in a checkpoint", check="checkpoint-files-known", words=r"'training_args\.bin' lies")
def pickle_in_a_checkpoint(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    last = lab.forge(lab.run[-1], scratch / "last", {"training_args.bin": b"cos\nsystem\n(S'true'\ntR."})
    return Planted(claim(lab, [*lab.run[:-1], last], scratch)[-1])


@fraud("metric invented in a checkpoint", check="checkpoint-files-known", words="'mmlu', which the trainer does not")
def metric_invented_in_a_checkpoint(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(lab.forge(lab.run[-1], scratch, metrics={**lab.run[-1].metrics, "mmlu": 900_000}))


@fraud("metric invented for the open weights", check="metric-re-evaluated", words="'mmlu', which this program")
def metric_invented_for_the_weights(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(lab.forge(lab.weights, scratch, metrics={**lab.weights.metrics, "mmlu": 900_000}))


def _history(lab: Any, scratch: Path, step: int, loss: float, **fields: object) -> CheckpointManifest:
    """The last checkpoint with another loss in its history."""
    state = json.loads(lab.file(lab.run[-1], "trainer_state.json"))
    next(entry for entry in state["log_history"] if entry["step"] == step)["loss"] = loss
    return lab.forge(lab.run[-1], scratch / "last", {"trainer_state.json": json.dumps(state).encode()}, **fields)


@fraud("loss flattered in the history", check="histories-agree", words="by the history it is")
def loss_flattered(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(claim(lab, [*lab.run[:-1], _history(lab, scratch, 40, 0.5)], scratch)[-1])


@fraud("loss of an earlier step rewritten", check="histories-agree", words="an earlier checkpoint says")
def loss_rewritten(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    return Planted(claim(lab, [*lab.run[:-1], _history(lab, scratch, 20, 0.5)], scratch)[-1])


@fraud("loss flattered in history and manifest", check="replay", words="says loss 0.5 after step 40; repeated")
def loss_flattered_everywhere(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    kept = json.loads(lab.file(lab.run[-1], "trainer_state.json"))["log_history"]
    before = next(entry["loss"] for entry in kept if entry["step"] == 35)
    metrics = {**lab.run[-1].metrics, "train_loss": round((before + 0.5) / 2 * 1_000_000)}
    last = _history(lab, scratch, 40, 0.5, metrics=metrics)
    return Planted(claim(lab, [*lab.run[:-1], last], scratch)[-1], {"replay_segments": 4}, (3,))


@fraud("score invented in the model card", check="model-card-from-manifests", words="Claims go below")
def score_in_the_card(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    card = lab.file(lab.weights, "README.md").replace(b"## Data", b"**Better than GPT-4 in MMLU: 93.1**\n\n## Data")
    return Planted(lab.forge(lab.weights, scratch, {"README.md": card}))


@fraud("license changed in the model card's text", check="model-card-from-manifests", words="'MIT'; by manifests")
def license_in_the_card(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    card = lab.file(lab.weights, "README.md").replace(b"\nApache-2.0\n", b"\nMIT\n")
    return Planted(lab.forge(lab.weights, scratch, {"README.md": card}))


@fraud("claim in the header of the weights", check="weights-headers-plain", words="the trainer writes")
def claim_in_the_header(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    data = save(load(lab.file(lab.weights, "model.safetensors")), metadata={"format": "pt", "mmlu": "93.1"})
    return Planted(lab.forge(lab.weights, scratch, {"model.safetensors": data}))


@fraud("fine-tuning that changes nothing", check="changed-from-base", words="nothing was trained")
def nothing_trained(lab: Any, runs: DishonestRuns, scratch: Path) -> Planted:
    """What a learning rate of 1e-30 leaves behind: the base model, under another name."""
    honest = runs.tuned["full"].weights
    return Planted(lab.forge(honest, scratch, {"model.safetensors": lab.file(lab.weights, "model.safetensors")}))


def _text(root: Path) -> Path:
    for part in ("train", "heldout"):
        (root / part).mkdir(parents=True)
        for index in range(3):
            words = hashlib.sha256(f"{part}{index}".encode()).hexdigest()
            (root / part / f"{index}.txt").write_text(f"{part} {index} {words}\n" * 20)
    return root
