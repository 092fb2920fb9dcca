"""The lint refuses imports that point up, wherever they stand, and modules that no layer names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages and of the lint's configuration."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("llamafund_chain", "trainer/llamafund_trainer"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'trainer'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tree_as_it_is_passes(tree: Path) -> None:
    ran = lint(tree)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("place", "line", "complaint"),
    [
        ("campaign/terms.py", "from llamafund_chain.cli import output", "campaign is not allowed to import"),
        ("chain/abi.py", "from llamafund_chain.campaign import terms", "chain is not allowed to import"),
        ("evidence/merkle.py", "from llamafund_chain.store import base", "evidence is not allowed to import"),
        ("chain/abi.py", "from llamafund_chain.evidence import merkle", "chain is not allowed to import"),
        ("text.py", "from llamafund_chain.chain import abi", "text is not allowed to import"),
        ("brand_new.py", "from llamafund_chain.chain import abi", "brand_new"),
        ("campaign/brand_new.py", "from llamafund_chain.audit import ledger", "campaign is not allowed to import"),
        ("cli/output.py", "def late():\n    from llamafund_chain.demo import story", "cli is not allowed to import"),
        ("campaign/terms.py", "def late():\n    from llamafund_chain.campaign import client", "No cycles are allowed"),
    ],
)
def test_what_points_up_goes_round_or_has_no_place_fails(tree: Path, place: str, line: str, complaint: str) -> None:
    path = tree / "llamafund_chain" / place
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        ran = lint(tree)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
    assert ran.returncode == 1
    assert complaint in ran.stdout


@pytest.mark.parametrize("package", ["llamafund_chain", "trainer/llamafund_trainer"])
def test_the_root_of_each_package_stays_small(package: str) -> None:
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert len(modules) <= 7, sorted(modules)
