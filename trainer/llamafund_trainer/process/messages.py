"""Jobs for the training process and its answers, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Message):
    """Limits of a process that opens a stranger's files.

    Attributes:
        memory: Bytes of data, on systems that count them.
        seconds: Processor time of all threads together.
    """

    memory: int
    seconds: int


class _Job(_Message):
    """What every job needs.

    Attributes:
        recipe: The recipe file.
        dataset: The dataset manifest's file.
        data: Directory with the dataset's files, verified.
        base: Directory with the base model's files, verified; `None` if the recipe names none.
    """

    recipe: Path
    dataset: Path
    data: Path
    base: Path | None = None


class Machines(_Message):
    """Several machines that train together.

    Attributes:
        count: How many there are.
        number: Which one this is, from 0. The first one has the first process, which writes the evidence.
        rendezvous: Host name and port of the first one, where they meet.
        processes: How many processes each of them has.
        patience: Seconds to wait for the others to begin.
    """

    count: int
    number: int
    rendezvous: str
    processes: int
    patience: int


class TrainJob(_Job):
    """Train to the end.

    Attributes:
        machines: Where the processes are; `None` if all are on this machine.
        seed: The training seed.
        parent: SHA-256 of the evidence before the run.
        milestone_steps: Steps after which a milestone's evidence is due.
        checkpoints: Directory for the checkpoints.
        manifests: Existing directory for their manifests, called `manifests`.
        pause: Where the state goes if the process is told to stop (SIGTERM), and where it may be from last time.
        resume: Step of the checkpoint to continue from; it is in place with the manifests up to it. `None` to start.
    """

    task: Literal["train"] = "train"
    machines: Machines | None = None
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
        first: Step to start from.
        last: Step to end at.
        start: Directory with the state files of the checkpoint at `first`; `None` to start from the seed.
        output: Directory for the result.
    """

    first: int
    last: int
    start: Path | None
    output: Path


class ReplayJob(_Job):
    """Repeat segments of a run, one after the other.

    Attributes:
        bounds: Limits for encoding the data and building the model, not for training; `None` without a base model.
        seed: The training seed.
        segments: The segments.
    """

    task: Literal["replay"] = "replay"
    bounds: Bounds | None
    seed: str
    segments: tuple[SegmentJob, ...]


class EvaluateJob(_Job):
    """Measure the weights in a file, in the recipe's architecture and with the tokenizer that follows from the data.

    Attributes:
        bounds: Limits for encoding the data and building the model, not for measuring; `None` without a base model.
        weights: The file.
    """

    task: Literal["evaluate"] = "evaluate"
    bounds: Bounds | None
    weights: Path


class DryRunJob(_Message):
    """Build the recipe's model without memory for its weights, and count. With a base model there are limits."""

    task: Literal["dry-run"] = "dry-run"
    recipe: Path
    base: Path | None = None
    bounds: Bounds | None = None


class InitialJob(_Message):
    """Write what checkpoint 0 contains: the configurations and, if wanted, the weights or the adapter."""

    task: Literal["initial"] = "initial"
    recipe: Path
    base: Path | None
    seed: str
    weights: bool
    output: Path
    bounds: Bounds


class LoadJob(_Message):
    """Load a published directory as its users will, and let the model write."""

    task: Literal["load"] = "load"
    directory: Path
    prompt: str
    new_tokens: int
    bounds: Bounds


Job = Annotated[TrainJob | ReplayJob | EvaluateJob | DryRunJob | InitialJob | LoadJob, Field(discriminator="task")]
JOBS: TypeAdapter[Job] = TypeAdapter(Job)


class StepEvent(_Message):
    """A step is done. `loss` is in nats per token, and `None` between logs."""

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
        index: Position in the job.
        directory: The checkpoint at its end.
        environment: What was recorded about this process.
        seconds: Time it took.
    """

    event: Literal["segment"] = "segment"
    index: int
    directory: Path
    environment: dict[str, str]
    seconds: float


class EvaluationEvent(_Message):
    """Weights were measured. Values are in millionths of a bit per byte.

    Attributes:
        value: The promised metric; `None` if the model has diverged.
        tokenizer: The `tokenizer.json` that follows from the data; empty if the base model's was used.
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
        parameters: Parameters of the model.
        trained: Parameters that are trained: all, or the adapter's.
        model_bytes: Memory for weights, gradients and optimizer state, in each process.
        activation_bytes: What a step takes at most beside them: activations and temporary tensors, in each process.
        host_bytes: Host memory of each process at its peak, without the data. On the CPU it includes all of the above.
        flops: Floating point operations of the whole run, in all processes.
        environment: What the recipe's section `environment` can name of this machine.
        measuring_flops: Operations to measure a checkpoint, for each token of the held-out text.
    """

    event: Literal["dry-run"] = "dry-run"
    environment: dict[str, str]
    parameters: int
    trained: int
    model_bytes: int
    activation_bytes: int
    host_bytes: int
    flops: int
    measuring_flops: int


class StoppedEvent(_Message):
    """The process was told to stop. It did so after a step, and can continue from there."""

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
