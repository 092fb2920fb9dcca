"""The training process: reads one job from a file and writes events to standard output, one JSON object per line.

It starts with the environment that the recipe asks for, holds no keys and uses no network. Each job imports what it
needs only after the process has been set up: its limits, and which packages transformers may load.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from llamafund_chain.errors import LlamafundError, UsageError, VerificationError
from llamafund_chain.evidence.manifests import DatasetManifest, load_manifest
from llamafund_chain.files import machine_trouble
from llamafund_trainer.base_files import Base
from llamafund_trainer.process.memory_limit import keep_within, within
from llamafund_trainer.process.messages import (
    JOBS,
    CheckpointEvent,
    DoneEvent,
    DryRunJob,
    ErrorEvent,
    EvaluateJob,
    EvaluationEvent,
    InitialJob,
    Job,
    LoadedEvent,
    LoadJob,
    ReplayJob,
    SegmentEvent,
    StepEvent,
    StoppedEvent,
    TrainJob,
)
from llamafund_trainer.recipe import RecipeFile, load_recipe
from llamafund_trainer.worker.imports import import_libraries
from llamafund_trainer.worker.misfit import published

Emit = Callable[[BaseModel], None]

_PR_SET_PDEATHSIG = 1

_PARENT = "LLAMAFUND_PARENT"
_RANK = "RANK"
"""Set by torchrun, like `_LOCAL_RANK`, which counts on each machine."""

_LOCAL_RANK = "LOCAL_RANK"


def main() -> None:
    """Do the job in the file that is the first argument. Others are packages that it needs."""
    _end_with_parent()
    options = _torchrun(Path(sys.argv[1]))
    if options and _RANK not in os.environ:
        _launch(options)
        return
    _keep_within(Path(sys.argv[1]))
    emit = _take_standard_output()
    import_libraries(frozenset(sys.argv[2:]))
    try:
        _run(JOBS.validate_json(Path(sys.argv[1]).read_bytes()), emit)
    except LlamafundError as error:
        kind = "verification" if isinstance(error, VerificationError) else "error"
        emit(ErrorEvent(kind=kind, what=error.what, why=error.why, remedy=error.remedy))
        if os.environ.get(_RANK, "0") != "0":
            # The first process may not have had this error, and would wait for this one.
            sys.exit(str(error))
        return
    emit(DoneEvent())


def _torchrun(file: Path) -> list[str]:
    """The options of torchrun for a job's processes; none for a job that takes one process."""
    job = JOBS.validate_json(file.read_bytes())
    if not isinstance(job, (TrainJob, ReplayJob)):
        return []
    machines = job.machines if isinstance(job, TrainJob) else None
    if machines is not None:
        host, _, port = machines.rendezvous.rpartition(":")
        # Numbers that are given, not agreed on: the first process must be where its evidence is published.
        return [
            *(f"--nnodes={machines.count}", f"--node-rank={machines.number}"),
            *(f"--nproc-per-node={machines.processes}", f"--master-addr={host}", f"--master-port={port}"),
            f"--rdzv-conf=timeout={machines.patience}",
        ]
    try:
        processes = load_recipe(job.recipe).recipe.determinism.processes
    except LlamafundError:
        return []  # The job itself reports what is wrong with the recipe.
    return ["--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []


def _keep_within(file: Path) -> None:
    """Limit the whole process if it does nothing but open a stranger's files."""
    job = JOBS.validate_json(file.read_bytes())
    if isinstance(job, InitialJob | LoadJob | DryRunJob) and job.bounds is not None:
        keep_within(job.bounds)


def _launch(options: list[str]) -> None:
    """Start the job's processes with torchrun, in this process, and wait for them."""
    from torch.distributed.run import main as torchrun

    # They end with this process, as this one ends with the process that reads the events.
    os.environ[_PARENT] = str(os.getpid())
    torchrun([*options, "-m", "llamafund_trainer.worker.main", *sys.argv[1:]])


def _run(job: Job, emit: Emit) -> None:
    if isinstance(job, TrainJob):
        _train(job, emit)
    elif isinstance(job, ReplayJob):
        _replay(job, emit)
    elif isinstance(job, EvaluateJob):
        _evaluate(job, emit)
    elif isinstance(job, DryRunJob):
        from llamafund_trainer.worker.costs import count_costs

        emit(count_costs(load_recipe(job.recipe).recipe, _base(job.base)))
    elif isinstance(job, InitialJob):
        _initial(job)
    else:
        _load(job, emit)


def _train(job: TrainJob, emit: Emit) -> None:
    told_to_stop = _listen_for_stop()
    if job.machines is not None and not job.recipe.exists():
        raise UsageError(
            f"Machine {job.machines.number} does not see {str(job.recipe)!r}",
            "The first machine has put the recipe and the data there",
            "Give all machines the same --out, on a file system that they share",
        )
    from llamafund_trainer.record.environment import apply_settings, recorded_environment, require_environment
    from llamafund_trainer.record.recorder import Recorder
    from llamafund_trainer.worker.corpus import load_corpus
    from llamafund_trainer.worker.loop import Places, train

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    apply_settings(recipe_file.recipe)
    require_environment(recipe_file.recipe, recorded_environment(recipe_file.recipe))
    recorder = Recorder(
        job.manifests.parent,
        recipe=job.recipe,
        dataset=dataset.sha256,
        seed=job.seed,
        parent=job.parent,
        milestone_steps=job.milestone_steps,
        written=lambda _, directory, path: emit(CheckpointEvent(directory=directory, manifest=path)),
    )
    stopped = train(
        recipe_file.recipe,
        load_corpus(recipe_file.recipe, job.data, dataset, _base(job.base)),
        recorder,
        Places(checkpoints=job.checkpoints, pause=job.pause),
        progress=lambda step, loss: emit(StepEvent(step=step, loss=loss)),
        told_to_stop=told_to_stop.is_set,
        resume=job.resume,
    )
    if stopped is not None:
        emit(StoppedEvent(step=stopped))


def _replay(job: ReplayJob, emit: Emit) -> None:
    from llamafund_trainer.record.environment import apply_settings, recorded_environment
    from llamafund_trainer.worker.corpus import load_corpus
    from llamafund_trainer.worker.loop import replay_segment

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    apply_settings(recipe_file.recipe)
    with within(job.bounds), published():
        corpus = load_corpus(recipe_file.recipe, job.data, dataset, _base(job.base))
    for index, segment in enumerate(job.segments):
        started = time.monotonic()
        with published():
            directory = replay_segment(
                recipe_file.recipe,
                corpus,
                job.seed,
                segment.start,
                segment.first,
                segment.last,
                segment.output,
                lambda step, loss: emit(StepEvent(step=step, loss=loss)),
                job.bounds,
            )
        seconds = time.monotonic() - started
        # Recorded after the Trainer has made its settings, as for a manifest.
        environment = recorded_environment(recipe_file.recipe)
        emit(SegmentEvent(index=index, directory=directory, environment=environment, seconds=seconds))


def _evaluate(job: EvaluateJob, emit: Emit) -> None:
    import torch

    from llamafund_trainer.record.environment import apply_settings
    from llamafund_trainer.worker.corpus import load_corpus
    from llamafund_trainer.worker.heldout import exact_model, measure
    from llamafund_trainer.worker.model import load_model

    recipe_file, dataset = _inputs(job.recipe, job.dataset)
    recipe = recipe_file.recipe
    apply_settings(recipe)
    with within(job.bounds), published():
        corpus = load_corpus(recipe, job.data, dataset, _base(job.base))
        baselines = corpus.baselines()
        model = load_model(recipe, job.weights, corpus.base)
    on_gpu = recipe.determinism.device == "cuda" and torch.cuda.is_available()
    exact = exact_model(model, recipe, torch.device("cuda" if on_gpu else "cpu"))
    value = measure(exact, recipe, corpus.heldout)
    emit(
        EvaluationEvent(
            value=value,
            unigram_tokens=baselines.unigram_tokens,
            unigram_bytes=baselines.unigram_bytes,
            heldout_bytes=corpus.heldout.size,
            heldout_tokens=corpus.heldout.tokens,
            tokenizer=corpus.tokenizer.to_str() if corpus.base is None else "",
        )
    )


def _load(job: LoadJob, emit: Emit) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llamafund_trainer.worker.base_model import refuse_oversized, saved_tensors

    # Before anything large is built.
    refuse_oversized(Base(job.directory, "The published model"))
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
        action = "Loading the published model"
        raise (
            machine_trouble(error, action)
            or VerificationError(
                "transformers cannot load and use the published files", f"It says: {error}"[:600], "Do not use them"
            )
        ) from error
    emit(
        LoadedEvent(
            model_class=type(model).__name__,
            tokenizer_class=type(tokenizer).__name__,
            # Counted as in the files: some models learn numbers that are not parameters of an optimizer.
            parameters=sum(tensor.numel() for tensor in saved_tensors(model).values()),
            text=text,
        )
    )


def _initial(job: InitialJob) -> None:
    from llamafund_trainer.record.environment import apply_settings
    from llamafund_trainer.worker.base_model import write_config, write_generation_config
    from llamafund_trainer.worker.model import starting_model

    recipe = load_recipe(job.recipe).recipe
    apply_settings(recipe)
    base = _base(job.base)
    if job.weights:
        with published():
            starting_model(recipe, job.seed, base).save_pretrained(str(job.output))
    if base is not None:
        write_config(base, job.output)
        write_generation_config(base, job.output)


def _base(directory: Path | None) -> Base | None:
    return None if directory is None else Base(directory)


def _inputs(recipe: Path, dataset: Path) -> tuple[RecipeFile, DatasetManifest]:
    return load_recipe(recipe), load_manifest(DatasetManifest, dataset)


def _take_standard_output() -> Emit:
    """Keep standard output for events. Whatever libraries print goes to standard error."""
    sys.stdout.flush()
    turn = threading.Lock()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    # Line by line, so that the log ends with what was printed last: an error, not an older line.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def emit(event: BaseModel) -> None:
        if os.environ.get(_LOCAL_RANK, "0") != "0":
            return
        with turn:
            events.write(event.model_dump_json() + "\n")
            events.flush()

    return emit


def _listen_for_stop() -> threading.Event:
    """An event that is set when the process is told to stop; there is still time to save the state."""
    told = threading.Event()

    def note(*_: object) -> None:
        if _is_orphan():
            # Nobody reads the events any more, and another process may already continue from the last checkpoint.
            os._exit(1)
        told.set()

    signal.signal(signal.SIGTERM, note)
    return told


def _is_orphan() -> bool:
    return os.getppid() != int(os.environ.get(_PARENT, os.getppid()))


def _end_with_parent() -> None:
    """End when the process that reads the events ends, however that happens. Only Linux can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if _is_orphan():
            sys.exit(1)


if __name__ == "__main__":
    main()
