"""Training recipes: everything that decides the weights except the data and the seed.

A recipe is a YAML file. Its SHA-256 stands in the proposal and in every checkpoint manifest, so one file
describes one run and nothing is left to defaults that a later version could change silently: the defaults
below belong to the schema `llamafund/recipe/1` and stay as they are.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from llamafund_chain.errors import UsageError
from llamafund_chain.strict_yaml import load_yaml
from llamafund_chain.text import printable

MAX_RECIPE_BYTES = 64 * 1024

MAX_LAYERS = 1024
"""Of anything that a model has one after the other: layers, blocks, experts."""

MAX_SIZE = 2**24
"""Largest size of a dimension; what a model of any use has is far below it."""

_MODULE = re.compile(r"[A-Za-z0-9_]{1,100}")

Whole = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Size = Annotated[int, Field(strict=True, ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


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
                f"hidden_size {self.hidden_size} is not an even number of values for each of {self.heads} heads"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


class BaseSection(_Section):
    """A model to go on from; architecture, weights and tokenizer are its own.

    Attributes:
        base: SHA-256 of the manifest that names its files: of open weights, or the listing of a directory that
            `llamafund publish` makes.
    """

    base: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="before")
    @classmethod
    def _has_its_own_architecture(cls, values: Any) -> Any:
        own = [name for name in ModelSection.model_fields if name in values]
        if own:
            raise ValueError(
                f"base names a whole model, and {', '.join(own)} would describe another one; leave out either"
            )
        return values


class LoraSection(_Section):
    """A low-rank adapter (arXiv 2106.09685) that is trained in place of the base model's own weights.

    Attributes:
        rank: Of the two matrices that are added to each adapted one.
        alpha: Their product is multiplied by `alpha / rank`.
        dropout: Share of the adapter's inputs that is set to zero in training.
        target_modules: Names of the linear layers to adapt, as the architecture calls them, for example `q_proj`;
            `all-linear` for all but the output layer.
    """

    rank: Annotated[int, Field(strict=True, ge=1, le=4096)] = 16
    alpha: Whole = 32
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"

    @field_validator("target_modules", mode="plain")
    @classmethod
    def _names_of_modules(cls, value: Any) -> Any:
        if value == "all-linear":
            return value
        names = value if isinstance(value, list | tuple) else ()
        if not 0 < len(names) <= 100 or not all(isinstance(name, str) and _MODULE.fullmatch(name) for name in names):
            raise ValueError("it is a list of names of linear layers, such as [q_proj, v_proj], or 'all-linear'")
        if len(set(names)) != len(names):
            raise ValueError("it names a layer twice")
        return tuple(names)

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / self.rank


class TokenizerSection(_Section):
    """A byte-level BPE trained on the training part only."""

    vocab_size: Annotated[int, Field(strict=True, ge=257, le=1_000_000)]


class DataSection(_Section):
    """How documents become samples. `context_length` counts tokens."""

    context_length: Annotated[int, Field(strict=True, ge=2, le=1_048_576)]


class OptimizerSection(_Section):
    """AdamW."""

    learning_rate: Positive
    beta1: Rate = 0.9
    beta2: Rate = 0.95
    epsilon: Positive = 1e-8
    weight_decay: Rate = 0.1
    max_gradient_norm: Positive = 1.0


class ScheduleSection(_Section):
    """Learning rate over the steps; `warmup_steps` rise linearly from 0."""

    kind: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup_steps: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] = 0


class TrainingSection(_Section):
    """Steps are optimizer steps; a step sees `batch_size` × `gradient_accumulation` samples.

    Attributes:
        batch_size: Samples computed together, by all processes.
        gradient_checkpointing: Whether layers are computed twice to save memory.
    """

    steps: Whole
    batch_size: Whole
    gradient_accumulation: Whole = 1
    gradient_checkpointing: Annotated[bool, Field(strict=True)] = False
    checkpoint_every: Whole
    log_every: Whole = 10

    @model_validator(mode="after")
    def _steps_divide(self) -> Self:
        if self.steps % self.checkpoint_every:
            raise ValueError(f"steps {self.steps} is not a multiple of checkpoint_every {self.checkpoint_every}")
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every {self.checkpoint_every} is not a multiple of log_every {self.log_every}"
            )
        return self


class EvaluationSection(_Section):
    """Held-out documents are read in windows of the context length.

    Attributes:
        stride: Tokens from one window's start to the next; the context length when `None`. Smaller gives each
            token more context and costs more.
        batch_size: Windows evaluated together; does not change the result.
    """

    stride: Whole | None = None
    batch_size: Whole = 16


class PrecisionSection(_Section):
    """Numbers that the training computes with.

    Attributes:
        dtype: With `bfloat16` matrix products are computed in it (autocast); weights, gradients and optimizer
            state are float32 all the same.
    """

    dtype: Literal["float32", "bfloat16"] = "float32"


class DeterminismSection(_Section):
    """What decides the bits of a floating point sum.

    Attributes:
        threads: Of one operation. Also fixes how sums are split.
        instruction_set: The widest one that the numeric libraries may use.
        device: Where the training computes. `cuda` takes one device for each process, the first ones that
            `CUDA_VISIBLE_DEVICES` names where it is set.
        processes: How many share each batch (data parallel); they are started with `torchrun` on one machine.
        sharding: What the processes split among them besides the batch. With `full`, parameters, gradients and
            optimizer state (FSDP), and checkpoints are written in shards; with `none`, every process holds all of it.
    """

    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    instruction_set: Literal["generic", "avx2", "avx512"] = "avx2"
    device: Literal["cpu", "cuda"] = "cpu"
    processes: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    sharding: Literal["none", "full"] = "none"


def _model_kind(section: Any) -> str:
    return "base" if isinstance(section, BaseSection) or (isinstance(section, dict) and "base" in section) else "new"


_MODEL_KINDS: dict[str, type[_Section]] = {"new": ModelSection, "base": BaseSection}
"""The two kinds of the section `model`, as pydantic names them in the place of an error."""


class Recipe(_Section):
    """One training run, up to data and seed.

    Attributes:
        model: A new model's architecture, or the base model of a fine-tuning.
        lora: With a base model: train an adapter, not all weights.
        tokenizer: Of a new model; a base model brings its own.
    """

    schema_: Literal["llamafund/recipe/1"] = Field(alias="schema")
    title: Annotated[str, Field(min_length=1, max_length=300)]
    model: Annotated[
        Annotated[ModelSection, Tag("new")] | Annotated[BaseSection, Tag("base")], Discriminator(_model_kind)
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

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        stride = self.evaluation.stride
        if stride is not None and stride > self.data.context_length:
            raise ValueError(f"evaluation.stride {stride} leaves out tokens: the context is {self.data.context_length}")
        if self.schedule.warmup_steps >= self.training.steps:
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} does not end before step {self.training.steps}"
            )
        if self.training.batch_size % self.determinism.processes:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} is not a multiple of determinism.processes "
                f"{self.determinism.processes}"
            )
        if self.determinism.sharding == "full":
            self._require_shards()
        return self

    @model_validator(mode="after")
    def _model_is_whole(self) -> Self:
        if isinstance(self.model, BaseSection):
            if self.tokenizer is not None:
                raise ValueError("the base model brings its own tokenizer; leave out the section 'tokenizer'")
        elif self.lora is not None:
            raise ValueError("the section 'lora' adapts a base model; name one in model.base")
        elif self.tokenizer is None:
            raise ValueError("the key 'tokenizer' is missing")
        return self

    @property
    def base(self) -> str | None:
        """SHA-256 of the base model's manifest; `None` where a new model is trained."""
        return self.model.base if isinstance(self.model, BaseSection) else None

    @property
    def architecture(self) -> ModelSection:
        """The new model's; a base model's is not the recipe's to say."""
        assert isinstance(self.model, ModelSection)
        return self.model

    @property
    def vocab_size(self) -> int:
        """The new model's."""
        assert self.tokenizer is not None
        return self.tokenizer.vocab_size

    def _require_shards(self) -> None:
        if isinstance(self.model, BaseSection):
            raise ValueError("determinism.sharding full splits new models only; leave it out to fine-tune a base model")
        processes, hidden = self.determinism.processes, self.model.hidden_size
        if processes == 1:
            raise ValueError("determinism.sharding full needs determinism.processes to be more than 1")
        if hidden % processes:
            # Every process has a part of the checkpoint then, whose files are known beforehand.
            raise ValueError(
                f"model.hidden_size {hidden} is not a multiple of determinism.processes {processes}, "
                "as determinism.sharding full needs"
            )

    @property
    def samples_per_step(self) -> int:
        """Samples that one optimizer step sees."""
        return self.training.batch_size * self.training.gradient_accumulation

    @property
    def evaluation_stride(self) -> int:
        """Tokens from one evaluation window's start to the next."""
        return self.evaluation.stride or self.data.context_length

    def checkpoint_steps(self) -> range:
        """The steps after which a checkpoint is written, 0 (the initial weights) first; there may be billions."""
        return range(0, self.training.steps + 1, self.training.checkpoint_every)

    def milestone_steps(self, count: int) -> tuple[int, ...]:
        """The steps of `count` CHECKPOINT milestones: the i-th is at `round(steps * (i + 1) / count)`.

        Raises:
            UsageError: One of them is not a step at which a checkpoint is written.
        """
        steps = tuple(round(self.training.steps * (index + 1) / count) for index in range(count))
        for step in steps:
            if step % self.training.checkpoint_every:
                raise UsageError(
                    f"With {count} CHECKPOINT milestones one of them is after step {step}",
                    f"The recipe writes a checkpoint every {self.training.checkpoint_every} steps",
                    "Choose training.steps and training.checkpoint_every so that each milestone falls on one",
                )
        return steps


