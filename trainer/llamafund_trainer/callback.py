"""The Trainer callback that turns checkpoints into a hash chain of manifests.

It works with any Hugging Face `Trainer`: add it to the callbacks, and each checkpoint that the Trainer saves
gets a manifest whose parent is the checkpoint before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState

from llamafund_chain.hashing import hash_tree
from llamafund_chain.manifests import CheckpointManifest, StepRange
from llamafund_trainer.evaluation import DIVERGED, METRIC, TRAIN_LOSS
from llamafund_trainer.seeds import data_order_seed

LEFT_OUT = frozenset({"training_args.bin"})
"""Names the directory that a run was in, so it differs from run to run; and it is a pickle."""


@dataclass(frozen=True)
class RunIdentity:
    """What all checkpoints of one run have in common.

    Attributes:
        recipe: SHA-256 of the recipe file.
        dataset: SHA-256 of the dataset manifest.
        seed: The training seed, 64 hexadecimal digits.
        parent: Evidence that checkpoint 0 grows out of, 64 hexadecimal digits.
        milestone_steps: Steps after which a milestone's evidence is due; the list of earlier checkpoints in a
            manifest starts anew after each.
    """

    recipe: str
    dataset: str
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]


class AttestationCallback(TrainerCallback):
    """Writes a checkpoint manifest whenever the Trainer saves.

    Args:
        identity: What all manifests have in common.
        manifests: Existing directory for the manifests, one file a checkpoint.
        environment: What is recorded about this process.
        finish: Called with the checkpoint's directory before its files are hashed, to add files.
        measure: Called with the model; gives metrics in millionths.
        written: Called with each manifest, its directory and its file.
        history: Manifests of this run so far, oldest first, when it continues.
    """

    def __init__(
        self,
        identity: RunIdentity,
        manifests: Path,
        environment: Mapping[str, str],
        *,
        finish: Callable[[Path], None],
        measure: Callable[[Any], Mapping[str, int]],
        written: Callable[[CheckpointManifest, Path, Path], None],
        history: Sequence[CheckpointManifest] = (),
    ) -> None:
        self._identity = identity
        self._manifests = manifests
        self._environment = dict(environment)
        self._finish = finish
        self._measure = measure
        self._written = written
        self._parent = identity.parent
        self._chain: tuple[str, ...] = ()
        self._step = 0
        for manifest in history:
            self._advance(manifest)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Write the manifest of the checkpoint that was just saved."""
        directory = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        self._finish(directory)
        tree = hash_tree(directory, sorted(set(_files(directory)) - LEFT_OUT))
        metrics = {**_train_loss(state, self._step), **self._measure(kwargs["model"])}
        outcome = metrics.get(METRIC)
        manifest = CheckpointManifest(
            files=tree.files,
            content=tree.content,
            parent=self._parent,
            steps=StepRange(first=self._step, last=state.global_step),
            recipe=self._identity.recipe,
            dataset=self._identity.dataset,
            seed=self._identity.seed,
            data_order_seed=data_order_seed(self._identity.seed),
            metrics=metrics,
            environment=self._environment,
            chain=self._chain,
            outcome_score=None if outcome is None else -outcome,
        )
        path = self._manifests / manifest_name(state.global_step)
        path.write_bytes(manifest.to_bytes())
        self._advance(manifest)
        self._written(manifest, directory, path)

    def _advance(self, manifest: CheckpointManifest) -> None:
        self._parent = manifest.sha256
        self._step = manifest.steps.last
        due = self._step in self._identity.milestone_steps
        self._chain = () if due else (*self._chain, manifest.sha256)


def manifest_name(step: int) -> str:
    """File name of the manifest of the checkpoint after `step`."""
    return f"step-{step:08}.json"


def _files(directory: Path) -> list[str]:
    return [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]


def _train_loss(state: TrainerState, after: int) -> dict[str, int]:
    """Mean loss of the steps since the checkpoint before, in millionths of a nat per token."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry and entry["step"] > after]
    if not losses:
        return {}
    mean = math.fsum(losses) / len(losses)
    return {TRAIN_LOSS: round(mean * 1_000_000)} if math.isfinite(mean) else {DIVERGED: 1}
