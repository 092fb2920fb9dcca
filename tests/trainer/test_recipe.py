"""Recipes: what is read, what is refused and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from llamafund_chain.errors import UsageError
from llamafund_trainer.recipe import MAX_RECIPE_BYTES, EnvironmentSection, RecipeFile, load_recipe, parse_recipe

Change = Callable[[dict[str, Any]], object]
BASE = "ab" * 32
NAMED = ("accelerate", "numpy", "processor_class", "safetensors", "tokenizers", "torch", "transformers")
HERE = dict.fromkeys(NAMED, "1")
EXAMPLES = sorted((Path(__file__).parents[2] / "trainer" / "examples").glob("*.yaml"))


def fine_tune(raw: dict[str, Any], **lora: object) -> None:
    del raw["tokenizer"]
    raw.update(model={"base": BASE}, lora=lora)


def refusal_of(data: bytes) -> str | None:
    """What is wrong with a recipe; `None` if nothing is."""
    try:
        parse_recipe(data)
    except UsageError as error:
        return str(error)
    return None


def changed(recipe: RecipeFile, change: Change) -> bytes:
    raw = yaml.safe_load(recipe.data)
    change(raw)
    return yaml.safe_dump(raw).encode()


def test_the_demo_recipe_is_a_recipe() -> None:
    recipe = parse_recipe(files("llamafund_trainer").joinpath("recipes/demo.yaml").read_bytes()).recipe
    assert recipe.checkpoint_steps()[0] == 0
    assert recipe.checkpoint_steps()[-1] == recipe.training.steps
    assert recipe.milestone_steps(1) == (recipe.training.steps,)


BUNDLED = sorted(path.name for path in files("llamafund_trainer").joinpath("recipes").iterdir())


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_recipe_is_valid_and_has_a_checkpoint_for_its_milestone(name: str) -> None:
    recipe = parse_recipe(files("llamafund_trainer").joinpath("recipes", name).read_bytes()).recipe
    assert recipe.milestone_steps(1) == (recipe.training.steps,)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_fine_tuning_is_valid_and_names_no_model(path: Path) -> None:
    recipe = load_recipe(path).recipe
    assert recipe.base == "0" * 64
    assert recipe.milestone_steps(2)[-1] == recipe.training.steps


def test_what_an_adapter_leaves_out_stays_as_it_was(recipe: RecipeFile) -> None:
    lora = parse_recipe(changed(recipe, fine_tune)).recipe.lora
    assert lora is not None
    assert lora.model_dump() == {"rank": 16, "alpha": 32, "dropout": 0.0, "target_modules": "all-linear"}
    assert lora.scale == 2


def test_what_a_recipe_leaves_out_stays_as_it_was(recipe: RecipeFile) -> None:
    """The defaults belong to the schema: other ones would give an old recipe's hash another meaning."""
    assert recipe.recipe.precision.dtype == "float32"
    assert recipe.recipe.determinism.model_dump() == {
        "threads": 1,
        "instruction_set": "avx2",
        "device": "cpu",
        "processes": 1,
        "sharding": "none",
        "attention": "eager",
        "nccl_algorithm": "Ring",
        "nccl_protocol": "Simple",
    }
    assert (recipe.recipe.evaluation.batch_size, recipe.recipe.evaluation.timeout) == (16, 1800)
    assert recipe.recipe.training.gradient_checkpointing is False


