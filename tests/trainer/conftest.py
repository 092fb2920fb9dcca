"""One real, tiny run for all tests of a session, and builders that forge parts of it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from llamafund_chain.campaign.terms import MIN_BOND, NO_MINIMUM, Milestone, MilestoneKind, Payee, Terms
from llamafund_chain.chain.tokens import NATIVE
from llamafund_chain.checks.check import CheckContext
from llamafund_chain.evidence.hashing import hash_tree
from llamafund_chain.evidence.manifests import (
    CheckpointManifest,
    DatasetManifest,
    DatasetPromise,
    EvidenceManifest,
    ExpectedOutcome,
    MilestonePromise,
    Party,
    ProposalManifest,
    WeightsManifest,
)
from llamafund_chain.store import LocalStore
from llamafund_chain.store.content import fetch_manifest, fetch_tree, publish_tree
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer.recipe import RecipeFile, parse_recipe
from llamafund_trainer.runs.export import export_weights
from llamafund_trainer.runs.run import RunRecord, train_run

SEED = "5a" * 32
OTHER_SEED = "c3" * 32
LICENSE = "Apache-2.0"
ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
RECIPE = b"""\
schema: llamafund/recipe/1
title: A Llama for tests
model: {hidden_size: 32, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 64}
tokenizer: {vocab_size: 300}
data: {context_length: 32}
optimizer: {learning_rate: 0.02}
schedule: {kind: cosine, warmup_steps: 2}
training: {steps: 40, batch_size: 4, gradient_accumulation: 2, checkpoint_every: 10, log_every: 5}
determinism: {threads: 1, instruction_set: avx2}
"""

FINE_TUNING = """\
schema: llamafund/recipe/1
title: A Llama for tests, fine-tuned
model: {{base: "{base}"}}
data: {{context_length: 32}}
optimizer: {{learning_rate: 0.005}}
training: {{steps: 4, batch_size: 4, gradient_accumulation: 2, checkpoint_every: 2, log_every: 2}}
determinism: {{threads: 1, instruction_set: avx2}}
"""
LORA = "lora: {rank: 4, dropout: 0.1}\n"

M = TypeVar("M", bound=EvidenceManifest)


@dataclass(frozen=True)
class Lab:
    """A published dataset and two published runs of one recipe; nothing in it changes.

    Attributes:
        run: With `SEED`.
        other: With `OTHER_SEED`.
        weights: Exported from `run`.
        folder: Where `run` was trained.
        exported: Where `weights` were exported.
    """

    store: LocalStore
    recipe: RecipeFile
    dataset: DatasetManifest
    run: tuple[CheckpointManifest, ...]
    other: tuple[CheckpointManifest, ...]
    weights: WeightsManifest
    folder: Path
    exported: Path

    def forge(self, honest: M, scratch: Path, changed: Mapping[str, bytes] | None = None, **fields: object) -> M:
        """Publish a copy of a manifest in which files or fields are changed, and everything fits."""
        root = scratch / honest.sha256[:12]
        fetch_tree(self.store, honest, root)
        for path, data in (changed or {}).items():
            (root / path).write_bytes(data)
        tree = hash_tree(root)
        values = {**dict(honest), "files": tree.files, "content": tree.content, **fields}
        forged = type(honest).model_validate(values)
        publish_tree(self.store, root, forged)
        return forged

    def publish_fixed(self, learning_rate: float = 0.02, **changes: str) -> str:
        """Publish the recipe with an environment: this machine's, with some settings changed. Returns its hash."""
        data = self.recipe.data.replace(b"learning_rate: 0.02", f"learning_rate: {learning_rate}".encode())
        return self.store.put_bytes(fixed(data, self.run[0].environment, **changes)).sha256

    def relink(self, links: list[CheckpointManifest], scratch: Path) -> tuple[CheckpointManifest, ...]:
        """Publish checkpoints anew as one chain that begins at the dataset."""
        chain: list[CheckpointManifest] = []
        for link in links:
            parent = chain[-1].sha256 if chain else self.dataset.sha256
            hashes = tuple(before.sha256 for before in chain)
            chain.append(self.forge(link, scratch / str(link.steps.last), parent=parent, chain=hashes))
        return tuple(chain)

    def file(self, manifest: EvidenceManifest, path: str) -> bytes:
        return self.store.read(manifest.entry(path).cid, limit=10**8)


@dataclass(frozen=True)
class Tuned:
    """A published fine-tuning of the lab's open weights; nothing in it changes.

    Attributes:
        folder: Where it was trained.
        exported: Where `weights` were exported.
    """

    recipe: RecipeFile
    run: tuple[CheckpointManifest, ...]
    weights: WeightsManifest
    folder: Path
    exported: Path


