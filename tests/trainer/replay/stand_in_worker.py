"""Makes a dask worker do what the file beside its folder says, before each answer: `dask worker --preload`.

honest: answer as it is. lies: say the opposite. dies: be killed where the program should run.
silent: never answer.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from llamafund_trainer.replay import dask_workers, handover, program

answer = handover.answer


def act(asked: str, worker: str) -> str:
    role = Path(os.environ["STAND_IN_ROLE"]).read_text(encoding="utf-8")
    if role == "silent":
        threading.Event().wait()
    if role == "dies":
        program.run_program = killed
    text = answer(asked, worker)
    return contrary(text) if role == "lies" else text


def killed(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def contrary(text: str) -> str:
    """The answer with another verdict, sealed anew."""
    said = handover._Answer.model_validate_json(json.loads(text)["answer"])
    return handover._sealed(said.model_copy(update={"verdict": "different", "problem": "it is a lie"}))


dask_workers.answer = act
