"""The training process gets the variables that it needs, and none of the secrets that may be among the others."""

from __future__ import annotations

import os
import subprocess
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
