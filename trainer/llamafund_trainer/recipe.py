"""Training recipes: everything that decides the weights, except the data and the seed.

A recipe is a YAML file. The proposal and every checkpoint manifest name its SHA-256, so one file describes one run. No
later version may change a default without anyone noticing: the defaults below belong to the schema
`llamafund/recipe/1` and never change.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from llamafund_chain.errors import UsageError
from llamafund_chain.files import read_error
from llamafund_chain.mistakes import DocumentError, Rule, UnfitError, find_mistakes, refusal
from llamafund_chain.strict_yaml import load_yaml_with_lines

MAX_RECIPE_BYTES = 64 * 1024

MAX_LAYERS = 1024
"""Most layers, blocks or experts that a model may have."""

MAX_SIZE = 2**24
"""Largest size of a dimension; useful models stay far below it."""

_HASH = r"^[0-9a-f]{64}$"
_NCCL_NAME = r"^NCCL_[A-Z0-9_]{1,100}$"
_MODULE = re.compile(r"[A-Za-z0-9_]{1,100}")


def _hash_remedy(text: str) -> str:
    if re.fullmatch(_HASH, text.lower().removeprefix("0x")):
        return f"Write it as {text.lower().removeprefix('0x')}"
    return "Copy the hash that llamafund publish or llamafund export printed"


_RULES = {
    _HASH: Rule("It must be a SHA-256, 64 hexadecimal digits in lower case", _hash_remedy),
    _NCCL_NAME: Rule("It must be the name of a variable of NCCL", lambda _: "Write it like NCCL_MAX_NCHANNELS"),
}


def _require_number(value: Any) -> Any:
    # Pydantic would take true for 1.
    if isinstance(value, bool):
        raise UnfitError("It must be a number", "Write it like 0.1 or 1e-4")
    return value


Whole = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Size = Annotated[int, Field(strict=True, ge=1, le=MAX_SIZE)]
Rate = Annotated[float, BeforeValidator(_require_number), Field(ge=0, le=1, allow_inf_nan=False)]
Decay = Annotated[float, BeforeValidator(_require_number), Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_require_number), Field(gt=0, le=1e9, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Section):
    """A Llama architecture; the names are those of `transformers.LlamaConfig`, shortened."""

    hidden_size: Size
    layers: Annotated[int, Field(strict=True, ge=1, le=MAX_LAYERS)]
    heads: Size
    kv_heads: Size
    intermediate_size: Size
    rope_theta: Positive = 10_000.0
    norm_epsilon: Positive = 1e-5
    tie_embeddings: Annotated[bool, Field(strict=True)] = True
    initializer_range: Positive = 0.02

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} does not give each of the {self.heads} heads an even number of values"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


class BaseSection(_Section):
    """A model to fine-tune, with its own architecture, weights and tokenizer.

    Attributes:
        base: SHA-256 of the manifest that names its files: open weights, or the listing that `llamafund publish`
            makes of a directory.
    """

    base: Annotated[str, Field(pattern=_HASH)]

    @model_validator(mode="before")
    @classmethod
    def _has_its_own_architecture(cls, values: Any) -> Any:
        own = [name for name in ModelSection.model_fields if name in values]
        if own:
            raise ValueError(
                f"base names a whole model, but {', '.join(own)} describe a new one. Leave out the one or the other"
            )
        return values


class LoraSection(_Section):
    """A low-rank adapter (arXiv 2106.09685), trained in place of the base model's own weights.

    Attributes:
        rank: Of the two matrices whose product is added to each adapted matrix.
        alpha: The product is multiplied by `alpha / rank`.
        dropout: Share of the adapter's inputs that training sets to zero.
        target_modules: Names of the linear layers to adapt, as the architecture calls them, for example `q_proj`;
            `all-linear` for all but the output layer.
    """

    rank: Annotated[int, Field(strict=True, ge=1, le=4096)] = 16
    alpha: Whole = 32
    dropout: Annotated[float, BeforeValidator(_require_number), Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"

    @field_validator("target_modules", mode="plain")
    @classmethod
    def _names_of_modules(cls, value: Any) -> Any:
        if value == "all-linear":
            return value
        names = value if isinstance(value, list | tuple) else ()
        if not 0 < len(names) <= 100 or not all(isinstance(name, str) and _MODULE.fullmatch(name) for name in names):
            raise UnfitError(
                "It must be a list of at most 100 names of linear layers, or all-linear",
                "Write it like [q_proj, v_proj]",
            )
        if len(set(names)) != len(names):
            raise UnfitError("It names a layer twice", "Leave out one of them")
        return tuple(names)

    @property
    def scale(self) -> float:
        """Factor of the product of the two matrices."""
        return self.alpha / self.rank


class TokenizerSection(_Section):
    """A byte-level BPE tokenizer, trained on the training part only."""

    vocab_size: Annotated[int, Field(strict=True, ge=257, le=1_000_000)]


class DataSection(_Section):
    """How documents become samples. `context_length` counts tokens."""

    context_length: Annotated[int, Field(strict=True, ge=2, le=1_048_576)]


class OptimizerSection(_Section):
    """AdamW."""

    learning_rate: Positive
    beta1: Decay = 0.9
    beta2: Decay = 0.95
    epsilon: Positive = 1e-8
    weight_decay: Rate = 0.1
    max_gradient_norm: Positive = 1.0


class ScheduleSection(_Section):
    """Learning rate over the steps; `warmup_steps` rise linearly from 0."""

    kind: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup_steps: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] = 0


class TrainingSection(_Section):
    """Steps are optimizer steps. Each sees `batch_size` × `gradient_accumulation` samples.

    Attributes:
        batch_size: Samples computed together, in all processes.
        gradient_checkpointing: Whether to compute layers twice to save memory.
        state_every: Steps from one checkpoint with the optimizer's state to the next; all have it when `None`. The
            others hold weights without it. Replays begin where it is, and go through those without.
    """

    steps: Whole
    batch_size: Whole
    gradient_accumulation: Whole = 1
    gradient_checkpointing: Annotated[bool, Field(strict=True)] = False
    checkpoint_every: Whole
    log_every: Whole = 10
    state_every: Whole | None = None

    @model_validator(mode="after")
    def _steps_divide(self) -> Self:
        if self.steps % self.checkpoint_every:
            raise ValueError(f"steps {self.steps} is not a multiple of checkpoint_every {self.checkpoint_every}")
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every {self.checkpoint_every} is not a multiple of log_every {self.log_every}"
            )
        if self.state_every is not None and self.state_every % self.checkpoint_every:
            raise ValueError(
                f"state_every {self.state_every} is not a multiple of checkpoint_every {self.checkpoint_every}"
            )
        if self.state_every is not None and self.steps % self.state_every:
            raise ValueError(f"steps {self.steps} is not a multiple of state_every {self.state_every}")
        return self


class EvaluationSection(_Section):
    """Held-out documents are read in windows of the context length.

    Attributes:
        stride: Tokens from the start of one window to the next; the context length when `None`. A smaller stride
            gives each token more context and costs more.
        batch_size: Windows evaluated together. Does not change the result.
        timeout: Seconds that processes wait for one another: for the slowest at a step, and for the first one when it
            finishes a checkpoint.
    """

    stride: Whole | None = None
    batch_size: Whole = 16
    timeout: Annotated[int, Field(strict=True, ge=60, le=7 * 86_400)] = 1800


class PrecisionSection(_Section):
    """Number types of the training.

    Attributes:
        dtype: With `bfloat16`, matrix products are computed in it (autocast). Weights, gradients and optimizer state
            are float32 either way.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"