def fine_tuning_recipe(base: str, *sections: str) -> RecipeFile:
    """A recipe that goes on from a base model, with further sections."""
    return parse_recipe((FINE_TUNING.format(base=base) + "".join(sections)).encode())


def write_corpus(root: Path) -> None:
    """Sentences with some structure, all different, held-out ones included."""
    people = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald")
    things = ("lamp", "letter", "garden", "machine", "number", "river", "window")
    for part, offset, count in (("train", 0, 60), ("heldout", 1000, 6)):
        (root / part).mkdir(parents=True)
        for index in range(count):
            lines = [
                f"{people[(index + line) % 6]} sees the {things[(index * line) % 7]} of "
                f"{people[(index * 5 + line) % 6]}, "
                f"and the {things[(line + index) % 7]} has the number {offset + index * 31 + line}.\n"
                for line in range(8)
            ]
            (root / part / f"{index:03}.txt").write_text("".join(lines))


NAMED = ("accelerate", "numpy", "processor_class", "safetensors", "tokenizers", "torch", "transformers")
"""Settings that an environment for the CPU must name."""


def fixed(recipe: bytes, environment: Mapping[str, str], **changes: str) -> bytes:
    """A recipe that names the environment of a record, with some settings changed."""
    named = {name: changes.get(name, environment[name]) for name in NAMED}
    return recipe + f"environment: {json.dumps(named)}\n".encode()


def record(lab_recipe: RecipeFile, dataset: DatasetManifest, seed: str = SEED, **changes: object) -> RunRecord:
    values = {
        "recipe": lab_recipe.sha256,
        "dataset": dataset.sha256,
        "seed": seed,
        "parent": dataset.sha256,
        "milestone_steps": (40,),
    }
    return RunRecord.model_validate({**values, **changes})


