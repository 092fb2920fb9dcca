"""The other side of recording: a script that is run again to repeat some of its steps.

Whoever repeats a program sets the environment variable `LLAMAFUND_REPEAT` to the path of a `Repetition` in JSON. The
program goes on from the checkpoint `start`, or begins if there is none. It writes each checkpoint that is asked for to
`output/checkpoint-<step>`, and ends after step `last`. `Recorder` and the callbacks do all of that by themselves; a
program without them can keep the same contract.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.files import link_files, recorded_names

VARIABLE = "LLAMAFUND_REPEAT"


class Repetition(BaseModel):
    """What to repeat.

    Attributes:
        first: Steps done at the start.
        last: Step to end after.
        start: The checkpoint after `first` steps; `None` to begin.
        manifest: Its manifest.
        output: Where checkpoints go.
        seed: The training seed.
        dataset: SHA-256 of the dataset's manifest.
        recipe: SHA-256 of the recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    last: int
    start: Path | None
    manifest: Path | None
    output: Path
    seed: str
    dataset: str
    recipe: str

    def require_run(self, seed: str, dataset: Path | str) -> None:
        """Refuse a program that trains with another seed, or with a dataset of another hash.

        Raises:
            UsageError: It does.
        """
        said = str(dataset) if re.fullmatch("[0-9a-f]{64}", str(dataset)) else self.dataset
        for name, ours, asked in (("seed", seed, self.seed), ("dataset", said, self.dataset)):
            if ours != asked:
                raise UsageError(f"The program trains with the {name} {ours[:80]}", f"The run to repeat has {asked}")

    def require_start(self, step: int) -> None:
        """Refuse a program that begins at another step.

        Raises:
            UsageError: It does.
        """
        if step != self.first:
            raise UsageError(
                f"The program begins after step {step}",
                f"It is to repeat steps {self.first} to {self.last}",
                "Continue from the checkpoint that latest() or resume_from() returns",
            )

    def take(self, step: int, directory: Path) -> None:
        """Keep a checkpoint if it was asked for, and end this process after the last one."""
        if step > self.last:
            raise UsageError(f"The program has no checkpoint after step {self.last}", f"The next is after {step}")
        if step not in (self.last, 0):
            return
        target = self.output / f"checkpoint-{step}"
        if not link_files(directory, target):
            for name in sorted(recorded_names(directory)):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(directory / name, target / name)
        if step == self.last:
            _end()


def asked() -> Repetition | None:
    """What this process is to repeat; `None` for a run of its own."""
    path = os.environ.get(VARIABLE)
    return None if path is None else Repetition.model_validate_json(Path(path).read_bytes())


def _end() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # Neither other threads nor clean-up of the training are waited for: all that counts is written.
    os._exit(0)
