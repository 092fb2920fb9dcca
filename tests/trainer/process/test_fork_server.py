"""Jobs are done by copies of a process that has imported everything; each is as much alone as a process of its own."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llamafund_chain.errors import LlamafundError
from llamafund_trainer.process import fork_server, launch
from llamafund_trainer.process.fork_server import fork_process
from llamafund_trainer.process.launch import SPARE_MEMORY, SPARE_SECONDS, Task, run_job, run_jobs
from llamafund_trainer.process.messages import Bounds, EvaluateJob, InitialJob, Job, LoadJob
from llamafund_trainer.recipe import RecipeFile, parse_recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each job has a process of its own")

RECIPE = b"""\
schema: llamafund/recipe/1
title: A Llama for tests
model: {hidden_size: 32, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 64}
tokenizer: {vocab_size: 300}
data: {context_length: 32}
optimizer: {learning_rate: 0.02}
training: {steps: 4, batch_size: 4, checkpoint_every: 2, log_every: 2}
determinism: {threads: 1, instruction_set: avx2}
"""

FROM_A_BASE = (
    b"model: {hidden_size: 32, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 64}\ntokenizer: {vocab_size: 300}",
    b"model: {base: " + b"ab" * 32 + b"}",
)


@pytest.fixture
def recipe(tmp_path: Path) -> RecipeFile:
    (tmp_path / "recipe.yaml").write_bytes(RECIPE)
    return parse_recipe(RECIPE)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[object, ...], fork_server._Server]]:
    """The servers of this test; they end with it."""
    mine: dict[tuple[object, ...], fork_server._Server] = {}
    monkeypatch.setattr(fork_server, "_servers", mine)
    yield mine
    for server in mine.values():
        server.end()


@pytest.fixture
def new_job(tmp_path: Path) -> Callable[..., InitialJob]:
    """A short job; each writes to a folder of its own."""
    count = iter(range(100))

    def new(**changed: int) -> InitialJob:
        output = tmp_path / f"initial-{next(count)}"
        output.mkdir()
        bounds = Bounds(**{"memory": SPARE_MEMORY, "seconds": SPARE_SECONDS, **changed})
        return InitialJob(
            recipe=tmp_path / "recipe.yaml", base=None, seed="5a" * 32, weights=True, output=output, bounds=bounds
        )

    return new


def written(job: InitialJob) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in job.output.iterdir()}
    assert files
    return files


def test_one_server_forks_all_processes_and_they_give_the_same_bytes_as_one_that_imports_for_itself(
    recipe: RecipeFile,
    new_job: Callable[..., InitialJob],
    servers: dict[tuple[object, ...], fork_server._Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs: list[InitialJob] = [new_job() for _ in range(4)]
    for job in jobs[:2]:
        list(run_job(job, recipe.recipe))
    ended = {index for index, event in run_jobs([Task(job, recipe.recipe) for job in jobs[1:3]], 2)}
    assert ended == set(), "an initial job says nothing but its end"
    assert len(servers) == 1
    monkeypatch.setattr(launch, "_fork", lambda *_: None)
    list(run_job(jobs[3], recipe.recipe))
    assert len(servers) == 1
    assert [written(job) for job in jobs[:3]] == [written(jobs[3])] * 3


def test_each_environment_has_a_server(
    recipe: RecipeFile, new_job: Callable[..., InitialJob], servers: dict[tuple[object, ...], fork_server._Server]
) -> None:
    other = parse_recipe(RECIPE.replace(b"avx2", b"generic"))
    list(run_jobs([Task(new_job(), recipe.recipe), Task(new_job(), other.recipe)], 2))
    assert len(servers) == 2
    asked = [Path(f"/proc/{server._process.pid}/environ").read_bytes().split(b"\0") for server in servers.values()]
    assert [b"ATEN_CPU_CAPABILITY=avx2" in each for each in asked] == [True, False]
    assert [b"ATEN_CPU_CAPABILITY=default" in each for each in asked] == [False, True]
    assert all(b"HOME=/dev/null" in each for each in asked)


def test_a_server_that_nobody_asks_ends_and_the_next_job_starts_another(
    recipe: RecipeFile,
    new_job: Callable[..., InitialJob],
    servers: dict[tuple[object, ...], fork_server._Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fork_server, "IDLE", 0.01)
    list(run_job(new_job(), recipe.recipe))
    (first,) = servers.values()
    assert first._process.wait(60) == 0
    monkeypatch.undo()
    monkeypatch.setattr(fork_server, "_servers", servers)
    job = new_job()
    list(run_job(job, recipe.recipe))
    assert written(job)
    assert first not in servers.values()


def test_a_strangers_model_is_loaded_and_measured_without_what_only_training_an_adapter_needs() -> None:
    recipe = parse_recipe(RECIPE.replace(b"data:", b"lora: {rank: 4}\ndata:").replace(*FROM_A_BASE)).recipe
    assert recipe.lora is not None
    load = LoadJob.model_construct()
    assert launch._packages(load, recipe) == launch._packages(EvaluateJob.model_construct(), recipe) == ()
    assert launch._packages(InitialJob.model_construct(), recipe) == ("peft",)
    assert launch._packages(InitialJob.model_construct(), parse_recipe(RECIPE).recipe) == ()


def test_limits_hold_for_one_process_and_not_for_the_next(
    recipe: RecipeFile, new_job: Callable[..., InitialJob], servers: dict[tuple[object, ...], fork_server._Server]
) -> None:
    with pytest.raises(LlamafundError, match=r"MemoryError|alloc_cpu"):
        list(run_job(new_job(memory=1 << 20), recipe.recipe))
    job = new_job()
    list(run_job(job, recipe.recipe))
    assert written(job)
    assert len(servers) == 1


def test_a_process_that_is_killed_harms_no_other(
    recipe: RecipeFile, new_job: Callable[..., InitialJob], servers: dict[tuple[object, ...], fork_server._Server]
) -> None:
    job = new_job()
    with launch._worker(Task(job, recipe.recipe), 0) as one:
        one.process.kill()
        (event,) = one.read()
    assert isinstance(event, LlamafundError)
    assert "ended with code -9" in str(event)
    list(run_job(job, recipe.recipe))
    assert written(job)
    assert len(servers) == 1


def test_what_its_server_dies_of_is_the_error_and_the_next_job_has_a_new_one(
    recipe: RecipeFile,
    new_job: Callable[..., InitialJob],
    servers: dict[tuple[object, ...], fork_server._Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise ImportError('this torch is broken')\n")
    start = launch._start
    monkeypatch.setattr(launch, "_start", lambda *_: pytest.fail("the error is told by the server"))
    with monkeypatch.context() as patch:
        patch.setattr(fork_server, "quiet_variables", lambda home: {"HOME": home, "PYTHONPATH": _before(tmp_path)})
        with pytest.raises(LlamafundError, match=r"ended with code 1 .*this torch is broken"):
            list(run_job(new_job(), recipe.recipe))
    monkeypatch.setattr(launch, "_start", start)
    job = new_job()
    list(run_job(job, recipe.recipe))
    assert written(job)
    (server,) = servers.values()
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    again = new_job()
    list(run_job(again, recipe.recipe))
    assert written(again) == written(job)


def _before(folder: Path) -> str:
    """A search path on which broken packages come first."""
    return os.pathsep.join((str(folder / "broken"), *(path for path in sys.path if path)))


def test_where_no_server_starts_the_process_imports_for_itself(
    recipe: RecipeFile, new_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        def __init__(self, *_: object) -> None:
            self.asked = 0

        def ask(self, *_: object) -> int:
            raise EOFError

        def end(self) -> int:
            return 0

        def has_ended(self) -> bool:
            return True

    def refused(*_: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(fork_server, "_servers", {})
    monkeypatch.setattr(fork_server, "_Server", refused)
    assert fork_process([], {}, home="/", log=2) is None
    monkeypatch.setattr(fork_server, "_Server", Deaf)
    assert fork_process([], {}, home="/", log=2) is None
    job = new_job()
    list(run_job(job, recipe.recipe))
    assert written(job)


def test_what_an_import_prints_is_no_event_of_a_job(
    recipe: RecipeFile,
    new_job: Callable[..., InitialJob],
    servers: dict[tuple[object, ...], fork_server._Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text("print('hello', end='')\n")
    monkeypatch.setattr(fork_server, "quiet_variables", lambda home: {"HOME": home, "PYTHONPATH": _before(tmp_path)})
    job = new_job()
    list(run_job(job, recipe.recipe))
    assert written(job)


@pytest.mark.parametrize("inherited", ["signal.SIG_IGN", "signal.default_int_handler"])
def test_a_program_that_ignores_ctrl_c_from_its_start_has_servers_that_do(
    tmp_path: Path, recipe: RecipeFile, inherited: str
) -> None:
    program = f"""
