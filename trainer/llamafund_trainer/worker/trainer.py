"""Our `Trainer`: it takes samples in their order, explains why it stops, and can pause between two checkpoints."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import distributed
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.trainer_pt_utils import nested_gather

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.files import machine_trouble, storage_error
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_trainer.process.pause import Pause, PauseRecord
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.callback import DivergedError, wait_for_all
from llamafund_trainer.seeds import library_seed, step_seed
from llamafund_trainer.tensors.optimizer_settings import RNG_STATE, SCHEDULER_STATE
from llamafund_trainer.worker.fsdp import ShardedTrainer

Progress = Callable[[int, float | None], None]
"""Called after each step with the number of steps done, and with the loss if it was just logged."""

_NEARLY_FULL = 1 << 20
"""If fewer bytes are free after a failed write, the disk counts as full."""


class OrderedTrainer(Trainer):
    """Takes the samples in their order, explains why it stops, and can pause between two checkpoints."""

    def __init__(
        self,
        *,
        told_to_stop: Callable[[], bool],
        pause: Callable[[OrderedTrainer], None],
        keeps_state: Callable[[int], bool],
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self._told_to_stop = told_to_stop
        self._pause = pause
        self._keeps_state = keeps_state
        self._saves_whole_state = False
        self.paused = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        samples: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(samples)

    def save_initial_checkpoint(self) -> None:
        """Save step 0 like any other step."""
        model: Any = self.model
        self._save_checkpoint(model, trial=None)
        self.control = self.callback_handler.on_save(self.args, self.state, self.control)

    def save_state_together(self, directory: Path) -> Path:
        """Save what resuming needs below an existing directory, like a checkpoint. Returns where.

        Every process must call it. When it returns, all of them have written their part.
        """
        wait_for_all()
        model: Any = self.model
        before, self.args.output_dir = self.args.output_dir, str(directory)
        self._saves_whole_state = True
        try:
            self._save_checkpoint(model, trial=None)
        finally:
            self.args.output_dir = before
            self._saves_whole_state = False
        wait_for_all()
        state = directory / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            (state / "training_args.bin").unlink(missing_ok=True)
        return state

    def losses_since_log(self) -> tuple[list[float], int]:
        """For each process the sum of its losses since the last log, and the step of that log."""
        gather: Any = nested_gather
        sums = gather(self._tr_loss, self.args.parallel_mode).reshape(-1)
        return [float(each) for each in sums.tolist()], int(self._globalstep_last_logged)

    def restore_losses(self, record: PauseRecord) -> None:
        """Restore the losses, so that the next log is that of a run without a pause."""
        self._tr_loss += float.fromhex(record.losses[self.args.process_index])
        self._globalstep_last_logged = record.logged

    def _maybe_log_save_evaluate(self, tr_loss: Any, *rest: Any, **named: Any) -> None:
        step, loss = self.state.global_step, float(tr_loss.item())
        diverged, stop = self._any_process(not math.isfinite(loss), self._told_to_stop())
        if diverged:
            raise DivergedError(f"The loss is {loss} at step {step}")
        saves = self.control.should_save
        super()._maybe_log_save_evaluate(tr_loss, *rest, **named)
        if stop and not self.paused and step < self.state.max_steps:
            self.paused = True
            if not (saves and self._keeps_state(step)):
                self._pause(self)
            self.control.should_training_stop = True

    def _any_process(self, *facts: bool) -> list[bool]:
        """Which facts hold in any process, so that all processes do the same."""
        if self.args.world_size == 1:
            return list(facts)
        shared = torch.tensor(facts, dtype=torch.int32, device=self.args.device)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return [bool(fact) for fact in shared.tolist()]

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self._saves_whole_state or self._keeps_state(self.state.global_step):
            super()._save_optimizer_and_scheduler(output_dir)
        elif self.args.should_save:
            scheduler: Any = self.lr_scheduler
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_STATE)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.args.world_size == 1:
            return
        # All processes start from one seed and draw the same numbers, so one state is enough.
        own = Path(output_dir) / f"rng_state_{self.args.process_index}.pth"
        if self.args.should_save:
            torch.save(torch.load(own, weights_only=False), own.with_name(RNG_STATE))
        own.unlink()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _loading("weights"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _loading("optimizer and scheduler"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.args.world_size == 1:
            with _loading(RNG_STATE):
                super()._load_rng_state(checkpoint)
            return
        with ScratchFolder("state") as place:
            own = place / f"rng_state_{self.args.process_index}.pth"
            own.write_bytes((Path(checkpoint) / RNG_STATE).read_bytes())
            with _loading(RNG_STATE):
                super()._load_rng_state(str(place))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise _save_error(error, Path(str(self.args.output_dir)), self.state.global_step) from error


class OrderedShardedTrainer(OrderedTrainer, ShardedTrainer):
    """The same trainer for a model that is split among the processes."""


class StepsCallback(TrainerCallback):
    """Saves step 0, seeds each step, stops at the end of a segment, and reports progress."""

    def __init__(self, seed: str, stop: int, progress: Progress, pause: Pause | None) -> None:
        self.trainer: OrderedTrainer | None = None
        self._seed = seed
        self._stop = stop
        self._progress = progress
        self._resumed = pause

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        if self.trainer is None:
            return
        if state.global_step == 0:
            self.trainer.save_initial_checkpoint()
        elif self._resumed is not None:
            self.trainer.restore_losses(self._resumed.record)

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        set_seed(step_seed(self._seed, state.global_step))

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        if state.global_step >= self._stop:
            control.should_training_stop = True
        self._progress(state.global_step, None)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        last = state.log_history[-1] if state.log_history else {}
        if "loss" in last:
            self._progress(state.global_step, float(last["loss"]))


def training_arguments(recipe: Recipe, seed: str, output: Path) -> TrainingArguments:
    """The Trainer's arguments for a recipe.

    Args:
        recipe: The recipe.
        seed: The training seed.
        output: Directory for the checkpoints.
    """
    training, optimizer = recipe.training, recipe.optimizer
    return TrainingArguments(
        output_dir=str(output),
        use_cpu=recipe.determinism.device == "cpu",
        full_determinism=True,
        bf16=recipe.precision.dtype == "bfloat16",
        seed=library_seed(seed),
        data_seed=library_seed(seed),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size // recipe.determinism.processes,
        ddp_backend="gloo" if recipe.determinism.processes > 1 and recipe.determinism.device == "cpu" else None,
        ddp_timeout=recipe.evaluation.timeout,
        gradient_accumulation_steps=training.gradient_accumulation,
        optim="adamw_torch",
        learning_rate=optimizer.learning_rate,
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        adam_epsilon=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_gradient_norm,
        lr_scheduler_type=recipe.schedule.kind,
        warmup_steps=recipe.schedule.warmup_steps,
        logging_strategy="steps",
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=training.checkpoint_every,
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def write_state(recipe: Recipe, step: int, directory: Path) -> None:
    """Write the bookkeeping that the Trainer resumes from. The published file decides nothing."""
    training = recipe.training
    exported: Any = TrainerControl()
    state = TrainerState(
        epoch=step / training.steps,
        global_step=step,
        max_steps=training.steps,
        logging_steps=training.log_every,
        save_steps=training.checkpoint_every,
        num_train_epochs=1,
        train_batch_size=training.batch_size,
        stateful_callbacks=[exported],
    )
    state.save_to_json(str(directory / "trainer_state.json"))


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """Say which part of a state training cannot go on from. Whoever published it published no state of this run.

    Raises:
        VerificationError: The bytes are no such state.
        LlamafundError: The machine cannot read them.
    """
    try:
        yield
    except LlamafundError:
        raise
    except Exception as error:
        action, said = f"Reading the {what}", " ".join(str(error).split())[:300]
        raise (
            machine_trouble(error, action)
            or VerificationError(
                f"Training cannot go on from the checkpoint's {what}",
                f"{type(error).__name__}: {said}",
                "Do not use it",
            )
        ) from error


def _save_error(error: Exception, directory: Path, step: int) -> LlamafundError:
    """One message for a full disk, which torch and safetensors each report in their own way."""
    if isinstance(error, OSError) and error.errno is not None:
        return storage_error(error, f"Writing the checkpoint after step {step}")
    reason = " ".join(str(error).split())[:300]
    full = "os error 28" in reason.lower() or shutil.disk_usage(directory).free < _NEARLY_FULL
    return LlamafundError(
        f"Writing the checkpoint after step {step} failed{': the disk is full' if full else ''}",
        reason,
        "Free some space and run the same command again to continue from the checkpoint before",
    )