def _build(root: Path) -> None:
    store = LocalStore(root / "store")
    write_corpus(root / "corpus")
    dataset = build_dataset(
        root / "corpus", title="Letters", source="made here", license="CC0-1.0", preparation="none", store=store
    )
    recipe = parse_recipe(RECIPE)
    hashes = [dataset.sha256]
    for seed in (SEED, OTHER_SEED):
        run = train_run(store, recipe, record(recipe, dataset, seed), root / f"run-{seed[:2]}")
        hashes.append(run[-1].sha256)
    head = fetch_manifest(store, hashes[1], CheckpointManifest)
    (root / "work").mkdir()
    weights = export_weights(store, head, root / "exported", license=LICENSE, workdir=root / "work")
    (root / "ready").write_text("\n".join([*hashes, weights.sha256]))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Lab:
    """Trained once, also when several processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "trainer-lab"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "ready").exists():
            _build(root)
    dataset, run, other, weights = (root / "ready").read_text().split("\n")
    store = LocalStore(root / "store")

    def links(sha256: str) -> tuple[CheckpointManifest, ...]:
        head = fetch_manifest(store, sha256, CheckpointManifest)
        return (*(fetch_manifest(store, link, CheckpointManifest) for link in head.chain), head)

    return Lab(
        store=store,
        recipe=parse_recipe(RECIPE),
        dataset=fetch_manifest(store, dataset, DatasetManifest),
        run=links(run),
        other=links(other),
        weights=fetch_manifest(store, weights, WeightsManifest),
        folder=root / f"run-{SEED[:2]}",
        exported=root / "exported",
    )


@pytest.fixture(scope="session")
def tuned(lab: Lab, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Tuned]:
    """All weights trained (`full`), and an adapter (`lora`); once, also when several processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "trainer-tuned"
    root.mkdir(exist_ok=True)
    found: dict[str, Tuned] = {}
    for name, sections in (("full", ()), ("lora", (LORA,))):
        recipe = fine_tuning_recipe(lab.weights.sha256, *sections)
        place = root / name
        with (root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run = train_run(lab.store, recipe, record(recipe, lab.dataset, milestone_steps=(4,)), place)
            if not (root / f"{name}-ready").exists():
                (root / f"{name}-work").mkdir()
                weights = export_weights(
                    lab.store, run[-1], root / f"{name}-open", license=LICENSE, workdir=root / f"{name}-work"
                )
                (root / f"{name}-ready").write_text(weights.sha256)
        weights = fetch_manifest(lab.store, (root / f"{name}-ready").read_text(), WeightsManifest)
        found[name] = Tuned(recipe, run, weights, place, root / f"{name}-open")
    return found


@pytest.fixture
def random_weights() -> dict[str, np.ndarray]:
    """Weights of four layers."""
    source = np.random.default_rng(11)
    return {f"layer.{index}": source.normal(0, 0.05, (40, 30)).astype(np.float32) for index in range(4)}


@pytest.fixture
def dataset_store(lab: Lab, tmp_path: Path) -> LocalStore:
    """Holds the dataset and nothing of any run, so that only what a test publishes counts as published."""
    store = LocalStore(tmp_path / "dataset-store")
    fetch_tree(lab.store, lab.dataset, tmp_path / "dataset")
    publish_tree(store, tmp_path / "dataset", lab.dataset)
    return store


@pytest.fixture(scope="session")
def recipe() -> RecipeFile:
    """The recipe of the lab's runs."""
    return parse_recipe(RECIPE)


@pytest.fixture
def experts(lab: Lab, tmp_path: Path) -> Path:
    """A directory with a mixture of experts that has learnt nothing, and the lab's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    place = tmp_path / "experts"
    config = AutoConfig.for_model(
        "glm4_moe",
        vocab_size=300,
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).write_bytes((lab.exported / name).read_bytes())
    return place


@pytest.fixture(scope="session")
def tuned_recipe() -> Callable[..., RecipeFile]:
    """Makes recipes that go on from a base model."""
    return fine_tuning_recipe


@pytest.fixture
def new_record(lab: Lab) -> Callable[..., RunRecord]:
    """Describes a run of the lab's recipe and data."""

    def make(**changes: object) -> RunRecord:
        return record(lab.recipe, lab.dataset, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def proposal(lab: Lab) -> ProposalManifest:
    """What the run was promised as."""
    return make_proposal(lab.dataset, lab.recipe)


def make_proposal(dataset: DatasetManifest, recipe: RecipeFile, checkpoints: int = 1) -> ProposalManifest:
    kinds = ("DATASET", *("CHECKPOINT",) * checkpoints, "WEIGHTS")
    return ProposalManifest(
        title="A model of letters",
        summary="Tiny.",
        objectives=("show that the trainer works",),
        outcome=ExpectedOutcome(
            metric="heldout_bits_per_byte", direction="lower", target=5_000_000, evaluation="by the trainer"
        ),
        dataset=DatasetPromise(
            manifest=dataset.sha256, description="letters", sources=("made here",), license="CC0-1.0"
        ),
        model="a tiny Llama",
        recipe=recipe.sha256,
        compute="seconds",
        budget="none",
        milestones=tuple(MilestonePromise(kind=kind, title=kind, description=kind) for kind in kinds),
        license=LICENSE,
        researcher=Party(name="Rosa", address=ADDRESS),
        attestors=(Party(name="Vera", address=ADDRESS, promise="repeat"),),
    )


@pytest.fixture
def context(lab: Lab, proposal: ProposalManifest, tmp_path: Path) -> Callable[..., CheckContext]:
    """Builds what a check looks at; for weights, with the run's last checkpoint attested before them."""

    def make(evidence: EvidenceManifest, **changes: object) -> CheckContext:
        weights = isinstance(evidence, WeightsManifest)
        workdir = tmp_path / "work"
        workdir.mkdir(exist_ok=True)
        values: dict[str, object] = {
            "store": lab.store,
            "proposal": proposal,
            "terms": _terms(proposal, lab.dataset),
            "chain_id": 31337,
            "campaign": ADDRESS,
            "training_seed": SEED,
            "milestone": 2 if weights else 1,
            "evidence": evidence,
            "ancestry": (lab.dataset, lab.run[-1]) if weights else (lab.dataset,),
            "score": evidence.score,
            "entropy": b"entropy",
            "replay_segments": 0,
            "workdir": workdir,
            "progress": lambda _: None,
        }
        return CheckContext(**{**values, **changes})  # type: ignore[arg-type]

    return make


def _terms(proposal: ProposalManifest, dataset: DatasetManifest) -> Terms:
    kinds = ((MilestoneKind.DATASET, 2_000), (MilestoneKind.CHECKPOINT, 3_000), (MilestoneKind.WEIGHTS, 5_000))
    return Terms(
        researcher=ADDRESS,
        asset=NATIVE,
        goal=10,
        cap=20,
        funding_deadline=10,
        stop_bps=5_000,
        challenge_window=1,
        answer_window=1,
        min_bond=MIN_BOND,
        slack=0,
        proposal=proposal.sha256,
        dataset=dataset.sha256,
        attestors=(ADDRESS,),
        quorum=1,
        payees=(Payee(account=ADDRESS, bps=10_000),),
        milestones=tuple(Milestone(kind=kind, bps=bps, deadline=20, min_score=NO_MINIMUM) for kind, bps in kinds),
    )
