"""The Lightning callback: the same evidence as with Hugging Face's `Trainer`."""

from __future__ import annotations

import json
import math
import sys
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from safetensors.torch import save_model

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.callback import DivergedError, samples_hash
from llamafund_trainer.record.environment import observed_environment
from llamafund_trainer.record.recorder import Recorder

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
    from llamafund_chain.store import Store

STATE = "state.ckpt"
"""Lightning's own checkpoint: what `Trainer.fit(ckpt_path=…)` goes on from."""


class LightningAttestationCallback(Callback):
    """Saves and records a checkpoint every so many optimizer steps.

    Each checkpoint holds Lightning's own state and the weights as `model.safetensors`, which is what `export`
    publishes. A module with a Hugging Face model in its attribute `model` gets that model's configuration too.

    Args:
        directory: For evidence and checkpoints.
        recipe: A file that says how the training goes, for example the training script.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, 64 hexadecimal digits; without a campaign any others.
        every: Optimizer steps from one checkpoint to the next.
        data: The directory that the training reads; its files must be the manifest's.
        parent: Evidence that the run grows out of; the dataset when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.

    Raises:
        UsageError: As `Recorder`; `every` is not positive.
        DivergedError: The loss is not a finite number where a checkpoint is due.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        recipe: Path | str,
        dataset: Path | str,
        seed: str,
        every: int,
        data: Path | str | None = None,
        parent: str | None = None,
        milestone_steps: tuple[int, ...] = (),
        store: Store | Path | str | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"A checkpoint every {every} steps makes no sense", remedy="Give 1 or more")
        self.recorder = Recorder(
            directory,
            recipe=recipe,
            dataset=dataset,
            seed=seed,
            data=data,
            parent=parent,
            milestone_steps=milestone_steps,
            store=store,
        )
        self._every = every
        self._step = -1

    def resume_from(self) -> tuple[int, str | None]:
        """The last complete checkpoint: its step, and what to give `Trainer.fit(ckpt_path=…)`; else 0 and `None`.

        Lightning begins an interrupted epoch anew. Give the `DataLoader` a `SeededSampler` that begins at the
        number of samples seen, and the run goes on to the same bytes.
        """
        found = self.recorder.latest()
        return (0, None) if found is None else (found.step, str(found.directory / STATE))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to record; the initial weights are the first checkpoint."""
        self._step = trainer.global_step
        if trainer.is_global_zero:
            environment = observed_environment(pl_module)
            environment["processes"] = str(trainer.world_size)
            environment["precision"] = str(trainer.precision)
            environment["samples"] = samples_hash(getattr(trainer.train_dataloader, "dataset", None))
            self.recorder.begin(self._step, environment)
        if self._step == 0:
            self._save(trainer, pl_module, {})

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Save where a checkpoint is due."""
        if trainer.global_step == self._step:
            return  # More batches belong to this optimizer step.
        self._step = trainer.global_step
        if trainer.is_global_zero:
            self.recorder.check()
        if self._step % self._every:
            return
        loss = float(outputs["loss"].detach()) if isinstance(outputs, dict) else float(outputs.detach())
        if not math.isfinite(loss):
            if trainer.is_global_zero:
                self.recorder.wait()
            raise DivergedError(
                f"The loss is {loss} at step {self._step}",
                f"The evidence before is kept in {str(self.recorder.directory)!r}",
                "Lower the learning rate, or look at the samples of the steps before",
            )
        self._save(trainer, pl_module, {"train_loss": round(loss * 1_000_000)})

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Record the end of the run, and wait until everything is recorded."""
        if trainer.is_global_zero:
            self.recorder.wait()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Let equal states be equal bytes, also after the run was interrupted."""
        for name in list(checkpoint):
            checkpoint[sys.intern(name)] = _with_one_of_each_text(checkpoint.pop(name))

    def end(self) -> tuple[CheckpointManifest, ...]:
        """The manifests of the run, oldest first; raises as `Recorder.end`."""
        return self.recorder.end()

    def export(self, directory: Path | str, *, license: str, score: int, **details: Any) -> WeightsManifest:
        """Write the open weights; see `Recorder.export`."""
        return self.recorder.export(directory, license=license, score=score, **details)

    def _save(self, trainer: Any, pl_module: Any, metrics: dict[str, int]) -> None:
        directory = self.recorder.directory / "checkpoints" / f"checkpoint-{self._step}"
        # Every process has a part in this; only the first one writes.
        trainer.save_checkpoint(directory / STATE)
        trainer.strategy.barrier("llamafund")
        if not trainer.is_global_zero:
            return
        model: Any = getattr(pl_module, "model", None)
        if hasattr(model, "save_pretrained"):
            model.save_pretrained(directory)
        else:
            save_model(pl_module, str(directory / "model.safetensors"))
            names = sorted(name for name, _ in pl_module.named_parameters())
            (directory / "config.json").write_text(json.dumps({"class": type(pl_module).__name__, "parameters": names}))
        self.recorder.checkpoint(self._step, directory, metrics)


def _with_one_of_each_text(value: Any) -> Any:
    """The same value in which equal texts are one object: a pickle tells one object twice from two that are equal."""
    if isinstance(value, str):
        return sys.intern(str(value))
    if type(value) in (dict, OrderedDict):
        rebuilt = type(value)(
            (_with_one_of_each_text(name), _with_one_of_each_text(item)) for name, item in value.items()
        )
        if isinstance(value, OrderedDict):
            rebuilt.__dict__.update(_with_one_of_each_text(value.__dict__))  # Versions of a module's parts.
        return rebuilt
    if type(value) in (list, tuple):
        return type(value)(map(_with_one_of_each_text, value))
    return value
