"""The training process: reads one job from a file, writes events to standard output, one JSON object a line.

It starts with the environment that the recipe asks for, holds no keys and talks to no network.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.manifests import CheckpointManifest, DatasetManifest, parse_as
from llamafund_trainer.jobs import (
    JOBS,
    CheckpointEvent,
    DoneEvent,
    ErrorEvent,
    EvaluateJob,
    EvaluationEvent,
    Job,
    LoadedEvent,
    LoadJob,
    ReplayJob,
    SegmentEvent,
    StepEvent,
    TrainJob,
)
from llamafund_trainer.recipe import RecipeFile, load_recipe

Emit = Callable[[BaseModel], None]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do the job that the file named as the only argument describes."""
    emit = _take_standard_output()
    _end_with_parent()
    try:
        _run(JOBS.validate_json(Path(sys.argv[1]).read_bytes()), emit)
    except LlamafundError as error:
        kind = "verification" if isinstance(error, VerificationError) else "error"
        emit(ErrorEvent(kind=kind, what=error.what, why=error.why, remedy=error.remedy))
        return
    emit(DoneEvent())


def _run(job: Job, emit: Emit) -> None:
    if isinstance(job, TrainJob):
        _train(job, emit)
    elif isinstance(job, ReplayJob):
        _replay(job, emit)
    elif isinstance(job, EvaluateJob):
        _evaluate(job, emit)
    else:
        _load(job, emit)


def _train(job: TrainJob, emit: Emit) -> None:
    from llamafund_trainer.callback import RunIdentity
    from llamafund_trainer.corpus import load_corpus
    from llamafund_trainer.environment import apply_settings
    from llamafund_trainer.training import Outputs, train

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    apply_settings(recipe_file.recipe)
    train(
        recipe_file.recipe,
        load_corpus(recipe_file.recipe, job.data, dataset),
        RunIdentity(
            recipe=recipe_file.sha256,
            dataset=dataset.sha256,
            seed=job.seed,
            parent=job.parent,
            milestone_steps=job.milestone_steps,
        ),
        Outputs(checkpoints=job.checkpoints, manifests=job.manifests),
        progress=lambda step, loss: emit(StepEvent(step=step, loss=loss)),
        written=lambda _, directory, path: emit(CheckpointEvent(directory=directory, manifest=path)),
        history=[parse_as(CheckpointManifest, path.read_bytes()) for path in job.history],
    )


def _replay(job: ReplayJob, emit: Emit) -> None:
    from llamafund_trainer.corpus import load_corpus
    from llamafund_trainer.environment import apply_settings, recorded_environment
    from llamafund_trainer.training import replay_segment

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    apply_settings(recipe_file.recipe)
    corpus = load_corpus(recipe_file.recipe, job.data, dataset)
    environment = recorded_environment(recipe_file.recipe)
    for index, segment in enumerate(job.segments):
        started = time.monotonic()
        directory = replay_segment(
            recipe_file.recipe,
            corpus,
            job.seed,
            segment.start,
            segment.first,
            segment.last,
            segment.output,
            lambda step, loss: emit(StepEvent(step=step, loss=loss)),
        )
        seconds = time.monotonic() - started
        emit(SegmentEvent(index=index, directory=directory, environment=environment, seconds=seconds))


def _evaluate(job: EvaluateJob, emit: Emit) -> None:
    from llamafund_trainer.corpus import load_corpus
    from llamafund_trainer.environment import apply_settings
    from llamafund_trainer.evaluation import bits_per_byte
    from llamafund_trainer.model import load_model

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    recipe = recipe_file.recipe
    apply_settings(recipe)
    corpus = load_corpus(recipe, job.data, dataset)
    baselines = corpus.baselines()
    value = bits_per_byte(
        load_model(recipe, job.weights),
        corpus.heldout,
        context=recipe.data.context_length,
        stride=recipe.evaluation_stride,
        batch_size=recipe.evaluation.batch_size,
    )
    emit(
        EvaluationEvent(
            value=value,
            unigram_tokens=baselines.unigram_tokens,
            unigram_bytes=baselines.unigram_bytes,
            heldout_bytes=corpus.heldout.size,
            heldout_tokens=corpus.heldout.tokens,
            tokenizer=corpus.tokenizer.to_str(),
        )
    )


def _load(job: LoadJob, emit: Emit) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(job.directory, local_files_only=True, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            job.directory, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
        prompt = tokenizer(job.prompt, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                input_ids=prompt["input_ids"],
                attention_mask=prompt["attention_mask"],
                max_new_tokens=job.new_tokens,
                do_sample=False,
                repetition_penalty=1.3,
            )
        text = tokenizer.decode(output[0], skip_special_tokens=True)
    except Exception as error:
        raise VerificationError(
            "transformers cannot load and use the published files", f"{type(error).__name__}: {error}"[:600]
        ) from error
    emit(
        LoadedEvent(
            model_class=type(model).__name__,
            tokenizer_class=type(tokenizer).__name__,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            text=text,
        )
    )


def _inputs(recipe: Path, dataset: Path) -> tuple[RecipeFile, DatasetManifest]:
    return load_recipe(recipe), parse_as(DatasetManifest, dataset.read_bytes())


def _take_standard_output() -> Emit:
    """Keep standard output for events; what libraries print goes to standard error."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    # Line by line, so that what is printed last stands last: an error's message, not an older log line.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def emit(event: BaseModel) -> None:
        events.write(event.model_dump_json() + "\n")
        events.flush()

    return emit


def _end_with_parent() -> None:
    """Where the system can, end when the process that waits for the events ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != int(os.environ.get("LLAMAFUND_PARENT", os.getppid())):
            sys.exit(1)


if __name__ == "__main__":
    main()
