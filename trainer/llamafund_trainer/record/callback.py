"""Callbacks for Hugging Face's `Trainer` and for everything built on it, such as TRL's trainers.

`AttestationCallback` turns the checkpoints that a Trainer saves into a hash chain of manifests.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import distributed
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.trainer_utils import SaveStrategy

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import CheckpointManifest, WeightsManifest, parse_as
from llamafund_chain.files import write_file
from llamafund_trainer.metric import DIVERGED, METRIC, TRAIN_LOSS
from llamafund_trainer.record.environment import observed_environment
from llamafund_trainer.record.files import save_model
from llamafund_trainer.record.processes import Processes
from llamafund_trainer.record.program import running_script
from llamafund_trainer.record.recorder import Recorder, RunIdentity, manifest_name, millionths
from llamafund_trainer.record.repeat import RepeatWarning, doubts_of_trainer
from llamafund_trainer.record.repetition import asked
from llamafund_trainer.record.samples import samples_hash
from llamafund_trainer.record.trainer_state import STATE, clean_state, place_best

if TYPE_CHECKING:
    from llamafund_chain.store import Store

__all__ = ["AttestationCallback", "DivergedError", "RecordingCallback", "RunIdentity", "manifest_name"]

_PLACES = frozenset(
    {"output_dir", "logging_dir", "run_name", "project", "trackio_space_id", "hub_token", "hub_model_id", "report_to"}
)
"""Training arguments that decide where things go, not what is computed."""


class DivergedError(LlamafundError):
    """The loss is not a finite number, so further training is useless."""


class RecordingCallback(TrainerCallback):
    """Hands each checkpoint that a Trainer saves to a `Recorder` that has begun.

    Args:
        recorder: The recorder.
        finish: Called with the checkpoint's directory before its files are hashed; may add files.
        measure: Called with the model; returns metrics in millionths.
        keep: As in `Recorder.checkpoint`.
    """

    def __init__(
        self,
        recorder: Recorder | None = None,
        *,
        finish: Callable[[Path], None] = lambda _: None,
        measure: Callable[[Any], Mapping[str, int]] = lambda _: {},
        keep: bool = False,
    ) -> None:
        self._recorder = recorder
        self._keep = keep
        self._finish = finish
        self._measure = measure
        self._processes = Processes()

    @property
    def recorder(self) -> Recorder:
        """The recorder.

        Raises:
            UsageError: There is none yet.
        """
        if self._recorder is None:
            raise UsageError("Nothing is recorded yet", "Training has not started", "Call trainer.train() first")
        return self._recorder

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Let a recording error stop the run."""
        if state.is_world_process_zero:
            self.recorder.check()

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Record the checkpoint that was just saved, once every process has written its part."""
        directory = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        self._processes.require_same_files(directory)
        if state.is_world_process_zero:
            self._finish(directory)
        measured = self._measure(kwargs["model"])
        if not state.is_world_process_zero:
            return
        metrics = {**_train_loss(state, self.recorder.step), **measured}
        outcome = metrics.get(METRIC)
        self.recorder.checkpoint(
            state.global_step,
            directory,
            metrics,
            outcome_score=None if outcome is None else -outcome,
            keep=self._keep,
        )

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Wait until everything is recorded, in every process."""
        if state.is_world_process_zero:
            self.recorder.wait()
            self.recorder.reached(state.global_step)
        wait_for_all()


