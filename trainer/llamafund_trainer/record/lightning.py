"""The Lightning callback: the same evidence as with Hugging Face's `Trainer`."""

from __future__ import annotations

import math
import sys
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.callback import DivergedError
from llamafund_trainer.record.environment import observed_environment
from llamafund_trainer.record.files import save_model
from llamafund_trainer.record.processes import Processes
from llamafund_trainer.record.recorder import Recorder
from llamafund_trainer.record.repeat import RepeatWarning, doubts_of_lightning, require_place
from llamafund_trainer.record.samples import samples_hash

if TYPE_CHECKING:
    from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest
    from llamafund_chain.store import Store

STATE = "state.ckpt"
"""Lightning's own checkpoint, from which `Trainer.fit(ckpt_path=…)` continues."""


class LightningAttestationCallback(Callback):
    """Saves and records a checkpoint every so many optimizer steps, and one after the last step.

    Each checkpoint holds Lightning's own state, and the weights as `model.safetensors`, which `export` publishes. If
    the module has a Hugging Face model in its attribute `model`, that model's configuration is saved, too.

    Args:
        directory: For evidence and checkpoints.
        recipe: As in `Recorder`.
        program: As in `Recorder`.
        inputs: As in `Recorder`.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, or any other 64 hexadecimal digits without a campaign.
        every: Optimizer steps from one checkpoint to the next.
        data: The directory that the training reads. Its files must match the manifest.
        parent: SHA-256 of the evidence before the run; the dataset's when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.
        bind_samples: As in `AttestationCallback`.

    Raises:
        UsageError: As in `Recorder`, or `every` is not positive; or, when training starts, a `SeededSampler` starts at
            another sample than the next one.
        DivergedError: The loss is not a finite number when a checkpoint is due.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        recipe: Path | str | None = None,
        program: Sequence[Path | str] = (),
        inputs: Mapping[str, Path | str] | None = None,
        dataset: Path | str,
        seed: str,
        every: int,
        data: Path | str | None = None,
        parent: str | None = None,
        milestone_steps: tuple[int, ...] = (),
        store: Store | Path | str | None = None,
        bind_samples: bool = True,
    ) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"A checkpoint every {every} steps is impossible", remedy="Give 1 or more")
        self.recorder = Recorder(
            directory,
            recipe=recipe,
            program=program,
            inputs=inputs,
            dataset=dataset,
            seed=seed,
            data=data,
            parent=parent,
            milestone_steps=milestone_steps,
            store=store,
        )
        self._processes = Processes()
        self._every = every
        self._bind_samples = bind_samples
        self._step = self._saved = -1

    def resume_from(self) -> tuple[int, str | None]:
        """The last complete checkpoint: its step, and the argument for `Trainer.fit(ckpt_path=…)`. Else 0 and `None`.

        Lightning restarts an interrupted epoch. Give the `DataLoader` a `SeededSampler` that starts at the number of
        samples seen; then the run continues to the same bytes.
        """
        found = self.recorder.latest()
        return (0, None) if found is None else (found.step, str(found.directory / STATE))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start recording; the initial weights are the first checkpoint."""
        self._step = self._saved = trainer.global_step
        require_place(trainer, pl_module)
        if trainer.is_global_zero:
            for doubt in doubts_of_lightning(trainer, pl_module):
                warnings.warn(doubt, RepeatWarning, stacklevel=2)
            environment = observed_environment(pl_module)
            environment["processes"] = str(trainer.world_size)
            environment["precision"] = str(trainer.precision)
            if self._bind_samples:
                environment["samples"] = samples_hash(getattr(trainer.train_dataloader, "dataset", None))
            self.recorder.begin(self._step, environment)
        if self._step == 0:
            self._save(trainer, pl_module, {})

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Save if a checkpoint is due."""
        if trainer.global_step == self._step:
            return  # This optimizer step has more batches.
        self._step = trainer.global_step
        if trainer.is_global_zero:
            self.recorder.check()
        # With several optimizers, a batch has several steps.
        if self._step // self._every == self._saved // self._every:
            return
        loss = _loss(outputs)
        if loss is None:
            self._save(trainer, pl_module, {})
            return
        if not math.isfinite(loss):
            if trainer.is_global_zero:
                self.recorder.wait()
            raise DivergedError(
                f"The loss is {loss} at step {self._step}",
                f"The evidence of the steps before is kept in {str(self.recorder.directory)!r}",
                "Lower the learning rate, or look at the samples of the last steps",
            )
        self._save(trainer, pl_module, {"train_loss": round(loss * 1_000_000)})

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Save what the last step made, and wait until everything is recorded."""
        if self._step > self._saved:
            self._save(trainer, pl_module, {})
        if trainer.is_global_zero:
            self.recorder.wait()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Let equal states give equal bytes, even after an interruption."""
        for name in list(checkpoint):
            checkpoint[sys.intern(name)] = _with_one_of_each_text(checkpoint.pop(name))

    def end(self) -> tuple[CheckpointManifest, ...]:
        """The manifests of the run, oldest first. See `Recorder.end`."""
        return self.recorder.end()

    def export(self, directory: Path | str, *, license: str, score: int, **details: Any) -> WeightsManifest:
        """Write the open weights; see `Recorder.export`."""
        return self.recorder.export(directory, license=license, score=score, **details)

    def _save(self, trainer: Any, pl_module: Any, metrics: dict[str, int]) -> None:
        self._saved = self._step
        directory = self.recorder.directory / "checkpoints" / f"checkpoint-{self._step}"
        # Every process must take part in this; only the first one writes.
        trainer.save_checkpoint(directory / STATE)
        trainer.strategy.barrier("llamafund")
        self._processes.require_same_files(directory)
        if not trainer.is_global_zero:
            return
        model: Any = getattr(pl_module, "model", None)
        save_model(model if hasattr(model, "save_pretrained") else pl_module, directory)
        self.recorder.checkpoint(self._step, directory, metrics)


def _loss(outputs: Any) -> float | None:
    """The loss of a batch; `None` for one that was skipped, and with manual optimisation that returns none."""
    value = outputs.get("loss") if isinstance(outputs, dict) else outputs
    return None if value is None else float(value.detach())


def _with_one_of_each_text(value: Any) -> Any:
    """The same value with one object for all equal strings, because a pickle tells one object from two equal ones."""
    if isinstance(value, str):
        return sys.intern(str(value))
    if type(value) in (dict, OrderedDict):
        rebuilt = type(value)(
            (_with_one_of_each_text(name), _with_one_of_each_text(item)) for name, item in value.items()
        )
        if isinstance(value, OrderedDict):
            rebuilt.__dict__.update(_with_one_of_each_text(value.__dict__))  # Holds the versions of a module's parts.
        return rebuilt
    if type(value) in (list, tuple):
        return type(value)(map(_with_one_of_each_text, value))
    return value
