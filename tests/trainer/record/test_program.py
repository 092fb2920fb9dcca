"""What of a script goes into its recipe, and what it says where nobody else could run it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llamafund_chain.errors import UsageError
from llamafund_chain.evidence.programs import Program, parse_program
from llamafund_chain.evidence.recipes import RecipeKind, recipe_kind
from llamafund_trainer.record.program import Places, describe_program, lock_of, lock_problem

SEED, DATASET = "5a" * 32, "6b" * 32


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A script with modules beside it."""
    files = {
        "train.py": "import json, models.net\nfrom helpers import tool\nfrom models import late\nimport numpy as np\n",
        "helpers.py": "def tool():\n    import inside_a_function\n",
        "inside_a_function.py": "",
        "models/__init__.py": "from . import relative\n",
        "models/net.py": "from ..nowhere import x\nfrom .deep.er import y\n",
        "models/late.py": "",
        "models/relative.py": "",
        "models/deep/er.py": "import torch\n",
        "models/not_imported.py": "",
        "config/a.yaml": "rate: 1\n",
        "secret.txt": "secret",
    }
    for path, text in files.items():
        (tmp_path / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / path).write_text(text, encoding="utf-8")
    return tmp_path / "project"


def describe(project: Path, *arguments: str, more: tuple[str, ...] = (), **places: object) -> Program:
    values = {"evidence": project.parent / "out" / "evidence", "data": None, "store": None} | places
    return describe_program(project / "train.py", arguments, Places(seed=SEED, dataset=DATASET, **values), more)


def test_the_modules_that_a_script_imports_and_nothing_else_go_along(project: Path) -> None:
    program = describe(project)
    assert sorted(program.files) == [
        "helpers.py",
        "inside_a_function.py",
        "models/__init__.py",
        "models/deep/er.py",
        "models/late.py",
        "models/net.py",
        "models/relative.py",
        "train.py",
    ]
    assert {"numpy", "torch"} <= program.lock.keys()
    assert program.entry == "train.py"


def test_named_files_and_folders_go_along(project: Path) -> None:
    files = describe(project, "--config", str(project / "config/a.yaml"), more=("models",)).files
    assert {"config/a.yaml", "models/not_imported.py"} <= files.keys()
    assert "secret.txt" not in files


def test_the_recipe_is_read_as_it_was_written(project: Path) -> None:
    program = describe(project, "ä", "{x}")
    assert parse_program(program.encoded).program == program
    assert recipe_kind(program.encoded) is RecipeKind.PROGRAM
    assert program.encoded == describe(project, "ä", "{x}").encoded


def test_places_and_values_of_this_run_get_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, data = project.parent / "out", project.parent / "data"
    monkeypatch.chdir(project.parent)
    program = describe(
        project, "out", f"--ckpt={out / 'ckpt'}", "--data", "data", f"--seed={SEED}", DATASET, "store", "--lr=0.1",
        data=data, store="store",
    )  # fmt: skip
    assert program.arguments == (
        *("{run}", "--ckpt={run}/ckpt", "--data", "{data}", "--seed={seed}", "{dataset}", "{store}", "--lr=0.1"),
    )
    assert program.data == "{data}"
    assert str(project.parent) not in program.encoded.decode()
    assert describe(project, str(out), data=out / "corpus").data == "{run}/corpus"
    assert describe(project, data=project / "data" / "tiny").data == "data/tiny"


def test_a_published_base_model_is_named_by_its_hash(project: Path) -> None:
    base, sha256 = project.parent / "base", "9d" * 32
    program = describe(project, f"--base={base}", inputs={sha256: base})
    assert (program.arguments, program.inputs) == ((f"--base={{{sha256}}}",), {sha256: f"{{{sha256}}}"})
    assert describe(project, inputs={sha256: project / "base"}).inputs == {sha256: "base"}
    with pytest.raises(UsageError, match=f"The input {sha256} is in a folder that neither"):
        describe(project, inputs={sha256: base})


@pytest.mark.parametrize(
    ("arguments", "places", "words"),
    [
        (("--base=/models/llama",), {}, "'/models/llama' names a place on this machine"),
        (("~/weights",), {}, "'~/weights' names a place"),
        ((), {"data": Path("/somewhere/else")}, "The dataset is in a folder that neither an argument names"),
    ],
)
def test_a_place_that_nobody_else_has_is_refused(
    project: Path, arguments: tuple[str, ...], places: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        describe(project, *arguments, **places)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("helpers.py", b"\xff\xfe", "is not text"),
        ("helpers.py", b"#" * 300_000, "At most"),
    ],
)
def test_what_cannot_be_published_is_refused(project: Path, name: str, content: bytes, words: str) -> None:
    (project / name).write_bytes(content)
    with pytest.raises(UsageError, match=words):
        describe(project)


def test_a_module_that_nobody_else_can_install_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "only_mine.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "elsewhere")])
    (project / "train.py").write_text("import only_mine\n")
    with pytest.raises(UsageError, match="'only_mine' is neither beside the script nor from an installed package"):
        describe(project)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"argument": "--api-key=a1b2c3d4e5"}, r"'arguments' holds the value of the variable TRACKER_API_KEY"),
        ({"helpers.py": "KEY = 'a1b2c3d4e5'"}, r"'helpers\.py' holds the value of the variable TRACKER_API_KEY"),
        ({"argument": "hf_" + "x" * 34}, "'arguments' holds what looks like a key"),
        ({"helpers.py": "# -----BEGIN RSA PRIVATE " + "KEY-----"}, "'helpers.py' holds what looks like a key"),
        ({"helpers.py": "URL = 'https://me:" + "word@host/x'"}, "'helpers.py' holds what looks like a key"),
        ({"key.json": '{"crypto": {"ciphertext": "00"}}', "argument": "key.json"}, "'key.json' holds what looks"),
        ({".env": "NAME=word", "argument": ".env"}, r"'\.env' names a hidden file"),
    ],
)
def test_threat_a_secret_is_published_with_the_script(
    project: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], words: str
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("TRACKER_API_KEY", "a1b2c3d4e5")
    arguments = [text for name, text in change.items() if name == "argument"]
    for name, text in change.items():
        if name != "argument":
            (project / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as caught:
        describe(project, *arguments)
    assert "a1b2c3d4e5" not in str(caught.value)


def test_threat_a_folder_that_goes_along_holds_hidden_files_and_links(project: Path) -> None:
    (project / "config" / ".env").write_text("NAME=word", encoding="utf-8")
    (project / "config" / "__pycache__").mkdir()
    (project / "config" / "__pycache__" / "a.pyc").write_bytes(b"\xff")
    (project.parent / "mine.txt").write_text("mine", encoding="utf-8")
    (project / "config" / "link.txt").symlink_to(project.parent / "mine.txt")
    files = describe(project, more=("config",)).files
    assert [name for name in files if name.startswith("config/")] == ["config/a.yaml"]


def test_a_file_that_is_no_module_of_python_is_taken_as_text(project: Path) -> None:
    (project / "helpers.py").write_text("def broken(:\n")
    assert describe(project).files["helpers.py"] == "def broken(:\n"


def test_the_lock_says_what_differs_here() -> None:
    lock = lock_of(["numpy"])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert lock_problem(lock, here) is None
    assert lock_problem({**lock, "numpy": "0.1"}, "3.1") == (
        f"It needs Python 3.1 (here {here}), numpy 0.1 (here {lock['numpy']})"
    )