class AttestationCallback(RecordingCallback):
    """Records the run of any `Trainer`: binds the dataset, chains the checkpoints, exports the weights.

    The Trainer must be seeded with the training seed's `library_seed`, and must save checkpoints. A hash of all
    samples is recorded, which binds the tokenised data in addition to the documents. The initial weights
    become the first checkpoint in `directory`, unless the model is already sharded when training starts. The last
    checkpoint is kept there, too, by links to its files, whatever the Trainer removes.

    When training starts, a `RepeatWarning` names each setting by which a resumed run would differ from one without an
    interruption.

    Under `torchrun` or `accelerate launch`, every process needs a callback with the same arguments and the same file
    system, on several machines, too. Only the first process writes evidence, once the others have written their part of
    a checkpoint and it sees all of that.

    Args:
        directory: For the evidence.
        dataset: The dataset manifest: its SHA-256, or its file.
        seed: The campaign's training seed, or any other 64 hexadecimal digits without a campaign.
        recipe: A file that says how the model is trained. If left out, the running script becomes a recipe that others
            can repeat; in a notebook, the training arguments and the model's configuration are only recorded.
        program: As in `Recorder`.
        inputs: As in `Recorder`.
        data: The directory that the training reads. Its files must match the manifest.
        parent: SHA-256 of the evidence before the run; the dataset's when `None`.
        milestone_steps: Steps of the campaign's CHECKPOINT milestones, if there are any.
        store: Where everything is published, as `open_store` takes it; nowhere when `None`.
        bind_samples: Whether to read every sample once before the first step, and record their hash. It is empty for
            an iterable dataset.

    Raises:
        UsageError: As in `Recorder`, when training starts; also if the Trainer has another seed or saves nothing, or
            if the processes do not see the same files.
        VerificationError: The run continues with other samples than it started with.
        DivergedError: The logged loss is not a finite number. (The Trainer hides such losses unless
            `logging_nan_inf_filter` is false.)
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        dataset: Path | str,
        seed: str,
        recipe: Path | str | None = None,
        program: Sequence[Path | str] = (),
        inputs: Mapping[str, Path | str] | None = None,
        data: Path | str | None = None,
        parent: str | None = None,
        milestone_steps: tuple[int, ...] = (),
        store: Store | Path | str | None = None,
        bind_samples: bool = True,
    ) -> None:
        super().__init__(finish=lambda checkpoint: clean_state(checkpoint / STATE), keep=True)
        self.directory = Path(directory)
        self._best: int | None = None
        self._describes_itself = recipe is None and running_script() is None
        described = self.directory / "recipe.json" if self._describes_itself else None
        self._recipe = described if recipe is None else Path(recipe)
        self._bind_samples = bind_samples
        self._follows = False
        self._arguments: dict[str, Any] = {
            "program": program,
            "inputs": inputs,
            "dataset": dataset,
            "seed": seed,
            "data": data,
            "parent": parent,
            "milestone_steps": milestone_steps,
            "store": store,
        }

    def resume_from(self, output_dir: Path | str) -> str | None:
        """The argument for `Trainer.train(resume_from_checkpoint=…)`: the last complete checkpoint, if there is one.

        Args:
            output_dir: The Trainer's output directory.

        Raises:
            UsageError: As in `Recorder`.
        """
        if asked() is None and not (self.directory / "manifests").exists():
            return None
        found = self._open().latest(output_dir)
        return None if found is None else str(found.directory)

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Start recording."""
        self._follows = not state.is_world_process_zero
        if not self._follows:
            self._begin(args, state, kwargs)
        self._processes.require_shared(self.directory)

    def _begin(self, args: Any, state: TrainerState, kwargs: Mapping[str, Any]) -> None:
        if args.save_strategy == SaveStrategy.NO:
            raise UsageError(
                "The Trainer saves no checkpoints: save_strategy is 'no'",
                "Evidence would end with the initial weights, and nothing could be exported",
                "Use save_strategy='steps' with a save_steps that divides the number of steps",
            )
        place_best(state, Path(str(args.output_dir)))
        model, loader = kwargs["model"], kwargs.get("train_dataloader")
        if self._describes_itself and self._recipe is not None:
            text = json.dumps(_describe(args, model), indent=1, sort_keys=True, default=str) + "\n"
            write_file(self._recipe, text.encode())
        recorder = self._open()
        if args.seed != recorder.library_seed or args.data_seed not in (None, recorder.library_seed):
            raise UsageError(
                f"The Trainer is seeded with {args.seed} (data_seed {args.data_seed})",
                f"From the training seed follows {recorder.library_seed}",
                "Use TrainingArguments(seed=library_seed(…)); the function is in llamafund_trainer",
            )
        for doubt in doubts_of_trainer(args, loader):
            warnings.warn(doubt, RepeatWarning, stacklevel=2)
        environment = observed_environment(model)
        if self._bind_samples:
            environment["samples"] = samples_hash(getattr(loader, "dataset", None))
        recorder.begin(state.global_step, environment)
        for manifest in recorder.manifests[-1:]:
            if self._bind_samples and manifest.environment.get("samples") != environment["samples"]:
                raise VerificationError(
                    f"The hash of the samples is {environment['samples']!r}",
                    f"The run started with {manifest.environment.get('samples')!r}",
                    "Continue with the same samples, or start a new run in a new directory",
                )
        self._recorder = recorder
        if state.global_step == 0 and not _is_sharded(model):
            recorder.checkpoint(0, lambda place: save_model(model, place))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Wait until everything is recorded, in every process, and note which weights the Trainer loaded."""
        super().on_train_end(args, state, control, **kwargs)
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._best = int(Path(state.best_model_checkpoint).name.rpartition("-")[2])

    def _open(self) -> Recorder:
        return Recorder(self.directory, recipe=self._recipe, **self._arguments)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Stop if the loss is not a finite number."""
        last = state.log_history[-1] if state.log_history else {}
        if "loss" in last and not math.isfinite(float(last["loss"])):
            if state.is_world_process_zero:
                self.recorder.wait()
            # The first process that fails ends the others.
            wait_for_all()
            raise DivergedError(
                f"The loss is {last['loss']} at step {state.global_step}",
                f"The evidence of the steps before is kept in {str(self.directory)!r}",
                "Lower the learning rate, or look at the samples of the last steps",
            )

    def end(self) -> tuple[CheckpointManifest, ...]:
        """The manifests of the run, oldest first, in every process. See `Recorder.end`."""
        if self._follows:
            paths = sorted((self.directory / "manifests").glob("step-*.json"))
            return tuple(parse_as(CheckpointManifest, path.read_bytes()) for path in paths)
        return self.recorder.end()

    def export(self, directory: Path | str, *, license: str, score: int, **details: Any) -> WeightsManifest:
        """Write the open weights; see `Recorder.export`.

        Of several processes, the first one writes them. The others need not call this; if they do, they wait for it.

        Raises:
            UsageError: As in `Recorder.export`; also if the Trainer went back to its best model, and no `step` says
                which weights are meant.
        """
        run, step = self.end(), details.get("step")
        last = run[-1].steps.last
        if step is None and self._best is not None and self._best != last:
            raise UsageError(
                f"The Trainer has loaded its best model, from step {self._best}; the last checkpoint is after {last}",
                "The weights in memory are not those of the last checkpoint",
                f"Say which ones you mean: export(..., step={self._best}) or export(..., step={last})",
            )
        if self._follows:
            parents = [manifest.sha256 for manifest in run if manifest.steps.last == (last if step is None else step)]
            return _written_manifest(Path(directory), parents[0] if parents else "")
        return self.recorder.export(directory, license=license, score=score, **details)