class DeterminismSection(_Section):
    """What decides the bits of a floating point sum.

    Attributes:
        threads: Threads of one operation. They also decide how sums are split.
        instruction_set: The widest one that the numeric libraries may use.
        device: Where the training computes. `cuda` takes one device for each process: the first ones, or the first
            ones of `CUDA_VISIBLE_DEVICES` if that is set.
        processes: How many processes share each batch (data parallel), on all machines together. `torchrun` starts
            them.
        sharding: What the processes split besides the batch. With `full`, they split parameters, gradients and
            optimizer state (FSDP), and write checkpoints in shards. With `none`, each process holds all of it.
        attention: How it is computed. `eager` is step by step, with memory that grows with the square of the context;
            `sdpa` takes those of torch's kernels that repeat the same bits.
        nccl_algorithm: How NCCL adds up what several GPUs have, which decides the order of the sums. `Tree` is for sums
            only, takes NCCL 2.24, and leaves the ring for everything else.
        nccl_protocol: How NCCL moves it.
    """

    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    instruction_set: Literal["generic", "avx2", "avx512"] = "avx2"
    device: Literal["cpu", "cuda"] = "cpu"
    processes: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    sharding: Literal["none", "full"] = "none"
    attention: Literal["eager", "sdpa"] = "eager"
    nccl_algorithm: Literal["Ring", "Tree"] = "Ring"
    nccl_protocol: Literal["Simple", "LL", "LL128"] = "Simple"


