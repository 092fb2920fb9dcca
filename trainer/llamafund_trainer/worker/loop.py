"""Training with the Hugging Face `Trainer` under full determinism, in the training process."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import distributed
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.trainer_pt_utils import nested_gather

from llamafund_chain.errors import LlamafundError
from llamafund_chain.files import storage_error, write_file
from llamafund_trainer.metric import DIVERGED, HELDOUT_BYTES, HELDOUT_TOKENS, METRIC
from llamafund_trainer.process.memory_limit import within
from llamafund_trainer.process.pause import Pause, PauseRecord, find_pause, unfinished_pause, write_pause
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.callback import DivergedError, RecordingCallback, wait_for_all
from llamafund_trainer.record.environment import recorded_environment
from llamafund_trainer.record.recorder import Recorder
from llamafund_trainer.seeds import data_order_seed, library_seed, step_seed
from llamafund_trainer.tensors.optimizer_settings import RNG_STATE
from llamafund_trainer.tensors.shards import WEIGHTS, whole_weights
from llamafund_trainer.worker.base_model import refuse_renamed
from llamafund_trainer.worker.corpus import Corpus
from llamafund_trainer.worker.fsdp import ShardedTrainer, shard_model
from llamafund_trainer.worker.heldout import bits_per_byte
from llamafund_trainer.worker.model import finish_fine_tuned, load_model, starting_model, whole_model
from llamafund_trainer.worker.samples import SampleOrder
from llamafund_trainer.worker.tokenizer import save_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llamafund_trainer.process.messages import Bounds

Progress = Callable[[int, float | None], None]
"""Called after each step with the number of steps done, and with the loss if it was just logged."""


_NEARLY_FULL = 1 << 20
"""If fewer bytes are free after a failed write, the disk counts as full."""


class _Samples(Dataset[dict[str, torch.Tensor]]):
    """All samples of a run, in their order."""

    def __init__(self, blocks: NDArray[np.int64], order: SampleOrder, count: int) -> None:
        self._blocks = torch.from_numpy(blocks)
        self._order = order
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        block = self._blocks[self._order[position]]
        return {"input_ids": block, "labels": block}


@dataclass(frozen=True)
class Places:
    """Where a run writes.

    Attributes:
        checkpoints: Directory of the checkpoints.
        pause: Directory for the state if the run is told to stop between two of them.
    """

    checkpoints: Path
    pause: Path


class _OrderedTrainer(Trainer):
    """Takes the samples in their order, explains why it stops, and can pause between two checkpoints."""

    def __init__(
        self, *, told_to_stop: Callable[[], bool], pause: Callable[[_OrderedTrainer], None], **rest: Any
    ) -> None:
        super().__init__(**rest)
        self._told_to_stop = told_to_stop
        self._pause = pause
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
        try:
            self._save_checkpoint(model, trial=None)
        finally:
            self.args.output_dir = before
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
            if not saves:
                self._pause(self)
            self.control.should_training_stop = True

    def _any_process(self, *facts: bool) -> list[bool]:
        """Which facts hold in any process, so that all processes do the same."""
        if self.args.world_size == 1:
            return list(facts)
        shared = torch.tensor(facts, dtype=torch.int32, device=self.args.device)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return [bool(fact) for fact in shared.tolist()]

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.args.world_size == 1:
            return
        # All processes start from one seed and draw the same numbers, so one state is enough.
        own = Path(output_dir) / f"rng_state_{self.args.process_index}.pth"
        if self.args.should_save:
            torch.save(torch.load(own, weights_only=False), own.with_name(RNG_STATE))
        own.unlink()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.args.world_size == 1:
            super()._load_rng_state(checkpoint)
            return
        with tempfile.TemporaryDirectory(prefix="llamafund-") as place:
            own = Path(place) / f"rng_state_{self.args.process_index}.pth"
            own.write_bytes((Path(checkpoint) / RNG_STATE).read_bytes())
            super()._load_rng_state(place)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise _save_error(error, Path(str(self.args.output_dir)), self.state.global_step) from error


class _OrderedShardedTrainer(_OrderedTrainer, ShardedTrainer):
    """The same trainer for a model that is split among the processes."""


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


class _Steps(TrainerCallback):
    """Saves step 0, seeds each step, stops at the end of a segment, and reports progress."""

    def __init__(self, seed: str, stop: int, progress: Progress, pause: Pause | None) -> None:
        self.trainer: _OrderedTrainer | None = None
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


def train(
    recipe: Recipe,
    corpus: Corpus,
    recorder: Recorder,
    places: Places,
    *,
    progress: Progress,
    told_to_stop: Callable[[], bool] = lambda: False,
    resume: int | None = None,
) -> int | None:
    """Train from the start, or from a checkpoint, to the end.

    Args:
        recipe: The recipe.
        corpus: The encoded data.
        recorder: Recorder of the run, which has not begun.
        places: Where to write.
        progress: Called after each step.
        told_to_stop: Asked after each step. If it returns true, the state is saved and the training stops.
        resume: Step of the checkpoint to continue from, which is in place; `None` to start from the seed. A pause
            that follows the checkpoint is used in its place.

    Returns:
        The step after which the training stopped because it was told to; `None` if it came to its end.

    Raises:
        DivergedError: The loss is not a finite number. `diverged.json`, beside the checkpoints' directory, says at
            which step and for which samples.
        LlamafundError: A file cannot be written.
    """

    def finish(directory: Path) -> None:
        if corpus.base is None:
            save_tokenizer(corpus.tokenizer, recipe.data.context_length, directory)
        else:
            if recipe.lora is None:
                model: Any = trainer.model
                refuse_renamed(model, corpus.base, directory / WEIGHTS)
            finish_fine_tuned(recipe, corpus.base, directory)

    def measure(model: Any) -> Mapping[str, int]:
        metrics = {HELDOUT_BYTES: corpus.heldout.size, HELDOUT_TOKENS: corpus.heldout.tokens}
        if recipe.determinism.sharding == "full":
            # The other processes are not here to send their parts, so read them from the disk.
            model = _saved_model(recipe, places.checkpoints / f"checkpoint-{trainer.state.global_step}")
        value = measure_model(model, recipe, corpus)
        return {**metrics, DIVERGED: 1} if value is None else {**metrics, METRIC: value}

    def pause(trainer: _OrderedTrainer) -> None:
        losses, logged = trainer.losses_since_log()
        unfinished = unfinished_pause(places.pause)
        if not trainer.is_world_process_zero():
            trainer.save_state_together(unfinished)
            return
        recorder.wait()
        write_pause(
            places.pause,
            trainer.save_state_together,
            step=trainer.state.global_step,
            after=recorder.head,
            losses=losses,
            logged=logged,
        )

    start = None if resume is None else places.checkpoints / f"checkpoint-{resume}"
    paused = None if resume is None else find_pause(places.pause, recorder.head_of(resume))
    work = _Work(recipe, corpus, recorder.identity.seed, places.checkpoints)
    callback = RecordingCallback(recorder, finish=finish, measure=measure)
    trainer = work.trainer(recipe.training.steps, progress, [callback], told_to_stop, pause, paused)
    if trainer.is_world_process_zero():
        recorder.begin(resume or 0, recorded_environment(recipe))
    begin = start if paused is None else paused.state
    try:
        trainer.train(resume_from_checkpoint=None if begin is None else str(begin))
    except DivergedError as error:
        recorder.end()
        if not trainer.is_world_process_zero():
            raise
        raise _explain_divergence(error, work, recorder, trainer.state.global_step) from error
    except LlamafundError:
        # Earlier checkpoints are still recorded as evidence; the first error is the one to report.
        with contextlib.suppress(LlamafundError):
            recorder.end()
        raise
    recorder.end()
    return int(trainer.state.global_step) if trainer.paused else None


def _explain_divergence(error: DivergedError, work: _Work, recorder: Recorder, step: int) -> DivergedError:
    count = work.recipe.samples_per_step
    order = work.order()
    blocks = [order[position] for position in range((step - 1) * count, step * count)]
    record = {
        "step": step,
        "samples": blocks,
        "seed": work.seed,
        "recipe": recorder.identity.recipe,
        "last_checkpoint": recorder.head,
        "last_checkpoint_step": recorder.step,
    }
    write_file(work.output.parent / "diverged.json", (json.dumps(record, indent=2) + "\n").encode())
    return DivergedError(
        error.what,
        f"The step used the samples {', '.join(map(str, blocks[:8]))}{' and more' if len(blocks) > 8 else ''}; "
        f"the evidence up to step {recorder.step} is kept",
        "Lower the learning rate, or look at these samples; diverged.json in the run's directory names all of them",
    )


def replay_segment(
    recipe: Recipe,
    corpus: Corpus,
    seed: str,
    start: Path | None,
    first: int,
    last: int,
    output: Path,
    progress: Progress,
    bounds: Bounds | None = None,
) -> Path:
    """Train from one checkpoint to the next.

    Args:
        recipe: The run's recipe.
        corpus: The run's data.
        seed: The run's training seed.
        start: Directory with the state files of the checkpoint at `first`; `None` to start from the seed.
        first: Step to start from.
        last: Step to end at.
        output: Directory for the result.
        progress: Called after each step.
        bounds: Limits for building the model, if it comes from a stranger's files.

    Returns:
        The directory of the checkpoint at step `last`.
    """
    if start is not None:
        _write_state(recipe, first, start)
    trainer = _Work(recipe, corpus, seed, output, bounds).trainer(last, progress, [])
    trainer.train(resume_from_checkpoint=None if start is None else str(start))
    return output / f"checkpoint-{last}"


def _saved_model(recipe: Recipe, checkpoint: Path) -> Any:
    """The whole model of a checkpoint on disk."""
    # A new model draws random weights first, which must not use up the training's random numbers.
    with tempfile.TemporaryDirectory(prefix="llamafund-", dir=checkpoint.parent) as place, torch.random.fork_rng([]):
        return load_model(recipe, whole_weights(checkpoint, Path(place)))


def measure_model(model: Any, recipe: Recipe, corpus: Corpus) -> int | None:
    """The promised metric in millionths, or `None` if the model has diverged. Always measured on the CPU."""
    model = whole_model(model)
    if model.device.type != "cpu":
        model = copy.deepcopy(model).cpu()
    return bits_per_byte(
        model,
        corpus.heldout,
        context=recipe.data.context_length,
        stride=recipe.evaluation_stride,
        batch_size=recipe.evaluation.batch_size,
    )


@dataclass(frozen=True)
class _Work:
    """What is trained, on which data, and where the checkpoints go."""

    recipe: Recipe
    corpus: Corpus
    seed: str
    output: Path
    bounds: Bounds | None = None

    def order(self) -> SampleOrder:
        return SampleOrder(data_order_seed(self.seed), len(self.corpus.blocks))

    def trainer(
        self,
        stop: int,
        progress: Progress,
        callbacks: list[TrainerCallback],
        told_to_stop: Callable[[], bool] = lambda: False,
        pause: Callable[[_OrderedTrainer], None] = lambda _: None,
        paused: Pause | None = None,
    ) -> _OrderedTrainer:
        samples = _Samples(self.corpus.blocks, self.order(), self.recipe.training.steps * self.recipe.samples_per_step)
        steps = _Steps(self.seed, stop, progress, paused)
        with within(self.bounds):
            model: Any = starting_model(self.recipe, self.seed, self.corpus.base)
        if self.recipe.training.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        args = _arguments(self.recipe, self.seed, self.output)
        kind = _OrderedTrainer
        if self.recipe.determinism.sharding == "full":
            shard_model(model, args)
            kind = _OrderedShardedTrainer
        steps.trainer = kind(
            told_to_stop=told_to_stop,
            pause=pause,
            model=model,
            args=args,
            train_dataset=samples,
            callbacks=[steps, *callbacks],
        )
        return steps.trainer


def _arguments(recipe: Recipe, seed: str, output: Path) -> TrainingArguments:
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


def _write_state(recipe: Recipe, step: int, directory: Path) -> None:
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
