"""The training process gets the variables that it needs, and none of the secrets that may be among the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llamafund_trainer
from llamafund_trainer.process import fork_server, launch
from llamafund_trainer.recipe import load_recipe

MARKER = "5ec2e75ec2e75ec2e7"


class StartedError(Exception):
    pass


@pytest.mark.parametrize("forked", [True, False])
def test_no_secret_of_the_environment_or_the_command_line_reaches_the_training_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked: bool
) -> None:
    given: dict[str, Any] = {}

    def start(words: list[str], **options: Any) -> Any:
        given.update(words=words, env=options["env"])
        raise StartedError

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    monkeypatch.setattr(launch.sys, "platform", "linux" if forked else "darwin")
    monkeypatch.setattr(fork_server, "_servers", {})
    for name in ("MY_KEY", "LLAMAFUND_KUBO_TOKEN", "LLAMAFUND_RPC", "HF_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, MARKER)
    recipe = load_recipe(Path(llamafund_trainer.__path__[0]) / "recipes" / "demo.yaml").recipe
    with pytest.raises(StartedError), launch._process(tmp_path / "job.json", object(), recipe, subprocess.DEVNULL):  # type: ignore[arg-type]
        pass
    assert given["words"][3] == f"llamafund_trainer.worker.{'fork_server' if forked else 'main'}"
    assert given["env"]["PATH"] == os.environ["PATH"]
    assert MARKER not in repr(given)


@pytest.mark.parametrize(("limit", "name"), [("soft", "SIGXCPU"), ("hard", "SIGKILL"), (None, "SIGXCPU")])
def test_a_model_is_not_blamed_for_a_limit_that_the_session_has(limit: str | None, name: str) -> None:
    text = f"""
import resource, signal, subprocess, sys, tempfile
from llamafund_trainer.process.launch import _Worker
limits = {{"soft": (600, resource.RLIM_INFINITY), "hard": (600, 600), None: resource.getrlimit(resource.RLIMIT_CPU)}}
resource.setrlimit(resource.RLIMIT_CPU, limits[{limit!r}])
kill = "import os, signal; os.kill(os.getpid(), signal.{name})"
error = _Worker(subprocess.Popen([sys.executable, "-c", kill]), tempfile.TemporaryFile())._death()
print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    if limit is None:
        assert done.stdout.startswith("VerificationError Opening the model takes too long")
    else:
        assert done.stdout.startswith("LlamafundError The training process was ended, probably because")
        assert "600 s" in done.stdout