def _named_values(value: Any) -> Any:
    values = value if isinstance(value, list | tuple) else (value,)
    if not 0 < len(values) <= 100 or not all(isinstance(each, str) and 0 < len(each) <= 200 for each in values):
        raise UnfitError(
            "It must be text, or a list of texts any of which may be recorded", 'Put each in quotes, like "2.13.0"'
        )
    return tuple(values)


Named = Annotated[tuple[str, ...], BeforeValidator(_named_values)]
NcclName = Annotated[str, Field(pattern=_NCCL_NAME)]


class EnvironmentSection(_Section):
    """Where the training computes, as far as `determinism` cannot decide it: fixed before anybody pays.

    Each key is a setting that checkpoints record; `llamafund train --dry-run` prints this machine's. Its value is what
    the record must say, or a list of which one must fit. A value also fits a record that goes on with more after a
    space or a plus: `GenuineIntel` fits `GenuineIntel 6-143`, and `2.13.0` fits `2.13.0+cpu`. Only the settings named
    here, where they leave a choice, may explain other bits.

    Attributes:
        torch: Version, like that of the libraries below.
        torch_build: SHA-256 of how torch was built.
        peft: With an adapter only.
        processor_class: As `llamafund_chain.samples.machine.processor_class` tells it; for training on the CPU.
        cpu_capability: The instructions that torch uses.
        gpu: As its driver calls it; like the versions below for training on GPUs.
        nccl: With several GPUs, like the variables.
        nccl_variables: The `NCCL_…` variables that are set besides those that `determinism` pins.
    """

    torch: Named
    accelerate: Named
    numpy: Named
    safetensors: Named
    tokenizers: Named
    transformers: Named
    peft: Named | None = None
    torch_build: Named | None = None
    machine: Named | None = None
    processor_class: Named | None = None
    cpu_capability: Named | None = None
    gpu: Named | None = None
    gpu_capability: Named | None = None
    cuda: Named | None = None
    cudnn: Named | None = None
    cublas: Named | None = None
    driver: Named | None = None
    nccl: Named | None = None
    nccl_variables: dict[NcclName, Named] = Field(default_factory=dict, max_length=100)

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The settings that it names, with the values that fit."""
        settings = {name: getattr(self, name) for name in type(self).model_fields if name != "nccl_variables"}
        return {name: values for name, values in settings.items() if values is not None} | self.nccl_variables


def _model_kind(section: Any) -> str:
    # No key of a section may have these names: the place of a mistake would be ambiguous.
    is_base = isinstance(section, BaseSection) or (isinstance(section, dict) and "base" in section)
    return "base model" if is_base else "new model"


class Recipe(_Section):
    """One training run, except for its data and seed.

    Attributes:
        model: The architecture of a new model, or the base model to fine-tune.
        lora: With a base model: train an adapter, not all weights.
        tokenizer: Of a new model; a base model has its own.
        environment: Where it computes; `None` if the recipe fixes none, so that differences can be explained away.
    """

    schema_: Literal["llamafund/recipe/1"] = Field(alias="schema")
    title: Annotated[str, Field(min_length=1, max_length=300)]
    model: Annotated[
        Annotated[ModelSection, Tag("new model")] | Annotated[BaseSection, Tag("base model")],
        Discriminator(_model_kind),
    ]
    lora: LoraSection | None = None
    tokenizer: TokenizerSection | None = None
    data: DataSection
    optimizer: OptimizerSection
    schedule: ScheduleSection = ScheduleSection()
    training: TrainingSection
    precision: PrecisionSection = PrecisionSection()
    evaluation: EvaluationSection = EvaluationSection()
    determinism: DeterminismSection = DeterminismSection()
    environment: EnvironmentSection | None = None

    @model_validator(mode="after")
    def _environment_is_whole(self) -> Self:
        if self.environment is None:
            return self
        needed, named = self.deciding_settings, self.environment.named
        missing = sorted(needed - named.keys())
        if missing:
            raise ValueError(
                f"environment does not name {', '.join(missing)}. Training with these sections depends on it. "
                "llamafund train --dry-run prints what this machine has"
            )
        on_gpu = self.determinism.device == "cuda"
        further = {"cublas", "driver", "gpu_capability"} if on_gpu else {"cpu_capability"}
        possible = needed | further | {"machine", "torch_build"}
        if self.uses_nccl:
            possible |= self.environment.nccl_variables.keys()
        odd = sorted(named.keys() - possible)
        if odd:
            raise ValueError(f"environment names {', '.join(odd)}, which this training does not use. Leave it out")
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        stride = self.evaluation.stride
        if stride is not None and stride > self.data.context_length:
            raise ValueError(
                f"evaluation.stride {stride} would skip tokens. It may be at most data.context_length, "
                f"{self.data.context_length}"
            )
        if self.schedule.warmup_steps >= self.training.steps:
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} is too long. It must be below training.steps, "
                f"{self.training.steps}"
            )
        if self.training.batch_size % self.determinism.processes:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} is not a multiple of determinism.processes "
                f"{self.determinism.processes}"
            )
        if self.determinism.sharding == "full":
            self._require_shards()
            if self.determinism.nccl_algorithm == "Tree":
                raise ValueError("determinism.nccl_algorithm Tree only adds up. With sharding full, use Ring")
        return self

    @model_validator(mode="after")
    def _model_is_whole(self) -> Self:
        if isinstance(self.model, BaseSection):
            if self.tokenizer is not None:
                raise ValueError("the base model has its own tokenizer. Leave out the section tokenizer")
        elif self.lora is not None:
            raise ValueError("the section lora adapts a base model. Name one in model.base")
        elif self.tokenizer is None:
            raise ValueError("tokenizer is missing. A new model needs one, such as tokenizer: {vocab_size: 4096}")
        return self

    @property
    def uses_nccl(self) -> bool:
        """Whether several GPUs exchange what they have."""
        return self.determinism.device == "cuda" and self.determinism.processes > 1

    @property
    def deciding_settings(self) -> frozenset[str]:
        """What an environment must name, because it decides the bits and nothing can pin it."""
        libraries = {name for name, field in EnvironmentSection.model_fields.items() if field.is_required()}
        device = {"cuda", "cudnn", "gpu"} if self.determinism.device == "cuda" else {"processor_class"}
        nccl, peft = {"nccl"} if self.uses_nccl else set(), {"peft"} if self.lora is not None else set()
        return frozenset(libraries | device | nccl | peft)

    @property
    def base(self) -> str | None:
        """SHA-256 of the base model's manifest; `None` for a new model."""
        return self.model.base if isinstance(self.model, BaseSection) else None

    @property
    def architecture(self) -> ModelSection:
        """The architecture of a new model. A recipe does not know a base model's."""
        assert isinstance(self.model, ModelSection)
        return self.model

    @property
    def vocab_size(self) -> int:
        """Vocabulary size of a new model."""
        assert self.tokenizer is not None
        return self.tokenizer.vocab_size

    def _require_shards(self) -> None:
        if isinstance(self.model, BaseSection):
            raise ValueError("determinism.sharding full only splits new models. Leave it out to fine-tune a base model")
        processes, hidden = self.determinism.processes, self.model.hidden_size
        if processes == 1:
            raise ValueError("determinism.sharding full needs more than one process. Set determinism.processes")
        if hidden % processes:
            # So that every process writes its part of each checkpoint, and the names of all files are known.
            raise ValueError(
                f"model.hidden_size {hidden} is not a multiple of determinism.processes {processes}. "
                "determinism.sharding full needs that"
            )

    @property
    def samples_per_step(self) -> int:
        """Samples in one optimizer step."""
        return self.training.batch_size * self.training.gradient_accumulation

    @property
    def evaluation_stride(self) -> int:
        """Tokens from the start of one evaluation window to the next."""
        return self.evaluation.stride or self.data.context_length

    def checkpoint_steps(self) -> range:
        """The steps after which a checkpoint is written, from 0 (the initial weights) on. There may be billions."""
        return range(0, self.training.steps + 1, self.training.checkpoint_every)

    def state_steps(self) -> range:
        """The steps after which a checkpoint holds the optimizer's state, too, from 0 on."""
        return range(0, self.training.steps + 1, self.training.state_every or self.training.checkpoint_every)

    def keeps_state(self, step: int) -> bool:
        """Whether the checkpoint after a step holds the optimizer's state, so that training can go on from it."""
        return step in self.state_steps()

    def milestone_steps(self, count: int) -> tuple[int, ...]:
        """The steps of `count` CHECKPOINT milestones: the i-th is at `round(steps * (i + 1) / count)`.

        Raises:
            UsageError: The run writes no checkpoint at one of them, or one without the optimizer's state. The next
                milestone could not be repeated from there.
        """
        steps = tuple(round(self.training.steps * (index + 1) / count) for index in range(count))
        for step in steps:
            if not self.keeps_state(step):
                with_state = "" if self.training.state_every is None else " with the optimizer's state"
                raise UsageError(
                    f"With {count} CHECKPOINT milestones, one of them is after step {step}",
                    f"The recipe writes a checkpoint{with_state} every {self.state_steps().step} steps",
                    "Choose training.steps and training.checkpoint_every so that each milestone has a checkpoint"
                    f"{with_state}",
                )
        return steps


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with the bytes it was read from.

    Attributes:
        sha256: Of the bytes, as the proposal names it.
    """

    recipe: Recipe
    data: bytes
    sha256: str


def parse_recipe(data: bytes, *, name: str = "The recipe") -> RecipeFile:
    """Read a recipe.

    Args:
        data: The YAML file's bytes.
        name: What to call it in error messages.

    Raises:
        UsageError: It is too long, not YAML, or not a recipe. Says where, what is there and what belongs there.
    """
    if len(data) > MAX_RECIPE_BYTES:
        raise UsageError(
            f"{name} is too long",
            f"A recipe has at most {MAX_RECIPE_BYTES} bytes",
            "Check that it is the right file",
        )
    try:
        raw, lines = load_yaml_with_lines(data)
    except DocumentError as error:
        where = name if error.line is None else f"{name}, line {error.line}"
        raise UsageError(f"{where}: {error.problem}", "A recipe is a YAML file", error.remedy) from error
    if not isinstance(raw, dict):
        what = f"{name} is empty" if raw is None else f"{name} is not a recipe"
        raise UsageError(
            what,
            "A recipe has sections such as model, data and training",
            "See the recipes that come with llamafund_trainer",
        )
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        mistakes = find_mistakes(error, Recipe, raw, language="YAML", rules=_RULES)
        raise refusal(UsageError, name, mistakes, lines) from error
    return RecipeFile(recipe, data, hashlib.sha256(data).hexdigest())


def load_recipe(path: Path) -> RecipeFile:
    """Read a recipe file.

    Raises:
        UsageError: As `parse_recipe`, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise read_error(path, error) from error
    return parse_recipe(data, name=f"The recipe {path}")