import signal
signal.signal(signal.SIGINT, {inherited})
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
{_asking(tmp_path)}
(server,) = fork_server._servers.values()
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGINT}})
os.kill(server._process.pid, signal.SIGINT)
try:
    print(list(launch.run_job(job, recipe)), len(fork_server._servers), server.has_ended())
finally:
    server.end()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"[] 1 {inherited != 'signal.SIG_IGN'}\n", done.stderr


def test_a_server_and_a_job_under_way_end_with_whoever_asked_them(tmp_path: Path, recipe: RecipeFile) -> None:
    program = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{_asking(tmp_path)}
(server,) = fork_server._servers.values()
# A job that waits for a file that nobody writes.
os.mkfifo(place / "pipe")
with launch._worker(launch.Task(job.model_copy(update={{"recipe": place / "pipe"}}), recipe), 0) as worker:
    children = f"/proc/{{server._process.pid}}/task/{{server._process.pid}}/children"
    while not (found := open(children).read().split()):
        pass
    print(server._process.pid, *found, flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        waiting = [os.pidfd_open(int(each)) for each in process.stdout.readline().split()]
        process.kill()
    try:
        assert len(waiting) == 2
        for each in waiting:
            assert select.select([each], [], [], 60)[0], "it is still there"
    finally:
        for each in waiting:
            os.close(each)


def _asking(place: Path) -> str:
    """The beginning of a program that has had a job done."""
    return f"""
import os
from pathlib import Path
from llamafund_trainer.process import fork_server, launch
from llamafund_trainer.process.messages import Bounds, InitialJob
from llamafund_trainer.recipe import load_recipe
place = Path({str(place)!r})
(place / "out").mkdir()
recipe = load_recipe(place / "recipe.yaml").recipe
job = InitialJob(recipe=place / "recipe.yaml", base=None, seed="5a" * 32, weights=True, output=place / "out",
                 bounds=Bounds(memory=8 << 30, seconds=1800))
list(launch.run_job(job, recipe))
"""
