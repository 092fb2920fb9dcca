"""One run with the Hugging Face `Trainer` under full determinism. Runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from llamafund_chain.manifests import CheckpointManifest
from llamafund_trainer.callback import AttestationCallback, RunIdentity
from llamafund_trainer.corpus import Corpus
from llamafund_trainer.data import SampleOrder
from llamafund_trainer.environment import recorded_environment
from llamafund_trainer.evaluation import (
    DIVERGED,
    HELDOUT_BYTES,
    HELDOUT_TOKENS,
    METRIC,
    bits_per_byte,
)
from llamafund_trainer.model import initial_model
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.seeds import data_order_seed, library_seed
from llamafund_trainer.tokenizer import save_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import LlamaForCausalLM

Progress = Callable[[int, float | None], None]
"""Called after each step with the number of steps done, and the loss where it was just logged."""


@dataclass(frozen=True)
class Outputs:
    """Where a run writes.

    Attributes:
        checkpoints: Directory of the checkpoints.
        manifests: Existing directory of their manifests.
    """

    checkpoints: Path
    manifests: Path


class _Samples(Dataset[dict[str, torch.Tensor]]):
    """All samples of a run, in the order in which it sees them."""

    def __init__(self, blocks: NDArray[np.int64], order: SampleOrder, count: int) -> None:
        self._blocks = torch.from_numpy(blocks)
        self._order = order
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        block = self._blocks[self._order[position]]
        return {"input_ids": block, "labels": block}


class _OrderedTrainer(Trainer):
    """Takes the samples as they come: the order is the data set's."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        samples: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(samples)

    def save_initial_checkpoint(self) -> None:
        """Save step 0, as any other step is saved."""
        model: Any = self.model
        self._save_checkpoint(model, trial=None)
        self.control = self.callback_handler.on_save(self.args, self.state, self.control)


class _Steps(TrainerCallback):
    """Saves step 0, stops where a segment ends, reports progress."""

    def __init__(self, stop: int, progress: Progress) -> None:
        self.trainer: _OrderedTrainer | None = None
        self._stop = stop
        self._progress = progress

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        if state.global_step == 0 and self.trainer is not None:
            self.trainer.save_initial_checkpoint()

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
    identity: RunIdentity,
    outputs: Outputs,
    *,
    progress: Progress,
    written: Callable[[CheckpointManifest, Path, Path], None],
    history: Sequence[CheckpointManifest] = (),
) -> None:
    """Train from the beginning, or from the last checkpoint of `history`, to the end.

    Args:
        recipe: What to do.
        corpus: The encoded data.
        identity: What all manifests have in common.
        outputs: Where to write. A run that continues finds its last checkpoint there.
        progress: Told about each step.
        written: Told about each checkpoint once its manifest is written.
        history: Manifests of the run so far, oldest first.
    """

    def finish(directory: Path) -> None:
        save_tokenizer(corpus.tokenizer, recipe.data.context_length, directory)

    def measure(model: Any) -> Mapping[str, int]:
        metrics = {HELDOUT_BYTES: corpus.heldout.size, HELDOUT_TOKENS: corpus.heldout.tokens}
        value = measure_model(model, recipe, corpus)
        return {**metrics, DIVERGED: 1} if value is None else {**metrics, METRIC: value}

    callback = AttestationCallback(
        identity,
        outputs.manifests,
        recorded_environment(recipe),
        finish=finish,
        measure=measure,
        written=written,
        history=history,
    )
    start = outputs.checkpoints / f"checkpoint-{history[-1].steps.last}" if history else None
    _run(recipe, corpus, identity.seed, outputs.checkpoints, start, recipe.training.steps, progress, [callback])


def replay_segment(
    recipe: Recipe,
    corpus: Corpus,
    seed: str,
    start: Path | None,
    first: int,
    last: int,
    output: Path,
    progress: Progress,
) -> Path:
    """Train from one checkpoint to the next.

    Args:
        recipe: The run's recipe.
        corpus: The run's data.
        seed: The run's training seed.
        start: Directory with the state files of the checkpoint at step `first`; null to begin with the seed.
        first: Step at which the segment begins.
        last: Step at which it ends.
        output: Directory for the result.
        progress: Told about each step.

    Returns:
        The directory of the checkpoint at step `last`.
    """
    if start is not None:
        _write_state(recipe, first, start)
    _run(recipe, corpus, seed, output, start, last, progress, [])
    return output / f"checkpoint-{last}"


def measure_model(model: LlamaForCausalLM, recipe: Recipe, corpus: Corpus) -> int | None:
    """The promised metric in millionths, or null when the model has diverged."""
    return bits_per_byte(
        model,
        corpus.heldout,
        context=recipe.data.context_length,
        stride=recipe.evaluation_stride,
        batch_size=recipe.evaluation.batch_size,
    )


def _run(
    recipe: Recipe,
    corpus: Corpus,
    seed: str,
    output: Path,
    start: Path | None,
    stop: int,
    progress: Progress,
    callbacks: list[TrainerCallback],
) -> None:
    training = recipe.training
    order = SampleOrder(data_order_seed(seed), len(corpus.blocks))
    samples = _Samples(corpus.blocks, order, training.steps * recipe.samples_per_step)
    steps = _Steps(stop, progress)
    trainer = _OrderedTrainer(
        model=initial_model(recipe, seed),
        args=_arguments(recipe, seed, output),
        train_dataset=samples,
        callbacks=[steps, *callbacks],
    )
    steps.trainer = trainer
    trainer.train(resume_from_checkpoint=None if start is None else str(start))


def _arguments(recipe: Recipe, seed: str, output: Path) -> TrainingArguments:
    training, optimizer = recipe.training, recipe.optimizer
    return TrainingArguments(
        output_dir=str(output),
        use_cpu=True,
        full_determinism=True,
        seed=library_seed(seed),
        data_seed=library_seed(seed),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size,
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
    """The bookkeeping that the Trainer resumes from, made here: the published one decides nothing."""
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