def test_the_hash_is_that_of_the_file(tmp_path: Path, recipe: RecipeFile) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(recipe.data)
    assert load_recipe(file).sha256 == recipe.sha256
    assert parse_recipe(recipe.data + b"# comment\n").sha256 != recipe.sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda raw: raw["model"].update(hiden_size=3),
            ("line 9: model.hiden_size is not known", "Did you mean hidden_size?"),
        ),
        (
            lambda raw: raw.update(trainning={}),  # codespell:ignore
            ("trainning is not known", "Did you mean training?"),  # codespell:ignore
        ),  # codespell:ignore
        (lambda raw: raw["training"].pop("steps"), ("training.steps is missing",)),
        (lambda raw: raw["training"].update(steps="4o"), ("training.steps is '4o'. It must be a whole number",)),
        (lambda raw: raw["training"].update(steps=True), ("training.steps is true. It must be a whole number",)),
        (lambda raw: raw["training"].update(steps=45), ("45", "checkpoint_every 10")),
        (lambda raw: raw["training"].update(log_every=3), ("checkpoint_every 10", "log_every 3")),
        (lambda raw: raw["model"].update(heads=3), ("hidden_size 32", "3 heads")),
        (lambda raw: raw["model"].update(layers=1025), ("model.layers", "1024")),
        (lambda raw: raw["model"].update(hidden_size=2**24 + 4), ("model.hidden_size", "16777216")),
        (lambda raw: raw["model"].update(intermediate_size=2**24 + 1), ("model.intermediate_size", "16777216")),
        (lambda raw: raw["model"].update(kv_heads=3), ("heads 2", "kv_heads 3")),
        (lambda raw: raw["optimizer"].update(learning_rate=float("nan")), ("optimizer.learning_rate",)),
        (lambda raw: raw["optimizer"].update(learning_rate=0), ("optimizer.learning_rate is 0. It must be above 0",)),
        (lambda raw: raw["optimizer"].update(beta1=1), ("optimizer.beta1 is 1. It must be below 1",)),
        (lambda raw: raw["optimizer"].update(beta2=1.0), ("optimizer.beta2 is '1.0'. It must be below 1",)),
        (lambda raw: raw["schedule"].update(warmup_steps=40), ("warmup_steps 40",)),
        (lambda raw: raw.update(evaluation={"stride": 33}), ("stride 33", "at most data.context_length, 32")),
        (
            lambda raw: raw.update(precision={"dtypes": "float32"}),
            ("precision.dtypes is not known", "Did you mean dtype?"),
        ),
        (
            lambda raw: raw.update(precision={"dtype": "float8"}),
            ("precision.dtype is 'float8'. It must be 'float32' or 'bfloat16'",),
        ),
        (lambda raw: raw["determinism"].update(processes=3), ("batch_size 4", "processes 3")),
        (
            lambda raw: raw["determinism"].update(device="tpu"),
            ("determinism.device is 'tpu'. It must be 'cpu' or 'cuda'",),
        ),
        (lambda raw: raw["training"].update(gradient_checkpointing=1), ("training.gradient_checkpointing",)),
        (
            lambda raw: raw["tokenizer"].update(vocab_size=256),
            ("tokenizer.vocab_size is 256. It must be at least 257",),
        ),
        (lambda raw: raw.update(environment={**HERE, "numpi": "2"}), ("environment.numpi", "Did you mean numpy?")),
        (
            lambda raw: raw.update(environment={**HERE, "torch": 2}),
            ("environment.torch is 2. It must be text", "quotes"),
        ),
        (lambda raw: raw.update(environment={**HERE, "torch": []}), ("environment.torch", "a list of texts")),
        (lambda raw: raw.update(environment={**HERE, "torch": ["x" * 201]}), ("environment.torch", "a list of texts")),
        (
            lambda raw: raw.update(environment={"torch": "2"}),
            ("environment.accelerate is missing", "environment.transformers"),
        ),
        (
            lambda raw: (raw.update(environment=dict(HERE)), raw["environment"].pop("processor_class")),
            ("environment does not name processor_class", "--dry-run prints"),
        ),
        (
            lambda raw: (raw["determinism"].update(device="cuda"), raw.update(environment=HERE)),
            ("environment does not name cuda, cudnn, gpu",),
        ),
        (
            lambda raw: raw.update(environment={**HERE, "gpu": "NVIDIA H100", "peft": "1"}),
            ("environment names gpu, peft, which this training does not use",),
        ),
        (lambda raw: raw.update(schema="llamafund/recipe/2"), ("schema",)),
        (lambda raw: raw.pop("tokenizer"), ("tokenizer is missing",)),
        (lambda raw: raw["model"].update(bse=BASE), ("model.bse is not known", "Did you mean base?")),
        (
            lambda raw: raw["model"].update(base=BASE),
            ("base names a whole model", "hidden_size", "Leave out the one or the other"),
        ),
        (lambda raw: raw.update(model={"base": BASE}), ("has its own tokenizer",)),
        (
            lambda raw: raw.update(model={"base": "ab"}),
            ("model.base is 'ab'. It must be a SHA-256, 64 hexadecimal digits",),
        ),
        (lambda raw: raw.update(model={"base": BASE, "revision": "x"}), ("model.revision is not known", "hidden_size")),
        (lambda raw: raw.update(lora={}), ("adapts a base model", "model.base")),
        (lambda raw: fine_tune(raw, rnk=3), ("lora.rnk is not known", "Did you mean rank?")),
        (lambda raw: fine_tune(raw, rank=0), ("lora.rank",)),
        (lambda raw: fine_tune(raw, rank=True), ("lora.rank",)),
        (lambda raw: fine_tune(raw, dropout=1), ("lora.dropout",)),
        (lambda raw: fine_tune(raw, target_modules="q_proj"), ("lora.target_modules", "[q_proj, v_proj]")),
        (lambda raw: fine_tune(raw, target_modules=[]), ("lora.target_modules",)),
        (lambda raw: fine_tune(raw, target_modules=["q.*"]), ("lora.target_modules",)),
        (lambda raw: fine_tune(raw, target_modules=["q", "q"]), ("It names a layer twice",)),
    ],
)
def test_a_mistake_is_named(recipe: RecipeFile, change: Change, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe(changed(recipe, change))
    for word in words:
        assert word in str(caught.value)


def test_an_empty_value_resembles_nothing(recipe: RecipeFile) -> None:
    with pytest.raises(UsageError, match=r"schedule\.kind has no value\. It must be '[^.?]+'\.$"):
        parse_recipe(changed(recipe, lambda raw: raw["schedule"].update(kind=None)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"- a list", "is not a recipe"),
        (b"7", "is not a recipe"),
        (b"", "is empty"),
        (b"\xff\xfe", "line 1: the byte 0xff is not UTF-8 text"),
        (b"a: [", "line 1: "),
        (b"#" * (MAX_RECIPE_BYTES + 1), "is too long"),
        (b"!!python/object/apply:os.getcwd []", "line 1: tags"),
    ],
)
def test_what_is_no_recipe_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe(data, name="The recipe x.yaml")
    assert str(caught.value).startswith("The recipe x.yaml")
    assert words in str(caught.value)


