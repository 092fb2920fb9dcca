"""Several processes share the segments; one that dies accuses nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode, LlamafundError
from llamafund_trainer.cli import replay as command
from llamafund_trainer.process import launch
from llamafund_trainer.process.launch import Task, run_jobs
from llamafund_trainer.process.messages import ReplayJob, SegmentJob, StepEvent
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.replay import _Repetition, _shared_out, replay_segments
from llamafund_trainer.replay.segments import segments_of
from llamafund_trainer.runs.inputs import fetch_inputs


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The identifiers of the processes that were started."""
    found: list[int] = []
    popen = launch.subprocess.Popen
    monkeypatch.setattr(launch, "_fork", lambda *_: None)

    def start(*words: object, **options: object) -> object:
        process = popen(*words, **options)
        found.append(process.pid)
        return process

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    return found


def test_a_process_that_dies_leaves_its_segments_unchecked_and_those_of_others_compared(
    lab: object, llamafund: Callable[..., object], monkeypatch: pytest.MonkeyPatch, started: list[int]
) -> None:
    @contextmanager
    def bar(_: int) -> Iterator[Callable[[int], None]]:
        """Kills the second process at the first step of any."""
        yield lambda steps: os.kill(started[1], signal.SIGKILL) if steps == 1 else None

    monkeypatch.setattr(command, "_bar", bar)
    words = ("--segments", 4, "--jobs", 2, "--store", lab.store.location, "--json")
    ran = llamafund("replay", lab.run[-1].sha256, *words)
    ran.refused(ExitCode.UNCHECKED, "2 of 4 segments could not be repeated", "ended with code -9", "nothing about them")
    assert len(started) == 2
    assert ran.json["verdict"] == "unchecked"
    found = {(each["verdict"], each["ran_on"], bool(each["trouble"])) for each in ran.json["segments"]}
    assert found == {
        ("same", "process 1 of 2 on this machine", False),
        ("unchecked", "process 2 of 2 on this machine", True),
    }
    assert ran.json["random_segments"] == 2, "the chance counts what was compared"
    assert ran.json["detection"]["0.5"] == 0.75


@pytest.fixture
def in_place_of_workers(monkeypatch: pytest.MonkeyPatch, started: list[int]) -> Callable[[str], None]:
    """Starts a shell's command wherever a training process would be started."""
    popen = launch.subprocess.Popen

    def take(command: str) -> None:
        monkeypatch.setattr(
            launch.subprocess, "Popen", lambda _, **options: popen(["/bin/sh", "-c", command], **options)
        )

    return take


def test_if_every_process_dies_that_is_the_error(
    lab: object, tmp_path: Path, started: list[int], in_place_of_workers: Callable[[str], None]
) -> None:
    in_place_of_workers("kill -9 $$")
    picks = [Pick(segments_of(lab.run)[1], "asked for")]
    inputs = fetch_inputs(lab.store, lab.run[-1], tmp_path)
    with pytest.raises(LlamafundError, match="ended with code -9"):
        replay_segments(lab.store, inputs, picks, tmp_path, jobs=8)
    assert len(started) == 1, "no process without a segment"


def test_closing_ends_all_processes(
    lab: object, tmp_path: Path, started: list[int], in_place_of_workers: Callable[[str], None]
) -> None:
    in_place_of_workers(f"echo '{StepEvent(step=1, loss=None).model_dump_json()}'; exec sleep 600")
    job = ReplayJob(recipe=tmp_path, dataset=tmp_path, data=tmp_path, bounds=None, seed="00" * 32, segments=())
    task = Task(job, lab.recipe.recipe)
    events = run_jobs([task, task, task], 2)
    assert {index for index, _ in (next(events), next(events))} == {0, 1}
    assert len(started) == 2, "no more at once than allowed"
    events.close()
    for each in started:
        with pytest.raises(ProcessLookupError):
            os.kill(each, 0)


def test_processes_get_about_as_many_steps_each(tmp_path: Path) -> None:
    def lengths(jobs: int, *steps: int) -> list[list[int]]:
        given = [
            _Repetition(index, SegmentJob(first=0, last=count, start=None, output=tmp_path))
            for index, count in enumerate(steps)
        ]
        return [[each.job.last for each in share] for share in _shared_out(given, jobs)]

    assert lengths(2, 10, 10, 30, 10) == [[30], [10, 10, 10]]
    assert lengths(8, 5, 5) == [[5], [5]]
    assert lengths(1, 5, 7) == [[7, 5]]
    assert lengths(3) == []


def test_each_of_several_trainings_gets_gpus_of_its_own(
    lab: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: the variables are compared, and nothing is started."""
    seen: list[str] = []

    class StartedError(Exception):
        pass

    def start(*_: object, **options: dict[str, str]) -> object:
        seen.append(options["env"]["CUDA_VISIBLE_DEVICES"])
        if len(seen) == 2:
            raise StartedError
        return popen(["sleep", "60"], stdout=launch.subprocess.PIPE)

    popen = launch.subprocess.Popen
    monkeypatch.setattr(launch.subprocess, "Popen", start)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    recipe = lab.recipe.recipe
    changed = recipe.determinism.model_copy(update={"device": "cuda", "processes": 2})
    job = ReplayJob(recipe=tmp_path, dataset=tmp_path, data=tmp_path, bounds=None, seed="00" * 32, segments=())
    task = Task(job, recipe.model_copy(update={"determinism": changed}))
    with pytest.raises(StartedError):
        list(run_jobs([task, task], 2))
    assert seen == ["4,5", "6,7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    seen.clear()
    with pytest.raises(LlamafundError, match="2 CUDA devices for each of 2 trainings"):
        list(run_jobs([task, task], 2))
