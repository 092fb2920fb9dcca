"""A cluster of worker processes on this machine: honest ones, one that is killed midway, and one that lies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program_runs import Made, record_program
from sandboxes import require_sandbox

from llamafund_chain.errors import ExitCode
from llamafund_trainer.process.sandbox import package_path
from llamafund_trainer.replay import dask_workers
from llamafund_trainer.replay.dask_workers import DaskWorkers

distributed = pytest.importorskip("distributed")


@dataclass(frozen=True)
class Cluster:
    """A scheduler in this process, and workers in processes of their own."""

    client: Any
    folder: Path

    @property
    def address(self) -> str:
        return str(self.client.scheduler.address)

    @contextmanager
    def worker(self, name: str, role: str = "honest") -> Iterator[subprocess.Popen[bytes]]:
        """A worker process until the end of the block, once the scheduler knows it."""
        folder = self.folder / name
        folder.mkdir()
        self.play(name, role)
        known = len(self.client.nthreads())
        options = ("--no-nanny", "--nthreads=1", "--no-dashboard", f"--name={name}", f"--local-directory={folder}")
        preload = f"--preload={Path(__file__).parent / 'stand_in_worker.py'}"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONPATH": package_path(),
            "STAND_IN_ROLE": str(self.folder / f"{name}.role"),
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", self.address, *options, preload],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            self.client.wait_for_workers(known + 1, timeout=120)
            yield process
        finally:
            process.kill()
            process.wait()

    def play(self, name: str, role: str) -> None:
        """Give a worker a role."""
        (self.folder / f"{name}.role").write_text(role, encoding="utf-8")

    def named(self, name: str) -> str:
        """The address of a worker."""
        found = self.client.scheduler_info(n_workers=-1)["workers"]
        return str(next(address for address, worker in found.items() if worker["name"] == name))


@contextmanager
def scheduler(folder: Path) -> Iterator[Cluster]:
    """A cluster without workers, on a port that is free."""
    options = {"host": "127.0.0.1", "scheduler_port": 0, "dashboard_address": "127.0.0.1:0", "protocol": "tcp"}
    with (
        distributed.LocalCluster(n_workers=0, **options) as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        yield Cluster(client, folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, `a` and `b`, which are honest unless a test gives them another role."""
    require_sandbox()
    with scheduler(tmp_path_factory.mktemp("cluster")) as made, made.worker("a"), made.worker("b"):
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run of three segments."""
    return record_program(tmp_path_factory.mktemp("program"), {step: step for step in (0, 2, 4, 6)})


@pytest.fixture
def on_cluster(made: Made, cluster: Cluster, llamafund: Callable[..., Any]) -> Callable[..., Any]:
    """Replays the run on the cluster."""

    def run(*more: object) -> Any:
        words = ("--segments", 3, "--store", made.store.location, "--cluster", cluster.address, *more)
        return llamafund("replay", made.run[-1].sha256, *words)

    return run


def test_two_workers_share_the_segments_and_one_is_repeated_by_both(cluster: Cluster, on_cluster: Any) -> None:
    ran = on_cluster("--json")
    assert ran.code == 0, ran.stderr
    assert f"handed to 2 workers of {cluster.address}" in ran.stderr
    both = {cluster.named("a"), cluster.named("b")}
    segments = ran.json["segments"]
    assert [each["verdict"] for each in segments] == ["same"] * 3
    assert {each["ran_on"] for each in segments} == {f"worker {address}" for address in both}
    words = sorted((each["words"] for each in segments), key=len)
    assert [len(each) for each in words] == [1, 1, 2]
    assert {word["worker"] for word in words[-1]} == both
    assert all(word["verdict"] == "same" and len(word["answer"]) == 64 for each in words for word in each)
    told = ran.json["cluster"]
    assert (told["recheck"], told["doubted"], len(told["seed"])) == (8, [], 64)


def test_what_a_worker_that_is_killed_midway_began_is_done_by_another(cluster: Cluster, on_cluster: Any) -> None:
    with cluster.worker("c", "dies") as process:
        dying = cluster.named("c")
        ran = on_cluster()
        # Three segments for three idle workers: it had one.
        assert process.wait(timeout=120) == -signal.SIGKILL
    assert ran.code == 0, ran.stderr
    assert ran.stdout.count("were repeated bit for bit") == 3
    assert ran.stdout.count("ran on worker tcp://127.0.0.1:") == 3
    assert dying not in ran.stdout


def test_what_a_worker_never_answers_is_repeated_here(
    cluster: Cluster, on_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_workers, "SILENCE", 0.0)
    monkeypatch.setattr(dask_workers, "SILENCE_FACTOR", 1)
    with cluster.worker("d", "silent"):
        silent = cluster.named("d")
        ran = on_cluster("--json")
    assert ran.code == 0, ran.stderr
    segments = ran.json["segments"]
    assert [each["verdict"] for each in segments] == ["same"] * 3
    assert f"worker {silent}" not in {each["ran_on"] for each in segments}
    assert any("no worker has answered for" in str(word["reason"]) for each in segments for word in each["words"])
    assert ran.json["cluster"]["doubted"] == [], "who says nothing has not lied"


def test_a_worker_that_lies_accuses_nobody_and_is_asked_no_more(cluster: Cluster, on_cluster: Any) -> None:
    liar = cluster.named("b")
    cluster.play("b", "lies")
    try:
        ran = on_cluster("--json")
    finally:
        cluster.play("b", "honest")
    assert ran.code == 0, ran.stderr
    segments = ran.json["segments"]
    assert [each["verdict"] for each in segments] == ["same"] * 3
    assert f"worker {liar}" not in {each["ran_on"] for each in segments}
    (doubted,) = ran.json["cluster"]["doubted"]
    assert doubted["worker"] == liar
    assert "it lied or its machine differs: of steps " in doubted["reason"]
    assert "it says 'different', and this machine says 'same'" in doubted["reason"]
    said = [word for each in segments for word in each["words"] if word["worker"] == liar]
    assert {word["reason"] for word in said} == {"it is a lie"}


def test_a_cluster_without_workers_is_told(
    made: Made, llamafund: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_workers, "WORKER_PATIENCE", 0.1)
    with scheduler(tmp_path) as empty:
        words = ("--store", made.store.location, "--cluster", empty.address)
        ran = llamafund("replay", made.run[-1].sha256, *words)
        ran.refused(ExitCode.NODE_UNREACHABLE, "has no workers", f"dask worker {empty.address} --nthreads 1")
        assert DaskWorkers(empty.client).ask({0: "{}"}, {0: ()}, lambda _: None) == {}, "the last one may have gone"


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("tcp://127.0.0.1:{port}", ExitCode.NODE_UNREACHABLE, "does not answer"),
        ("tls://127.0.0.1:{port}", ExitCode.USAGE, "There are no certificates for tls://127.0.0.1:"),
        ("http://127.0.0.1:{port}", ExitCode.USAGE, "is not the address of a cluster"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_before_anything_else(
    llamafund: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, address: str, code: int, words: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_workers, "PATIENCE", 0.1)
    with socket.socket() as taken:
        # Bound, so that nobody else gets it, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        llamafund("replay", "00" * 32, "--store", tmp_path, "--cluster", address).refused(code, words)


def test_what_it_takes_is_told_where_dask_is_not_installed(
    llamafund: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = llamafund("replay", "00" * 32, "--store", tmp_path, "--cluster", "tcp://127.0.0.1:1")
    ran.refused(ExitCode.USAGE, "pip install 'llamafund[cluster]'")
