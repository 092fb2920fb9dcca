"""`llamafund train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llamafund_chain.errors import ExitCode

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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--machine", "0"), "for several machines"),
        (("--rendezvous", "node0:29500"), "for several machines"),
        (("--machines", "2", "--machine", "0"), "cannot meet at 'nowhere'"),
        (("--machines", "2", "--machine", "0", "--rendezvous", "node0"), "cannot meet at 'node0'"),
        (("--machines", "2", "--machine", "0", "--rendezvous", "node0:70000"), "cannot meet at 'node0:70000'"),
        (("--machines", "2", "--rendezvous", "node0:29500"), "which machine this is"),
        (("--machines", "2", "--machine", "2", "--rendezvous", "node0:29500"), "a number from 0 to 1"),
        (("--machines", "2", "--machine", "0", "--rendezvous", "node0:29500"), "1 processes cannot be shared by 2"),
    ],
)
def test_machines_that_cannot_train_together_are_refused(
    llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ran = llamafund("train", recipe_path, "--dataset", HASH, "--seed", HASH, "--out", tmp_path / "out", *options)
    ran.refused(ExitCode.USAGE, message)


def test_no_node_is_its_own_error(llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path) -> None:
    ran = llamafund(
        "train", recipe_path, "--dataset", HASH, "--out", tmp_path / "out", "--rpc", "http://127.0.0.1:9",
        "--campaign", "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    )  # fmt: skip
    ran.refused(ExitCode.NODE_UNREACHABLE)


def test_a_dataset_that_nobody_published_is_one_error(
    llamafund: Callable[..., object], recipe_path: Path, tmp_path: Path
) -> None:
    options = ("--dataset", HASH, "--out", tmp_path / "out", "--seed", HASH, "--store", tmp_path / "store")
    llamafund("train", recipe_path, *options).refused(ExitCode.ERROR, HASH)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("is a directory",)),
        (b"\x00\xff", ("line 1", "is not UTF-8 text")),
        (b"a: [\nb: }", ("line 2",)),
        (b"- a list", ("is not a recipe", "sections such as model")),
        (b"title: no more\n", ("schema is missing", "Also wrong: model, data, optimizer, training")),
    ],
)
def test_what_is_no_recipe_is_called_by_its_name(
    llamafund: Callable[..., object], tmp_path: Path, content: bytes | None, words: tuple[str, ...]
) -> None:
    path = tmp_path / "recipe.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for options in (("--dry-run",), ("--dataset", HASH, "--out", tmp_path / "out", "--seed", HASH)):
        llamafund("train", path, *options).refused(ExitCode.USAGE, str(path), *words)


def test_a_recipe_that_is_missing_is_named(llamafund: Callable[..., object], tmp_path: Path) -> None:
    ran = llamafund("train", "missing.yaml", "--dataset", HASH, "--out", tmp_path / "out", "--seed", HASH)
    ran.refused(ExitCode.USAGE, "There is no file 'missing.yaml'")
