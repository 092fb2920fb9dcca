"""Starting the training process with the environment that a recipe asks for, and reading its events.

Nothing here imports torch. The settings that decide the bits must be in place before torch is loaded, so whatever needs
torch runs in a process of its own.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO

import llamafund_chain
from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_chain.files.scratch import ScratchFolder
from llamafund_trainer.process.fork_server import ForkedProcess, fork_process
from llamafund_trainer.process.messages import (
    EVENTS,
    Bounds,
    DoneEvent,
    ErrorEvent,
    EvaluateJob,
    Event,
    Job,
    LoadJob,
    ReplayJob,
    TrainJob,
)
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.environment import (
    passed_on_variables,
    pinned_variables,
    quiet_variables,
    visible_devices,
)

NEEDED = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")
"""Packages that the training process imports."""

SPARE_MEMORY = 8 << 30
"""Bytes that opening a model of any size may take: the libraries, and temporary copies."""

SPARE_SECONDS = 1800
"""Processor time that opening a model of any size may take."""

_SECONDS_PER_GIB = 600
"""Further processor time per GiB of the model's files."""

_COPIES = 8
"""How many times the size of the files may be in memory: double for float32 in place of 16 bits, and that copied twice
over."""

_MEMORY_PER_TEXT_BYTE = 256
"""Bytes that a tokenizer may take for a byte of text: several forms of the text, and tokens with their positions."""

_SECONDS_PER_TEXT_GIB = 36_000
"""Further processor time per GiB of text that the tokenizer encodes."""

_PASSED_ON = (
    "PATH",
    "CUDA_DEVICE_ORDER",
    "GLOO_SOCKET_IFNAME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "SYSTEMROOT",
    "TZ",
)