def _written_manifest(directory: Path, parent: str) -> WeightsManifest:
    """The manifest of weights that another process writes."""
    path = directory.parent / f"{directory.name}.json"
    while True:
        # Not a barrier: it would hang in the many programs in which only the first process exports.
        with contextlib.suppress(FileNotFoundError):
            manifest = parse_as(WeightsManifest, path.read_bytes())
            if manifest.parent == parent:
                return manifest
        time.sleep(0.1)


def _describe(args: Any, model: Any) -> dict[str, Any]:
    """The training arguments and the model's configuration, without paths on this machine."""
    config = getattr(model, "config", None)
    described: dict[str, Any] = {
        "arguments": {name: value for name, value in args.to_dict().items() if name not in _PLACES},
        "model": type(model).__name__,
        "config": {} if config is None else {**config.to_dict(), "_name_or_path": None},
    }
    adapters = getattr(model, "peft_config", None)
    if adapters is not None:
        described["adapters"] = {name: adapter.to_dict() for name, adapter in adapters.items()}
    return described


def _is_sharded(model: Any) -> bool:
    return any(hasattr(parameter, "device_mesh") for parameter in model.parameters())


def wait_for_all() -> None:
    """Wait for the other processes, if there are any."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()


def _train_loss(state: TrainerState, after: int) -> dict[str, int]:
    """Mean loss since the last checkpoint, in millionths of a nat per token."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry and entry["step"] > after]
    if not losses:
        return {}
    mean = math.fsum(losses) / len(losses)
    return millionths({TRAIN_LOSS: mean}) if math.isfinite(mean) else {DIVERGED: 1}