SECTIONS = (
    "model",
    "tokenizer",
    "data",
    "optimizer",
    "schedule",
    "training",
    "evaluation",
    "precision",
    "determinism",
    "environment",
)
LIBRARIES_WORDS = (
    "Input should",
    "valid dictionary",
    "String should",
    "pattern",
    "instance of",
    "unable to parse",
    "^[",
)


@pytest.mark.parametrize("wrong", [-1, 0, "x", 1.5, None, [1], {"a": 1}, True, 10**30], ids=str)
@pytest.mark.parametrize("section", SECTIONS)
def test_no_library_speaks_for_the_recipe(recipe: RecipeFile, section: str, wrong: object) -> None:
    """Every key of every section, and every section, wrong in every way."""
    fields = parse_recipe(recipe.data).recipe.model_dump()[section] or EnvironmentSection.model_fields
    changes: list[Change] = [lambda raw: raw.update({section: wrong})]
    changes += [lambda raw, key=key: raw.setdefault(section, {}).update({key: wrong}) for key in fields]
    for change in changes:
        said = refusal_of(changed(recipe, change))
        assert said is None or section in said
        assert not [words for words in LIBRARIES_WORDS if words in (said or "")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training: {steps: 10, batch_size: 1, checkpoint_every: 10}", "the key 'training' occurs twice"),
        ("a0: &a0 {x: 1}\na1: {<<: [*a0, *a0]}", "names for references"),
        ("evaluation: {<<: {stride: 3}}", "merges"),
        ("evaluation: !!map {}", "tags"),
        ("a: " + "[" * 1000, "nested more than 32 deep"),
        ("a: " + "1" * 5000, "a is not known"),
    ],
)
def test_a_recipe_that_can_be_read_in_two_ways_or_without_end_is_refused(
    recipe: RecipeFile, text: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        parse_recipe(recipe.data + text.encode() + b"\n")


@pytest.mark.parametrize("title", ["2001-99-99", "0x_", "2001-01-01", "yes"])
def test_a_title_is_what_stands_there(recipe: RecipeFile, title: str) -> None:
    lines = [line for line in recipe.data.splitlines() if not line.startswith(b"title:")]
    assert parse_recipe(b"\n".join([*lines, f"title: {title}".encode()])).recipe.title == title


def test_a_number_is_what_a_person_reads(recipe: RecipeFile) -> None:
    """To YAML `010` is eight."""
    with pytest.raises(UsageError, match=r"training\.checkpoint_every"):
        parse_recipe(recipe.data.replace(b"checkpoint_every: 10", b"checkpoint_every: 010"))


def test_a_missing_file_and_a_directory_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*nowhere"):
        load_recipe(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match="is a directory"):
        load_recipe(tmp_path)


def test_each_milestone_falls_on_a_checkpoint_or_is_refused(recipe: RecipeFile) -> None:
    assert recipe.recipe.milestone_steps(2) == (20, 40)
    with pytest.raises(UsageError, match="after step 13"):
        recipe.recipe.milestone_steps(3)