def bounds_for(directory: Path, texts: Path | None = None) -> Bounds:
    """Limits for opening a model that a stranger published, whose files could ask for more.

    Args:
        directory: Directory of the model.
        texts: Directory of the data that its tokenizer encodes, if it encodes any.
    """
    held, read = _size(directory), 0 if texts is None else _size(texts)
    return Bounds(
        memory=SPARE_MEMORY + _COPIES * held + _MEMORY_PER_TEXT_BYTE * read,
        seconds=SPARE_SECONDS + (_SECONDS_PER_GIB * held + _SECONDS_PER_TEXT_GIB * read >> 30),
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Task:
    """A job, and the recipe that decides its environment."""

    job: Job
    recipe: Recipe


def run_job(job: Job, recipe: Recipe) -> Iterator[Event]:
    """Do a job in a process of its own.

    Args:
        job: The job.
        recipe: Decides the environment.

    Yields:
        The events; the last one is the job's result. Closing the iterator ends the process.

    Raises:
        ModuleNotFoundError: A package that the process needs is not installed.
        LlamafundError: The job failed, or the process died.
        VerificationError: The job found something that is not what it claims to be.
    """
    with closing(run_jobs([Task(job, recipe)])) as events:
        for _, event in events:
            if isinstance(event, LlamafundError):
                raise event
            yield event


def run_jobs(tasks: Sequence[Task], at_once: int = 1) -> Generator[tuple[int, Event | LlamafundError]]:
    """Do jobs, each in a process of its own, several at the same time.

    One that fails does not end the others.

    Args:
        tasks: The jobs.
        at_once: How many processes there are at most.

    Yields:
        The position of a task and one of its events; or its error as `run_job` would raise it, and then no more of it.
        Closing the iterator ends all processes.

    Raises:
        ModuleNotFoundError: A package that the processes need is not installed.
    """
    for package in (*NEEDED, *(("peft",) if any(task.recipe.lora is not None for task in tasks) else ())):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    waiting, places = deque(enumerate(tasks)), list(range(at_once))
    with DefaultSelector() as selector, ExitStack() as stack:
        while waiting or len(places) < at_once:
            while waiting and places:
                index, task = waiting.popleft()
                own = stack.enter_context(ExitStack())
                worker = own.enter_context(_worker(task, places[0]))
                selector.register(worker.output, EVENT_READ, (index, places.pop(0), own, worker))
            for key, _ in selector.select():
                index, place, own, worker = key.data
                for event in worker.read():
                    if not isinstance(event, DoneEvent):
                        yield index, event
                    if isinstance(event, DoneEvent | LlamafundError):
                        selector.unregister(worker.output)
                        own.close()
                        places.append(place)
                        break


@dataclass
class _Worker:
    """A process that does a job."""

    process: subprocess.Popen[bytes] | ForkedProcess
    log: IO[bytes]
    _rest: bytes = b""

    @property
    def output(self) -> int:
        """The descriptor of its events."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> Iterator[Event | LlamafundError]:
        """The events that have arrived by now, or why none will come."""
        piece = os.read(self.output, 1 << 20)
        if not piece:
            yield self._death()
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            event = EVENTS.validate_json(line)
            if isinstance(event, ErrorEvent):
                kind = VerificationError if event.kind == "verification" else LlamafundError
                yield kind(event.what, event.why, event.remedy)
            else:
                yield event

    def _death(self) -> LlamafundError:
        code = self.process.wait()
        allowed, _ = resource.getrlimit(resource.RLIMIT_CPU)
        if code in (-signal.SIGXCPU, -signal.SIGKILL) and allowed != resource.RLIM_INFINITY:
            # A limit of ours may have been reached first; that cannot be told.
            return LlamafundError(
                "The training process was ended, probably because it may take no more processor time",
                f"A process of this session may take {allowed} s of it (ulimit -t)",
                "Raise that limit, or run the command where there is none. If it has not run that long: check that "
                "there is enough memory",
            )
        if code == -signal.SIGXCPU:
            return VerificationError(
                "Opening the model takes too long",
                "It asks for more processor time than any model of its size needs",
                "Do not use it",
            )
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return LlamafundError(
            f"The training process ended with code {code} before it was done",
            f"The end of its log: {' / '.join(lines[-3:])}" if lines else "Its log is empty",
            "Check that there is enough memory, then try again" if code < 0 else "",
        )


@contextmanager
def _worker(task: Task, place: int) -> Iterator[_Worker]:
    with ScratchFolder("worker") as scratch:
        file = scratch / "job.json"
        file.write_text(task.job.model_dump_json(), encoding="utf-8")
        with (
            (scratch / "log").open("w+b") as log,
            _process(file, task.job, task.recipe, log.fileno(), place) as process,
        ):
            yield _Worker(process, log)


@contextmanager
def _process(
    file: Path, job: Job, recipe: Recipe, log: int, place: int = 0
) -> Iterator[subprocess.Popen[bytes] | ForkedProcess]:
    # By their paths, so that the process runs the same code as its parent.
    sources = (str(package.parent) for package in (Path(llamafund_chain.__path__[0]), Path(__file__).parents[1]))
    environment = {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **passed_on_variables(recipe, os.environ),
        **pinned_variables(recipe),
        **(_devices(job, recipe, place) if isinstance(job, TrainJob | ReplayJob) else {}),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(sources)),
    }
    process = _fork(file, job, recipe, environment, log) or _start(file, job, recipe, environment, log)
    try:
        with nullcontext() if isinstance(process, ForkedProcess) else _handing_on_stop(process, job):
            yield process
    finally:
        _end(process)


def _fork(file: Path, job: Job, recipe: Recipe, environment: Mapping[str, str], log: int) -> ForkedProcess | None:
    """A process with the imports done, where one can be had.

    A training is worth a process of its own. What CUDA or the libraries of a Mac have set up does not survive a fork.
    """
    alone = recipe.determinism.device == "cpu" and recipe.determinism.processes == 1
    if sys.platform != "linux" or isinstance(job, TrainJob) or not alone:
        return None
    packages = _packages(job, recipe)
    return fork_process([str(file)], environment, home=str(file.parent), log=log, packages=packages)


def _packages(job: Job, recipe: Recipe) -> tuple[str, ...]:
    """What a job needs, of the packages that are hidden from the others."""
    return () if recipe.lora is None or isinstance(job, LoadJob | EvaluateJob) else ("peft",)


def _start(file: Path, job: Job, recipe: Recipe, environment: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
    home = str(file.parent)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "llamafund_trainer.worker.main", str(file), *_packages(job, recipe)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**environment, **quiet_variables(home), "LLAMAFUND_PARENT": str(os.getpid())},
        cwd=home,
    )


def _devices(job: TrainJob | ReplayJob, recipe: Recipe, place: int) -> dict[str, str]:
    machines = job.machines if isinstance(job, TrainJob) else None
    processes = recipe.determinism.processes if machines is None else machines.processes
    return visible_devices(recipe, os.environ, place, processes)


@contextmanager
def _handing_on_stop(process: subprocess.Popen[bytes], job: Job) -> Iterator[None]:
    """Pass a SIGTERM on to a process that trains, which saves its state before it ends."""
    if not isinstance(job, TrainJob) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _end(process: subprocess.Popen[bytes] | ForkedProcess) -> None:
    """End the process now. Before its last event it has written all its files."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
