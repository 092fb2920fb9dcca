"""What the training process is asked to do, and what it answers: JSON both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Message):
    """What a process may use at most that opens a stranger's files.

    Attributes:
        memory: Bytes of data, where the system counts them.
        seconds: Of the processor, all threads together.
    """

    memory: int
    seconds: int


class _Job(_Message):
    """What every job needs.

    Attributes:
        recipe: The recipe file.
        dataset: The dataset manifest's file.
        data: Directory with the dataset's files, verified.
        base: Directory with the base model's files, verified; `None` where the recipe names none.
    """

    recipe: Path
    dataset: Path
    data: Path
    base: Path | None = None


class TrainJob(_Job):
    """Train to the end.

    Attributes:
        checkpoints: Directory for the checkpoints.
        manifests: Existing directory for their manifests, called `manifests`.
        pause: Where the state goes when the process is told to stop (SIGTERM), and where it may be from last time.
        resume: Step of the checkpoint to go on from: it is in place, and so are the manifests up to it.
    """

    task: Literal["train"] = "train"
    seed: str
    parent: str
    milestone_steps: tuple[int, ...]
    checkpoints: Path
    manifests: Path
    pause: Path
    resume: int | None = None


class SegmentJob(_Message):
    """Train from one checkpoint to the next.

    Attributes:
        first: Step at which it begins.
        last: Step at which it ends.
        start: Directory with the state files of the checkpoint at `first`; `None` to begin with the seed.
        output: Directory for the result.
    """

    first: int
    last: int
    start: Path | None
    output: Path


class ReplayJob(_Job):
    """Repeat segments of a run, one after the other.

    Attributes:
        bounds: For encoding the data and building the model, not for training it; `None` where there is no base model.
    """

    task: Literal["replay"] = "replay"
    bounds: Bounds | None
    seed: str
    segments: tuple[SegmentJob, ...]


class EvaluateJob(_Job):
    """Measure the weights of a file in the recipe's architecture, with the tokenizer that the data gives.

    Attributes:
        bounds: For encoding the data and building the model, not for measuring; `None` where there is no base model.
    """

    task: Literal["evaluate"] = "evaluate"
    bounds: Bounds | None
    weights: Path


class DryRunJob(_Message):
    """Build the recipe's model without memory for it, and count. Bounds come with a base model."""

    task: Literal["dry-run"] = "dry-run"
    recipe: Path
    base: Path | None = None
    bounds: Bounds | None = None


class InitialJob(_Message):
    """Write what checkpoint 0 begins with: the configurations and, if wanted, the weights or the adapter."""

    task: Literal["initial"] = "initial"
    recipe: Path
    base: Path | None
    seed: str
    weights: bool
    output: Path
    bounds: Bounds


class LoadJob(_Message):
    """Load a published directory the way its users will, and let it write."""

    task: Literal["load"] = "load"
    directory: Path
    prompt: str
    new_tokens: int
    bounds: Bounds


Job = Annotated[TrainJob | ReplayJob | EvaluateJob | DryRunJob | InitialJob | LoadJob, Field(discriminator="task")]
JOBS: TypeAdapter[Job] = TypeAdapter(Job)


class StepEvent(_Message):
    """A step is done. `loss` is in nats per token, `None` between logs."""

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
        tokenizer: The `tokenizer.json` that the data gives; empty where the base model's was used.
    """

    event: Literal["evaluation"] = "evaluation"
    value: int | None
    unigram_tokens: int
    unigram_bytes: int
    heldout_bytes: int
    heldout_tokens: int
    tokenizer: str


class DryRunEvent(_Message):
    """What training would take.

    Attributes:
        parameters: Of the model.
        trained: Those that change: all, or the adapter's.
        model_bytes: For weights, gradients and optimizer state, in each process.
        activation_bytes: For what the backward pass needs of a batch, in each process.
        flops: Floating point operations of the whole run, in all processes.
    """

    event: Literal["dry-run"] = "dry-run"
    parameters: int
    trained: int
    model_bytes: int
    activation_bytes: int
    flops: int


class StoppedEvent(_Message):
    """The process was told to stop, and did so after a step, from which it can go on."""

    event: Literal["stopped"] = "stopped"
    step: int


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
    StepEvent
    | CheckpointEvent
    | SegmentEvent
    | EvaluationEvent
    | LoadedEvent
    | DryRunEvent
    | StoppedEvent
    | ErrorEvent
    | DoneEvent,
    Field(discriminator="event"),
]
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