@dataclass(frozen=True)
class RecipeFile:
    """A recipe with the bytes that it was read from.

    Attributes:
        sha256: Of the bytes, as the proposal names it.
    """

    recipe: Recipe
    data: bytes
    sha256: str


def parse_recipe(data: bytes, *, name: str = "recipe") -> RecipeFile:
    """Read a recipe.

    Args:
        data: The YAML file's bytes.
        name: What to call it in error messages.

    Raises:
        UsageError: It is too long, not YAML, or not a recipe; says which key and, for an unknown one, which
            known key is nearest.
    """
    if len(data) > MAX_RECIPE_BYTES:
        raise UsageError(f"{name} is {len(data)} bytes long", f"Recipes are at most {MAX_RECIPE_BYTES} bytes")
    try:
        raw = load_yaml(data.decode("utf-8"))
    except ValueError as error:
        raise UsageError(f"{name} cannot be read as YAML", printable(str(error), 300), "Correct the file") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{name} is not a recipe", f"It is a {type(raw).__name__}, not a mapping of sections")
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        raise UsageError(f"{name} is not a valid recipe", _explain(error), "Correct the file") from error
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
        raise UsageError(
            f"The recipe {path} cannot be read", error.strerror or str(error), "Name a recipe file"
        ) from error
    return parse_recipe(data, name=f"The recipe {path}")


def _explain(error: ValidationError) -> str:
    # A mistyped key may also leave another one missing: the mistake itself is more use.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = [part for part in first["loc"] if isinstance(part, str)]
    dotted = ".".join(part for index, part in enumerate(place) if index != 1 or part not in _MODEL_KINDS)
    more = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0)
        return f"The key {dotted!r} is unknown; the nearest known one is {near[0]!r}{more}"
    if first["type"] == "missing":
        return f"The key {dotted!r} is missing{more}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{dotted}: {message}{more}" if dotted else f"{message}{more}"


def _keys(place: list[str]) -> list[str]:
    section: Any = Recipe
    for name in place:
        annotation: Any = _MODEL_KINDS.get(name) or section.model_fields[name].annotation
        section = next((each for each in get_args(annotation) if hasattr(each, "model_fields")), annotation)
    names = [field.alias or name for name, field in section.model_fields.items()]
    return [*names, "base"] if section is ModelSection else names
