"""Starts the training process with the environment that a recipe asks for, and reads its events.

Nothing here imports torch: the settings that decide the bits only work when they are in place before it is
loaded, so what needs it always runs in a fresh process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import llamafund_chain
from llamafund_chain.errors import LlamafundError, VerificationError
from llamafund_trainer.process.messages import EVENTS, Bounds, DoneEvent, ErrorEvent, Event, Job, ReplayJob, TrainJob
from llamafund_trainer.recipe import Recipe
from llamafund_trainer.record.environment import pinned_variables, quiet_variables, visible_devices

NEEDED = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")
"""Packages that the training process imports."""

SPARE_MEMORY = 8 << 30
"""Bytes that opening a model may take whatever its size: the libraries, and what is held for a moment."""

SPARE_SECONDS = 1800
"""Processor time that it may take whatever its size."""

_SECONDS_PER_GIB = 600
_COPIES = 8
"""Of the files, in memory: as float32 where they hold 16 bits, twice, and twice again."""

_MEMORY_PER_TEXT_BYTE = 256
"""What a tokenizer may take for a byte of text: the text in several forms, and a token with its place in each."""

_SECONDS_PER_TEXT_GIB = 36_000

_PASSED_ON = ("PATH", "CUDA_DEVICE_ORDER", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "TZ")


def bounds_for(directory: Path, texts: Path | None = None) -> Bounds:
    """What it may take to open the model in a directory, which a stranger published: files can ask for more.

    Args:
        directory: The model's.
        texts: That of the data which its tokenizer encodes, where it encodes any.
    """
    held, read = _size(directory), 0 if texts is None else _size(texts)
    return Bounds(
        memory=SPARE_MEMORY + _COPIES * held + _MEMORY_PER_TEXT_BYTE * read,
        seconds=SPARE_SECONDS + (_SECONDS_PER_GIB * held + _SECONDS_PER_TEXT_GIB * read >> 30),
    )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def run_job(job: Job, recipe: Recipe) -> Iterator[Event]:
    """Do a job in a fresh process.

    Args:
        job: What to do.
        recipe: Fixes the environment.

    Yields:
        The events, the last one of which is the job's result. Closing the iterator ends the process.

    Raises:
        ModuleNotFoundError: A package that the process needs is not installed.
        LlamafundError: The job failed, or the process died.
        VerificationError: The job found that something is not what it claims to be.
    """
    for package in (*NEEDED, *(("peft",) if recipe.lora is not None else ())):
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    with tempfile.TemporaryDirectory(prefix="llamafund-") as scratch:
        file = Path(scratch) / "job.json"
        file.write_text(job.model_dump_json(), encoding="utf-8")
        with (Path(scratch) / "log").open("w+b") as log, _process(file, job, recipe, log.fileno()) as process:
            for line in process.stdout or ():
                event = EVENTS.validate_json(line)
                if isinstance(event, ErrorEvent):
                    kind = VerificationError if event.kind == "verification" else LlamafundError
                    raise kind(event.what, event.why, event.remedy)
                if isinstance(event, DoneEvent):
                    return
                yield event
            code = process.wait()
            if code == -signal.SIGXCPU:
                raise VerificationError(
                    "Opening the model takes too long",
                    "What it asks for takes more of the processor than any model of its size",
                    "Do not use it",
                )
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            raise LlamafundError(
                f"The training process ended with code {code} before it was done",
                f"Its last words: {' / '.join(lines[-3:])}" if lines else "It said nothing",
                "Check that there is enough memory, then try again" if code < 0 else "",
            )


@contextmanager
def _process(file: Path, job: Job, recipe: Recipe, log: int) -> Iterator[subprocess.Popen[bytes]]:
    home = str(file.parent)
    # Found by their places, so that the same code answers wherever the parent got it from.
    sources = (str(package.parent) for package in (Path(llamafund_chain.__path__[0]), Path(__file__).parents[1]))
    environment = {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **quiet_variables(home),
        **pinned_variables(recipe),
        **(visible_devices(recipe, os.environ) if isinstance(job, TrainJob | ReplayJob) else {}),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(sources)),
        "LLAMAFUND_PARENT": str(os.getpid()),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "llamafund_trainer.worker.main", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        cwd=home,
    )
    try:
        with _handing_on_stop(process) if isinstance(job, TrainJob) else nullcontext():
            yield process
    finally:
        _end(process)


@contextmanager
def _handing_on_stop(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A SIGTERM to this process is the training's to answer: it saves its state first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it now: once its last event is out, everything that it writes is written."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
    process.wait()
