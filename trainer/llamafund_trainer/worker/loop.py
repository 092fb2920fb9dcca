"""Training with the Hugging Face `Trainer` under full determinism, in the training process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback

from llamafund_chain.errors import LlamafundError
from llamafund_chain.files import write_file
from llamafund_trainer.metric import DIVERGED, HELDOUT_BYTES, HELDOUT_TOKENS, METRIC
from llamafund_trainer.process.memory_limit import within
from llamafund_trainer.process.pause import Pause, find_pause, unfinished_pause, write_pause
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.callback import DivergedError, RecordingCallback
from llamafund_trainer.record.environment import recorded_environment
from llamafund_trainer.record.processes import Processes
from llamafund_trainer.record.recorder import Recorder
from llamafund_trainer.seeds import data_order_seed
from llamafund_trainer.tensors.initial_weights import initial_tensors
from llamafund_trainer.tensors.shards import WEIGHTS
from llamafund_trainer.worker.base_model import refuse_renamed
from llamafund_trainer.worker.corpus import Corpus
from llamafund_trainer.worker.fsdp import exact_copy, own_rows, sharded_model
from llamafund_trainer.worker.heldout import Share, exact_model, measure
from llamafund_trainer.worker.model import finish_fine_tuned, starting_model
from llamafund_trainer.worker.samples import SampleOrder
from llamafund_trainer.worker.tokenizer import save_tokenizer
from llamafund_trainer.worker.trainer import (
    OrderedShardedTrainer,
    OrderedTrainer,
    Progress,
    StepsCallback,
    training_arguments,
    write_state,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import TrainingArguments

    from llamafund_trainer.process.messages import Bounds


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
    start = None if resume is None else places.checkpoints / f"checkpoint-{resume}"
    paused = None if resume is None else find_pause(places.pause, recorder.head_of(resume))
    begin = start if paused is None else paused.state
    work = _Work(recipe, corpus, recorder.identity.seed, places.checkpoints)
    callback = RecordingCallback(
        recorder,
        finish=lambda directory: _finish_checkpoint(work, trainer, directory),
        measure=lambda model: _measure_checkpoint(work, trainer.args, model),
    )
    trainer = work.trainer(
        recipe.training.steps,
        progress,
        [callback],
        told_to_stop,
        lambda running: _pause(running, recorder, places.pause),
        paused,
    )
    Processes().require_same(
        (recorder.identity, resume), "The machines do not go on from the same recipe, data, seed and step"
    )
    if trainer.is_world_process_zero():
        recorder.begin(resume or 0, recorded_environment(recipe))
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


def _finish_checkpoint(work: _Work, trainer: OrderedTrainer, directory: Path) -> None:
    """Add the files to a checkpoint that the Trainer does not save."""
    recipe, corpus = work.recipe, work.corpus
    if corpus.base is None:
        save_tokenizer(corpus.tokenizer, recipe.data.context_length, directory)
        return
    if recipe.lora is None:
        model: Any = trainer.model
        refuse_renamed(model, corpus.base, directory / WEIGHTS)
    finish_fine_tuned(recipe, corpus.base, directory)


def _measure_checkpoint(work: _Work, args: TrainingArguments, model: Any) -> Mapping[str, int]:
    """The metrics of the checkpoint that was just saved. The processes share the work."""
    recipe, heldout = work.recipe, work.corpus.heldout
    metrics = {HELDOUT_BYTES: heldout.size, HELDOUT_TOKENS: heldout.tokens}
    if recipe.determinism.sharding == "full":
        exact, in_step = exact_copy(recipe, model), True
    else:
        exact, in_step = exact_model(model, recipe, args.device), False
    share = Share(args.process_index, args.world_size, in_step, str(args.device))
    value = measure(exact, recipe, work.corpus.heldout, share)
    return {**metrics, DIVERGED: 1} if value is None else {**metrics, METRIC: value}


def _pause(trainer: OrderedTrainer, recorder: Recorder, place: Path) -> None:
    """Save the state between two checkpoints, each process its part."""
    losses, logged = trainer.losses_since_log()
    if not trainer.is_world_process_zero():
        trainer.save_state_together(unfinished_pause(place))
        return
    recorder.wait()
    write_pause(
        place,
        trainer.save_state_together,
        step=trainer.state.global_step,
        after=recorder.head,
        losses=losses,
        logged=logged,
    )


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
        write_state(recipe, first, start)
    trainer = _Work(recipe, corpus, seed, output, bounds).trainer(last, progress, [])
    trainer.train(resume_from_checkpoint=None if start is None else str(start))
    return output / f"checkpoint-{last}"


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
        pause: Callable[[OrderedTrainer], None] = lambda _: None,
        paused: Pause | None = None,
    ) -> OrderedTrainer:
        samples = _Samples(self.corpus.blocks, self.order(), self.recipe.training.steps * self.recipe.samples_per_step)
        steps = StepsCallback(self.seed, stop, progress, paused)
        args = training_arguments(self.recipe, self.seed, self.output)
        kind: type[OrderedTrainer] = OrderedTrainer
        model: Any
        if self.recipe.determinism.sharding == "full":
            drawn = initial_tensors(self.recipe, self.seed)
            rows = ((name, own_rows(torch.from_numpy(values))) for name, values in drawn)
            kind, model = OrderedShardedTrainer, sharded_model(self.recipe, args.device, rows)
        else:
            with within(self.bounds):
                model = starting_model(self.recipe, self.seed, self.corpus.base)
        if self.recipe.training.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        steps.trainer = kind(
            told_to_stop=told_to_stop,
            pause=pause,
            keeps_state=self.recipe.keeps_state,
            model=model,
            args=args,
            train_dataset=samples,
            callbacks=[steps, *callbacks],
        )
        return steps.trainer
