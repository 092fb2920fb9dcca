"""`llamafund export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from llamafund_chain.errors import ExitCode
from llamafund_trainer.runs.export import EXPORTED

HASH = "ab" * 32


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


def test_a_checkpoint_that_nobody_published_is_one_error(llamafund: Callable[..., object], tmp_path: Path) -> None:
    ran = llamafund("export", HASH, "--out", tmp_path / "out", "--license", "MIT", "--store", tmp_path / "store")
    ran.refused(ExitCode.ERROR, HASH)


def test_the_license_comes_from_one_place(llamafund: Callable[..., object], tmp_path: Path) -> None:
    llamafund("export", HASH, "--out", tmp_path / "out").refused(ExitCode.USAGE, "which license")
