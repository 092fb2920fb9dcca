"""`llamafund train`, `export` and `replay` on a command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode
from llamafund_trainer.runs.export import EXPORTED

HASH = "ab" * 32


@pytest.fixture
def recipe_path(lab: object, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(lab.recipe.data)
    return path


def test_a_finished_run_is_reported_as_json(lab: object, llamafund: Callable[..., object], recipe_path: Path) -> None:
    ran = llamafund(
        "train", recipe_path, "--dataset", lab.dataset.sha256, "--out", lab.folder, "--seed", lab.run[0].seed,
        "--store", lab.store.location, "--json",
    )  # fmt: skip
    assert ran.code == ExitCode.OK, ran.stderr
    assert ran.json["checkpoint"] == lab.run[-1].sha256
    assert [each["manifest"] for each in ran.json["checkpoints"]] == [link.sha256 for link in lab.run]
    assert ran.json["attestations"] == []


@pytest.mark.parametrize("extra", [(), ("--seed", HASH, "--campaign", "0x5FbDB2315678afecb367f032d93F642f64180aa3")])
def test_the_seed_comes_from_one_place(
    llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path, extra: tuple[str, ...]
) -> None:
    ran = llamafund("train", recipe_path, "--dataset", HASH, "--out", tmp_path / "out", *extra)
    ran.refused(ExitCode.USAGE, "which seed")


def test_no_node_is_its_own_error(llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path) -> None:
    ran = llamafund(
        "train", recipe_path, "--dataset", HASH, "--out", tmp_path / "out", "--rpc", "http://127.0.0.1:9",
        "--campaign", "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    )  # fmt: skip
    ran.refused(ExitCode.NODE_UNREACHABLE)


def test_an_unknown_dataset_and_checkpoint_are_named(
    llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path
) -> None:
    store = ("--store", tmp_path / "store")
    llamafund("train", recipe_path, "--dataset", HASH, "--out", tmp_path / "o", "--seed", HASH, *store).refused(1)
    llamafund("export", HASH, "--out", tmp_path / "o2", "--license", "MIT", *store).refused(1)
    llamafund("replay", HASH, *store).refused(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", HASH, "--entropy", "xyz"), "hexadecimal"),
        (("replay", HASH, "--segments", "0"), "--segments"),
        (("replay", "1234"), "is not a hash"),
        (("export", HASH, "--out", "x"), "which license"),
        (("train", "missing.yaml", "--dataset", HASH, "--out", "x", "--seed", HASH), "There is no file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    llamafund: Callable[..., object], arguments: tuple[str, ...], words: str
) -> None:
    llamafund(*arguments).refused(ExitCode.USAGE, words)


def test_a_segment_that_the_run_does_not_have_is_refused(lab: object, llamafund: Callable[..., object]) -> None:
    ran = llamafund("replay", lab.run[-1].sha256, "--segment", 9, "--store", lab.store.location)
    ran.refused(ExitCode.USAGE, "segment 9", "has 4")


def test_initial_weights_have_nothing_to_repeat(lab: object, llamafund: Callable[..., object]) -> None:
    ran = llamafund("replay", lab.run[0].sha256, "--store", lab.store.location)
    ran.refused(ExitCode.USAGE, "initial weights")


def test_an_export_into_a_full_directory_is_refused(
    lab: object, llamafund: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ran = llamafund("export", lab.run[-1].sha256, "--out", tmp_path, "--license", "MIT", "--store", lab.store.location)
    ran.refused(ExitCode.USAGE, "is not empty")


def test_the_export_is_the_checkpoint_with_a_model_card(lab: object) -> None:
    assert {path.name for path in lab.exported.iterdir()} == EXPORTED
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (lab.exported / name).read_bytes() == lab.file(lab.run[-1], name)
    card = (lab.exported / "README.md").read_text()
    front = card.split("---")[1]
    assert "license: apache-2.0" in front
    for value in (lab.run[-1].sha256, lab.recipe.sha256, lab.dataset.sha256, lab.run[0].seed):
        assert value in card
    assert lab.weights.parent == lab.run[-1].sha256
    assert lab.weights.score == lab.run[-1].score
    assert json.loads((lab.exported / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
