"""What the training process is asked to do, and what it answers: JSON both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Job(_Message):
    """What every job needs.

    Attributes:
        recipe: The recipe file.
        dataset: The dataset manifest's file.
        data: Directory with the dataset's files, verified.
    """

    recipe: Path
    dataset: Path
    data: Path


class TrainJob(_Job):
    """Train to the end.

    Attributes:
        checkpoints: Directory for the checkpoints.
        manifests: Existing directory for their manifests.
        history: Manifest files of the run so far, oldest first; the last one's checkpoint is in place.
    """

    task: Literal["train"] = "train"
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]
    checkpoints: Path
    manifests: Path
    history: tuple[Path, ...] = ()


class SegmentJob(_Message):
    """Train from one checkpoint to the next.

    Attributes:
        first: Step at which it begins.
        last: Step at which it ends.
        start: Directory with the state files of the checkpoint at `first`; null to begin with the seed.
        output: Directory for the result.
    """

    first: int
    last: int
    start: Path | None
    output: Path


class ReplayJob(_Job):
    """Repeat segments of a run, one after the other."""

    task: Literal["replay"] = "replay"
    seed: str
    segments: tuple[SegmentJob, ...]


class EvaluateJob(_Job):
    """Measure the weights of a file in the recipe's architecture, with the tokenizer that the data gives."""

    task: Literal["evaluate"] = "evaluate"
    weights: Path


class LoadJob(_Message):
    """Load a published directory the way its users will, and let it write."""

    task: Literal["load"] = "load"
    directory: Path
    prompt: str
    new_tokens: int


Job = Annotated[TrainJob | ReplayJob | EvaluateJob | LoadJob, Field(discriminator="task")]
JOBS: TypeAdapter[Job] = TypeAdapter(Job)


class StepEvent(_Message):
    """A step is done. `loss` is in nats per token, null between logs."""

    event: Literal["step"] = "step"
    step: int
    loss: float | None


class CheckpointEvent(_Message):
    """A checkpoint and its manifest are written."""

    event: Literal["checkpoint"] = "checkpoint"
    directory: Path
    manifest: Path


class SegmentEvent(_Message):
    """A segment was repeated.

    Attributes:
        directory: The checkpoint that came out.
        environment: What was recorded about this process.
        seconds: Time it took.
    """

    event: Literal["segment"] = "segment"
    index: int
    directory: Path
    environment: dict[str, str]
    seconds: float


class EvaluationEvent(_Message):
    """Weights were measured. Values in millionths of a bit per byte.

    Attributes:
        value: Null when the model has diverged.
        tokenizer: The `tokenizer.json` that the data gives.
    """

    event: Literal["evaluation"] = "evaluation"
    value: int | None
    unigram_tokens: int
    unigram_bytes: int
    heldout_bytes: int
    heldout_tokens: int
    tokenizer: str


class LoadedEvent(_Message):
    """A published directory was loaded."""

    event: Literal["loaded"] = "loaded"
    model_class: str
    tokenizer_class: str
    parameters: int
    text: str


class ErrorEvent(_Message):
    """The job failed. `kind` is `error` or `verification`."""

    event: Literal["error"] = "error"
    kind: Literal["error", "verification"]
    what: str
    why: str
    remedy: str


class DoneEvent(_Message):
    """The job is complete."""

    event: Literal["done"] = "done"


Event = Annotated[
    StepEvent | CheckpointEvent | SegmentEvent | EvaluationEvent | LoadedEvent | ErrorEvent | DoneEvent,
    Field(discriminator="event"),
]
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
