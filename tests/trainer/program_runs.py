"""A small program as a recipe, and a recorded run of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llamafund_chain.evidence.manifests import CheckpointManifest
from llamafund_chain.evidence.programs import Program, parse_program
from llamafund_chain.store import LocalStore
from llamafund_chain.store.dataset import build_dataset
from llamafund_trainer import Recorder
from llamafund_trainer.record.environment import environment_of_program
from llamafund_trainer.record.program import lock_of
from llamafund_trainer.replay.choice import Pick
from llamafund_trainer.replay.program import Allowed, repeat_program
from llamafund_trainer.replay.result import SegmentResult
from llamafund_trainer.replay.segments import segments_of

SEED = "7e" * 32

TRAINING = '''
import hashlib, json

def files(step, seed, data):
    """A model of four numbers, each step a hash of the step before."""
    state = bytes.fromhex(seed)
    for _ in range(step):
        state = hashlib.sha256(state + data).digest()
    return {"model.safetensors": packed(state), "state.json": json.dumps({"step": step}).encode()}

def packed(state):
    numbers = b"".join(bytes([0, 0, byte, 0x3F]) for byte in state[:4])
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + numbers
'''

SCRIPT = """
import json, os, sys
from pathlib import Path
from training import files

job = json.loads(Path(os.environ["LLAMAFUND_REPEAT"]).read_text())
data = Path(sys.argv[1], "train", "a.txt").read_bytes()
assert sys.argv[2] == job["seed"]
if job["first"]:
    assert json.loads(Path(job["start"], "state.json").read_text())["step"] == job["first"]
for step in sorted({job["first"], job["last"]} if job["first"] == 0 else {job["last"]}):
    place = Path(job["output"], f"checkpoint-{step}")
    place.mkdir()
    for name, content in files(step, job["seed"], data).items():
        (place / name).write_bytes(content)
"""


@dataclass(frozen=True)
class Made:
    """A recorded run of a small program.

    Attributes:
        run: Its checkpoints.
    """

    store: LocalStore
    program: Program
    run: tuple[CheckpointManifest, ...]

    def repeat(self, workdir: Path, allowed: Allowed | None = None, **changes: object) -> SegmentResult:
        """Repeat the last segment, with parts of the program changed."""
        recipe = parse_program(self.program.model_copy(update=changes).encoded)
        pick = Pick(segments_of(self.run)[1], "random")
        return repeat_program(self.store, recipe, [pick], workdir, allowed)[0]

    def script(self, text: str) -> dict[str, str]:
        """The files of the program with another script."""
        return {**self.program.files, "train.py": text}

    def recorded(self, **environment: str) -> Made:
        """The same run with another record of its environment."""
        last = self.run[-1]
        changed = last.model_copy(update={"environment": {**last.environment, **environment}})
        return replace(self, run=(*self.run[:-1], changed))


def record_program(folder: Path, made: Mapping[int, int] | None = None) -> Made:
    """Train and publish it.

    Args:
        folder: Where.
        made: The checkpoints: after which step, and the step whose bytes are published as that; `None` for honest ones
            after 0, 2 and 4 steps.
    """
    for part in ("train", "heldout"):
        (folder / "corpus" / part).mkdir(parents=True)
        (folder / "corpus" / part / "a.txt").write_text(f"Some text to {part}.", encoding="utf-8")
    store = LocalStore(folder / "store")
    dataset = build_dataset(
        folder / "corpus", title="x", source="here", license="CC0-1.0", preparation="none", store=store
    )
    program = Program(
        entry="train.py",
        arguments=("{data}", "{seed}"),
        data="{data}",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        lock=lock_of(["numpy"]),
        environment=environment_of_program(),
        files={"train.py": SCRIPT, "training.py": TRAINING},
    )
    (folder / "recipe.json").write_bytes(program.encoded)
    recorder = Recorder(
        folder / "evidence", recipe=folder / "recipe.json", dataset=dataset.sha256, seed=SEED, store=store
    )
    training: dict[str, Callable[..., dict[str, bytes]]] = {}
    exec(TRAINING, training)
    data = (folder / "corpus" / "train" / "a.txt").read_bytes()

    def save(step: int) -> Callable[[Path], None]:
        def write(place: Path) -> None:
            for name, content in training["files"](step, SEED, data).items():
                (place / name).write_bytes(content)

        return write

    recorder.begin()
    for step, published in (made or {0: 0, 2: 2, 4: 4}).items():
        recorder.checkpoint(step, save(published))
    return Made(store, program, recorder.end())
